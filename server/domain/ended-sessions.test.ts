import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { unavailable } from '../errors.ts'
import { createTestDatabase } from '../testing/test-app.ts'
import { watchEndedSessions } from './ended-sessions.ts'

let database: Database
beforeAll(async () => {
  database = openDatabase({ url: await createTestDatabase(), poolSize: 4, unavailable })
  await migrate(database)
})
afterAll(() => database.close())
beforeEach(() => database.run('delete from sessions', []))

let number = 0

/** Puts a session into the store that has ended so many milliseconds ago; its id. */
async function end(agoMs = 0): Promise<string> {
  const id = String(++number)
  await database.run(
    `insert into sessions (user_id, id, secret_hash, expires_at, revoked_at)
     values ($1, $2, '', now(), now() - make_interval(secs => $3))`,
    [number + 1_000, id, agoMs / 1_000],
  )
  return id
}

/** A watch that asks often. Resolves once it knows since when it asks. */
async function watch({ lateMs = 60_000 } = {}) {
  const told: string[] = []
  const errors: unknown[] = []
  /** Since when each question asked, of those that were answered. */
  const asked: number[] = []
  const { close } = watchEndedSessions({
    database: {
      async run(text, parameters) {
        const rows = await database.run<any>(text, parameters)
        if (parameters[0] instanceof Date) asked.push(parameters[0].getTime())
        return rows
      },
    },
    onEnded: (ended) => {
      for (const { userId, sessionId } of ended) {
        expect(userId).toBe(String(Number(sessionId) + 1_000))
        told.push(sessionId)
      }
    },
    onError: (error) => errors.push(error),
    intervalMs: 20,
    lateMs,
  })
  onTestFinished(close)
  await expect.poll(() => asked.length).toBeGreaterThan(0)
  /** Resolves once it has asked for all that is there by now. */
  const rounds = async (count = 2) => {
    const enough = asked.length + count
    await expect.poll(() => asked.length, { timeout: 10_000 }).toBeGreaterThan(enough)
  }
  return { told, errors, asked, rounds }
}

test('each session that ends is told of once', async () => {
  const { told, rounds } = await watch()
  const ids = []
  for (let nth = 0; nth < 5; nth++) {
    ids.push(await end(), await end())
    await rounds()
    expect(told.toSorted()).toEqual(ids.toSorted())
  }
})

test('also those that come to be seen after others that ended later', async () => {
  const { told, rounds } = await watch()
  const first = await end()
  await rounds()
  const late = await end(30_000)
  await rounds()
  expect(told).toEqual([first, late])
})

test('also those that ended while the store did not answer, however long that was', async () => {
  const { told, errors, rounds } = await watch({ lateMs: 100 })
  await rounds()
  await database.run('alter table sessions rename to sessions_away', [])
  try {
    await expect.poll(() => errors.length).toBe(1)
    await sleep(500)
  } finally {
    await database.run('alter table sessions_away rename to sessions', [])
  }
  // As if it had ended at the beginning of that time.
  const id = await end(450)
  await expect.poll(() => told, { timeout: 5_000 }).toEqual([id])
  // An absence is complained about once.
  expect(errors).toHaveLength(1)
})

test('what has been told is not asked for for ever', async () => {
  const { asked, told, rounds } = await watch({ lateMs: 200 })
  const ids = [await end(), await end()]
  await expect.poll(() => told.toSorted()).toEqual(ids)
  const [row] = await database.run<{ newest: Date }>('select max(revoked_at) as newest from sessions', [])
  await expect.poll(() => asked.at(-1), { timeout: 5_000 }).toBeGreaterThan(row!.newest.getTime())
  // And what ends then is found all the same.
  const last = await end()
  await expect.poll(() => told.slice(2)).toEqual([last])
  await rounds(5)
  expect(told).toHaveLength(3)
})
