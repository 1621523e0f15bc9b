import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  AddReactionDocument,
  EditMessageDocument,
  HistoryDocument,
  InboxDocument,
  MarkThreadReadDocument,
  MessageDocument,
  MessagesDocument,
  MessageThreadDocument,
  PinMessageDocument,
  PinnedMessagesDocument,
  SendMessageDocument,
} from '../../client-sdk/index.ts'
import { channels } from '../../drizzle/tables/index.ts'
import { failure, history, missing, newChannel, refusal, say, sayMany } from '../../schema/testing/operations.ts'
import { encodeCursor } from '../fanout/cursor.ts'
import { createFeeds } from '../fanout/feed.ts'
import { channelSource } from '../fanout/channel-source.ts'
import { openInbox } from '../fanout/streams/inbox.ts'
import { parseGlobalId } from '../lib/global-id.ts'
import { listen } from '../testing/listen.ts'
import { type Person, startTestApp, type TestApp } from '../testing/test-app.ts'
import { channelSnowflake } from '../testing/watch-changes.ts'
import { primaryReads } from './replica-reads.ts'
import { retain } from './retention.ts'
import { hashOf } from './send.ts'

/*
 * What people are told about messages that retention has removed.
 */

let app: TestApp
let alice: Person
let bob: Person
let channelId: string
let id: string
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob] = await Promise.all([app.signUp('alice'), app.signUp('bob')])
})
afterAll(() => app.stop())
beforeEach(async () => {
  channelId = await newChannel(alice, {}, [bob])
  id = channelSnowflake(channelId)
})

/** Removes all that has been said so far, as if a year had gone by. */
const forget = () => retain(app.app.database, { days: 30, now: Date.now() + 366 * 86_400_000 })

const cursorAt = (change: number, seq: number) => encodeCursor({ kind: 'channel', id, change, seq })

async function channelOf(person = alice) {
  const { channel } = await person.client.request(HistoryDocument, { channelId, last: 50 })
  return channel!
}

test('history begins later, and a page, a window or a date before that is a page without it', async () => {
  await sayMany(alice, channelId, 5)
  const before = await channelOf()
  await forget()
  const empty = await channelOf()
  expect(empty).toMatchObject({ firstSeq: 6, lastSeq: 5, messages: { edges: [], pageInfo: { hasNextPage: false, hasPreviousPage: false } } })
  for (const place of [{ aroundSeq: 3 }, { aroundDate: new Date(0).toISOString() }, { last: 3, before: before.messages.pageInfo.endCursor }]) {
    const { channel } = await alice.client.request(HistoryDocument, { channelId, ...place })
    expect(channel!.messages.edges).toEqual([])
  }
  expect(await refusal(alice.client.request(HistoryDocument, { channelId, around: before.messages.edges[1]!.node.id }))).toEqual(
    missing('around'),
  )

  await say(bob, channelId, 'new')
  expect(await history(bob, channelId)).toMatchObject([{ content: 'new', seq: 6 }])
  for (const place of [{ aroundSeq: 3 }, { aroundDate: new Date(0).toISOString() }, { first: 3, after: before.messages.pageInfo.startCursor }]) {
    const { channel } = await alice.client.request(HistoryDocument, { channelId, ...place })
    expect(channel).toMatchObject({ firstSeq: 6, messages: { edges: [{ node: { content: 'new' } }] } })
    expect(channel!.messages.pageInfo.hasPreviousPage).toBe(false)
  }
})

test('what has gone is not there: not by its id, its replies, its pin or its reactions', async () => {
  const root = await say(alice, channelId, 'tea?')
  await say(bob, channelId, 'yes', { replyToId: root.id })
  await alice.client.request(PinMessageDocument, { messageId: root.id })
  await bob.client.request(AddReactionDocument, { messageId: root.id, emoji: '❤️' })
  await forget()
  expect(await alice.client.request(MessageDocument, { id: root.id })).toEqual({ node: null })
  expect(await alice.client.request(MessageThreadDocument, { id: root.id })).toEqual({ node: null })
  const { channel } = await alice.client.request(PinnedMessagesDocument, { channelId })
  expect(channel!.pinnedMessages.edges).toEqual([])
  for (const change of [
    () => alice.client.request(EditMessageDocument, { input: { messageId: root.id, content: 'coffee?' } }),
    () => bob.client.request(AddReactionDocument, { messageId: root.id, emoji: '🍵' }),
    () => alice.client.request(PinMessageDocument, { messageId: root.id }),
    () => bob.client.request(MarkThreadReadDocument, { messageId: root.id, seq: 1 }),
    () => say(bob, channelId, 'still yes', { replyToId: root.id }),
  ]) {
    expect((await failure(change())).code).toBe('NOT_FOUND')
  }
})

/** Lets history begin with this seq: what is before has expired, and is removed later. */
const expireBefore = (seq: number) =>
  app.app.database.run('update channels set first_seq = $2, expired_change = last_change where id = $1', [id, seq])

test('what has expired is not there before it is removed, and answers to it stay as they are', async () => {
  const root = await say(alice, channelId, 'tea?')
  const first = await say(bob, channelId, 'yes', { replyToId: root.id, idempotencyKey: 'yes' })
  const second = await say(bob, channelId, 'and a biscuit', { replyToId: first.id })
  const answer = await say(alice, channelId, 'good', { replyToId: second.id })
  for (const { id: messageId } of [root, second]) await alice.client.request(PinMessageDocument, { messageId })
  await expireBefore(second.seq)

  expect(await alice.client.request(MessageDocument, { id: root.id })).toEqual({ node: null })
  expect(await alice.client.request(MessageThreadDocument, { id: first.id })).toEqual({ node: null })
  const { channel } = await alice.client.request(PinnedMessagesDocument, { channelId })
  expect(channel!.pinnedMessages.edges.map(({ node }) => node.id)).toEqual([second.id])
  expect(await refusal(say(bob, channelId, 'still yes', { replyToId: root.id }))).toEqual(missing('input.replyToId'))
  expect(await history(bob, channelId)).toMatchObject([
    { content: 'and a biscuit', replyTo: null },
    { content: 'good', replyTo: { id: second.id } },
  ])
  expect((await history(bob, channelId))[1]!.id).toBe(answer.id)
})

test('a key whose message has expired is refused as such until it is free again', async () => {
  const input = { channelId, content: 'tea', idempotencyKey: 'key' }
  await alice.client.request(SendMessageDocument, { input })
  await expireBefore(2)
  expect(await refusal(alice.client.request(SendMessageDocument, { input }))).toMatchObject({
    code: 'NOT_FOUND',
    field: 'input.idempotencyKey',
  })
})

test('an answer to what goes at that moment is a message like others, whatever its reader knows', async () => {
  const root = await say(alice, channelId, 'tea?')
  const { sender, row } = { sender: parseGlobalId(bob.id) as { userId: string }, row: await channelRow() }
  const message = parseGlobalId(root.id) as { messageId: string }
  const author = parseGlobalId(alice.id) as { userId: string }
  // It goes between the look at what is answered and the send.
  await expireBefore(2)
  const sent = await app.app.messages.send(id, await membershipVersion(), {
    authorId: sender.userId,
    key: 'key',
    bodyHash: hashOf('yes'),
    kind: 'USER',
    content: 'yes',
    root: { id: message.messageId, authorId: author.userId, seq: root.seq },
    mentionIds: [],
  })
  expect(sent).toMatchObject({ outcome: 'sent' })
  await app.app.database.run('delete from messages where channel_id = $1 and seq < 2', [id])
  const stream = listen(app, alice, MessagesDocument, { channelId, after: cursorAt(row.last_change, root.seq) })
  await expect.poll(() => stream.events.map((event) => event.messages.message.content)).toEqual(['yes'])
  await say(bob, channelId, 'on')
  await expect.poll(() => stream.events.map((event) => event.messages.message.content)).toEqual(['yes', 'on'])
  stream.stop()
})

test('a page asked for from before retention came goes on where history begins now', async () => {
  await sayMany(alice, channelId, 6)
  const [channel] = await app.app.database.orm.select().from(channels).where(eq(channels.id, id))
  await app.app.database.run(
    `insert into channel_buckets (channel_id, first_seq, first_change, bucket)
     select channel_id, 5, first_change + 4, bucket from channel_buckets where channel_id = $1`,
    [id],
  )
  await app.app.database.run('delete from channel_buckets where channel_id = $1 and first_seq < 5', [id])
  await app.app.database.run('delete from messages where channel_id = $1 and seq < 5', [id])
  await expireBefore(5)
  const page = await app.app.services.history.page(channel!, { first: 2 }, primaryReads(app.app.database))
  expect(page).toMatchObject({ messages: [{ seq: 5 }, { seq: 6 }], hasPreviousPage: false })
  const forwards = await app.app.services.history.page(channel!, { first: 1 }, primaryReads(app.app.database))
  expect(forwards).toMatchObject({ messages: [{ seq: 5 }], hasNextPage: true })
})

async function membershipVersion() {
  const [row] = await app.app.database.run<{ version: number }>('select membership_version as version from channels where id = $1', [id])
  return row!.version
}

async function channelRow() {
  const [row] = await app.app.database.run<{ last_change: number; last_seq: number; expired_change: number }>(
    'select last_change, last_seq, expired_change from channels where id = $1',
    [id],
  )
  return row!
}

test('a key whose message has gone is free again', async () => {
  const input = { channelId, content: 'tea', idempotencyKey: 'key' }
  await alice.client.request(SendMessageDocument, { input })
  await forget()
  const { sendMessage } = await alice.client.request(SendMessageDocument, { input })
  expect(sendMessage.message.seq).toBe(2)
})

test('a stream goes on from where all that has gone was seen, and says which cursor is from before', async () => {
  await sayMany(alice, channelId, 5)
  const other = await newChannel(alice, { name: 'other' }, [bob])
  const { cursor: ofOther } = (await alice.client.request(HistoryDocument, { channelId: other })).channel!
  const { cursor } = await channelOf()
  const { last_change } = await channelRow()
  const behind = cursorAt(last_change - 1, 4)
  const live = listen(app, bob, MessagesDocument, { channelId })
  await forget()

  const kept = listen(app, alice, MessagesDocument, { channelId, after: cursor })
  const gone = listen(app, alice, MessagesDocument, { channelId, after: behind })
  expect(await gone.ended).toBe('CURSOR_EXPIRED')
  expect(await listen(app, bob, InboxDocument, { after: [ofOther, behind] }).ended).toBe('CURSOR_EXPIRED')
  const bobsId = (parseGlobalId(bob.id) as { userId: string }).userId
  await expect(openInbox(app.app.streams, bobsId, [ofOther, behind])).rejects.toMatchObject({
    code: 'CURSOR_EXPIRED',
    field: 'after.1',
  })
  const good = listen(app, bob, InboxDocument, { after: [ofOther, cursor] })
  await expect.poll(() => good.events.length).toBeGreaterThan(0)
  await say(alice, channelId, 'new')
  for (const stream of [kept, live]) {
    await expect.poll(() => stream.events.map((event) => event.messages.message.content).at(-1)).toBe('new')
  }
  await expect.poll(() => good.events.map(({ inbox }) => inbox.__typename)).toContain('MessageEvent')
  for (const stream of [kept, live, good]) stream.stop()
})

test('a feed that finds changes removed which it has not handed out says so once, and goes on from the end', async () => {
  const errors: unknown[] = []
  const feeds = createFeeds({
    source: channelSource(app.app.messages),
    bus: { ...app.app.bus, subscribe: async () => () => {} },
    intervalMs: 50,
    onError: (error) => errors.push(error),
  })
  const heard: (number | 'lost')[] = []
  const attached = await feeds.attach(id, (changes) => {
    if (changes === 'lost') heard.push('lost')
    else heard.push(...changes.map((change) => change.change))
  })
  const { change } = attached!.position()
  // Both within one moment, as the feed sees it.
  await app.app.database.run(
    'update channels set last_change = last_change + 5, expired_change = last_change + 4 where id = $1',
    [id],
  )
  await expect.poll(() => heard).toEqual(['lost'])
  expect(attached!.position().change).toBe(change + 5)
  await say(alice, channelId, 'new')
  await expect.poll(() => heard).toEqual(['lost', change + 6])
  expect(errors).toEqual([])
  feeds.close()
})

test('a reader who is passed by retention in the middle of what it missed is told, and does not go on', async () => {
  await sayMany(alice, channelId, 3)
  const { last_change } = await channelRow()
  const stream = listen(app, bob, MessagesDocument, { channelId, after: (await channelOf()).cursor })
  await say(alice, channelId, 'heard')
  await expect.poll(() => stream.events.length).toBeGreaterThan(0)
  // What comes next is lost on the bus's way, and has been removed when the store is asked.
  await app.app.database.run(
    'update channels set last_change = last_change + 5, expired_change = last_change + 4 where id = $1',
    [id],
  )
  expect(await stream.ended).toBe('CURSOR_EXPIRED')
  expect(stream.events.map((event) => event.messages.message.content)).toEqual(['heard'])
  expect((await channelRow()).last_change).toBeGreaterThan(last_change)
})
