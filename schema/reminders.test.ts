import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  CreateReminderDocument,
  type CreateReminderInput,
  DeleteReminderDocument,
  RemindersDocument,
  type RemindersQuery,
  RemoveMemberDocument,
} from '../client-sdk/index.ts'
import { type JobData, type JobHandlers, jobKinds } from '../server/jobs/jobs.ts'
import { parseGlobalId } from '../server/lib/global-id.ts'
import { type Person, type Replica, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { createReminderJob } from '../workers/reminders.ts'
import { bad, conflicting, failure, missing, newChannel, operation, refusal, say } from './testing/operations.ts'

let app: TestApp
let other: Replica
let alice: Person
let bob: Person
let channelId: string
const pushed: JobData['push-reminder'][] = []
beforeAll(async () => {
  app = await startTestApp()
  other = await app.addReplica()
  ;[alice, bob] = await Promise.all([app.signUp('alice'), app.signUp('bob')])
  const others = Object.fromEntries(jobKinds.map((kind) => [kind, async () => {}])) as unknown as JobHandlers
  // On the other replica, which this one does not hear: what it tells is found in the store.
  await other.app.jobs.work({
    ...others,
    reminder: createReminderJob(other.app.services.reminders),
    'push-reminder': async (data) => void pushed.push(data),
  })
})
beforeEach(async () => {
  channelId = await newChannel(alice, {}, [bob])
})
afterAll(() => app.stop())

const inSeconds = (seconds: number) => new Date(Date.now() + seconds * 1_000).toISOString()

async function remind(person: Person, input: Partial<CreateReminderInput> = {}) {
  const { createReminder } = await person.client.request(CreateReminderDocument, {
    input: { note: 'tea', remindAt: inSeconds(3_600), ...input },
  })
  return createReminder
}

const remove = async (person: Person, id: string) =>
  (await person.client.request(DeleteReminderDocument, { id })).deleteReminder

async function list(person: Person, first = 100) {
  const found: RemindersQuery['reminders']['edges'][number]['node'][] = []
  for (let after: string | null = null; ; ) {
    const { reminders }: RemindersQuery = await person.client.request(RemindersDocument, { first, after })
    found.push(...reminders.edges.map(({ node }) => node))
    if (!reminders.pageInfo.hasNextPage) return found
    after = reminders.pageInfo.endCursor
  }
}

const inbox = operation<any, { after?: string[] }>(`subscription Reminded($after: [String!]) {
  inbox(after: $after) {
    __typename ... on Event { stream cursor } ... on ReminderEvent { reminder { id note remindedAt message { content } } }
  }
}`)

/** What an inbox tells of reminders from its cursor on, until it is told of one that is made now. */
async function told(person: Person, after: string[]) {
  const { id } = await remind(person, { note: 'marker', remindAt: inSeconds(2) })
  const events: any[] = []
  await using stream = app.client(person.token).subscribe(inbox, { after })
  for await (const { inbox: event } of stream) {
    if (event.__typename === 'ReminderEvent') events.push(event)
    if (event.reminder?.id === id) return events
  }
  throw new Error('The stream has ended')
}

test('when its time has come the devices are pushed, once, and open inboxes told', async () => {
  const { id: messageId } = await say(bob, channelId, 'shall we?')
  await using stream = app.client(alice.token).subscribe(inbox, {})
  const next = async () => (await stream.next()).value!.inbox
  expect(await next()).toMatchObject({ __typename: 'SyncedEvent' })
  const remindAt = inSeconds(2)
  const made = await remind(alice, { messageId, note: 'answer bob', remindAt })
  expect(made).toMatchObject({ message: { id: messageId }, note: 'answer bob', remindAt, remindedAt: null })
  const event = await next()
  expect(event).toMatchObject({
    __typename: 'ReminderEvent',
    stream: alice.id,
    reminder: { id: made.id, note: 'answer bob', message: { content: 'shall we?' } },
  })
  expect(+new Date(event.reminder.remindedAt)).toBeGreaterThanOrEqual(+new Date(remindAt))
  const [row] = await list(alice)
  expect(row).toEqual({ ...made, remindedAt: event.reminder.remindedAt })

  const data = {
    userId: (parseGlobalId(alice.id) as { userId: string }).userId,
    id: (parseGlobalId(made.id) as { reminderId: string }).reminderId,
  }
  await expect.poll(() => pushed.filter(({ id }) => id === data.id)).toEqual([data])
  // Two workers that believe that it is theirs.
  const again = { ...data, remindAt }
  await Promise.all([app, other].map((replica) => replica.app.services.reminders.remindDue(again)))
  expect((await list(alice))[0]).toEqual(row)
  const jobs = await told(alice, [event.cursor])
  expect(jobs).toHaveLength(1)
  expect(pushed.filter(({ id }) => id === data.id)).toHaveLength(1)
})

test('who was away is told of it on coming back, once, and of none that was deleted meanwhile', async () => {
  const carol = await app.signUp('carol')
  await using stream = app.client(carol.token).subscribe(inbox, {})
  const { cursor } = (await stream.next()).value!.inbox
  await stream.return!()
  const kept = await remind(carol, { note: 'kept', remindAt: inSeconds(1.5) })
  const gone = await remind(carol, { note: 'gone', remindAt: inSeconds(1.5) })
  await expect.poll(async () => (await list(carol)).filter((row) => row.remindedAt !== null)).toHaveLength(2)
  expect(await remove(carol, gone.id)).toBe(true)
  const events = await told(carol, [cursor])
  expect(events.map(({ reminder }) => reminder.note)).toEqual(['kept', 'marker'])
  expect((await told(carol, [events[0].cursor])).map(({ reminder }) => reminder.note)).toEqual(['marker', 'marker'])
  expect((await list(carol)).map(({ id }) => id)).toContain(kept.id)
})

test('the message is shown only as long as the viewer may read it', async () => {
  const { id: messageId } = await say(alice, channelId, 'secret')
  const { id } = await remind(bob, { messageId, note: null })
  const find = operation('query Find($id: ID!) { node(id: $id) { id ... on Reminder { note message { content } } } }')
  expect(await bob.client.request(find, { id })).toEqual({ node: { id, note: null, message: { content: 'secret' } } })
  expect(await alice.client.request(find, { id })).toEqual({ node: null })
  await alice.client.request(RemoveMemberDocument, { channelId, userId: bob.id })
  expect(await bob.client.request(find, { id })).toEqual({ node: { id, note: null, message: null } })
})

test('what is deleted reminds nobody', async () => {
  const soon = await remind(alice, { note: 'never', remindAt: inSeconds(2) })
  expect(await remove(bob, soon.id)).toBe(false)
  expect(await remove(alice, soon.id)).toBe(true)
  expect(await remove(alice, soon.id)).toBe(false)
  await using stream = app.client(alice.token).subscribe(inbox, {})
  const { cursor } = (await stream.next()).value!.inbox
  expect((await told(alice, [cursor])).map(({ reminder }) => reminder.note)).toEqual(['marker'])
})

test('one whose job is lost gets another', async () => {
  const service = app.app.services.reminders
  expect(await service.sweep()).toBe(0)
  const { id } = await remind(alice, { note: 'lost' })
  await app.app.database.run(`update reminders set remind_at = now() - interval '20 minutes' where note = 'lost'`, [])
  expect(await service.sweep()).toBe(1)
  await expect.poll(async () => (await list(alice)).find((row) => row.id === id)?.remindedAt).not.toBeNull()
  expect(await service.sweep()).toBe(0)
})

test('upcoming and past ones are listed, the latest first, in pages of any size; the same twice is one', async () => {
  const dan = await app.signUp('dan')
  const times = [60, 20, 40, 40].map(inSeconds)
  for (const [nth, remindAt] of times.entries()) await remind(dan, { note: `${nth}`, remindAt })
  const notes = async (first: number) => (await list(dan, first)).map(({ note }) => note)
  for (const first of [1, 3, 100]) expect(await notes(first)).toEqual(['0', '3', '2', '1'])
  const input = { note: '0', remindAt: times[0]! }
  const [one, same] = await Promise.all([remind(dan, input), remind(dan, input)])
  expect(same).toEqual(one)
  expect(await notes(100)).toHaveLength(4)
})

test('a hundred can be waiting, and no more', async () => {
  const erin = await app.signUp('erin')
  await remind(erin)
  await app.app.database.run(
    `insert into reminders select user_id, id + n, channel_id, message_id, note, remind_at, created_at, null
     from reminders, generate_series(1, 98) n where user_id = (select max(user_id) from reminders)`,
    [],
  )
  const outcomes = await Promise.allSettled(['one', 'two'].map((note) => remind(erin, { note })))
  expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
  expect(await refusal(remind(erin, { note: 'three' }))).toEqual(conflicting('input'))
})

test('says which input is at fault', async () => {
  const { id: messageId } = await say(alice, channelId, 'tea')
  expect(await refusal(remind(alice, { note: null }))).toEqual(bad('input.note'))
  for (const note of ['', ' ', '\u0000', 'x'.repeat(1_001)]) {
    expect(await refusal(remind(alice, { note, messageId }))).toEqual(bad('input.note'))
  }
  for (const remindAt of [inSeconds(-1), inSeconds(367 * 86_400), '9999-12-31T00:00:00Z']) {
    expect(await refusal(remind(alice, { remindAt }))).toEqual(bad('input.remindAt'))
  }
  expect(await refusal(remind(alice, { messageId: channelId }))).toEqual(bad('input.messageId'))
  expect(await refusal(remind(alice, { messageId: 'm1_1' }))).toEqual(missing('input.messageId'))
  const stranger = await app.signUp('frank')
  expect((await failure(remind(stranger, { messageId }))).code).toBe('FORBIDDEN')
  expect(await refusal(remove(alice, channelId))).toEqual(bad('id'))
  for (const first of [0, 101]) expect(await refusal(list(alice, first))).toEqual(bad('first'))
  const places = ['', 'x', '["1"]', '["x","1"]', '["999999999999999","1"]', '["1","99999999999999999999"]']
  for (const place of places.map((text) => Buffer.from(text).toString('base64url'))) {
    expect(await refusal(alice.client.request(RemindersDocument, { after: place }))).toEqual(bad('after'))
  }
})
