import { createClient } from 'graphql-ws'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { ChannelDocument } from '../../client-sdk/index.ts'
import { newChannel, say } from '../../schema/testing/operations.ts'
import { type Person, startTestApp, type TestApp } from '../testing/test-app.ts'
import { subscriptions } from '../testing/listen.ts'

let app: TestApp
let alice: Person
const open: (() => void)[] = []
beforeAll(async () => {
  app = await startTestApp()
  alice = await app.signUp('alice')
})
afterEach(() => {
  for (const stop of open.splice(0)) stop()
})
afterAll(() => app.stop())

/** A subscription that is never taken up again: what it hears, and how its socket was closed. */
function hear(query: string, variables: Record<string, unknown>, socketsOf = 1) {
  const client = createClient({ url: app.url.replace(/^http/, 'ws'), webSocketImpl: WebSocket, connectionParams: { token: alice.token }, retryAttempts: 0 })
  const heard: any[] = []
  const closed: any[] = []
  client.on('closed', (event) => closed.push((event as CloseEvent).code))
  for (let nth = 0; nth < socketsOf; nth++) {
    client.subscribe({ query, variables }, { next: ({ data, errors }) => heard.push(errors ?? data), error: () => {}, complete() {} })
  }
  open.push(() => void client.dispose())
  return { heard, closed }
}

test('a burst of large messages reaches who reads', async () => {
  const channelId = await newChannel(alice)
  const { heard, closed } = hear('subscription ($channelId: ID!) { messages(channelId: $channelId) { message { seq content } } }', { channelId })
  await expect.poll(() => subscriptions(app, 'messages')).toBe(1)
  await Promise.all(Array.from({ length: 60 }, () => say(alice, channelId, 'x'.repeat(100_000))))
  await expect.poll(() => (closed.length > 0 ? `closed ${closed}` : heard.length), { timeout: 15_000 }).toBe(60)
}, 30_000)

test('who selects much of each event gets through what they have missed', async () => {
  const channelId = await newChannel(alice)
  await Promise.all(Array.from({ length: 100 }, () => say(alice, channelId, 'x'.repeat(70_000))))
  const { cursor } = (await alice.client.request(ChannelDocument, { id: channelId })).channel!
  for (let nth = 0; nth < 60; nth++) await say(alice, channelId, String(nth))
  const { heard, closed } = hear(
    `subscription ($channelId: ID!, $after: String) { messages(channelId: $channelId, after: $after) {
      message { seq channel { ${Array.from({ length: 6 }, (_, nth) => `a${nth}: messages(first: 100) { edges { node { content } } }`).join(' ')} } } } }`,
    { channelId, after: cursor },
  )
  await expect.poll(() => heard.length).toBeGreaterThan(0)
  await expect.poll(() => (closed.length > 0 ? `closed ${closed} after ${heard.length}` : heard.length), { timeout: 25_000 }).toBe(60)
}, 40_000)
