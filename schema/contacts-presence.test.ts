import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  AddContactDocument,
  BlockUserDocument,
  ContactsDocument,
  RemoveContactDocument,
  SetPresenceDocument,
  UnblockUserDocument,
} from '../client-sdk/index.ts'
import { type RedisServer, startRedis } from '../server/testing/redis.ts'
import { type Person, type Replica, startTestApp, type TestApp } from '../server/testing/test-app.ts'

let redis: RedisServer
let app: TestApp
let second: Replica
let alice: Person
let bob: Person
let carol: Person
const inboxes: { [Symbol.asyncDispose](): PromiseLike<unknown> }[] = []
beforeAll(async () => {
  redis = await startRedis()
  app = await startTestApp({ REDIS_URL: redis.url })
  second = await app.addReplica()
  ;[alice, bob, carol] = [await app.signUp('alice'), await app.signUp('bob'), await app.signUp('carol')]
})
afterAll(async () => {
  for (const inbox of inboxes) await inbox[Symbol.asyncDispose]()
  await app.stop()
  await redis.stop()
})

const connect = async (person: Person, replica: Replica) => {
  const inbox = replica.client(person.token).inbox()
  inboxes.push(inbox)
  await inbox.next()
}
/** A screen with somebody's contacts, read on a replica. */
const screen = async (person: Person, replica: Replica = app) => {
  const { contacts } = await replica.client(person.token).request(ContactsDocument, {})
  return contacts.edges.map(({ node: { username, presence } }) =>
    `${username} ${presence.status} ${presence.statusText ?? ''}`.trim(),
  )
}

test('the list shows who is there, of those who have added the viewer, too', async () => {
  await connect(bob, second)
  await connect(carol, second)
  await bob.client.request(SetPresenceDocument, { status: 'AWAY', statusText: 'tea' })
  for (const { id } of [bob, carol]) await alice.client.request(AddContactDocument, { userId: id })
  expect(await screen(alice)).toEqual(['carol OFFLINE', 'bob OFFLINE'])
  await bob.client.request(AddContactDocument, { userId: alice.id })
  await expect.poll(() => screen(alice)).toEqual(['carol OFFLINE', 'bob AWAY tea'])
  await carol.client.request(AddContactDocument, { userId: alice.id })
  await expect.poll(() => screen(alice)).toEqual(['carol ONLINE', 'bob AWAY tea'])
  // Who hides looks as who is gone, text and all.
  await carol.client.request(SetPresenceDocument, { status: 'OFFLINE', statusText: 'until Monday' })
  await expect.poll(() => screen(alice)).toEqual(['carol OFFLINE until Monday', 'bob AWAY tea'])
})

test('blocking hides both from each other, and leaves the lists as they are', async () => {
  await carol.client.request(SetPresenceDocument, { status: 'ONLINE', statusText: null })
  await connect(alice, app)
  await expect.poll(() => screen(bob)).toEqual(['alice ONLINE'])
  await bob.client.request(BlockUserDocument, { userId: alice.id })
  expect(await screen(alice)).toEqual(['carol ONLINE', 'bob OFFLINE'])
  expect(await screen(bob, second)).toEqual(['alice OFFLINE'])
  await alice.client.request(RemoveContactDocument, { userId: bob.id })
  expect((await alice.client.request(AddContactDocument, { userId: bob.id })).addContact).toBe(true)
  expect(await screen(alice)).toEqual(['bob OFFLINE', 'carol ONLINE'])
  await bob.client.request(UnblockUserDocument, { userId: alice.id })
  await expect.poll(() => screen(alice)).toEqual(['bob AWAY tea', 'carol ONLINE'])
})
