import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  AddMembersDocument,
  ChannelDocument,
  EditMessageDocument,
  MarkReadDocument,
  MarkUnreadDocument,
  RemoveMemberDocument,
} from '../client-sdk/index.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { newChannel, say } from './testing/operations.ts'

let app: TestApp
let alice: Person
let bob: Person
let minsu: Person
let carol: Person
let channelId: string
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('Bob'), app.signUp('carol')])
  minsu = await app.signUp('민수')
})
beforeEach(async () => {
  channelId = await newChannel(alice, {}, [bob, minsu])
})
afterAll(() => app.stop())

const names = ({ mentions }: { mentions: { username: string }[] }) =>
  mentions.map(({ username }) => username).toSorted()

async function unreadMentions(person: Person): Promise<number> {
  const { channel } = await person.client.request(ChannelDocument, { id: channelId })
  return channel!.unreadMentionCount
}

async function edit(person: Person, messageId: string, content: string) {
  const { editMessage } = await person.client.request(EditMessageDocument, { input: { messageId, content } })
  return editMessage.message
}

test('members are mentioned, each once, whatever the case and with a Korean particle; others are not', async () => {
  expect(names(await say(alice, channelId, '@BOB @bob @carol @nobody bob'))).toEqual(['Bob'])
  expect(names(await say(alice, channelId, '@민수에게 @bob님은'))).toEqual(['Bob', '민수'])
  expect(names(await say(alice, channelId, '@민수야, 안녕'.normalize('NFD')))).toEqual(['민수'])
  expect(names(await say(alice, channelId, 'to bob@example.org'))).toEqual([])
})

test('who is mentioned counts it until it is read', async () => {
  await say(alice, channelId, '@bob 1')
  await say(alice, channelId, 'no one')
  await say(minsu, channelId, '@bob @alice 2')
  expect(await Promise.all([bob, alice, minsu].map(unreadMentions))).toEqual([2, 1, 0])
  await bob.client.request(MarkReadDocument, { channelId, seq: 1 })
  expect(await unreadMentions(bob)).toBe(1)
  await bob.client.request(MarkReadDocument, { channelId, seq: 3 })
  expect(await unreadMentions(bob)).toBe(0)
  await bob.client.request(MarkUnreadDocument, { channelId, fromSeq: 1 })
  expect(await unreadMentions(bob)).toBe(2)
})

test('editing moves mentions to those who are named now', async () => {
  const { id } = await say(alice, channelId, '@bob!')
  expect(names(await edit(alice, id, '@민수!'))).toEqual(['민수'])
  expect(await Promise.all([bob, minsu].map(unreadMentions))).toEqual([0, 1])
  expect(names(await edit(alice, id, '@민수 @bob!'))).toEqual(['Bob', '민수'])
  expect(await Promise.all([bob, minsu].map(unreadMentions))).toEqual([1, 1])
})

test('who comes later was not mentioned, and who has gone counts nothing', async () => {
  await say(alice, channelId, '@carol @bob')
  await alice.client.request(AddMembersDocument, { channelId, userIds: [carol.id] })
  expect(await unreadMentions(carol)).toBe(0)
  await alice.client.request(RemoveMemberDocument, { channelId, userId: bob.id })
  expect(names(await say(alice, channelId, '@bob is gone'))).toEqual([])
  await alice.client.request(AddMembersDocument, { channelId, userIds: [bob.id] })
  expect(await unreadMentions(bob)).toBe(0)
})

test('mentioning oneself is read already', async () => {
  expect(names(await say(alice, channelId, '@alice'))).toEqual(['alice'])
  expect(await unreadMentions(alice)).toBe(0)
})
