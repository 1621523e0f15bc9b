import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase } from '../drizzle/connection.ts'
import { migrate } from '../drizzle/migrate.ts'
import { createNodeReader } from '../server/domain/autocomplete-nodes.ts'
import { unavailable } from '../server/errors.ts'
import { createTestDatabase } from '../server/testing/test-app.ts'
import { keepSuggestions } from './suggestions.ts'
import { buildNames } from './suggestions-trees.ts'

/* A worker whose connection is lost has lost the lock as well, and another one may be at it. */

let database: Database
beforeAll(async () => {
  database = openDatabase({ url: await createTestDatabase(), poolSize: 5, deadlineMs: 60_000, unavailable })
  await migrate(database)
  await database.run(
    `insert into users (id, username, display_name, created_at)
     select n, 'crowd' || n, 'crowd', now() from generate_series(1, 300) as n`,
    [],
  )
})
afterAll(() => database.close())

const keep = (by: Database = database) => keepSuggestions({ database: by, isBlocked: () => false, always: true })

async function state() {
  const [row] = await database.run<{ generation: string }>(
    `select generation from suggestion_trees where name = 'NAMES'`,
    [],
  )
  const node = await createNodeReader(database).find('USER', 'crowd')
  return { generation: Number(row!.generation), entries: node?.entries.length }
}

/** Holds a build up once its first nodes are written. */
function slowly(): { by: Database; written: Promise<void>; goOn: () => void } {
  let goOn = () => {}
  let onWritten = () => {}
  const going = new Promise<void>((resolve) => (goOn = resolve))
  const written = new Promise<void>((resolve) => (onWritten = resolve))
  const slow = (run: Database['run']): Database['run'] => async (text, parameters) => {
    const rows = await run(text, parameters)
    if (text.startsWith('/* nodes */')) {
      onWritten()
      await going
    }
    return rows as never
  }
  const by: Database = {
    ...database,
    run: slow(database.run),
    async reserve(onLost) {
      const session = await database.reserve(onLost)
      return { run: slow(session.run), release: session.release }
    },
  }
  return { by, written, goOn }
}

const cutHolder = () =>
  database.run(
    `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted
       and classid = ${0x7375} and objid::bigint = hashtext(current_schema())::bigint & 4294967295`,
    [],
  )

test('who has lost the lock half way stops', async () => {
  await keep()
  const before = await state()
  const { by, written, goOn } = slowly()
  const build = keep(by).then(() => 'built', () => 'stopped')
  await written
  expect(await cutHolder()).toHaveLength(1)
  goOn()
  expect(await build).toBe('stopped')
  expect(await state()).toEqual(before)
})

test('and swaps nothing in when another one has been at it', async () => {
  await database.run(`update suggestion_trees set swapped_at = now() - interval '5 minutes'`, [])
  const { by, written, goOn } = slowly()
  const first = keep(by).then(() => 'built', () => 'stopped')
  await written
  await cutHolder()
  // It waits for the lock, which is gone a moment later than its holder, and tidies the half tree away.
  await expect.poll(() => keep(), { timeout: 20_000 }).not.toBeNull()
  const after = await state()
  expect(after.entries).toBe(40)
  goOn()
  expect(await first).toBe('stopped')
  expect(await state()).toEqual(after)
})

test('nor does who was overtaken put an older tree in the place of a newer one', async () => {
  const { by, written, goOn } = slowly()
  const first = buildNames(by).then(() => 'built', () => 'stopped')
  await written
  await new Promise((resolve) => setTimeout(resolve, 5))
  const { generation } = await buildNames(database)
  goOn()
  expect(await first).toBe('stopped')
  expect(await state()).toEqual({ generation, entries: 40 })
})

test('samples of a clock that went ahead harm nothing, and go', async () => {
  const day = async (ahead: number, term: string) =>
    database.run(
      `insert into search_samples (user_id, day, term)
       select n, (now() at time zone 'UTC')::date + $1::int, $2 from generate_series(1, 5) as n`,
      [ahead, term],
    )
  await day(180, 'far')
  await day(1, 'near')
  await day(0, 'now')
  expect((await keep())!.built.map(({ tree }) => tree)).toContain('TERMS')
  const terms = await createNodeReader(database).terms('')
  expect(terms.toSorted((a, b) => (a.id < b.id ? -1 : 1))).toEqual([{ id: 'near', score: 500 }, { id: 'now', score: 500 }])
  expect(await database.run(`select distinct term from search_samples order by term`, [])).toEqual([{ term: 'near' }, { term: 'now' }])
})
