import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { unavailable } from '../errors.ts'
import { snowflakeAt } from '../message-store/snowflake.ts'
import { createEmptyDatabase } from '../testing/test-app.ts'
import { noteSaid, sweepFeeds } from './feed-writing.ts'

/** More than are swept at once, some times. */
const count = 3_500
const locked = '2500'
const others = ['1', '1500', '2400', '3500']
const old = snowflakeAt(Date.now() - 30 * 86_400_000)
const young = snowflakeAt(Date.now())

let database: Database
beforeAll(async () => {
  database = openDatabase({ url: await createEmptyDatabase(), poolSize: 4, deadlineMs: 10_000, unavailable })
  await migrate(database)
  await database.run(
    `insert into channels (id, kind, created_at, member_count, last_id, last_seq)
     select id, 'GROUP', now(), 2, $2::bigint, 5 from generate_series(1, $1::int) id`,
    [count, old],
  )
  await database.run(`insert into users (id, username, display_name, created_at) values (5, 'alice', 'Alice', now())`, [])
})
beforeEach(async () => {
  await database.run('truncate feed_spans, feed_entries', [])
  // On disk in another order than that of their ids.
  await database.run(
    `insert into feed_spans (channel_id, after_id, up_to_id, told_id)
     select id, last_id, last_id, last_id from channels order by id desc`,
    [],
  )
  await database.run('insert into feed_entries (user_id, message_id, channel_id) values (5, $1, 1), (5, $2, 1)', [old, young])
})
afterAll(() => database.close())

const left = async () =>
  (await database.run<{ id: string }>('select channel_id as id from feed_spans where merged', [])).map((row) => row.id)

const entries = async () =>
  (await database.run<{ id: string }>('select message_id as id from feed_entries', [])).map((row) => row.id)

test('a span that somebody is at holds up neither the sweep nor, by it, anybody else', async () => {
  await database.transaction(async (held) => {
    await noteSaid(held, [locked], 10)
    const sweep = sweepFeeds(database)
    let isOver = false
    const done = sweep.finally(() => (isOver = true))
    for (let nth = 0; !isOver || nth < 3; nth++) {
      await database.transaction(async (tx) => {
        await tx.run(`set local lock_timeout = '3s'`, [])
        await noteSaid(tx, others, 10)
      })
    }
    await done
    // The others may have been locked for the moment, too.
    expect((await left()).filter((id) => !others.includes(id))).toEqual([locked])
    expect(await entries()).toEqual([young])
  })
  await sweepFeeds(database)
  expect(await left()).toEqual([])
})

test('entries are removed when spans cannot be changed', async () => {
  await database.run('alter table feed_spans add constraint stays check (after_id <> 0)', [])
  try {
    await expect(sweepFeeds(database)).rejects.toThrow(/stays/)
    expect(await entries()).toEqual([young])
  } finally {
    await database.run('alter table feed_spans drop constraint stays', [])
  }
})

test('of several at once one does it', async () => {
  await Promise.all([sweepFeeds(database), sweepFeeds(database), sweepFeeds(database)])
  expect(await left()).toEqual([])
  expect(await entries()).toEqual([young])
})
