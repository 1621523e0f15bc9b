import { afterAll, beforeAll, expect, test } from 'vitest'
import { createClient } from 'graphql-ws'
import postgres from 'postgres'
import { WebSocket } from 'ws'
import {
  ChannelsDocument,
  CreateChannelDocument,
  RemoveMemberDocument,
  SendMessageDocument,
  SignOutDocument,
  UpdateChannelDocument,
} from '../client-sdk/index.ts'
import { encodeCursor } from '../server/fanout/cursor.ts'
import { parseGlobalId } from '../server/lib/global-id.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'

let app: TestApp
let alice: Person
let bob: Person
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob] = await Promise.all([app.signUp('alice'), app.signUp('bob')])
})
afterAll(() => app.stop())

async function createGroup(name: string): Promise<string> {
  const { createChannel } = await alice.client.request(CreateChannelDocument, {
    input: { kind: 'GROUP', name, memberIds: [bob.id] },
  })
  return createChannel.channel.id
}

/** What a subscription tells, through a stock client of the protocol, until it is ended. */
function listen(person: Person, query: string, variables: Record<string, unknown> = {}) {
  const client = createClient({
    url: app.url.replace('http', 'ws'),
    webSocketImpl: WebSocket,
    connectionParams: { token: person.token },
    retryAttempts: 0,
  })
  return client.iterate({ query, variables })
}

test('an answer holds so much text and no more, however often the same message is asked for', async () => {
  const channelId = await createGroup('long')
  const { sendMessage } = await alice.client.request(SendMessageDocument, {
    input: { channelId, content: '가'.repeat(100_000) },
  })
  const aliases = Array.from({ length: 25 }, (_, n) => `a${n}: content`).join(' ')
  const response = await fetch(app.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${alice.token}` },
    body: JSON.stringify({
      query: `query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Message { ${aliases} } } }`,
      variables: { ids: Array.from({ length: 100 }, () => sendMessage.message.id) },
    }),
  })
  const text = await response.text()
  expect(text.length).toBeLessThan(50_000_000)
  expect(text).toContain('QUERY_TOO_COMPLEX')
})

test('a token whose session has ended is good for nothing any more', async () => {
  const carol = await app.signUp('carol')
  await carol.client.request(ChannelsDocument, {})
  await carol.client.request(SignOutDocument, { refreshToken: carol.tokens.refreshToken })
  await expect(carol.client.request(ChannelsDocument, {})).rejects.toMatchObject({ code: 'UNAUTHENTICATED' })
})

test('who was put out of a group learns that, and nothing of what became of it', async () => {
  const channelId = await createGroup('plans')
  const { userId } = parseGlobalId(bob.id) as { userId: string }
  await alice.client.request(RemoveMemberDocument, { channelId, userId: bob.id })
  await alice.client.request(UpdateChannelDocument, { input: { channelId, name: 'secret plans', topic: 'secret' } })
  const events = listen(
    bob,
    `subscription ($after: [String!]) { inbox(after: $after) {
       __typename
       ... on MembershipEvent { member { role } channel { id name topic lastSeq memberCount } }
     } }`,
    { after: [encodeCursor({ kind: 'account', id: userId, change: 0, seq: 0 })] },
  )
  const told: unknown[] = []
  for await (const { data } of events) {
    const event = (data as { inbox: { __typename: string; channel?: { id: string } } }).inbox
    if (event.__typename === 'SyncedEvent') break
    if (event.channel?.id === channelId) told.push(event)
  }
  expect(told).toMatchObject([
    { member: null, channel: { id: channelId, name: null, topic: null, lastSeq: 0, memberCount: 0 } },
  ])
})

test('an event whose data the store cannot give just now is told when it can, and none is lost', async () => {
  const channelId = await createGroup('stall')
  const events = listen(
    bob,
    'subscription ($channelId: ID!) { messages(channelId: $channelId) { message { seq author { displayName } } } }',
    { channelId },
  )
  const first = events.next()
  await expect.poll(() => app.app.streams.channels.feeds.size()).toBeGreaterThan(0)
  // Nobody can read users for longer than a statement may take.
  const sql = postgres(app.databaseUrl, { max: 1, onnotice: () => {} })
  await sql.unsafe('begin; lock table users in access exclusive mode')
  // It is stored, and its author cannot be told.
  const sent = alice.client.request(SendMessageDocument, { input: { channelId, content: 'one' } })
  await expect(sent).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  await new Promise((resolve) => setTimeout(resolve, 1_500))
  await sql.unsafe('rollback')
  await sql.end()
  const { value } = await first
  expect(value).toEqual({ data: { messages: { message: { seq: 1, author: { displayName: 'alice' } } } } })
  await events.return?.()
}, 30_000)
