import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  DeleteMessageDocument,
  EditMessageDocument,
  MarkThreadReadDocument,
  MessageThreadDocument,
} from '../client-sdk/index.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { bad, failure, history, missing, newChannel, refusal, say } from './testing/operations.ts'

let app: TestApp
let alice: Person
let bob: Person
let carol: Person
let channelId: string
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
})
beforeEach(async () => {
  channelId = await newChannel(alice, {}, [bob, carol])
})
afterAll(() => app.stop())

async function thread(person: Person, id: string, page: { first?: number; after?: string | null } = {}) {
  const { node } = await person.client.request(MessageThreadDocument, { id, ...page })
  if (node?.__typename !== 'Message') throw new Error('No such message')
  return node
}

const unread = async (person: Person, id: string) => (await thread(person, id)).viewerThread?.unreadCount ?? null

async function markRead(person: Person, messageId: string, seq: number) {
  const { markThreadRead } = await person.client.request(MarkThreadReadDocument, { messageId, seq })
  return markThreadRead.message.viewerThread
}

test('replies stand in the channel, and under what they answer', async () => {
  const root = await say(alice, channelId, 'tea?')
  const reply = await say(bob, channelId, 'yes', { replyToId: root.id })
  expect(reply.replyTo).toMatchObject({ id: root.id, seq: 1, content: 'tea?', author: { username: 'alice' } })
  const [first, second] = await history(carol, channelId)
  expect(first).toMatchObject({ id: root.id, replyCount: 1, replyTo: null })
  expect(first!.version).toBeGreaterThan(root.version)
  expect(second).toEqual(reply)
  const found = await thread(carol, root.id)
  expect(found.replies.edges.map(({ node }) => node)).toEqual([reply])
  expect(found.viewerThread).toBeNull()
})

test('who is answered and who answers follow, and see what they have not read', async () => {
  const { id } = await say(alice, channelId, 'tea?')
  expect(await unread(alice, id)).toBeNull()
  await say(bob, channelId, 'yes', { replyToId: id })
  const last = await say(bob, channelId, 'please', { replyToId: id })
  expect(await Promise.all([alice, bob, carol].map((person) => unread(person, id)))).toEqual([2, 0, null])
  expect(await markRead(alice, id, last.seq - 1)).toEqual({ lastReadSeq: last.seq - 1, unreadCount: 1 })
  expect(await markRead(alice, id, 1)).toEqual({ lastReadSeq: last.seq - 1, unreadCount: 1 })
  expect(await markRead(alice, id, 0x7fff_ffff)).toEqual({ lastReadSeq: last.seq, unreadCount: 0 })
  await say(alice, channelId, 'here', { replyToId: id })
  expect(await Promise.all([alice, bob, carol].map((person) => unread(person, id)))).toEqual([0, 1, null])
})

test('answering means that one has read what others answered before', async () => {
  const { id } = await say(alice, channelId, 'tea?')
  await say(bob, channelId, 'yes', { replyToId: id })
  await say(alice, channelId, 'sugar?', { replyToId: id })
  expect(await unread(alice, id)).toBe(0)
})

test('who marks a thread read follows it from then on', async () => {
  const { id } = await say(alice, channelId, 'tea?')
  await say(bob, channelId, 'yes', { replyToId: id })
  expect(await markRead(carol, id, 1)).toEqual({ lastReadSeq: 1, unreadCount: 1 })
})

test('a deleted reply counts no more, and leaves its place', async () => {
  const { id } = await say(alice, channelId, 'tea?')
  const reply = await say(bob, channelId, 'yes', { replyToId: id })
  await say(bob, channelId, 'no', { replyToId: id })
  await bob.client.request(DeleteMessageDocument, { messageId: reply.id })
  await bob.client.request(DeleteMessageDocument, { messageId: reply.id })
  const found = await thread(alice, id)
  expect(found).toMatchObject({ replyCount: 1, viewerThread: { unreadCount: 1 } })
  expect(found.replies.edges.map(({ node }) => node.content)).toEqual(['', 'no'])
})

test('what is answered shows as it is now', async () => {
  const root = await say(alice, channelId, 'tee?')
  const reply = await say(bob, channelId, 'yes', { replyToId: root.id })
  await alice.client.request(EditMessageDocument, { input: { messageId: root.id, content: 'tea?' } })
  expect((await thread(bob, reply.id)).replyTo).toMatchObject({ content: 'tea?', deletedAt: null })
  await alice.client.request(DeleteMessageDocument, { messageId: root.id })
  expect((await thread(bob, reply.id)).replyTo!.content).toBe('')
  expect((await thread(bob, reply.id)).replyTo!.deletedAt).not.toBeNull()
})

test('replies at once from everybody are all counted', async () => {
  const { id } = await say(alice, channelId, 'tea?')
  const reply = (n: number) => say([alice, bob, carol][n % 3]!, channelId, `${n}`, { replyToId: id })
  await Promise.all(Array.from({ length: 24 }, (_, n) => reply(n)))
  const found = await thread(alice, id, { first: 100 })
  expect(found.replyCount).toBe(24)
  expect(found.replies.edges).toHaveLength(24)
})

test('replies are paged in their order, each once', async () => {
  const { id } = await say(alice, channelId, 'tea?')
  for (let number = 0; number < 5; number++) {
    await say(bob, channelId, `${number}`, { replyToId: id })
    await say(bob, channelId, 'aside')
  }
  for (const first of [1, 2, 5, 100]) {
    const found: string[] = []
    for (let after: string | null = null; ; ) {
      const { replies } = await thread(carol, id, { first, after })
      found.push(...replies.edges.map(({ node }) => node.content))
      if (!replies.pageInfo.hasNextPage) break
      after = replies.pageInfo.endCursor as string
    }
    expect(found).toEqual(['0', '1', '2', '3', '4'])
  }
})

test('says which input is at fault', async () => {
  const { id } = await say(alice, channelId, 'tea?')
  const dan = await app.signUp('dan')
  expect(await refusal(markRead(alice, id, -1))).toEqual(bad('seq'))
  expect(await refusal(markRead(alice, channelId, 1))).toEqual(bad('messageId'))
  expect(await refusal(markRead(alice, 'm1_1', 1))).toEqual(missing('messageId'))
  expect((await failure(markRead(dan, id, 1))).code).toBe('FORBIDDEN')
  for (const page of [{ first: 0 }, { first: -1 }, { first: 101 }]) {
    expect(await refusal(thread(alice, id, page))).toEqual(bad('first'))
  }
  expect(await refusal(thread(alice, id, { after: 'x' }))).toEqual(bad('after'))
})
