import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ChannelDocument, InboxDocument, MessagesDocument } from '../../client-sdk/index.ts'
import { newChannel, say } from '../../schema/testing/operations.ts'
import { parseGlobalId } from '../lib/global-id.ts'
import { listen, type Listening, subscriptions } from '../testing/listen.ts'
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

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Bytes that this process holds on to: the server, and its side of the sockets. */
async function heldBytes(): Promise<number> {
  // What is freed in one round lets go of more in the next.
  for (let round = 0; round < 5; round++) {
    collectGarbage()
    await sleep(20)
  }
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

const messages = 1_000
const size = 20_000
/** What sends so much at once; beyond it the store only queues. */
const senders = 32

test('who does not read costs a bounded amount of memory, delays nobody, and misses nothing', async () => {
  const channelId = await newChannel(alice, {}, [bob])
  const { channel } = await alice.client.request(ChannelDocument, { id: channelId })
  const after = channel!.cursor

  const heard = { slow: [] as number[], slowInbox: [] as number[], eager: [] as number[] }
  const slow = listen(app, bob, MessagesDocument, { channelId, after }, (event) => heard.slow.push(event.messages.message.seq))
  const slowInbox = listen(app, bob, InboxDocument, { after: [after] }, ({ inbox }) => {
    if (inbox.__typename === 'MessageEvent') heard.slowInbox.push(inbox.message.seq)
  })
  const eager = listen(app, alice, MessagesDocument, { channelId, after }, (event) => heard.eager.push(event.messages.message.seq))
  const letGo = setInterval(() => [slow, slowInbox, eager].forEach((listening: Listening<unknown>) => listening.events.splice(0)), 50)
  await say(alice, channelId, 'is everybody there?')
  await expect.poll(() => Object.values(heard)).toEqual([[1], [1], [1]])
  expect([await subscriptions(app, 'messages'), await subscriptions(app, 'inbox')]).toEqual([2, 1])

  slow.pause()
  slowInbox.pause()
  const before = await heldBytes()
  const author = (parseGlobalId(alice.id) as { userId: string }).userId
  let left = messages
  await Promise.all(
    Array.from({ length: senders }, async () => {
      while (left-- > 0) await app.app.services.messages.send(author, { channelId: channelSnowflake(channelId), content: 'x'.repeat(size) })
    }),
  )
  await expect.poll(() => heard.eager.length, { timeout: 15_000 }).toBe(1 + messages)

  // 20 MB went by for each of the two who do not read. The kernel holds some of it; this process holds a page of it.
  const grown = (await heldBytes()) - before
  expect(grown).toBeLessThan((messages * size) / 2)
  expect(heard.slow.length).toBeLessThan(messages)

  slow.resume()
  slowInbox.resume()
  const all = Array.from({ length: 1 + messages }, (_, nth) => nth + 1)
  await expect.poll(() => heard.slow.length, { timeout: 10_000 }).toBe(1 + messages)
  await expect.poll(() => heard.slowInbox.length, { timeout: 10_000 }).toBe(1 + messages)
  expect(heard.slow).toEqual(all)
  expect(heard.slowInbox).toEqual(all)
  expect(heard.eager).toEqual(all)
  clearInterval(letGo)
  for (const listening of [slow, slowInbox, eager]) listening.stop()
}, 60_000)
