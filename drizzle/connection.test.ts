import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { MaruError, unavailable } from '../server/errors.ts'
import { createEmptyDatabase } from '../server/testing/test-app.ts'
import { type Database, openDatabase } from './connection.ts'

const poolSize = 4
let database: Database
let killer: Database
beforeAll(async () => {
  const url = await createEmptyDatabase()
  database = openDatabase({ url, poolSize, unavailable })
  killer = openDatabase({ url, poolSize: 1, unavailable })
  await database.run('create table halves (tag text, half int)', [])
})
afterAll(async () => {
  await database.close()
  await killer.close()
})

const backendOf = async (run: Database['run']) =>
  (await run<{ pid: number }>('select pg_backend_pid() as pid', []))[0]!.pid

const kill = (pid: number) => killer.run('select pg_terminate_backend($1::int)', [pid])

const isUnavailable = (error: unknown) => error instanceof MaruError && error.code === 'UNAVAILABLE'

/** Before any deadline, which is 5 seconds. */
const soonMs = 4_000

test('a transaction whose backend is killed fails whole, and neither the process nor the pool suffers', async () => {
  const done: string[] = []
  async function insertHalves(tag: string, between: (run: Database['run']) => Promise<unknown>) {
    try {
      await database.transaction(async ({ run }) => {
        await run('insert into halves values ($1, 1)', [tag])
        await between(run)
        await run('insert into halves values ($1, 2)', [tag])
      })
      done.push(tag)
    } catch (error) {
      expect(error).toSatisfy(isUnavailable)
    }
  }
  for (let round = 0; round < 16; round++) {
    const started = performance.now()
    await Promise.all([
      // Sometimes the goodbye is here before the next statement, and sometimes not.
      insertHalves(`victim ${round}`, async (run) => kill(await backendOf(run)).then(() => sleep(round % 4))),
      insertHalves(`first bystander ${round}`, async () => {}),
      insertHalves(`second bystander ${round}`, async () => {}),
    ])
    // Whoever reacts to the failure at once hears something soon, too.
    await database.run('select', []).catch((error: unknown) => expect(error).toSatisfy(isUnavailable))
    expect(performance.now() - started).toBeLessThan(soonMs)
  }
  expect(done.filter((tag) => tag.startsWith('victim'))).toEqual([])
  const rows = await database.run<{ tag: string; count: number }>(
    'select tag, count(*)::int from halves group by tag order by tag',
    [],
  )
  expect(rows).toEqual(done.toSorted().map((tag) => ({ tag, count: 2 })))
})

test('afterwards every connection of the pool is as good as before', async () => {
  const [row] = await killer.run<{ open: number }>(
    `select count(*)::int as open from pg_stat_activity where state like 'idle in transaction%'
     and application_name = current_setting('application_name')`,
    [],
  )
  expect(row!.open).toBe(0)
  const sleepOnAll = async () => {
    const started = performance.now()
    await Promise.all(Array.from({ length: poolSize }, () => database.run('select pg_sleep(0.5)', [])))
    return performance.now() - started
  }
  // The last one that died may still be on its way back.
  await expect.poll(sleepOnAll, { timeout: 10_000 }).toBeLessThan(900)
})

test('whoever holds a connection is told of its loss, once, and not of its release', async () => {
  let losses = 0
  const lost = await database.reserve(() => losses++)
  await kill(await backendOf(lost.run))
  await expect.poll(() => losses).toBe(1)
  await expect(lost.run('select 1', [])).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  lost.release()

  const kept = await database.reserve(() => losses++)
  const pid = await backendOf(kept.run)
  kept.release()
  await kill(pid)
  await expect.poll(() => database.run('select from pg_stat_activity where pid = $1', [pid])).toHaveLength(0)
  expect(losses).toBe(1)
})
