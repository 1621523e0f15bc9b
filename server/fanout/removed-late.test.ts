import { createClient } from 'graphql-ws'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { ChannelDocument } from '../../client-sdk/index.ts'
import { newChannel, operation, say } from '../../schema/testing/operations.ts'
import { parseGlobalId } from '../lib/global-id.ts'
import { type Person, startTestApp, type TestApp } from '../testing/test-app.ts'
import { channelSnowflake } from '../testing/watch-changes.ts'

let app: TestApp
let alice: Person
let bob: Person
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob] = await Promise.all([app.signUp('alice'), app.signUp('bob')])
})
afterAll(() => app.stop())

const userOf = (person: Person) => (parseGlobalId(person.id) as { userId: string }).userId
const remove = operation('mutation Remove($channelId: ID!, $userId: ID!) { removeMember(channelId: $channelId, userId: $userId) { __typename } }')
const rename = operation('mutation Rename($input: UpdateChannelInput!) { updateChannel(input: $input) { __typename } }')
const subscription = `subscription ($channelId: ID!, $after: String) {
  messages(channelId: $channelId, after: $after) { message { id content channel { topic } } } }`

/** Lets look-ups of channels wait, as a slow store does. */
function holdChannels() {
  const { channels } = app.app.services
  const findMany = channels.findMany
  const { promise, resolve } = Promise.withResolvers<void>()
  let held = 0
  channels.findMany = async (...args) => {
    held++
    await promise
    return findMany(...args)
  }
  return {
    held: () => held,
    release() {
      channels.findMany = findMany
      resolve()
    },
  }
}

test.each(['live', 'missed'])('who is put out while an answer is made hears nothing that came after (%s)', async (how) => {
  const channelId = await newChannel(alice, {}, [bob])
  const { cursor } = (await alice.client.request(ChannelDocument, { id: channelId })).channel!
  if (how === 'missed') await say(alice, channelId, 'hello')
  const hold = holdChannels()
  const client = createClient({ url: app.url.replace(/^http/, 'ws'), webSocketImpl: WebSocket, connectionParams: { token: bob.token } })
  const heard: unknown[] = []
  let ended: unknown
  client.subscribe(
    { query: subscription, variables: { channelId, after: cursor } },
    { next: ({ data }) => heard.push(data), error: (error) => (ended = error), complete() {} },
  )
  if (how === 'live') {
    await expect.poll(() => app.app.streams.audiences.size()).toBe(1)
    await app.app.services.messages.send(userOf(alice), { channelId: channelSnowflake(channelId), content: 'hello' })
  }
  await expect.poll(hold.held).toBeGreaterThan(0)
  await alice.client.request(remove, { channelId, userId: bob.id })
  await alice.client.request(rename, { input: { channelId, topic: '🤫' } })
  hold.release()
  await expect.poll(() => ended).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }])
  expect(JSON.stringify(heard)).not.toContain('🤫')
  await client.dispose()
})
