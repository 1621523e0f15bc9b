import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  AddMembersDocument,
  ChannelDocument,
  InboxDocument,
  LeaveChannelDocument,
  MarkReadDocument,
  MessagesDocument,
  ReadReceiptsDocument,
  RemoveMemberDocument,
  SetTypingDocument,
  TypingDocument,
} from '../../client-sdk/index.ts'
import { newChannel, say } from '../../schema/testing/operations.ts'
import { listen, subscriptions } from '../testing/listen.ts'
import { type Person, type Replica, startTestApp, type TestApp } from '../testing/test-app.ts'

let app: TestApp
/** Hears nothing of what happens on the first replica, but through the store. */
let deaf: Replica
let alice: Person
let bob: Person
let carol: Person
/** Carol, as she speaks on the replica that hears nothing. */
let carolThere: Person['client']
let channelId: string
beforeAll(async () => {
  app = await startTestApp()
  deaf = await app.addReplica()
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
  carolThere = deaf.client(carol.token)
})
afterAll(() => app.stop())
beforeEach(async () => {
  channelId = await newChannel(alice, { kind: 'PUBLIC' }, [bob, carol])
})

/** Everything that bob can listen to, on the replica that hears nothing. Resolves once all of it is open. */
async function listenToAll() {
  const { channel } = await alice.client.request(ChannelDocument, { id: channelId })
  const before = await Promise.all(['messages', 'inbox', 'typing', 'readReceipts'].map((field) => subscriptions(deaf, field)))
  const all = {
    messages: listen(deaf, bob, MessagesDocument, { channelId, after: channel!.cursor }),
    inbox: listen(deaf, bob, InboxDocument, {}),
    typing: listen(deaf, bob, TypingDocument, { channelId }),
    readReceipts: listen(deaf, bob, ReadReceiptsDocument, { channelId }),
  }
  const now = () => Promise.all(Object.keys(all).map((field) => subscriptions(deaf, field)))
  await expect.poll(now).toEqual(before.map((count) => count + 1))
  await expect.poll(() => all.inbox.events.at(-1)?.inbox.__typename).toBe('SyncedEvent')
  return all
}

type All = Awaited<ReturnType<typeof listenToAll>>

/** All that carol can do to be heard, on the same replica as bob; what leaves no trace in the store comes first. */
async function beHeard(text: string) {
  await carolThere.request(SetTypingDocument, { channelId, typing: true })
  await carolThere.request(MarkReadDocument, { channelId, seq: 10_000 })
  await say({ ...carol, client: carolThere }, channelId, text)
  await carolThere.request(SetTypingDocument, { channelId, typing: false })
  await say({ ...alice, client: deaf.client(alice.token) }, channelId, `${text}, alice`)
}

const events = ({ messages, inbox, typing, readReceipts }: All) => ({
  messages: messages.events.length,
  inbox: inbox.events.filter((event) => event.inbox.stream === channelId).length,
  typing: typing.events.length,
  readReceipts: readReceipts.events.length,
})

async function stopAll(all: All) {
  for (const listening of Object.values(all)) listening.stop()
  await expect.poll(() => subscriptions(deaf, 'inbox')).toBe(0)
}

test.each([
  ['was put out', () => alice.client.request(RemoveMemberDocument, { channelId, userId: bob.id })],
  ['left on another device', () => bob.client.request(LeaveChannelDocument, { channelId })],
])('who %s hears nothing that happens afterwards, even where the bus has lost the news', async (_, goes) => {
  const all = await listenToAll()
  await say(alice, channelId, 'hello')
  await beHeard('while bob is in')
  await expect.poll(() => events(all)).toEqual({ messages: 3, inbox: 3, typing: 2, readReceipts: 1 })

  await goes()
  // At once, before the replica has had a reason to ask the store.
  await beHeard('behind his back')
  for (const field of ['messages', 'typing', 'readReceipts'] as const) expect([field, await all[field].ended]).toEqual([field, 'FORBIDDEN'])
  const left = () => all.inbox.events.find(({ inbox }) => inbox.__typename === 'MembershipEvent' && inbox.user.id === bob.id)
  await expect.poll(left, { timeout: 5_000 }).toMatchObject({ inbox: { member: null, channel: { id: channelId } } })
  await beHeard('and still behind his back')
  expect(events(all)).toEqual({ messages: 3, inbox: 3, typing: 2, readReceipts: 1 })
  expect(JSON.stringify(all.inbox.events)).not.toContain('behind his back')
  await stopAll(all)
})

test('who comes back has an inbox that works again, also where the replica never heard that they were gone', async () => {
  const inbox = listen(deaf, bob, InboxDocument, {})
  await expect.poll(() => inbox.events.length).toBe(1)
  const heard = () =>
    inbox.events.flatMap(({ inbox: event }) => (event.__typename === 'MessageEvent' ? [event.message.content] : []))
  const memberships = () =>
    inbox.events.flatMap(({ inbox: event }) =>
      event.__typename === 'MembershipEvent' && event.user.id === bob.id && event.stream === bob.id ? [event.member !== null] : [],
    )
  const gone = () => alice.client.request(RemoveMemberDocument, { channelId, userId: bob.id })
  const back = () => alice.client.request(AddMembersDocument, { channelId, userIds: [bob.id] })

  await gone()
  await expect.poll(memberships, { timeout: 5_000 }).toEqual([false])
  await say(alice, channelId, 'while he is out')
  await back()
  await expect.poll(memberships, { timeout: 5_000 }).toEqual([false, true])
  await say(alice, channelId, 'welcome back')
  await expect.poll(heard, { timeout: 5_000 }).toEqual(['welcome back'])
  expect(JSON.stringify(inbox.events)).not.toContain('while he is out')

  // So fast that the replica sees only that he is in.
  for (let round = 0; round < 3; round++) {
    await gone()
    await back()
  }
  await say(carol, channelId, 'still here?')
  await expect.poll(() => heard().at(-1), { timeout: 5_000 }).toBe('still here?')
  inbox.stop()
})
