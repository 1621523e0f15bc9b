import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  AddMembersDocument,
  ChannelDocument,
  MaruClientError,
  RemoveMemberDocument,
  SendMessageDocument,
  SetMemberRoleDocument,
  UpdateChannelDocument,
} from '../../client-sdk/index.ts'
import { history, newChannel, say } from '../../schema/testing/operations.ts'
import { createRandom } from '../testing/random.ts'
import { storedMessages } from '../testing/stored-messages.ts'
import { type Person, type Replica, startTestApp, type TestApp } from '../testing/test-app.ts'
import { channelSnowflake, watchChanges } from '../testing/watch-changes.ts'
import { compareSnowflakes } from './snowflake.ts'

let app: TestApp
let second: Replica
let alice: Person
let bob: Person
let carol: Person
let channelId: string
beforeAll(async () => {
  app = await startTestApp()
  second = await app.addReplica()
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
})
afterAll(() => app.stop())
beforeEach(async () => {
  channelId = await newChannel(alice, {}, [bob])
})

const upTo = (count: number) => Array.from({ length: count }, (_, nth) => nth + 1)

/** The channel's messages as they are stored, by seq. */
const stored = () =>
  app.app.database.run<{ id: string; seq: number; change: number; version: number; content: string }>(
    `select id, seq, change, version, content from ${storedMessages} where channel_id = $1 order by seq`,
    [channelSnowflake(channelId)],
  )

/** Checks that seqs have no holes, and that ids, seqs and changes all sort alike. */
async function expectOneOrder() {
  const rows = await stored()
  expect(rows.map((row) => row.seq)).toEqual(upTo(rows.length))
  expect(rows.toSorted((a, b) => compareSnowflakes(a.id, b.id))).toEqual(rows)
  expect(rows.toSorted((a, b) => a.change - b.change)).toEqual(rows)
  return rows
}

test('64 sends at once take the next 64 numbers, and every change of the channel is numbered', async () => {
  const watched = await watchChanges(app, [app], channelId)
  const sent = await Promise.all(upTo(64).map((n) => say(n % 2 === 0 ? alice : bob, channelId, `${n}`)))
  expect(sent.map(({ seq }) => seq).toSorted((a, b) => a - b)).toEqual(upTo(64))
  await expectOneOrder()
  // The two changes before are those of alice and bob coming in.
  await watched.expectComplete(3)
  // Some of them met while others were on their way, and were written together; how many, the machine's load decides.
  const batches = await app.metrics.sendBatchSize.get()
  expect(batches.values.find((value) => value.metricName === 'maru_send_batch_size_count')!.value).toBeLessThan(64)
})

test('sends, replies, people who come and go, roles and names on two replicas take numbers from one row', async () => {
  const random = createRandom(11)
  const watched = await watchChanges(app, [app, second], channelId)
  const root = await say(alice, channelId, 'who comes along?')
  const authors = [alice, bob].flatMap((person) => [person.client, second.client(person.token)])
  const owners = [alice.client, second.client(alice.token)]
  const sends = upTo(120).map((n) =>
    random.pick(authors).request(SendMessageDocument, {
      input: { channelId, content: `${n}`, ...(random.chance(0.4) ? { replyToId: root.id } : {}) },
    }),
  )
  const others = upTo(20).map(async (n) => {
    const owner = random.pick(owners)
    await owner.request(AddMembersDocument, { channelId, userIds: [carol.id] })
    if (n % 3 === 0) await owner.request(SetMemberRoleDocument, { channelId, userId: bob.id, role: random.pick(['ADMIN', 'MEMBER'] as const) })
    await owner.request(UpdateChannelDocument, { input: { channelId, name: `tea ${n}` } })
    await owner.request(RemoveMemberDocument, { channelId, userId: carol.id })
  })
  const outcomes = await Promise.allSettled(sends)
  await Promise.all(others)
  // A send whose channel changes roles five times under its hands gives up, unsent.
  const refused = outcomes.filter((outcome) => outcome.status === 'rejected').map(({ reason }) => (reason as MaruClientError).code)
  expect(refused.filter((code) => code !== 'UNAVAILABLE')).toEqual([])
  expect(refused.length).toBeLessThan(60)

  const rows = await expectOneOrder()
  const answers = outcomes.filter((outcome) => outcome.status === 'fulfilled').map(({ value }) => value.sendMessage.message)
  expect(rows.filter((row) => /^\d+$/.test(row.content)).map((row) => row.seq)).toEqual(
    answers.map((message) => message.seq).toSorted((a, b) => a - b),
  )
  const replies = answers.filter((message) => message.replyTo?.id === root.id).length
  expect((await history(alice, channelId, 100)).length).toBe(100)
  const [stillRoot] = await app.app.database.run<{ reply_count: number }>(
    `select reply_count from ${storedMessages} where channel_id = $1 and seq = $2`,
    [channelSnowflake(channelId), root.seq],
  )
  expect(stillRoot!.reply_count).toBe(replies)
  await watched.expectComplete(3)
  // Each replica announces what it has written in the order in which it was written, replies counted as changes.
  expect(watched.changes.filter((change) => change.type === 'message' && change.kind === 'ENRICHED').length).toBeGreaterThan(0)
})

test('many channels at once do not mix', async () => {
  const channels = await Promise.all(upTo(8).map((n) => newChannel(alice, { name: `room ${n}` }, [bob])))
  await Promise.all(upTo(160).map((n) => say(n % 2 === 0 ? alice : bob, channels[n % 8]!, `${n % 8}`)))
  for (const [place, channel] of channels.entries()) {
    const messages = await history(alice, channel, 100)
    expect(messages.map(({ seq }) => seq)).toEqual(upTo(20))
    expect(new Set(messages.map(({ content }) => content))).toEqual(new Set([`${place}`]))
  }
})

test.each([['one replica', 1], ['two replicas', 2]])('the same key 50 times at once on %s is one message', async (_, replicas) => {
  const watched = await watchChanges(app, [app, second], channelId)
  const clients = [alice.client, second.client(alice.token)].slice(0, replicas)
  const input = { channelId, content: 'once, @bob', idempotencyKey: 'the key' }
  const answers = await Promise.all(upTo(50).map((n) => clients[n % replicas]!.request(SendMessageDocument, { input })))
  for (const answer of answers) expect(answer).toEqual(answers[0])
  expect(await expectOneOrder()).toHaveLength(1)
  await watched.expectComplete(3)
  const { channel } = await bob.client.request(ChannelDocument, { id: channelId })
  expect(channel).toMatchObject({ unreadCount: 1, unreadMentionCount: 1, lastSeq: 1 })
})

test('of two bodies under one key, sent at once on two replicas, one wins everywhere and the other is a CONFLICT', async () => {
  const clients = [alice.client, second.client(alice.token)]
  for (const round of upTo(10)) {
    const outcomes = await Promise.allSettled(
      upTo(20).map((n) =>
        clients[n % 2]!.request(SendMessageDocument, {
          input: { channelId, content: n % 4 < 2 ? 'this' : 'that', idempotencyKey: `key ${round}` },
        }),
      ),
    )
    const won = outcomes.filter((outcome) => outcome.status === 'fulfilled').map(({ value }) => value.sendMessage.message)
    const lost = outcomes.filter((outcome) => outcome.status === 'rejected').map(({ reason }) => (reason as MaruClientError).code)
    expect(new Set(won.map((message) => message.id)).size).toBe(1)
    expect(new Set(won.map((message) => message.content)).size).toBe(1)
    expect([won.length, new Set(lost)]).toEqual([10, new Set(['CONFLICT'])])
  }
  expect(await expectOneOrder()).toHaveLength(10)
})

test('100,000 code points are stored whole in any script, and 100,001 are too many', async () => {
  for (const character of ['가', '🪵', 'x', 'é', '\n한']) {
    const count = 100_000 / [...character].length
    const content = character.repeat(count)
    const message = await say(alice, channelId, content)
    expect(message.content === content).toBe(true)
    const error = await say(alice, channelId, `${content}🪵`).catch((refused: unknown) => refused)
    expect(error).toMatchObject({ code: 'BAD_USER_INPUT', field: 'input.content' })
  }
  expect((await expectOneOrder()).map((row) => [...row.content].length)).toEqual(upTo(5).map(() => 100_000))
})

test('twenty of the largest messages at once fit into batches', async () => {
  const content = '마루🪵'.repeat(33_333)
  const sent = await Promise.all(upTo(20).map(() => say(alice, channelId, content)))
  expect(sent.map(({ seq }) => seq).toSorted((a, b) => a - b)).toEqual(upTo(20))
  expect(sent.every((message) => message.content === content)).toBe(true)
})

test.each([
  ['NUL', 'a\u0000b'],
  ['the first half of a pair', 'a\ud83d'],
  ['the second half', '\udc00a'],
  ['both in the wrong order', '\udc00\ud83d'],
])('%s stores nothing, and hurts nobody in the same batch', async (_, content) => {
  const outcomes = await Promise.allSettled(upTo(20).map((n) => say(alice, channelId, n === 10 ? content : `${n}`)))
  expect(outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [(outcome.reason as MaruClientError).code] : []))).toEqual(['BAD_USER_INPUT'])
  expect(await expectOneOrder()).toHaveLength(19)
})
