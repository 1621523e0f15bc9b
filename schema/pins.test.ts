import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  PinMessageDocument,
  PinnedMessagesDocument,
  type PinnedMessagesQuery,
  UnpinMessageDocument,
} from '../client-sdk/index.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { bad, conflicting, failure, missing, newChannel, refusal, say } from './testing/operations.ts'

let app: TestApp
let alice: Person
let bob: Person
let carol: Person
let channelId: string
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
})
beforeEach(async () => {
  channelId = await newChannel(alice, {}, [bob])
})
afterAll(() => app.stop())

async function pin(person: Person, messageId: string) {
  const { pinMessage } = await person.client.request(PinMessageDocument, { messageId })
  return pinMessage.message
}

async function unpin(person: Person, messageId: string) {
  const { unpinMessage } = await person.client.request(UnpinMessageDocument, { messageId })
  return unpinMessage.message
}

async function pinned(person: Person, first = 100) {
  const found: string[] = []
  for (let after: string | null = null; ; ) {
    const page: PinnedMessagesQuery = await person.client.request(PinnedMessagesDocument, { channelId, first, after })
    const { edges, pageInfo } = page.channel!.pinnedMessages
    found.push(...edges.map(({ node }) => node.content))
    if (!pageInfo.hasNextPage) return found
    after = pageInfo.endCursor
  }
}

test('what is pinned is listed, the newest message first, in pages of any size', async () => {
  const ids: string[] = []
  for (let number = 1; number <= 5; number++) ids.push((await say(alice, channelId, `${number}`)).id)
  for (const place of [3, 0, 4, 1]) await pin(bob, ids[place]!)
  for (const first of [1, 3, 4, 100]) expect(await pinned(alice, first)).toEqual(['5', '4', '2', '1'])
  await unpin(alice, ids[3]!)
  expect(await pinned(bob)).toEqual(['5', '2', '1'])
})

test('pinning is a change of the message, and pinning again is none', async () => {
  const sent = await say(alice, channelId, 'tea at five')
  const first = await pin(bob, sent.id)
  expect(first.pinnedAt).not.toBeNull()
  expect(first.version).toBeGreaterThan(sent.version)
  expect(await pin(alice, sent.id)).toEqual(first)
  const off = await unpin(alice, sent.id)
  expect(off).toMatchObject({ pinnedAt: null })
  expect(await unpin(alice, sent.id)).toEqual(off)
})

test('a channel has 250 pins at the most', async () => {
  const { id } = await say(alice, channelId, 'one too many')
  await app.app.database.run(
    `insert into message_changes (channel_id, message_id, change, kind, pinned_at)
     select channel_id, id - n, 0, 'PINS_CHANGED', now()
     from messages, generate_series(1, 250) n where content = 'one too many'`,
    [],
  )
  expect(await refusal(pin(alice, id))).toEqual(conflicting('messageId'))
})

test('says which input is at fault', async () => {
  const { id } = await say(alice, channelId, 'tea')
  expect(await refusal(pin(alice, channelId))).toEqual(bad('messageId'))
  expect(await refusal(pin(alice, 'm1_1'))).toEqual(missing('messageId'))
  expect((await failure(pin(carol, id))).code).toBe('FORBIDDEN')
  for (const first of [0, -1, 101, 0x7fff_ffff]) {
    expect(await refusal(pinned(alice, first))).toEqual(bad('first'))
  }
})
