import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { unavailable } from '../errors.ts'
import { newShortCode } from '../lib/short-codes.ts'
import { createTestDatabase } from '../testing/test-app.ts'
import { createVisits } from './short-links-visits.ts'

let database: Database
beforeAll(async () => {
  database = openDatabase({ url: await createTestDatabase(), poolSize: 4, unavailable })
  await migrate(database)
})
afterAll(() => database.close())

/** Statements that have written visits. */
function counted() {
  const written: number[] = []
  const run: Database['run'] = (text, parameters) => {
    if (text.startsWith('/* visits */')) written.push((parameters[0] as string[]).length)
    return database.run(text, parameters)
  }
  return { run, written }
}

test('visits of one moment are one statement, for whatever links, and none is lost', async () => {
  const { run, written } = counted()
  const visits = createVisits({ run })
  const codes = Array.from({ length: 300 }, newShortCode)
  for (let nth = 0; nth < 30_000; nth++) visits.note(codes[nth % 7 === 0 ? nth % 300 : 0]!)
  await visits.close()
  expect(written).toEqual([300])
  const sums = await visits.count(codes)
  expect([...sums.values()].reduce((sum, count) => sum + count, 0)).toBe(30_000)
  expect(sums.get(newShortCode())).toBeUndefined()
})

test('replicas that write of the same links at once do not lock each other', async () => {
  const codes = Array.from({ length: 200 }, newShortCode)
  const replicas = Array.from({ length: 4 }, () => createVisits(database))
  for (const [nth, visits] of replicas.entries()) {
    for (const code of nth % 2 === 0 ? codes : codes.toReversed()) visits.note(code)
  }
  await Promise.all(replicas.map((visits) => visits.close()))
  const sums = await replicas[0]!.count(codes)
  expect(codes.map((code) => sums.get(code))).toEqual(codes.map(() => 4))
})

test('what could not be written is written later, together with what came meanwhile', async () => {
  const { run, written } = counted()
  const visits = createVisits({ run })
  const [one, other] = [newShortCode(), newShortCode()]
  await database.run('alter table short_link_visits rename to away', [])
  visits.note(one)
  await expect.poll(() => written.length).toBeGreaterThan(1)
  visits.note(one)
  visits.note(other)
  await database.run('alter table away rename to short_link_visits', [])
  await expect.poll(async () => Object.fromEntries(await visits.count([one, other]))).toEqual({ [one]: 2, [other]: 1 })
  await visits.close()
})

test('a count stays within what can be shown', async () => {
  const code = newShortCode()
  await database.run('insert into short_link_visits (code, visits) values ($1, 2147483646)', [code])
  const visits = createVisits(database)
  for (let nth = 0; nth < 3; nth++) visits.note(code)
  await visits.close()
  expect((await visits.count([code])).get(code)).toBe(2_147_483_647)
})
