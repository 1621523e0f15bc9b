import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import {
  AddReactionDocument,
  CreateChannelDocument,
  createMaruClient,
  EditMessageDocument,
  HistoryDocument,
  type HistoryQuery,
  type MaruClient,
  MaruClientError,
  MessagesDocument,
  PinMessageDocument,
  RemoveReactionDocument,
  SaveDraftDocument,
  SendMessageDocument,
  SignUpDocument,
  UnpinMessageDocument,
  UpdateChannelDocument,
} from '../../client-sdk/index.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../lib/embedded-postgres.ts'
import { listen } from '../testing/listen.ts'
import { createRandom } from '../testing/random.ts'
import { discardDataDir, makeDataDir, postgresPid, type ServerProcess, startServer } from '../testing/server-process.ts'

const poolSize = 6

let dataDir: string
let store: EmbeddedPostgres
let server: ServerProcess
let sql: postgres.Sql
let url: string
let alice: { client: MaruClient; token: string }
beforeAll(async () => {
  dataDir = await makeDataDir()
  store = await startEmbeddedPostgres({ dataDir })
  // Seen from the server it is a Postgres like any other, which may be killed and frozen by itself.
  server = startServer({
    DATA_DIR: `${dataDir}-server`,
    DATABASE_URL: store.url,
    DATABASE_POOL_SIZE: String(poolSize),
    JWT_SECRET: 'a secret of at least thirty-two characters',
  })
  url = (await server.ready).url!
  sql = connect()
  const input = { username: 'alice', password: 'a long password' }
  const { signUp } = await createMaruClient({ url }).request(SignUpDocument, { input })
  const token = signUp.accessToken
  alice = { token, client: createMaruClient({ url, token: () => token, webSocketImpl: WebSocket }) }
}, 60_000)
afterAll(async () => {
  alice.client.close()
  await server.end()
  await sql.end({ timeout: 1 })
  await store.stop()
  await discardDataDir(dataDir)
  await discardDataDir(`${dataDir}-server`)
}, 60_000)

const connect = () =>
  postgres(store.url, { max: 1, onnotice: () => {}, connection: { application_name: 'the test itself' } })
const others = `from pg_stat_activity where backend_type = 'client backend' and application_name <> 'the test itself'`
const count = async (condition: string) =>
  (await sql.unsafe<{ count: number }[]>(`select count(*)::int ${others} and ${condition}`))[0]!.count

async function newChannel(name: string) {
  const { createChannel } = await alice.client.request(CreateChannelDocument, { input: { kind: 'GROUP', name } })
  return createChannel.channel.id
}

async function say(channelId: string, content: string, idempotencyKey: string) {
  const input = { channelId, content, idempotencyKey }
  const { sendMessage } = await alice.client.request(SendMessageDocument, { input })
  return sendMessage.message
}

const edit = (messageId: string, content: string) =>
  alice.client.request(EditMessageDocument, { input: { messageId, content } })

async function wholeHistory(channelId: string) {
  const messages: { seq: number; content: string }[] = []
  for (let after: string | null = null; ; ) {
    const answer: HistoryQuery = await alice.client.request(HistoryDocument, { channelId, first: 100, after })
    const page = answer.channel!.messages
    messages.push(...page.edges.map(({ node }) => node))
    if (!page.pageInfo.hasNextPage) return messages
    after = page.pageInfo.endCursor
  }
}

/** `done`, or the code that it was refused with. */
const outcome = (answer: Promise<unknown>) =>
  answer.then(
    () => 'done',
    (error: unknown) => {
      if (error instanceof MaruClientError) return error.code
      throw error
    },
  )

/** Does it until it is done: whatever is refused as UNAVAILABLE may be done again. Returns how often it was refused. */
async function insist(act: () => Promise<unknown>): Promise<number> {
  for (let refusals = 0; ; refusals++) {
    const result = await outcome(act())
    if (result === 'done') return refusals
    expect(result).toBe('UNAVAILABLE')
    await sleep(20)
  }
}

/** One connection holds the lock by which replicas know of each other. */
const capacity = poolSize - 1

/**
 * Checks that the server can have as many transactions under way at once as it has connections: each changes a channel
 * of its own, whose row somebody else holds until all are counted.
 */
async function expectCapacity() {
  // Where that connection was lost, it takes a second to have another.
  await expect.poll(() => count(`pid in (select pid from pg_locks where locktype = 'advisory')`)).toBe(1)
  const messages = []
  for (let nth = 0; nth < poolSize + 2; nth++) messages.push(await say(await newChannel(`${nth}`), 'hold', 'hold'))
  const holder = connect()
  await holder.unsafe('begin')
  await holder.unsafe('select from channels for no key update')
  const edits = messages.map(({ id: messageId }) =>
    outcome(edit(messageId, 'held')),
  )
  await expect.poll(() => count(`wait_event_type = 'Lock' and query like '%"channels"%'`), { timeout: 4_000 }).toBe(capacity)
  await holder.unsafe('commit')
  await holder.end()
  expect(new Set(await Promise.all(edits))).toEqual(new Set(['done']))
}

test('with its connections killed again and again the server loses and doubles nothing, and recovers', async () => {
  const random = createRandom(17)
  await expectCapacity()

  const channelId = await newChannel('storm')
  const { id: messageId } = await say(channelId, 'target', 'target')
  const { channel } = await alice.client.request(HistoryDocument, { channelId, last: 1 })
  const heard: string[] = []
  const listening = listen({ url }, alice, MessagesDocument, { channelId, after: channel!.cursor }, ({ messages }) => {
    if (messages.kind === 'CREATED') heard.push(messages.message.content)
  })
  // It is open once it tells something.
  await say(channelId, 'calm', 'calm')
  await expect.poll(() => heard).toEqual(['calm'])

  let isOver = false
  const sent: string[] = []
  const refusals: number[] = []
  const senders = Array.from({ length: 8 }, async (_, sender) => {
    for (let nth = 0; !isOver; nth++) {
      const content = `${sender}.${nth}`
      sent.push(content)
      refusals.push(await insist(() => say(channelId, content, content)))
    }
  })
  const { client } = alice
  const changes = [
    () => edit(messageId, `edited ${random.next()}`),
    () => client.request(AddReactionDocument, { messageId, emoji: '🪵' }),
    () => client.request(RemoveReactionDocument, { messageId, emoji: '🪵' }),
    () => client.request(PinMessageDocument, { messageId }),
    () => client.request(UnpinMessageDocument, { messageId }),
    () => client.request(SaveDraftDocument, { channelId, content: `draft ${random.next()}` }),
    () => client.request(UpdateChannelDocument, { input: { channelId, topic: `topic ${random.next()}` } }),
  ]
  const changers = Array.from({ length: 6 }, async () => {
    while (!isOver) refusals.push(await insist(random.pick(changes)))
  })
  let killed = 0
  for (let round = 0; round < 25; round++) {
    await sleep(20 + random.below(200))
    killed += (await sql.unsafe(`select pg_terminate_backend(pid) ${others}`)).length
  }
  isOver = true
  await Promise.all([...senders, ...changers])

  // Something was under way each time, and some of it was hit.
  expect(killed).toBeGreaterThan(30)
  expect(refusals.reduce((sum, one) => sum + one)).toBeGreaterThan(10)
  const messages = await wholeHistory(channelId)
  expect(messages.map(({ seq }) => seq)).toEqual(Array.from({ length: messages.length }, (_, nth) => nth + 1))
  const said = messages.map(({ content }) => content).filter((content) => /^\d+\.\d+$/.test(content))
  expect(said.toSorted()).toEqual(sent.toSorted())
  const [row] = await sql.unsafe<{ last_change: number; newest: number }[]>(
    `select last_change, greatest((select max(change) from messages where channel_id = c.id),
       (select max(change) from message_changes where channel_id = c.id), info_change,
       (select max(change) from members where channel_id = c.id)) as newest from channels c where name = 'storm'`,
  )
  expect(row!.newest).toBe(row!.last_change)

  // The stream that was open has gone on; it has told each message once, in order.
  await expect.poll(() => heard.filter((content) => /^\d/.test(content)).length, { timeout: 10_000 }).toBe(sent.length)
  expect(heard.filter((content) => /^\d+\.\d+$/.test(content))).toEqual(said)
  listening.stop()

  expect(await count(`state like 'idle in transaction%'`)).toBe(0)
  await expectCapacity()
  // The workers in the process have three of their own, and so have jobs.
  expect(await count('true')).toBeLessThanOrEqual(poolSize + 6)
}, 90_000)

test('with Postgres frozen callers are told within the deadline, and all goes on once it runs again', async () => {
  const channelId = await newChannel('ice')
  const { id: messageId } = await say(channelId, 'before', 'before')
  const { channel } = await alice.client.request(HistoryDocument, { channelId, last: 1 })
  const listening = listen({ url }, alice, MessagesDocument, { channelId, after: channel!.cursor })
  await say(channelId, 'heard', 'heard')
  await expect.poll(() => listening.events.length).toBe(1)

  const backends = await sql.unsafe<{ pid: number }[]>(`select pid ${others}`)
  const frozen = [postgresPid(dataDir)!, ...backends.map(({ pid }) => pid)]
  for (const pid of frozen) process.kill(pid, 'SIGSTOP')
  const started = performance.now()
  try {
    const outcomes = await Promise.all([
      ...Array.from({ length: 30 }, (_, nth) => outcome(say(channelId, `${nth}`, `${nth}`))),
      ...Array.from({ length: 10 }, () => outcome(edit(messageId, 'edited'))),
      outcome(wholeHistory(channelId)),
    ])
    expect(new Set(outcomes)).toEqual(new Set(['UNAVAILABLE']))
    // Five seconds each; a send may have to wait for the store twice, for what it may do and then for doing it.
    expect(performance.now() - started).toBeLessThan(11_000)
    expect((await fetch(new URL('/health/live', url))).status).toBe(200)
    expect((await fetch(new URL('/health/ready', url))).status).toBe(503)
  } finally {
    for (const pid of frozen) process.kill(pid, 'SIGCONT')
  }

  // Sent again with the same keys, on whatever became of the first ones.
  await Promise.all(Array.from({ length: 30 }, (_, nth) => insist(() => say(channelId, `${nth}`, `${nth}`))))
  await insist(() => edit(messageId, 'thawed'))
  const messages = await wholeHistory(channelId)
  expect(messages).toHaveLength(32)
  expect(messages.map(({ seq }) => seq)).toEqual(messages.map((_, nth) => nth + 1))
  expect(messages[0]!.content).toBe('thawed')
  expect(new Set(messages.map(({ content }) => content)).size).toBe(32)
  // The stream was open all the while.
  const told = () => listening.events.map(({ messages: { kind, message } }) => `${kind} ${message.content}`)
  await expect.poll(() => told().filter((line) => line.startsWith('CREATED ')).length, { timeout: 10_000 }).toBe(31)
  expect(listening.failures).toEqual([])
  listening.stop()
}, 60_000)
