import { sql } from 'drizzle-orm'
import { bigint, integer, pgTable, text } from 'drizzle-orm/pg-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { unavailable } from '../server/errors.ts'
import { createEmptyDatabase } from '../server/testing/test-app.ts'
import { type Database, openDatabase } from './connection.ts'

const lists = pgTable('lists', {
  words: text().array(),
  counts: integer().array(),
  ids: bigint({ mode: 'bigint' }).array(),
})

let database: Database
beforeAll(async () => {
  database = openDatabase({ url: await createEmptyDatabase(), poolSize: 1, unavailable })
  await database.run('create table lists (words text[], counts int[], ids bigint[])', [])
})
afterAll(() => database.close())

/** Everything that means something in the spelling of an array, and what looks as if it did. */
const awkward = [
  ['', ' ', ' a ', 'NULL', 'null', null],
  ['a,b', '{', '}', '{}', '{a,b}', '[0:1]={a}'],
  ['"', '""', '\\', '\\\\', '\\"', '"\\', "'", '$1', '\n\t'],
  ['안녕하세요', '한, 글', '👩‍👩‍👧', 'é'],
  [],
  [null],
]

test('texts come back as they went in, and Postgres sees the same', async () => {
  for (const words of awkward) {
    const [row] = await database.run<{ words: string[]; json: string[] }>(
      'select $1::text[] as words, array_to_json($1::text[]) as json',
      [words],
    )
    expect(row).toEqual({ words, json: words })
  }
})

test('whole numbers do, small ones as numbers and large ones as text', async () => {
  const [row] = await database.run('select $1::int[] as small, $2::bigint[] as large', [
    [1, -2, null, 2_147_483_647],
    ['9223372036854775807', null, 5],
  ])
  expect(row).toEqual({ small: [1, -2, null, 2_147_483_647], large: ['9223372036854775807', null, '5'] })
})

test('a type that Postgres finds out by itself is as good as one that is named', async () => {
  await database.run('insert into lists values ($1, $2, $3)', [['a,b', null], [1, 2], ['3', '4']])
  const found = await database.run(
    `select * from lists where words = $1 and 2 = any ($2) and ids && $3 and words[1] = any ($4)`,
    [['a,b', null], [2], ['4', '5'], ['a,b']],
  )
  expect(found).toEqual([{ words: ['a,b', null], counts: [1, 2], ids: ['3', '4'] }])
})

test('arrays of arrays, and such as do not begin at 1', async () => {
  const [row] = await database.run(
    `select $1::text[] as words, $2::int[] as counts, '[0:1]={7,8}'::int[] as shifted, '{}'::int[] as empty`,
    [[['a,}', '"'], [null, '']], [[[1], [2]], [[3], [4]]]],
  )
  expect(row).toEqual({
    words: [['a,}', '"'], [null, '']],
    counts: [[[1], [2]], [[3], [4]]],
    shifted: [7, 8],
    empty: [],
  })
})

test('a list that is spelt already stays so', async () => {
  const [row] = await database.run('select $1::bigint[] as ids', ['{1,2}'])
  expect(row).toEqual({ ids: ['1', '2'] })
})

test('Drizzle writes and reads them', async () => {
  const row = { words: ['a"b', '{,}', '한'], counts: [1, 2], ids: [3n] }
  await database.orm.insert(lists).values(row)
  const found = await database.orm.select().from(lists).where(sql`${lists.ids} = '{3}'`)
  expect(found).toEqual([row])
})

test('what cannot be spelt is refused, and the connection goes on, prepared or not', async () => {
  const take = (words: unknown[]) => database.run<{ words: string[] }>('select $1::text[] as words', [words])
  const fresh = (words: unknown[]) => database.run('select $1::text[] as never_before', [words])
  await expect(fresh(['a', undefined])).rejects.toThrow('undefined')
  await take(['a'])
  for (let round = 0; round < 3; round++) {
    await expect(take(['a', undefined])).rejects.toThrow('undefined')
    expect(await take(['b'])).toEqual([{ words: ['b'] }])
  }
  // Of a type that is not in the list.
  await expect(database.run('select $1::date[]', [['2026-01-01']])).rejects.toThrow('malformed array literal')
  expect(await take(['c'])).toEqual([{ words: ['c'] }])
})
