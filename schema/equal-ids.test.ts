import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseGlobalId } from '../server/lib/global-id.ts'
import { type Append, appendBatch } from '../server/message-store/append.ts'
import { bucketAt } from '../server/message-store/bucket-time.ts'
import { ensureBuckets } from '../server/message-store/partitions.ts'
import { snowflakeAt } from '../server/message-store/snowflake.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { newChannel } from './testing/operations.ts'

/*
 * Ids of messages are unique within their channel. Logs whose times are whole seconds have many of one id in different
 * channels; what belongs to one must not show up at another.
 */

const start = Date.UTC(2020, 5, 1)
const count = 20

let app: TestApp
let alice: Person
let channelIds: string[]
beforeAll(async () => {
  app = await startTestApp()
  alice = await app.signUp('alice')
  const { database } = app.app
  const { userId: authorId } = parseGlobalId(alice.id) as { userId: string }
  await ensureBuckets(database, bucketAt(start), bucketAt(start))
  channelIds = [await newChannel(alice), await newChannel(alice), await newChannel(alice)]
  for (const [place, id] of channelIds.entries()) {
    const { channelId } = parseGlobalId(id) as { channelId: string }
    const root = snowflakeAt(start)
    const batch = Array.from({ length: count }, (_, nth): Append => ({
      id: snowflakeAt(start + nth * 1_000),
      kind: 'USER',
      authorId,
      content: `rhubarb ${place}.${nth}`,
      // The first channel has one reply to its first message, the second two, the third three.
      replyToId: nth > 0 && nth <= place + 1 ? root : null,
      mentionIds: [],
      deletedAt: null,
    }))
    await database.transaction((tx) => appendBatch(tx, channelId, batch as [Append, ...Append[]]))
    await database.run(
      `insert into reactions (channel_id, message_id, emoji, user_id, change)
       select $1::bigint, $2::bigint, emoji, $3::bigint, nth from unnest($4::text[]) with ordinality as given (emoji, nth)`,
      [channelId, root, authorId, ['👍', '🎉', '🪵'].slice(0, place + 1)],
    )
    await database.run(
      `update message_changes set change = 1000, kind = 'REACTIONS_CHANGED' where channel_id = $1 and message_id = $2`,
      [channelId, root],
    )
  }
})
afterAll(() => app.stop())

const run = async (query: string, variables: object) => {
  const response = await fetch(app.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${alice.token}` },
    body: JSON.stringify({ query, variables }),
  })
  const { data, errors } = (await response.json()) as { data: any; errors?: unknown }
  expect(errors).toBeUndefined()
  return data
}

test('replies, reactions and threads stay with their own message', async () => {
  const query = `query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Channel { messages(first: 1) { edges { node {
    content replyCount replies(first: 10) { edges { node { content channel { id } } } }
    reactions { emoji viewerHasReacted } viewerThread { unreadCount lastReadSeq }
  } } } } } }`
  const { nodes } = await run(query, { ids: channelIds })
  for (const [place, { messages }] of nodes.entries()) {
    const [{ node }] = messages.edges
    expect(node.content).toBe(`rhubarb ${place}.0`)
    expect(node.replyCount).toBe(place + 1)
    expect(node.replies.edges.map(({ node: reply }: any) => reply.content)).toEqual(
      Array.from({ length: place + 1 }, (_, nth) => `rhubarb ${place}.${nth + 1}`),
    )
    expect(node.reactions).toEqual(
      ['👍', '🎉', '🪵'].slice(0, place + 1).map((emoji) => ({ emoji, viewerHasReacted: true })),
    )
    expect(node.viewerThread).toEqual({ unreadCount: 0, lastReadSeq: place + 2 })
  }
})

test.each([1, 2, 7, 20, 50])('a search in pages of %i finds each message once', async (first) => {
  const query = `query ($first: Int!, $after: String) { searchMessages(query: "rhubarb", first: $first, after: $after) {
    edges { node { content } } pageInfo { hasNextPage endCursor } } }`
  const found: string[] = []
  for (let after: string | null = null; ; ) {
    const { searchMessages } = await run(query, { first, after })
    found.push(...searchMessages.edges.map(({ node }: any) => node.content))
    if (!searchMessages.pageInfo.hasNextPage) break
    after = searchMessages.pageInfo.endCursor
  }
  expect(found).toHaveLength(3 * count)
  expect(new Set(found).size).toBe(3 * count)
})
