import postgres from 'postgres'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { isDistributed } from '../../drizzle/distribution.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { unavailable } from '../errors.ts'
import { dying } from '../testing/dying.ts'
import { channelOf, checkChannel, fillMonths, leftovers, makeChannel } from '../testing/old-messages.ts'
import { createTestDatabase } from '../testing/test-app.ts'
import { bucketAt, startOf, tableOf } from './bucket-time.ts'
import { retain, setRetention } from './retention.ts'

vi.setConfig({ testTimeout: 120_000 })

const author = '5'
const [busy, keeper, other] = ['11', '12', '13']
const all = [busy, keeper, other]
const dayMs = 86_400_000
const newest = bucketAt(Date.now())
const now = startOf(newest) + 14 * dayMs
const months = (count: number, end = newest) => Array.from({ length: count }, (_, nth) => end - count + 1 + nth)

let url: string
let database: Database
beforeEach(async () => {
  url = await createTestDatabase()
  database = openDatabase({ url, poolSize: 6, deadlineMs: 30_000, unavailable })
  await migrate(database)
  for (const id of all) await makeChannel(database, id, [author])
})
afterEach(() => database.close())

const fill = (channelId: string, buckets: readonly number[]) =>
  fillMonths(database, { channelId, author, buckets, perMonth: 8 })

const sessions = (like: string) =>
  database.run<{ pid: number }>(
    `select pid from pg_stat_activity
     where application_name = current_setting('application_name') and query like $1 and pid <> pg_backend_pid()`,
    [like],
  )

test('killed at any step, the next run finishes it, and readers never find a hole', async () => {
  await fill(busy, months(9))
  await fill(other, months(9))
  // Of these months two channels' rows are deleted, as the third one keeps its own.
  await fill(keeper, months(6))
  await setRetention(database, keeper, 3_650)
  let deaths = 0
  for (let nth = 1; ; nth++) {
    const mortal = dying(database, nth)
    const outcome = await retain(mortal, { days: 90, now }).catch(() => 'killed')
    for (const id of all) await checkChannel(database, id)
    if (!mortal.isDead()) {
      expect(outcome).toMatchObject({ isUnfinished: false })
      break
    }
    expect(outcome).toBe('killed')
    deaths++
  }
  expect(deaths).toBeGreaterThan(20)
  for (const id of all) expect(await leftovers(database, id)).toEqual({})
  const kept = bucketAt(now - 90 * dayMs)
  expect((await channelOf(database, busy)).first_seq).toBe(8 * (kept - (newest - 8)) + 1)
  expect(await channelOf(database, keeper)).toMatchObject({ first_seq: 1, expired_change: 0 })
  const rows = await database.run<{ table: string; count: number }>(
    `select message_bucket(id) as bucket, count(*)::int from messages where channel_id <> $1 group by 1 order by 1`,
    [keeper],
  )
  expect(rows).toEqual(months(newest - kept + 1).map((bucket) => ({ bucket, count: 16 })))
  const tables = await database.run('select from pg_class where relname = any ($1::text[]) and relnamespace = current_schema()::regnamespace', [
    months(9).map(tableOf),
  ])
  expect(tables).toHaveLength(6)
})

test('killed while it waits for a reader, the partition that is half outside is finished by the next run', async () => {
  // On Citus it leaves at once or not at all.
  if (await isDistributed(database)) return
  await fill(busy, months(6))
  const slow = await database.reserve()
  await slow.run('begin', [])
  await slow.run('select count(*) from messages', [])
  const retained = retain(database, { days: 60, now }).catch(() => 'killed')
  const waiting = () => sessions('%detach partition%concurrently%')
  await expect.poll(waiting).toHaveLength(1)
  // Who comes now neither waits nor sees any of it.
  await checkChannel(database, busy)
  const [{ pid }] = (await waiting()) as [{ pid: number }]
  await database.run('select pg_terminate_backend($1)', [pid])
  expect(await retained).toBe('killed')
  expect(await database.run('select from pg_inherits where inhdetachpending', [])).toHaveLength(1)
  await checkChannel(database, busy)

  // Another run does not wait for that reader for longer than it has patience, and says that there is more to do.
  await slow.run('commit', [])
  slow.release()
  expect(await retain(database, { days: 60, now })).toMatchObject({ isUnfinished: false })
  expect(await database.run('select from pg_inherits where inhdetachpending', [])).toEqual([])
  expect(await leftovers(database, busy)).toEqual({})
  await checkChannel(database, busy)
})

test('a reader who takes too long puts it off, and only that', async () => {
  await fill(busy, months(6))
  // For longer than a connection of the server's may be idle.
  const slow = postgres(url, { max: 1, onnotice: () => {} })
  await slow.unsafe('begin; select count(*) from messages')
  expect(await retain(database, { days: 60, now })).toMatchObject({ channels: 1, buckets: [], isUnfinished: true })
  expect(await retain(database, { days: 60, now })).toMatchObject({ channels: 0, buckets: [], isUnfinished: true })
  await checkChannel(database, busy)
  await slow.unsafe('commit')
  await slow.end()
  expect((await retain(database, { days: 60, now }))!.buckets.length).toBeGreaterThan(2)
  expect(await leftovers(database, busy)).toEqual({})
})

test('several workers at once: one of them does it', async () => {
  await fill(busy, months(6))
  const done = await Promise.all([1, 2, 3].map(() => retain(database, { days: 60, now })))
  expect(done.filter((each) => each !== null && each.channels > 0)).toHaveLength(1)
  await checkChannel(database, busy)
  expect(await leftovers(database, busy)).toEqual({})
})

test('an import that has written there meanwhile gets its partition back', async () => {
  await fill(busy, months(3, newest - 12))
  await retain(database, { days: 60, now })
  await fill(other, months(3, newest - 12))
  // As if the import had come between the look at the directory and the detaching.
  const [bucket] = months(3, newest - 12)
  await database.run(`alter table messages detach partition ${tableOf(bucket!)}`, [])
  await setRetention(database, other, 3_650)
  expect(await retain(database, { days: 60, now })).toMatchObject({ buckets: [] })
  await checkChannel(database, other)
})
