import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  AddMembersDocument,
  AddReactionDocument,
  ChannelDocument,
  InboxDocument,
  type InboxSubscription,
  LeaveChannelDocument,
  MarkReadDocument,
  RemoveMemberDocument,
  SaveDraftDocument,
  UpdateChannelDocument,
} from '../../../client-sdk/index.ts'
import { newChannel, say, sayMany } from '../../../schema/testing/operations.ts'
import { parseGlobalId } from '../../lib/global-id.ts'
import { listen, type Listening } from '../../testing/listen.ts'
import { type Person, type Replica, startTestApp, type TestApp } from '../../testing/test-app.ts'
import { decodeCursor, encodeCursor } from '../cursor.ts'

let app: TestApp
let deaf: Replica
let alice: Person
let bob: Person
let carol: Person
let channelId: string
beforeAll(async () => {
  app = await startTestApp()
  deaf = await app.addReplica()
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
})
afterAll(() => app.stop())
beforeEach(async () => {
  channelId = await newChannel(alice, { kind: 'PUBLIC' }, [bob])
})

type Event = InboxSubscription['inbox']
type Inbox = Listening<InboxSubscription>
const open: Inbox[] = []
afterEach(() => open.splice(0).forEach((inbox) => inbox.stop()))

/** Opens an inbox; what it says first is what was missed. Resolves once that is told. */
async function openInbox(person: Person, after: string[] = [], on: Replica = app): Promise<Inbox> {
  const inbox = listen(on, person, InboxDocument, { after })
  open.push(inbox)
  await expect.poll(() => inbox.events.some(({ inbox: event }) => event.__typename === 'SyncedEvent'), { timeout: 5_000 }).toBe(true)
  return inbox
}

const here = ({ events }: Inbox) => events.map(({ inbox }) => inbox).filter((event) => event.stream === channelId)
const ownAccount = ({ events }: Inbox) => events.map(({ inbox }) => inbox).filter(({ stream }) => stream.startsWith('u'))

/** One word or two on what an event says. */
function tell(event: Event): string {
  if (event.__typename === 'MessageEvent') return `${event.kind} ${event.message.content}`
  if (event.__typename === 'ReadStateEvent') return `read ${event.lastReadSeq}`
  if (event.__typename === 'MembershipEvent') return `${event.user.username} is ${event.member?.role ?? 'gone'}`
  return event.__typename
}

/** The newest cursor of each stream, as a device keeps them. */
const cursors = ({ events }: Inbox) => [...new Map(events.map(({ inbox }) => [inbox.stream, inbox.cursor])).values()]

const cursorOf = async (person: Person) => (await person.client.request(ChannelDocument, { id: channelId })).channel!.cursor

describe('an inbox tells', () => {
  test('what happens in all channels, and in the account, as it happens', async () => {
    const inbox = await openInbox(bob)
    const { seq } = await say(alice, channelId, 'hello')
    await bob.client.request(MarkReadDocument, { channelId, seq })
    await bob.client.request(SaveDraftDocument, { channelId, content: 'hel' })
    await alice.client.request(UpdateChannelDocument, { input: { channelId, topic: 'leaves' } })
    const other = await newChannel(alice, { name: 'new' }, [bob])
    await say(alice, other, 'here too')
    await expect.poll(() => here(inbox).map(tell)).toEqual(['CREATED hello', 'ChannelUpdatedEvent', 'CREATED leaves'])
    await expect.poll(() => inbox.events.filter((event) => event.inbox.stream === other).map((event) => tell(event.inbox))).toEqual(['CREATED here too'])
    expect(ownAccount(inbox).map(tell)).toEqual(['SyncedEvent', `read ${seq}`, 'ChannelUpdatedEvent', 'bob is MEMBER'])
  })

  test('of a message of one’s own first that it is read, with a cursor that leads back to before it', async () => {
    const inbox = await openInbox(bob)
    const first = await say(bob, channelId, 'mine')
    const second = await say(bob, channelId, 'mine too')
    await expect.poll(() => here(inbox).length).toBe(4)
    const events = here(inbox)
    expect(events.map((event) => event.__typename)).toEqual(['ReadStateEvent', 'MessageEvent', 'ReadStateEvent', 'MessageEvent'])
    expect(events[1]).toMatchObject({ message: { id: first.id } })
    // Cut off after the position and before the message, a device is told of both again.
    const resumed = await openInbox(bob, [events[2]!.cursor])
    expect(here(resumed).map(tell)).toEqual([`read ${second.seq}`, 'CREATED mine too'])
    expect(here(await openInbox(bob, [events[3]!.cursor]))).toEqual([])
  })

  test('where one’s own messages have moved one’s position while the device was away, whatever became of them', async () => {
    const after = await cursorOf(bob)
    const { id, seq } = await say(bob, channelId, 'from another device')
    await sayMany(alice, channelId, 120)
    const cut = await openInbox(bob, [after])
    const half = here(cut).at(60)!.cursor
    await alice.client.request(AddReactionDocument, { messageId: id, emoji: '👍' })
    expect(decodeCursor(half)!.change).toBeGreaterThan(decodeCursor(after)!.change)
    const events = here(await openInbox(bob, [half])).map(tell)
    expect(events.slice(-2)).toEqual([`read ${seq}`, 'REACTIONS_CHANGED from another device'])
  })
})

describe('after cursors, an inbox tells', () => {
  test('everything since, of each stream, on any replica', async () => {
    const before = await openInbox(bob)
    await say(alice, channelId, 'one')
    await expect.poll(() => here(before).length).toBe(1)
    const held = cursors(before)
    before.cut()
    await say(alice, channelId, 'two')
    await bob.client.request(MarkReadDocument, { channelId, seq: 2 })
    await alice.client.request(AddMembersDocument, { channelId, userIds: [carol.id] })
    const resumed = await openInbox(bob, held, deaf)
    expect(here(resumed).map(tell)).toEqual(['CREATED two', 'CREATED ', 'carol is MEMBER'])
    expect(ownAccount(resumed).map(tell)).toEqual(['read 2', 'SyncedEvent'])
  })

  test('what was joined and left meanwhile, and then what happens there', async () => {
    const held = cursors(await openInbox(carol))
    await alice.client.request(AddMembersDocument, { channelId, userIds: [carol.id] })
    const inbox = await openInbox(carol, held)
    expect(ownAccount(inbox).map(tell)).toEqual(['carol is MEMBER', 'SyncedEvent'])
    await say(alice, channelId, 'welcome')
    await expect.poll(() => here(inbox).map(tell)).toEqual(['CREATED welcome'])
    const inIt = cursors(inbox)
    inbox.cut()
    await carol.client.request(LeaveChannelDocument, { channelId })
    await say(alice, channelId, 'without her')
    const resumed = await openInbox(carol, inIt)
    expect(ownAccount(resumed).map(tell)).toEqual(['carol is gone', 'SyncedEvent'])
    expect(here(resumed)).toEqual([])
  })

  test('nothing of what happened while one was out, where a cursor is older than that', async () => {
    const held = [await cursorOf(bob)]
    await say(alice, channelId, 'while he was in')
    await alice.client.request(RemoveMemberDocument, { channelId, userId: bob.id })
    await say(alice, channelId, 'while he was out')
    await alice.client.request(AddMembersDocument, { channelId, userIds: [bob.id] })
    await say(alice, channelId, 'now he is back')
    expect(here(await openInbox(bob, held)).map(tell)).toEqual(['CREATED now he is back'])
  })

  test('only what comes, of streams that are not named', async () => {
    await say(alice, channelId, 'before')
    const inbox = await openInbox(bob, [], deaf)
    expect(here(inbox)).toEqual([])
    await say(alice, channelId, 'after')
    await expect.poll(() => here(inbox).map(tell), { timeout: 5_000 }).toEqual(['CREATED after'])
    // Another one, on a replica that lags behind, starts where the store stands.
    await say(alice, channelId, 'and again')
    const late = await openInbox(bob, [], deaf)
    await say(alice, channelId, 'and after that')
    await expect.poll(() => here(late).map(tell), { timeout: 5_000 }).toEqual(['CREATED and after that'])
  })
})

describe('an inbox refuses', () => {
  const refused = (...after: string[]) => listen(app, bob, InboxDocument, { after }).ended

  test('what is no cursor, and whose is another account', async () => {
    const { userId } = parseGlobalId(alice.id) as { userId: string }
    const foreign = encodeCursor({ kind: 'account', id: userId, change: 0, seq: 0 })
    for (const after of ['', 'garbage', `${await cursorOf(bob)}A`, foreign]) {
      expect([after, await refused(await cursorOf(bob), after)]).toEqual([after, 'BAD_USER_INPUT'])
    }
  })

  test('cursors from the future, of a channel and of the account', async () => {
    const channel = decodeCursor(await cursorOf(bob))!
    expect(await refused(encodeCursor({ ...channel, change: channel.change + 1 }))).toBe('CURSOR_EXPIRED')
    const { userId } = parseGlobalId(bob.id) as { userId: string }
    expect(await refused(encodeCursor({ kind: 'account', id: userId, change: 1_000_000, seq: 0 }))).toBe('CURSOR_EXPIRED')
  })

  test('nothing because of cursors of channels that one is not in, or that do not exist', async () => {
    const elsewhere = await newChannel(alice)
    const { channel } = await alice.client.request(ChannelDocument, { id: elsewhere })
    const inbox = await openInbox(bob, [channel!.cursor, encodeCursor({ kind: 'channel', id: '42', change: 9, seq: 9 })])
    await say(alice, elsewhere, 'not for bob')
    await say(alice, channelId, 'for bob')
    await expect.poll(() => here(inbox).map(tell)).toEqual(['CREATED for bob'])
    expect(JSON.stringify(inbox.events)).not.toContain('not for bob')
  })
})
