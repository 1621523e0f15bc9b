import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from 'graphql-ws'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { AddReactionDocument, ChannelDocument, MarkReadDocument, SaveDraftDocument } from '../../client-sdk/index.ts'
import { newChannel, operation, say } from '../../schema/testing/operations.ts'
import { type Person, startTestApp, type TestApp } from '../testing/test-app.ts'

/** State kept from events equals state fetched anew, whoever else was answered before. */
let app: TestApp
let alice: Person
let bob: Person
const open: (() => void)[] = []
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob] = await Promise.all([app.signUp('alice'), app.signUp('bob')])
})
afterEach(() => {
  for (const stop of open.splice(0)) stop()
})
afterAll(() => app.stop())

function hear(person: Person, query: string, variables: Record<string, unknown> = {}): any[] {
  const client = createClient({ url: app.url.replace(/^http/, 'ws'), webSocketImpl: WebSocket, connectionParams: { token: person.token } })
  const heard: any[] = []
  client.subscribe({ query, variables }, { next: ({ data, errors }) => heard.push(errors ?? data), error() {}, complete() {} })
  open.push(() => void client.dispose())
  return heard
}

/** Lets pages of members wait: who selects none of them is not held up. */
function holdMembers() {
  const { members } = app.app.services
  const list = members.list
  const { promise, resolve } = Promise.withResolvers<void>()
  let held = 0
  members.list = async (...args) => {
    held++
    await promise
    return list(...args)
  }
  return {
    held: () => held,
    release() {
      members.list = list
      resolve()
    },
  }
}

test('who is answered late is told what is, and not what was when others were answered', async () => {
  const channelId = await newChannel(alice, {}, [bob])
  const fast = hear(alice, 'subscription ($channelId: ID!) { messages(channelId: $channelId) { message { content reactions { emoji count } } } }', { channelId })
  const slow = hear(alice, `subscription ($channelId: ID!) { messages(channelId: $channelId) {
    message { content reactions { emoji count } channel { members(first: 1) { totalCount } } } } }`, { channelId })
  await expect.poll(() => app.app.streams.audiences.size()).toBe(2)
  const hold = holdMembers()
  await say(alice, channelId, 'first')
  await expect.poll(hold.held).toBeGreaterThan(0)
  const { id } = await say(alice, channelId, 'second')
  await expect.poll(() => fast.length).toBe(2)
  await alice.client.request(AddReactionDocument, { messageId: id, emoji: '👍' })
  await expect.poll(() => fast.length).toBe(3)
  expect(fast[2].messages.message.reactions).toEqual([{ emoji: '👍', count: 1 }])
  hold.release()
  await expect.poll(() => slow.length).toBe(3)
  expect(slow[2].messages.message.reactions).toEqual([{ emoji: '👍', count: 1 }])
})

test('an inbox that tells of several streams at once tells what is, of each', async () => {
  const busy = await newChannel(alice, { name: 'busy' }, [bob])
  const quiet = await newChannel(alice, { name: 'quiet', topic: 'old' }, [bob])
  const cursorOf = async (id: string) => (await alice.client.request(ChannelDocument, { id })).channel!.cursor
  const after = [await cursorOf(busy), await cursorOf(quiet)]
  for (let nth = 0; nth < 56; nth++) await say(alice, busy, `missed ${nth}`)
  await say(alice, quiet, 'to be read')
  after[1] = await cursorOf(quiet)
  const common = '... on ReadStateEvent { channel { id topic } lastReadSeq } ... on ChannelUpdatedEvent { channel { id topic } }'
  const fast = hear(bob, `subscription { inbox { __typename ${common} } }`)
  await expect.poll(() => fast.length).toBe(1)
  const hold = holdMembers()
  const slow = hear(bob, `subscription ($after: [String!]) { inbox(after: $after) { __typename ${common}
    ... on MessageEvent { message { content channel { members(first: 1) { totalCount } } } } } }`, { after })
  await expect.poll(hold.held).toBeGreaterThan(0)
  // While the slow one is held up with what it has missed: first something of the account, then of the quiet channel.
  await bob.client.request(MarkReadDocument, { channelId: quiet, seq: 1 })
  await expect.poll(() => fast.length).toBe(2)
  await bob.client.request(SaveDraftDocument, { channelId: quiet, content: 'dear' })
  await expect.poll(() => fast.length).toBe(3)
  expect(fast[1].inbox).toMatchObject({ __typename: 'ReadStateEvent', channel: { topic: 'old' } })
  await alice.client.request(
    operation('mutation Rename($input: UpdateChannelInput!) { updateChannel(input: $input) { channel { name } } }'),
    { input: { channelId: quiet, topic: 'new' } },
  )
  await expect.poll(() => fast.length).toBeGreaterThan(3)
  await sleep(50)
  hold.release()
  await expect.poll(() => slow.length).toBeGreaterThanOrEqual(61)
  await sleep(100)
  const updated = slow.filter(({ inbox }) => inbox.__typename === 'ChannelUpdatedEvent')
  expect(updated.map(({ inbox }) => inbox.channel.topic)).toEqual(['new', 'new'])
})
