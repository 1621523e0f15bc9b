import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  AddReactionDocument,
  CreateReminderDocument,
  JoinChannelDocument,
  OpenDirectChannelDocument,
  PinMessageDocument,
  SaveDraftDocument,
  ScheduleMessageDocument,
} from '../client-sdk/index.ts'
import { statementName } from '../server/observability/statements.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { newChannel, operation, say } from './testing/operations.ts'

/**
 * A list costs no more statements with twenty rows than with two: what its rows need is loaded for all of them at once.
 * Each test names the statements and how often each may run, which is once for each field that needs it; fields whose
 * needs arrive at the same time share one.
 */
let app: TestApp
let alice: Person
let bob: Person
let people: Person[]
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob] = await Promise.all([app.signUp('alice'), app.signUp('bob')])
  people = await Promise.all(Array.from({ length: 20 }, (_, number) => app.signUp(`person${number}`)))
})
afterAll(() => app.stop())

/** A viewer whom no other test knows. */
let viewer: Person
let viewers = 0
beforeEach(async () => {
  viewer = await app.signUp(`viewer${++viewers}`)
})

/** What a process does for itself, whoever asks what. */
const isOfNobody = (name: string) => ['heads', 'ended sessions'].includes(name) || name.endsWith('worker_leases')

/** Runs a query as the viewer; how often each statement ran. */
async function statementsOf(text: string, variables: object): Promise<Record<string, number>> {
  const before = app.statements.length
  await viewer.client.request(operation(text), variables)
  const names = app.statements.slice(before).map(statementName)
  const counts: Record<string, number> = {}
  for (const name of names) if (!isOfNobody(name)) counts[name] = (counts[name] ?? 0) + 1
  return counts
}

/** Holds the statements of a query to `most` while there are two rows, and again while there are twenty. */
async function hold(options: {
  addRow: (number: number) => Promise<unknown>
  query: string
  variables?: () => object
  most: Record<string, number>
}) {
  const { addRow, query, variables = () => ({}), most } = options
  for (const [from, to] of [[0, 2], [2, 20]] as const) {
    for (let number = from; number < to; number++) await addRow(number)
    const counts = await statementsOf(query, variables())
    expect(Object.keys(counts).toSorted(), `of ${to} rows`).toEqual(Object.keys(most).toSorted())
    for (const [name, count] of Object.entries(counts)) {
      expect(count, `${name} of ${to} rows`).toBeLessThanOrEqual(most[name]!)
    }
  }
}

/** A channel of each kind in turn, in which everything that the list shows is there. */
async function addChannel(number: number) {
  const person = people[number]!
  const id =
    number % 2 === 0
      ? (await viewer.client.request(OpenDirectChannelDocument, { userId: person.id })).openDirectChannel.channel.id
      : await newChannel(viewer, {}, [person, bob])
  const { id: messageId } = await say(person, id, `hi @${viewer.username}`)
  await person.client.request(PinMessageDocument, { messageId })
  await viewer.client.request(SaveDraftDocument, { channelId: id, content: 'dear' })
}

test('channels', async () => {
  const query = `query Channels { channels(first: 100) { edges { node {
    id name lastMessage { id content author { username } }
    members(first: 5) { totalCount edges { node { role user { username } } } }
    unreadCount unreadMentionCount directPeer { username } viewerMembership { role } viewerDraft
  } } } }`
  await hold({
    addRow: addChannel,
    query,
    most: {
      members: 1,
      memberships: 1,
      'messages by id': 1,
      'select drafts': 1,
      'select members': 2,
      'select users': 3,
      'unread mentions': 1,
    },
  })
})

test('channels, each with pages of its own', async () => {
  const query = `query Pages { channels(first: 100) { edges { node {
    messages(last: 3) { edges { node { content } } } pinnedMessages(first: 3) { edges { node { content } } }
  } } } }`
  await hold({
    addRow: addChannel,
    query,
    most: { buckets: 1, pages: 1, pins: 1, 'messages by id': 1, memberships: 1, 'select members': 1 },
  })
})

test('messages', async () => {
  const channelId = await newChannel(viewer, {}, [alice, bob])
  const addMessage = async (number: number) => {
    const author = [alice, bob][number % 2]!
    const { id } = await say(author, channelId, '@alice @bob')
    const react = ({ client }: Person) => client.request(AddReactionDocument, { messageId: id, emoji: '👍' })
    await Promise.all([alice, bob].map(react))
    await say(viewer, channelId, 'yes', { replyToId: id })
  }
  const query = `query Messages($id: ID!) { channel(id: $id) { messages(first: 100) { edges { node {
    content author { username } channel { name } mentions { username } replyTo { content author { username } }
    reactions { emoji count userIds viewerHasReacted } viewerThread { unreadCount }
    replies(first: 2) { edges { node { content } } }
  } } } } }`
  await hold({
    addRow: addMessage,
    query,
    variables: () => ({ id: channelId }),
    most: {
      buckets: 1,
      memberships: 1,
      // What they answer, and what answers them.
      'messages by id': 2,
      'own reactions': 1,
      page: 1,
      reactions: 1,
      replies: 1,
      'select channels': 1,
      'select users': 3,
      'thread states': 1,
    },
  })
})

test('members', async () => {
  const channelId = await newChannel(viewer, { kind: 'PUBLIC', name: 'square' })
  const query = `query Members($id: ID!) { channel(id: $id) { members(first: 100) { edges { node {
    role user { username presence { status } } lastReadSeq notificationLevel mutedUntil
  } } } } }`
  const join = (number: number) => people[number]!.client.request(JoinChannelDocument, { channelId })
  await hold({
    addRow: join,
    query,
    variables: () => ({ id: channelId }),
    most: {
      members: 1,
      'select channels': 1,
      memberships: 1,
      'select users': 2,
      'who share a channel': 1,
      'who added or blocked whom': 1,
    },
  })
})

test('pinned messages', async () => {
  const channelId = await newChannel(viewer, {}, [alice])
  const addPin = async () => {
    const { id } = await say(alice, channelId, '@alice')
    await alice.client.request(PinMessageDocument, { messageId: id })
  }
  const query = `query Pins($id: ID!) { channel(id: $id) { pinnedMessages(first: 100) { edges { node {
    content author { username } mentions { username }
  } } } } }`
  await hold({
    addRow: addPin,
    query,
    variables: () => ({ id: channelId }),
    most: { pins: 1, 'messages by id': 1, 'select channels': 1, memberships: 1, 'select users': 2 },
  })
})

test('replies', async () => {
  const channelId = await newChannel(viewer, {}, people)
  const root = await say(viewer, channelId, 'tea?')
  const query = `query Replies($id: ID!) { node(id: $id) { ... on Message { replies(first: 100) { edges { node {
    content author { username } reactions { count } replyTo { content }
  } } } } } }`
  const reply = (number: number) => say(people[number]!, channelId, 'yes', { replyToId: root.id })
  await hold({
    addRow: reply,
    query,
    variables: () => ({ id: root.id }),
    most: { 'messages by id': 3, replies: 1, 'select channels': 1, memberships: 1, 'select users': 1 },
  })
})

test('reminders', async () => {
  const addReminder = async (number: number) => {
    const { id: messageId } = await say(viewer, await newChannel(viewer), 'tea?')
    const remindAt = new Date(Date.now() + 3_600_000 + number).toISOString()
    await viewer.client.request(CreateReminderDocument, { input: { messageId, remindAt } })
  }
  await hold({
    addRow: addReminder,
    query: `query Reminders { reminders(first: 100) { edges { node { note message { content author { username } } } } } }`,
    most: { 'select reminders': 1, 'select channels': 1, memberships: 1, 'messages by id': 1, 'select users': 1 },
  })
})

test('scheduled messages', async () => {
  const schedule = async (number: number) => {
    const sendAt = new Date(Date.now() + 3_600_000).toISOString()
    const input = { channelId: await newChannel(viewer), content: `${number}`, sendAt }
    await viewer.client.request(ScheduleMessageDocument, { input })
  }
  await hold({
    addRow: schedule,
    query: `query Scheduled { scheduledMessages { content channel { name } } }`,
    most: { 'select scheduled_messages': 1, 'select channels': 1, memberships: 1 },
  })
})

test('public channels', async () => {
  const query = `query Public { publicChannels(first: 100) { edges { node {
    name memberCount unreadCount lastMessage { content author { username } } viewerMembership { role }
  } } } }`
  const addPublic = async (number: number) => {
    const id = await newChannel(number % 2 === 0 ? viewer : people[number]!, { kind: 'PUBLIC', name: 'square' })
    if (number % 2 === 0) await say(viewer, id, 'hi')
  }
  await hold({
    addRow: addPublic,
    query,
    most: { 'messages by id': 1, 'select channels': 1, memberships: 1, 'select users': 1 },
  })
})

test('nodes', async () => {
  const ids: string[] = []
  const addNodes = async (number: number) => {
    const person = people[number]!
    const id = await newChannel(viewer, {}, [person])
    const message = await say(person, id, 'hi')
    ids.push(id, message.id, person.id)
  }
  const query = `query Nodes($ids: [ID!]!) { nodes(ids: $ids) {
    ... on User { username presence { status } } ... on Channel { name unreadCount }
    ... on Message { content author { username } }
  } }`
  await hold({
    addRow: addNodes,
    query,
    variables: () => ({ ids }),
    most: {
      'messages by id': 1,
      'select channels': 1,
      memberships: 1,
      'select users': 3,
      'who share a channel': 1,
      'who added or blocked whom': 1,
    },
  })
})
