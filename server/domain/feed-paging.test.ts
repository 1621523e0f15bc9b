import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { unavailable } from '../errors.ts'
import { bucketAt } from '../message-store/bucket-time.ts'
import { readMessages } from '../message-store/pages.ts'
import { ensureBuckets } from '../message-store/partitions.ts'
import { createEmptyDatabase } from '../testing/test-app.ts'
import type { FeedPlace } from './feed-sources.ts'
import { createFeedService } from './feed.ts'

/*
 * Somebody with many channels, none of them written out, and a store so slow that a page has time for a few statements.
 */

const [author, reader] = ['5', '6']
const count = 600
const dayMs = 86_400_000
const delayMs = 80

let database: Database
beforeAll(async () => {
  database = openDatabase({ url: await createEmptyDatabase(), poolSize: 4, deadlineMs: 60_000, unavailable })
  await migrate(database)
  await ensureBuckets(database, bucketAt(Date.now() - 90 * dayMs), bucketAt(Date.now()) + 1)
})
afterAll(() => database.close())
beforeEach(() => database.run('truncate channels, members, messages, feed_spans, blocks', []))

/** One message of each channel at each of these ages in days, a second apart from channel to channel; the newest first. */
async function sayEverywhere(days: readonly number[]): Promise<string[]> {
  const since2000 = `((extract(epoch from now()) * 1000)::bigint - 946684800000`
  await database.run(
    `insert into messages (channel_id, id, author_id, seq, change, kind, content)
     select c, (${since2000} - (day * ${dayMs})::bigint - c * 1000) << 22), $3, seq, seq, 'USER', 'tea'
     from generate_series(1000, 999 + $1::int) c, unnest($2::text[]::float8[]) with ordinality as w (day, seq)`,
    [count, days.toSorted((one, other) => other - one).map(String), author],
  )
  await database.run(
    `insert into channels (id, kind, created_at, member_count, first_seq, last_seq, last_change, last_id)
     select channel_id, 'GROUP', now(), 2, 1, max(seq), max(seq), max(id) from messages group by channel_id`,
    [],
  )
  await database.run(
    `insert into members (channel_id, user_id, role, joined_at, change)
     select id, u, 'MEMBER', now(), 0 from channels, unnest($1::bigint[]) u`,
    [[author, reader]],
  )
  await database.run(
    `insert into feed_spans (channel_id, after_id, up_to_id, told_id)
     select id, last_id, last_id, last_id from channels`,
    [],
  )
  const rows = await database.run<{ id: string }>('select id from messages order by id desc', [])
  return rows.map((row) => row.id)
}

async function readAll(size: number, mostPages: number): Promise<string[]> {
  const slow: Database = {
    ...database,
    async run(text, parameters) {
      await sleep(delayMs)
      return database.run(text, parameters)
    },
  }
  const store = { messages: (keys: Parameters<typeof readMessages>[1]) => readMessages(database, keys) }
  const feed = createFeedService({ database: slow, store: store as never })
  const ids: string[] = []
  for (let after: FeedPlace | null = null, pages = 0; pages < mostPages; pages++) {
    const page = await feed.page(reader!, size, after)
    ids.push(...page.messages.map((message) => message.id))
    if (page.next === null) return ids
    after = page.next
  }
  throw new Error(`${ids.length} messages on ${mostPages} pages`)
}

test.each([
  ['old', [40]],
  ['young', [2]],
  ['of all ages', [40, 5, 1]],
])('pages of what is %s come to the end, and nothing is missing', { timeout: 60_000 }, async (_, days) => {
  const ids = await sayEverywhere(days)
  // Some are short, where the time was up.
  expect(await readAll(100, (2 * ids.length) / 100 + 5)).toEqual(ids)
})

test('so do they where nothing is to be seen', { timeout: 60_000 }, async () => {
  await sayEverywhere([40, 5, 1])
  await database.run('insert into blocks (user_id, blocked_id, blocked_at) values ($1, $2, now())', [reader, author])
  expect(await readAll(100, 25)).toEqual([])
})
