import { afterAll, beforeAll, expect, test } from 'vitest'
import { CreateChannelDocument, HistoryDocument, SendMessageDocument } from '../client-sdk/index.ts'
import { startTestApp, type TestApp } from '../server/testing/test-app.ts'

let app: TestApp
beforeAll(async () => {
  app = await startTestApp()
})
afterAll(() => app.stop())

test('two people talk: what alice sends, bob hears live and finds in the history', async () => {
  const alice = await app.signUp('alice')
  const bob = await app.signUp('bob')
  const { createChannel } = await alice.client.request(CreateChannelDocument, {
    input: { kind: 'GROUP', name: 'tea', memberIds: [bob.id] },
  })
  const channelId = createChannel.channel.id
  const live = bob.client.messages({ channelId })[Symbol.asyncIterator]()
  const first = live.next()
  await new Promise((resolve) => setTimeout(resolve, 200))
  const { sendMessage } = await alice.client.request(SendMessageDocument, { input: { channelId, content: '안녕, @bob!' } })
  expect(sendMessage.message).toMatchObject({ seq: 1, content: '안녕, @bob!', mentions: [{ username: 'bob' }] })
  const event = await first
  expect(event.value).toMatchObject({ kind: 'CREATED', message: { id: sendMessage.message.id, content: '안녕, @bob!' } })
  const { channel } = await bob.client.request(HistoryDocument, { channelId, last: 10 })
  expect(channel!.messages.edges.map((edge) => edge.node.content)).toEqual(['안녕, @bob!'])
})
