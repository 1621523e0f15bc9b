import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { unavailable } from '../errors.ts'
import { type Append, appendBatch } from '../message-store/append.ts'
import { bucketAt } from '../message-store/bucket-time.ts'
import { readMessages } from '../message-store/pages.ts'
import { ensureBuckets } from '../message-store/partitions.ts'
import { snowflakeAt } from '../message-store/snowflake.ts'
import { relayOutbox } from '../../workers/outbox.ts'
import { dying } from '../testing/dying.ts'
import { makeChannel } from '../testing/old-messages.ts'
import { createTestDatabase } from '../testing/test-app.ts'
import type { FeedPlace } from './feed-sources.ts'
import { createFeedService, type FeedService } from './feed.ts'
import { feedKeptDays, noteSaid, skipFeed, sweepFeeds, writeFeed } from './feed-writing.ts'

const [author, reader, other] = ['5', '6', '7']
const dayMs = 86_400_000
const now = Date.now()

let database: Database
let feed: FeedService
beforeAll(async () => {
  database = openDatabase({ url: await createTestDatabase(), poolSize: 4, unavailable })
  await migrate(database)
  await ensureBuckets(database, bucketAt(now - 90 * dayMs), bucketAt(now) + 1)
  const store = { messages: (keys: Parameters<typeof readMessages>[1]) => readMessages(database, keys) }
  feed = createFeedService({ database, store: store as never })
  for (const id of [author, reader, other]) {
    await database.run(`insert into users (id, username, display_name, created_at) values ($1, $2, $2, now())`, [id, `u${id}`])
  }
})
afterAll(() => database.close())

let channelId = 100
beforeEach(async () => {
  await database.run('update members set left_at = now()', [])
  await makeChannel(database, String(++channelId), [author, reader, other])
})

/** What the author says in a channel so many days ago, a second apart; the ids, the newest first. */
async function sayOnDays(days: readonly number[], channel = String(channelId)): Promise<string[]> {
  const batch = days.toSorted((a, b) => b - a).map((day, nth): Append => ({
    id: snowflakeAt(now - day * dayMs + nth * 1_000),
    kind: 'USER',
    authorId: author!,
    content: `${day} days ago`,
    replyToId: null,
    mentionIds: [],
    deletedAt: null,
  }))
  await database.transaction(async (tx) => {
    await appendBatch(tx, channel, batch as [Append, ...Append[]])
    // As a send does.
    await tx.run(
      'insert into outbox (channel_id, first_seq, last_seq) select id, last_seq - $2::int + 1, last_seq from channels where id = $1',
      [channel, batch.length],
    )
  })
  return batch.map(({ id }) => id).toReversed()
}

async function readAll(size = 7, viewerId = reader!): Promise<string[]> {
  const ids: string[] = []
  for (let after: FeedPlace | null = null; ; ) {
    const page = await feed.page(viewerId, size, after)
    ids.push(...page.messages.map((message) => message.id))
    if (page.next === null) return ids
    // Clients get it as a cursor.
    for (const part of [page.next.id, page.next.channelId]) expect(BigInt(part)).toBeLessThan(1n << 63n)
    after = page.next
  }
}

/** Takes what was said out of the outbox. */
async function relay(feedMembers = 10) {
  const onError = (error: unknown) => {
    throw error
  }
  await relayOutbox(database, { add: async () => {} }, { links: false, feedMembers, writeFeeds() {}, onError })
}

async function write(on = database, writtenMembers = 10) {
  await relay(writtenMembers)
  await writeFeed(on, { channelId: String(channelId), writtenMembers })
}

async function entries(viewerId = reader!): Promise<string[]> {
  const rows = await database.run<{ message_id: string }>(
    'select message_id from feed_entries where user_id = $1 and channel_id = $2 order by message_id desc',
    [viewerId, String(channelId)],
  )
  return rows.map((row) => row.message_id)
}

const span = async () =>
  (
    await database.run<{ after_id: string; up_to_id: string }>(
      'select after_id, up_to_id from feed_spans where channel_id = $1',
      [String(channelId)],
    )
  )[0]

test('a feed goes back beyond what is kept, before and after the rest is removed', async () => {
  const days = Array.from({ length: 60 }, (_, nth) => nth)
  const ids = await sayOnDays(days)
  expect(await readAll()).toEqual(ids)
  await relay()
  expect(await readAll()).toEqual(ids)
  await write()
  const kept = await entries()
  // What is too old to be kept is not written to begin with.
  expect([feedKeptDays + 1, feedKeptDays + 2]).toContain(kept.length)
  expect(kept).toEqual(ids.slice(0, kept.length))
  expect(await entries(author)).toEqual([])
  expect(await readAll()).toEqual(ids)
  // As if it had been written when it was said.
  await database.run(
    'insert into feed_entries (user_id, message_id, channel_id) select $1, id, $3 from unnest($2::bigint[]) id on conflict do nothing',
    [reader, ids, String(channelId)],
  )
  expect(await readAll()).toEqual(ids)
  await sweepFeeds(database)
  const left = await entries()
  expect(left).toEqual(ids.slice(0, left.length))
  expect([feedKeptDays + 1, feedKeptDays + 2]).toContain(left.length)
  for (const size of [1, 7, 100]) expect(await readAll(size)).toEqual(ids)
})

test('a worker may die at any statement: nothing is missing, and the next one ends it', { timeout: 60_000 }, async () => {
  const ids = [...(await sayOnDays([0.5, 1, 2, 3]))]
  await write()
  for (let nth = 1, isOver = false; !isOver; nth++) {
    const time = now - 1_000 * (1_000 - nth)
    ids.unshift(...(await sayOnDays([(now - time) / dayMs])))
    const mortal = dying(database, nth)
    await write(mortal).catch(() => {})
    isOver = !mortal.isDead()
    expect(await readAll()).toEqual(ids)
    // Three of five: with more left to do the first statements come again.
    if (nth % 2 === 0) await write()
    expect(await readAll()).toEqual(ids)
  }
  await write()
  expect(await entries()).toEqual(ids)
  expect((await span())!.up_to_id).toBe(ids[0])
})

test('several at once write what one would', async () => {
  const ids = await sayOnDays(Array.from({ length: 50 }, (_, nth) => nth / 100))
  await Promise.all([write(), write(), write(), write()])
  expect(await entries()).toEqual(ids)
  expect(await readAll()).toEqual(ids)
})

test('what is far behind is read from the channel, and what comes then is written', async () => {
  const old = await sayOnDays(Array.from({ length: 1_200 }, (_, nth) => 1 + nth / 1_000))
  await write()
  expect(await entries()).toEqual([])
  const later = await sayOnDays([0.5, 0.25])
  await write()
  expect(await entries()).toEqual(later)
  expect(await span()).toMatchObject({ after_id: old[0], up_to_id: later[0] })
  expect(await readAll(100)).toEqual([...later, ...old])
})

test('a channel that has grown is merged, and is written again only when it is half as large', async () => {
  const id = String(channelId)
  const setCount = (count: number) => database.run('update channels set member_count = $2 where id = $1', [id, count])
  const isTold = async () => (await noteSaid(database, [id], 4)).length > 0
  const ids = await sayOnDays([3, 2])
  await write(database, 4)
  expect(await entries()).toEqual(ids)
  await setCount(5)
  const merged = await sayOnDays([1])
  expect(await isTold()).toBe(true)
  await write(database, 4)
  expect(await entries()).toEqual(ids)
  await setCount(2)
  expect(await isTold()).toBe(false)
  await write(database, 4)
  expect(await entries()).toEqual(ids)
  expect(await readAll()).toEqual([...merged, ...ids])
  await setCount(1)
  expect(await isTold()).toBe(true)
  await write(database, 4)
  expect(await entries()).toEqual([...merged, ...ids])
  expect(await readAll()).toEqual([...merged, ...ids])
})

test('what was brought along is read from its channel, until it is older than what is kept', async () => {
  const ids = await sayOnDays([20, 10])
  await database.run('delete from outbox', [])
  await skipFeed(database, String(channelId))
  expect(await readAll()).toEqual(ids)
  await sweepFeeds(database)
  expect(await span()).toMatchObject({ after_id: '0', up_to_id: ids[0] })
  const later = await sayOnDays([1])
  await write()
  expect(await entries()).toEqual(later)
  expect(await readAll()).toEqual([...later, ...ids])
})

test('equal ids in several channels are told apart by their channels', async () => {
  const channels = [String(channelId)]
  for (let nth = 0; nth < 4; nth++) {
    channels.push(String(++channelId))
    await makeChannel(database, channels.at(-1)!, [author!, reader!])
  }
  for (const channel of channels) await sayOnDays([1], channel)
  for (const isWritten of [false, true]) {
    if (isWritten) await relay()
    if (isWritten) for (const id of channels.slice(1)) await writeFeed(database, { channelId: id, writtenMembers: 10 })
    for (const size of [1, 2, 3, 9]) {
      const seen: string[] = []
      for (let after: FeedPlace | null = null; ; ) {
        const page = await feed.page(reader!, size, after)
        seen.push(...page.messages.map((message) => message.channelId))
        if (page.next === null) break
        after = page.next
      }
      expect(seen).toEqual(channels.toReversed())
    }
  }
})

test('with a store that is slow pages are short, and come to the end all the same', { timeout: 60_000 }, async () => {
  const ids = await sayOnDays([20, 10, 5, 4, 3])
  await write()
  // Of this one nothing is written.
  const large = String(++channelId)
  await makeChannel(database, large, [author!, reader!])
  const newer = await sayOnDays([2, 1], large)
  const slow: Database = {
    ...database,
    async run(text, parameters) {
      await sleep(120)
      return database.run(text, parameters)
    },
  }
  const normal = feed
  feed = createFeedService({ database: slow, store: { messages: (keys: never) => readMessages(database, keys) } as never })
  try {
    expect(await readAll()).toEqual([...newer, ...ids])
  } finally {
    feed = normal
  }
})

test('a page of much that is not to be seen ends in time, and the next ones come to its end', async () => {
  await sayOnDays(Array.from({ length: 3_000 }, (_, nth) => 2 + nth / 1_000))
  const [last] = await sayOnDays([1])
  await database.run('insert into blocks (user_id, blocked_id, blocked_at) values ($1, $2, now())', [reader, author])
  expect(await readAll()).toEqual([])
  await database.run('delete from blocks', [])
  await database.run('update messages set deleted_at = now() where channel_id = $1 and id < $2', [String(channelId), last])
  expect(await readAll()).toEqual([last])
})
