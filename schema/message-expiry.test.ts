import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  BlockUserDocument,
  ChannelDocument,
  InboxDocument,
  OpenDirectChannelDocument,
  SetMessageExpiryDocument,
} from '../client-sdk/index.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { bad, failure, history, missing, newChannel, refusal } from './testing/operations.ts'

let app: TestApp
let alice: Person
let bob: Person
let channelId: string
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob] = await Promise.all([app.signUp('alice'), app.signUp('bob')])
})
beforeEach(async () => {
  channelId = await newChannel(alice, {}, [bob])
})
afterAll(() => app.stop())

async function set(person: Person, seconds: number | null, id = channelId) {
  const { setMessageExpiry } = await person.client.request(SetMessageExpiryDocument, { channelId: id, seconds })
  return setMessageExpiry.channel.messageExpirySeconds
}

async function expiryOf(person: Person, id = channelId) {
  const { channel } = await person.client.request(ChannelDocument, { id })
  return channel!.messageExpirySeconds
}

test('it is set, changed and turned off, and everybody in the channel sees it', async () => {
  expect(await expiryOf(bob)).toBeNull()
  for (const seconds of [60, 31_536_000, 86_400, null]) {
    expect(await set(alice, seconds)).toBe(seconds)
    expect(await expiryOf(bob)).toBe(seconds)
  }
})

test('whoever is in the channel is told of it, also on coming back, and nothing is said in it', async () => {
  await using events = bob.client.subscribe(InboxDocument, {})
  const next = async () => (await events.next()).value!.inbox
  const synced = await next()
  expect(synced.__typename).toBe('SyncedEvent')
  const before = await history(bob, channelId)
  const { channel } = await bob.client.request(ChannelDocument, { id: channelId })
  await set(alice, 3_600)
  const event = { __typename: 'ChannelUpdatedEvent', stream: channelId, channel: { messageExpirySeconds: 3_600 } }
  expect(await next()).toMatchObject(event)
  await using later = bob.client.subscribe(InboxDocument, { after: [channel!.cursor] })
  expect((await later.next()).value!.inbox).toMatchObject(event)
  expect(await history(bob, channelId)).toEqual(before)
})

test('setting what is so already is no news', async () => {
  await set(alice, 60)
  const cursor = async () => (await alice.client.request(ChannelDocument, { id: channelId })).channel!.cursor
  const before = await cursor()
  expect(await set(alice, 60)).toBe(60)
  expect(await cursor()).toBe(before)
})

test('either of two may in their DIRECT channel, until it is shut', async () => {
  const { openDirectChannel } = await alice.client.request(OpenDirectChannelDocument, { userId: bob.id })
  const direct = openDirectChannel.channel.id
  expect(await set(alice, 60, direct)).toBe(60)
  expect(await set(bob, 120, direct)).toBe(120)
  await alice.client.request(BlockUserDocument, { userId: bob.id })
  for (const person of [alice, bob]) expect((await failure(set(person, null, direct))).code).toBe('FORBIDDEN')
  expect(await expiryOf(bob, direct)).toBe(120)
})

test('says which input is at fault', async () => {
  for (const seconds of [0, -1, 59, 31_536_001, 0x7fff_ffff]) {
    expect(await refusal(set(alice, seconds))).toEqual(bad('seconds'))
  }
  expect(await refusal(set(alice, 60, alice.id))).toEqual(bad('channelId'))
  expect(await refusal(set(alice, 60, 'c1'))).toEqual(missing('channelId'))
  expect((await failure(set(bob, 60))).code).toBe('FORBIDDEN')
})
