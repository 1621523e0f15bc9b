import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  AddMembersDocument,
  ChannelDocument,
  MarkReadDocument,
  MarkUnreadDocument,
  MembersDocument,
  ReadReceiptsDocument,
} from '../client-sdk/index.ts'
import { type Person, type Replica, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { bad, failure, missing, newChannel, refusal, repeatUntil, say, sayMany } from './testing/operations.ts'

let app: TestApp
let replica: Replica
let alice: Person
let bob: Person
let carol: Person
let channelId: string
beforeAll(async () => {
  app = await startTestApp()
  replica = await app.addReplica()
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
})
beforeEach(async () => {
  channelId = await newChannel(alice, {}, [bob])
})
afterAll(() => app.stop())

type State = { unread: number; lastReadSeq: number | undefined }
const stateOf = (channel: { unreadCount: number; viewerMembership: { lastReadSeq: number } | null }): State => ({
  unread: channel.unreadCount,
  lastReadSeq: channel.viewerMembership?.lastReadSeq,
})

async function markRead(person: Person, seq: number, id = channelId) {
  return stateOf((await person.client.request(MarkReadDocument, { channelId: id, seq })).markRead.channel)
}

async function markUnread(person: Person, fromSeq: number, id = channelId) {
  return stateOf((await person.client.request(MarkUnreadDocument, { channelId: id, fromSeq })).markUnread.channel)
}

async function find(person: Person) {
  const { channel } = await person.client.request(ChannelDocument, { id: channelId })
  return stateOf(channel!)
}

test('what one has written is read, and what the others write is not', async () => {
  await sayMany(alice, channelId, 3)
  expect(await find(alice)).toEqual({ unread: 0, lastReadSeq: 3 })
  expect(await find(bob)).toEqual({ unread: 3, lastReadSeq: 0 })
  await say(bob, channelId, 'hi')
  expect(await find(bob)).toEqual({ unread: 0, lastReadSeq: 4 })
  expect(await find(alice)).toEqual({ unread: 1, lastReadSeq: 3 })
})

test('reading never moves back, and never past the end', async () => {
  await sayMany(alice, channelId, 5)
  expect(await markRead(bob, 0)).toEqual({ unread: 5, lastReadSeq: 0 })
  expect(await markRead(bob, 3)).toEqual({ unread: 2, lastReadSeq: 3 })
  expect(await markRead(bob, 1)).toEqual({ unread: 2, lastReadSeq: 3 })
  expect(await markRead(bob, 0x7fff_ffff)).toEqual({ unread: 0, lastReadSeq: 5 })
  await say(alice, channelId, 'more')
  expect(await find(bob)).toEqual({ unread: 1, lastReadSeq: 5 })
})

test('marking unread moves back, and never on', async () => {
  await sayMany(alice, channelId, 5)
  await markRead(bob, 4)
  expect(await markUnread(bob, 3)).toEqual({ unread: 3, lastReadSeq: 2 })
  expect(await markUnread(bob, 5)).toEqual({ unread: 3, lastReadSeq: 2 })
  expect(await markUnread(bob, 0x7fff_ffff)).toEqual({ unread: 3, lastReadSeq: 2 })
  expect(await markUnread(bob, 1)).toEqual({ unread: 5, lastReadSeq: 0 })
  expect(await markRead(bob, 2)).toEqual({ unread: 3, lastReadSeq: 2 })
})

test('of devices that read at once the one that got farthest counts', async () => {
  await sayMany(alice, channelId, 20)
  const clients = [app, replica].map((on) => on.client(bob.token))
  const seqs = Array.from({ length: 20 }, (_, n) => ((n * 7) % 19) + 1)
  await Promise.all(seqs.map((seq, n) => clients[n % 2]!.request(MarkReadDocument, { channelId, seq })))
  expect(await find(bob)).toEqual({ unread: 1, lastReadSeq: 19 })
})

test('one channel’s position is no other’s', async () => {
  const other = await newChannel(alice, {}, [bob])
  await sayMany(alice, channelId, 2)
  await sayMany(alice, other, 3)
  await markRead(bob, 3, other)
  expect(await find(bob)).toEqual({ unread: 2, lastReadSeq: 0 })
})

test('who comes in begins at the end', async () => {
  await sayMany(alice, channelId, 2)
  await alice.client.request(AddMembersDocument, { channelId, userIds: [carol.id] })
  expect(await find(carol)).toEqual({ unread: 0, lastReadSeq: 3 })
})

test('the others see how far one has read', async () => {
  await sayMany(alice, channelId, 2)
  await markRead(bob, 1)
  const { channel } = await alice.client.request(MembersDocument, { channelId, first: 10 })
  const positions = channel!.members.edges.map(({ node }) => [node.user.username, node.lastReadSeq])
  expect(Object.fromEntries(positions)).toEqual({ alice: 2, bob: 1 })
})

test('other devices and the other members are told', async () => {
  await sayMany(alice, channelId, 2)
  await using inbox = app.client(bob.token).inbox()
  expect((await inbox.next()).value).toMatchObject({ __typename: 'SyncedEvent' })
  await markRead(bob, 2)
  expect((await inbox.next()).value).toMatchObject({ lastReadSeq: 2 })
  await using receipts = alice.client.subscribe(ReadReceiptsDocument, { channelId })
  const receipt = receipts.next()
  const event = { __typename: 'ReadStateEvent', stream: bob.id, channel: { id: channelId } }
  // Receipts are for who is there to see them: bob reads to and fro until alice is.
  await repeatUntil(receipt, async () => {
    await markUnread(bob, 1)
    await markRead(bob, 2)
    await markRead(bob, 1)
    const told = [(await inbox.next()).value, (await inbox.next()).value]
    expect(told).toMatchObject([event, { ...event, lastReadSeq: 2 }])
  })
  expect((await receipt).value!.readReceipts.user.id).toBe(bob.id)
  await markUnread(bob, 1)
  expect((await inbox.next()).value).toMatchObject({ ...event, lastReadSeq: 0 })
  for (let last = 2; last > 0; ) last = (await receipts.next()).value!.readReceipts.lastReadSeq
})

test('says which input is at fault', async () => {
  expect(await refusal(markRead(alice, -1))).toEqual(bad('seq'))
  expect(await refusal(markUnread(alice, 0))).toEqual(bad('fromSeq'))
  expect(await refusal(markRead(alice, 1, alice.id))).toEqual(bad('channelId'))
  expect(await refusal(markUnread(alice, 1, 'c1'))).toEqual(missing('channelId'))
  expect((await failure(markRead(carol, 1))).code).toBe('FORBIDDEN')
})
