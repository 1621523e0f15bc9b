import { createClient } from 'graphql-ws'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { AddReactionDocument, ChannelDocument, InboxDocument, MessagesDocument } from '../../client-sdk/index.ts'
import { newChannel, say } from '../../schema/testing/operations.ts'
import { listen, type Listening, subscriptions } from '../testing/listen.ts'
import { type Person, startTestApp, type TestApp } from '../testing/test-app.ts'

/** One execution for each different answer: counted where events are executed, judged by what each socket hears. */
let app: TestApp
let alice: Person
let bob: Person
let channelId: string
const open: { stop(): void }[] = []
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob] = await Promise.all([app.signUp('alice'), app.signUp('bob')])
})
beforeEach(async () => {
  channelId = await newChannel(alice, {}, [bob])
})
/** Whatever was opened is closed again, groups included. */
const nobodyListens = async () => {
  await expect.poll(() => subscriptions(app, 'messages')).toBe(0)
  await expect.poll(() => app.server.look().groups).toBe(0)
}
afterEach(async () => {
  for (const listening of open.splice(0)) listening.stop()
  await nobodyListens()
})
afterAll(() => app.stop())

const executed = async () => (await app.metrics.eventsExecuted.get()).values[0]?.value ?? 0
const delivered = async () => (await app.metrics.eventsDelivered.get()).values[0]?.value ?? 0

/** A subscription in any words, on a socket of its own: what it hears. */
function hear(
  person: Person,
  query: string,
  variables: Record<string, unknown> = { channelId },
  operationName?: string,
): any[] {
  const client = createClient({
    url: app.url.replace(/^http/, 'ws'),
    webSocketImpl: WebSocket,
    connectionParams: { token: person.token },
  })
  const heard: any[] = []
  client.subscribe({ query, variables, operationName }, { next: ({ data, errors }) => heard.push(errors ?? data), error() {}, complete() {} })
  open.push({ stop: () => void client.dispose() })
  return heard
}

const subscription = (fields: string) =>
  `subscription ($channelId: ID!, $after: String) { messages(channelId: $channelId, after: $after) { ${fields} } }`

/** How many executions and deliveries a message costs once everybody is live. */
async function costOf(content: string, listeners: readonly unknown[][]) {
  const before = { executed: await executed(), delivered: await delivered() }
  await say(alice, channelId, content)
  await expect.poll(() => listeners.every((heard) => JSON.stringify(heard).includes(content))).toBe(true)
  return { executed: (await executed()) - before.executed, delivered: (await delivered()) - before.delivered }
}

const live = (count: number) => expect.poll(() => subscriptions(app, 'messages')).toBe(count)

test('forty sockets of two people that ask the same are answered once, wherever they resumed', async () => {
  const { channel } = await alice.client.request(ChannelDocument, { id: channelId })
  const query = subscription('cursor kind message { id seq content author { username } }')
  const heard = Array.from({ length: 40 }, (_, nth) =>
    hear(nth % 2 === 0 ? alice : bob, query, { channelId, after: nth % 3 === 0 ? channel!.cursor : null }),
  )
  await live(40)
  expect(await costOf('to all', heard)).toEqual({ executed: 1, delivered: 40 })
  expect(new Set(heard.map((events) => JSON.stringify(events))).size).toBe(1)
  expect(app.server.look().groups).toBe(1)
})

test('each different selection, variable and operation is an answer of its own', async () => {
  const seqs = [1, 2].map(() => hear(alice, subscription('message { seq content }')))
  const ids = hear(alice, subscription('message { id content }'))
  const query = `subscription ($channelId: ID!, $first: Int) {
    messages(channelId: $channelId) { message { content reactions { emoji userIds(first: $first) } } } }`
  const variables = [1, 2].map((first) => hear(bob, query, { channelId, first }))
  const two = `subscription One($channelId: ID!) { messages(channelId: $channelId) { message { content } } }
    subscription Two($channelId: ID!) { messages(channelId: $channelId) { message { content seq } } }`
  const operations = ['One', 'Two'].map((name) => hear(bob, two, { channelId }, name))
  await live(7)
  const all = [...seqs, ids, ...variables, ...operations]
  expect(await costOf('in six ways', all)).toEqual({ executed: 6, delivered: 7 })
  expect(Object.keys(ids[0].messages.message)).toEqual(['id', 'content'])
  expect(Object.keys(seqs[0]![0].messages.message)).toEqual(['seq', 'content'])
  expect(operations.map(([event]) => Object.keys(event.messages.message))).toEqual([['content'], ['content', 'seq']])
})

test('what depends on the viewer is answered once for each viewer, and each gets their own', async () => {
  const query = subscription('message { id content reactions { emoji viewerHasReacted } channel { unreadCount } }')
  const [alices, alsoAlices, bobs] = [hear(alice, query), hear(alice, query), hear(bob, query)]
  await live(3)
  expect(await costOf('to whom?', [alices, alsoAlices, bobs])).toEqual({ executed: 2, delivered: 3 })
  const { id } = alices[0].messages.message
  await alice.client.request(AddReactionDocument, { messageId: id, emoji: '👍' })
  await expect.poll(() => [alices, alsoAlices, bobs].map((heard) => heard.length)).toEqual([2, 2, 2])
  const own = (heard: any[]) => heard[1].messages.message.reactions[0].viewerHasReacted
  expect([own(alices), own(alsoAlices), own(bobs)]).toEqual([true, true, false])
  expect([alices, bobs].map(([first]) => first.messages.message.channel.unreadCount)).toEqual([0, 1])
})

test('a field of the viewer is found through fragments, abstract types and aliases', async () => {
  const inbox = `subscription { inbox { ...E } } fragment E on InboxEvent { ... on Event { stream } ...M }
    fragment M on MessageEvent { message { ... on Node { id } content mine: channel { ...C } } }
    fragment C on Channel { n: unreadCount }`
  const [alices, bobs] = [hear(alice, inbox, {}), hear(bob, inbox, {})]
  await expect.poll(() => [alices.length, bobs.length]).toEqual([1, 1])
  await say(alice, channelId, 'for each of you')
  const counts = (heard: any[]) => heard.flatMap(({ inbox: { message } }) => (message ? [message.mine.n] : []))
  await expect.poll(() => [counts(alices), counts(bobs)]).toEqual([[0], [1]])
})

test('inboxes of many people are answered once for each change, and the author is told of the new read position', async () => {
  const person = (who: Person) => {
    const listening: Listening<any> = listen(app, who, InboxDocument, {})
    open.push(listening)
    return listening
  }
  const inboxes = [alice, bob, bob, bob].map(person)
  await expect.poll(() => inboxes.map(({ events }) => events.length)).toEqual([1, 1, 1, 1])
  const before = await executed()
  await say(alice, channelId, 'to all inboxes')
  const kinds = (nth: number) => inboxes[nth]!.events.slice(1).map(({ inbox }) => inbox.__typename)
  await expect.poll(() => [kinds(0), kinds(1), kinds(2), kinds(3)]).toEqual([
    ['ReadStateEvent', 'MessageEvent'],
    ['MessageEvent'],
    ['MessageEvent'],
    ['MessageEvent'],
  ])
  expect((await executed()) - before).toBe(2)
})

test('many changes that come together arrive in order, on sockets with several subscriptions', async () => {
  const fields = 'cursor message { seq content author { displayName } }'
  const heard = [hear(alice, subscription(fields)), hear(bob, subscription(fields)), hear(bob, subscription('message { seq }'))]
  const listening = listen(app, bob, MessagesDocument, { channelId })
  open.push(listening)
  await live(4)
  const contents = Array.from({ length: 120 }, (_, nth) => `message ${nth}`)
  await Promise.all(contents.map((content) => say(alice, channelId, content)))
  await expect.poll(() => [...heard, listening.events].map((events) => events.length)).toEqual([120, 120, 120, 120])
  const seqs = contents.map((_, nth) => nth + 1)
  for (const events of [...heard, listening.events]) expect(events.map(({ messages }) => messages.message.seq)).toEqual(seqs)
})
