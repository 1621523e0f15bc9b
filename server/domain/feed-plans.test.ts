import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { relayOutbox } from '../../workers/outbox.ts'
import { unavailable } from '../errors.ts'
import { type Append, appendBatch } from '../message-store/append.ts'
import { bucketAt, startOf, tableOf } from '../message-store/bucket-time.ts'
import { readMessages } from '../message-store/pages.ts'
import { ensureBuckets } from '../message-store/partitions.ts'
import { snowflakeAt } from '../message-store/snowflake.ts'
import { type Look, looksOf } from '../testing/explain.ts'
import { makeChannel } from '../testing/old-messages.ts'
import { createEmptyDatabase } from '../testing/test-app.ts'
import type { FeedPlace } from './feed-sources.ts'
import { createFeedService, type FeedPage } from './feed.ts'
import { feedKeptDays, writeFeed } from './feed-writing.ts'

/*
 * What a page of a feed looks at, of three years of 60 channels: a page that is written out a few blocks, and none of
 * them of a channel that has nothing on it.
 */

const [author, reader] = ['5', '6']
const channels = Array.from({ length: 60 }, (_, nth) => String(100 + nth))
const large = new Set(['110', '120'])
const newest = bucketAt(Date.now())
const months = 36

let database: Database
beforeAll(async () => {
  database = openDatabase({ url: await createEmptyDatabase(), poolSize: 2, deadlineMs: 60_000, unavailable })
  await migrate(database)
  await ensureBuckets(database, newest - months, newest + 1)
  for (const [nth, id] of channels.entries()) {
    await makeChannel(database, id, [author!, reader!])
    const old = Array.from({ length: months }, (_, month) => startOf(newest - months + month) + nth * 60_000)
    const late = Array.from({ length: 4 }, (_, hour) => Date.now() - hour * 3_600_000 - nth * 60_000)
    await say(id, [...old, ...late.toReversed()])
  }
  const onError = (error: unknown) => {
    throw error
  }
  await relayOutbox(database, { add: async () => {} }, { links: false, feedMembers: 10, writeFeeds() {}, onError })
  for (const channelId of channels) {
    if (!large.has(channelId)) await writeFeed(database, { channelId, writtenMembers: 10 })
  }
  await database.run('vacuum analyze', [])
}, 120_000)
afterAll(() => database.close())

async function say(channelId: string, moments: number[]) {
  const batch = moments.map((moment): Append => ({
    id: snowflakeAt(moment),
    kind: 'USER',
    authorId: author!,
    content: 'tea',
    replyToId: null,
    mentionIds: [],
    deletedAt: null,
  }))
  await database.transaction(async (tx) => {
    await appendBatch(tx, channelId, batch as [Append, ...Append[]])
    await tx.run('insert into outbox (channel_id, first_seq, last_seq) values ($1, 1, $2)', [channelId, batch.length])
  })
}

async function page(after: FeedPlace | null): Promise<{ looks: Map<string, Look>; page: FeedPage }> {
  let found: FeedPage | null = null
  const looks = await looksOf(database, async (store) => {
    const messages = (keys: Parameters<typeof readMessages>[1]) => readMessages(store, keys)
    found = await createFeedService({ database: store, store: { messages } as never }).page(reader!, 30, after)
  })
  return { looks: new Map(looks.map((look) => [look.name, look])), page: found! }
}

const lately = [tableOf(newest - 1), tableOf(newest)]

test('a page of what is written out, and of two channels that are not', async () => {
  const { looks, page: first } = await page(null)
  expect(first.messages).toHaveLength(30)
  expect([...looks.keys()]).not.toContain('followed')
  // Of 60 channels those two.
  expect(looks.get('followed and merged')!.blocks).toBeLessThan(30)
  expect(looks.get('feed')!.blocks).toBeLessThan(10)
  for (const name of ['feed candidates', 'feed of channels', 'messages by id']) {
    const { touched, blocks } = looks.get(name)!
    expect(lately).toEqual(expect.arrayContaining(touched))
    // Message, membership and channel of 31, a few blocks each.
    expect(blocks).toBeLessThan(31 * 12)
  }
})

test('a page of what is older looks into the months that it is of', async () => {
  const old = snowflakeAt(startOf(newest - 5) + 86_400_000)
  expect(Date.now() - startOf(newest - 5)).toBeGreaterThan(feedKeptDays * 86_400_000)
  const { looks, page: found } = await page({ id: old, channelId: '0' })
  expect(found.messages).toHaveLength(30)
  expect([...looks.keys()]).not.toContain('feed')
  expect(looks.get('messages by id')!.touched).toEqual([tableOf(newest - 5)])
  // Four of each channel, a month apart.
  expect(looks.get('feed of channels')!.touched.length).toBeLessThanOrEqual(5)
})
