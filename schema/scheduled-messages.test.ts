import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  BlockUserDocument,
  CancelScheduledMessageDocument,
  JoinChannelDocument,
  LeaveChannelDocument,
  OpenDirectChannelDocument,
  RemoveMemberDocument,
  ScheduledMessagesDocument,
  type ScheduleMessageInput,
  ScheduleMessageDocument,
  UnblockUserDocument,
  UpdateScheduledMessageDocument,
  type UpdateScheduledMessageInput,
} from '../client-sdk/index.ts'
import { type JobHandlers, jobKinds } from '../server/jobs/jobs.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { createScheduledMessageJobs } from '../workers/scheduled-messages.ts'
import { bad, conflicting, failure, history, missing, newChannel, operation, refusal } from './testing/operations.ts'

let app: TestApp
let alice: Person
let bob: Person
let carol: Person
let channelId: string
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
  const others = Object.fromEntries(jobKinds.map((kind) => [kind, async () => {}])) as unknown as JobHandlers
  await app.app.jobs.work({ ...others, ...createScheduledMessageJobs(app.app.services.scheduledMessages) })
})
beforeEach(async () => {
  channelId = await newChannel(alice, {}, [bob])
})
afterAll(() => app.stop())

const inSeconds = (seconds: number) => new Date(Date.now() + seconds * 1_000).toISOString()

async function schedule(person: Person, input: Partial<ScheduleMessageInput> = {}) {
  const { scheduleMessage } = await person.client.request(ScheduleMessageDocument, {
    input: { channelId, content: 'tea at five', sendAt: inSeconds(3_600), ...input },
  })
  return scheduleMessage
}

async function update(person: Person, input: UpdateScheduledMessageInput) {
  return (await person.client.request(UpdateScheduledMessageDocument, { input })).updateScheduledMessage
}

const cancel = async (person: Person, id: string) =>
  (await person.client.request(CancelScheduledMessageDocument, { id })).cancelScheduledMessage

const list = async (person: Person, id: string | null = channelId) =>
  (await person.client.request(ScheduledMessagesDocument, { channelId: id })).scheduledMessages

const said = async (person: Person, id = channelId) =>
  (await history(person, id)).filter(({ kind }) => kind === 'USER').map(({ content }) => content)

test('what is scheduled is sent when its time has come, by its author, once, and not before', async () => {
  const later = await schedule(alice, { content: 'later' })
  const sendAt = inSeconds(2)
  const soon = await schedule(alice, { content: 'hi @bob', sendAt })
  expect(soon).toMatchObject({ channel: { id: channelId }, content: 'hi @bob', sendAt, failure: null })
  expect(await list(alice)).toEqual([soon, later])
  expect(await list(bob)).toEqual([])
  expect(await said(bob)).toEqual([])
  await expect.poll(() => list(alice)).toEqual([later])
  const [message, ...others] = (await history(bob, channelId)).filter(({ kind }) => kind === 'USER')
  expect(others).toEqual([])
  expect(message).toMatchObject({ content: 'hi @bob', author: { id: alice.id }, mentions: [{ id: bob.id }] })
  // The clocks of this process and of the store are one here; that of ids is the sender's.
  expect(+new Date(message!.createdAt)).toBeGreaterThanOrEqual(+new Date(sendAt))
})

test('the viewer’s are listed in one channel or in all, the soonest first', async () => {
  const other = await newChannel(bob)
  const times = [300, 100, 200]
  for (const [nth, seconds] of times.entries()) {
    await schedule(bob, { channelId: nth === 2 ? other : channelId, content: `${seconds}`, sendAt: inSeconds(seconds) })
  }
  const contents = async (id: string | null) => (await list(bob, id)).map(({ content }) => content)
  expect(await contents(null)).toEqual(['100', '200', '300'])
  expect(await contents(channelId)).toEqual(['100', '300'])
})

test('a key makes a retry harmless, also at the same moment', async () => {
  const input = { idempotencyKey: 'once', sendAt: inSeconds(3_600) }
  const [first, second] = await Promise.all([schedule(alice, input), schedule(alice, input)])
  expect(second).toEqual(first)
  expect(await schedule(alice, input)).toEqual(first)
  expect(await list(alice)).toEqual([first])
  for (const change of [{ content: 'coffee' }, { sendAt: inSeconds(60) }, { channelId: await newChannel(alice) }]) {
    expect(await refusal(schedule(alice, { ...input, ...change }))).toEqual(conflicting('input.idempotencyKey'))
  }
  // A key is its author's own.
  expect((await schedule(bob, input)).id).not.toBe(first.id)
})

test('what is cancelled is not sent', async () => {
  const { id } = await schedule(alice, { sendAt: inSeconds(2.5) })
  const kept = await schedule(alice, { content: 'kept', sendAt: inSeconds(2.5) })
  expect(await cancel(bob, id)).toBe(false)
  expect(await cancel(alice, id)).toBe(true)
  expect(await cancel(alice, id)).toBe(false)
  expect(await list(alice)).toEqual([kept])
  await expect.poll(() => said(bob)).toEqual(['kept'])
  expect(await cancel(alice, kept.id)).toBe(false)
})

test('what is moved is sent at its new time, and what is changed as it is then', async () => {
  const { id } = await schedule(alice, { content: 'old', sendAt: inSeconds(2.5) })
  const moved = await update(alice, { id, sendAt: inSeconds(5) })
  expect(moved).toMatchObject({ id, content: 'old' })
  expect(await update(alice, { id, content: 'new' })).toEqual({ ...moved, content: 'new' })
  const marker = await schedule(alice, { content: 'between', sendAt: inSeconds(2.5) })
  await expect.poll(() => said(bob)).toEqual(['between'])
  expect(marker.id).not.toBe(id)
  await expect.poll(() => said(bob)).toEqual(['between', 'new'])
  expect(await refusal(update(alice, { id, content: 'too late' }))).toEqual(missing('input.id'))
})

test('what its author may not send any more stays, says why, and can be given another time', async () => {
  const group = await newChannel(bob, { kind: 'PUBLIC', name: 'square', topic: 'tea' })
  await alice.client.request(JoinChannelDocument, { channelId: group })
  const { id } = await schedule(alice, { channelId: group, sendAt: inSeconds(2.5) })
  await alice.client.request(LeaveChannelDocument, { channelId: group })
  await expect.poll(async () => (await list(alice, group))[0]?.failure).toBe('Only members may write here.')
  expect((await refusal(update(alice, { id, sendAt: inSeconds(60) }))).code).toBe('FORBIDDEN')
  await alice.client.request(JoinChannelDocument, { channelId: group })
  expect(await refusal(update(alice, { id, content: 'at last' }))).toEqual(bad('input.sendAt'))
  expect(await update(alice, { id, content: 'at last', sendAt: inSeconds(2) })).toMatchObject({ failure: null })
  await expect.poll(() => said(bob, group)).toEqual(['at last'])
  expect(await list(alice, group)).toEqual([])
})

test('who was put out of a channel sees which it was, and nothing of what became of it', async () => {
  await schedule(bob)
  await alice.client.request(RemoveMemberDocument, { channelId, userId: bob.id })
  const names = operation('query Names { scheduledMessages { channel { id name topic memberCount lastSeq } } }')
  const { scheduledMessages } = await bob.client.request(names, {})
  expect(scheduledMessages).toContainEqual({
    channel: { id: channelId, name: null, topic: null, memberCount: 0, lastSeq: 0 },
  })
})

test('a block that comes in between keeps it back', async () => {
  const { openDirectChannel } = await alice.client.request(OpenDirectChannelDocument, { userId: carol.id })
  const direct = openDirectChannel.channel.id
  const { id } = await schedule(alice, { channelId: direct, sendAt: inSeconds(2.5) })
  await carol.client.request(BlockUserDocument, { userId: alice.id })
  await expect.poll(async () => (await list(alice, direct))[0]?.failure).toBe('Nothing can be added to this conversation.')
  expect((await refusal(schedule(alice, { channelId: direct }))).code).toBe('FORBIDDEN')
  expect(await said(carol, direct)).toEqual([])
  await carol.client.request(UnblockUserDocument, { userId: alice.id })
  expect(await cancel(alice, id)).toBe(true)
})

test('only its author finds it by its id', async () => {
  const { id } = await schedule(alice)
  const find = operation('query Find($id: ID!) { node(id: $id) { id ... on ScheduledMessage { content } } }')
  expect(await alice.client.request(find, { id })).toEqual({ node: { id, content: 'tea at five' } })
  expect(await bob.client.request(find, { id })).toEqual({ node: null })
  expect(await refusal(update(bob, { id, content: 'mine' }))).toEqual(missing('input.id'))
})

test('a hundred can wait, and no more', async () => {
  const dan = await app.signUp('dan')
  const own = await newChannel(dan)
  const first = await schedule(dan, { channelId: own })
  await app.app.database.run(
    `insert into scheduled_messages select user_id, id + n, channel_id, content, send_at, created_at, idempotency_key || n
     from scheduled_messages, generate_series(1, 98) n where channel_id = (
       select max(channel_id) from scheduled_messages
     )`,
    [],
  )
  const [last, refused] = await Promise.allSettled([1, 2].map(() => schedule(dan, { channelId: own })))
  expect([last!.status, refused!.status].toSorted()).toEqual(['fulfilled', 'rejected'])
  expect(await refusal(schedule(dan, { channelId: own }))).toEqual(conflicting('input'))
  expect(await list(dan)).toHaveLength(0)
  expect(await list(dan, own)).toHaveLength(100)
  expect(await cancel(dan, first.id)).toBe(true)
  await schedule(dan, { channelId: own })
})

test('a list is reckoned to be as long as it can be', async () => {
  const much = operation('query Much { scheduledMessages { channel { messages(first: 100) { edges { node { author { id } } } } } } }')
  expect((await failure(alice.client.request(much, {}))).code).toBe('QUERY_TOO_COMPLEX')
  const enough = operation('query Enough { scheduledMessages { channel { lastMessage { author { id } } } } }')
  expect(await alice.client.request(enough, {})).toHaveProperty('scheduledMessages')
})

test('says which input is at fault', async () => {
  for (const content of ['', ' ', '\u0000', 'x'.repeat(100_001)]) {
    expect(await refusal(schedule(alice, { content }))).toEqual(bad('input.content'))
  }
  for (const sendAt of [inSeconds(-1), '1999-01-01T00:00:00Z', inSeconds(367 * 86_400), '9999-12-31T00:00:00Z']) {
    expect(await refusal(schedule(alice, { sendAt }))).toEqual(bad('input.sendAt'))
  }
  for (const idempotencyKey of ['', 'x'.repeat(129), '한국']) {
    expect(await refusal(schedule(alice, { idempotencyKey }))).toEqual(bad('input.idempotencyKey'))
  }
  expect(await refusal(schedule(alice, { channelId: alice.id }))).toEqual(bad('input.channelId'))
  expect(await refusal(schedule(alice, { channelId: 'c1' }))).toEqual(missing('input.channelId'))
  expect((await failure(schedule(carol))).code).toBe('FORBIDDEN')
  const { id } = await schedule(alice)
  expect(await refusal(update(alice, { id, sendAt: inSeconds(-1) }))).toEqual(bad('input.sendAt'))
  expect(await refusal(update(alice, { id, sendAt: null }))).toEqual(bad('input.sendAt'))
  for (const content of [null, '', '\udfff']) {
    expect(await refusal(update(alice, { id, content }))).toEqual(bad('input.content'))
  }
  expect(await refusal(update(alice, { id: channelId }))).toEqual(bad('input.id'))
  expect(await refusal(cancel(alice, channelId))).toEqual(bad('id'))
  expect(await refusal(list(alice, alice.id))).toEqual(bad('channelId'))
})
