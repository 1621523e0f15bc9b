import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { CancelScheduledMessageDocument, ScheduledMessagesDocument, ScheduleMessageDocument } from '../client-sdk/index.ts'
import { history, newChannel } from '../schema/testing/operations.ts'
import type { JobContext, JobData } from '../server/jobs/jobs.ts'
import { parseGlobalId } from '../server/lib/global-id.ts'
import { storeTime } from '../server/lib/store-time.ts'
import { type Person, type Replica, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { createScheduledMessageJobs } from './scheduled-messages.ts'

/** The job, run by hand, so that it meets whatever comes in between. */
let app: TestApp
let other: Replica
let alice: Person
let bob: Person
let channelId: string
beforeAll(async () => {
  app = await startTestApp()
  other = await app.addReplica()
  ;[alice, bob] = await Promise.all([app.signUp('alice'), app.signUp('bob')])
})
beforeEach(async () => {
  channelId = await newChannel(alice, {}, [bob])
})
afterEach(() => {
  vi.useRealTimers()
})
afterAll(() => app.stop())

type Data = JobData['scheduled-message']

const runOn = (replica: Replica, data: Data) =>
  createScheduledMessageJobs(replica.app.services.scheduledMessages)['scheduled-message'](data, {} as JobContext)

/** A message that is due now; what its job is given, and its id as clients see it. */
async function scheduleDue(content = 'tea at five'): Promise<{ id: string; data: Data }> {
  const sendAt = new Date(Date.now() + 3_600_000).toISOString()
  const { scheduleMessage } = await alice.client.request(ScheduleMessageDocument, { input: { channelId, content, sendAt } })
  const parsed = parseGlobalId(scheduleMessage.id)
  if (parsed?.type !== 'ScheduledMessage') throw new Error('An id is of what it is of')
  return { id: scheduleMessage.id, data: await setBack(parsed.scheduledMessageId, 0) }
}

/** Makes it due for so long already, in milliseconds; what a job of that time is given. */
async function setBack(id: string, ms: number): Promise<Data> {
  const { database } = app.app
  const sendAt = new Date(+(await storeTime(database)) - ms)
  const [row] = await database.run<{ user_id: string }>(
    'update scheduled_messages set send_at = $2 where id = $1 returning user_id',
    [id, sendAt],
  )
  return { userId: row!.user_id, id, sendAt: sendAt.toISOString() }
}

const cancel = async (id: string) =>
  (await alice.client.request(CancelScheduledMessageDocument, { id })).cancelScheduledMessage

const list = async () => (await alice.client.request(ScheduledMessagesDocument, { channelId })).scheduledMessages

const said = async () =>
  (await history(bob, channelId)).filter(({ kind }) => kind === 'USER').map(({ content }) => content)

const waitingJobs = async ({ id }: Data) => {
  const [schema] = await app.app.database.run<{ name: string }>(`select current_schema() || '_jobs' as name`, [])
  return app.app.database.run(`select from ${schema!.name}.job where data ->> 'id' = $1 and state = 'created'`, [id])
}

/** What a worker does that dies when the message is sent and the row is still there. */
const sendAndDie = ({ userId, id }: Data, content = 'tea at five') => {
  const channel = parseGlobalId(channelId) as { channelId: string }
  const input = { channelId: channel.channelId, content, idempotencyKey: `scheduled:${id}` }
  return app.app.services.messages.send(userId, input)
}

test('two workers that have the same job send once', async () => {
  const { data } = await scheduleDue()
  await Promise.all([runOn(app, data), runOn(other, data), runOn(other, data)])
  await runOn(app, data)
  expect(await said()).toEqual(['tea at five'])
  expect(await list()).toEqual([])
})

test('a worker that dies after sending leaves nothing that would be sent again', async () => {
  const { data } = await scheduleDue()
  await sendAndDie(data)
  expect(await list()).toHaveLength(1)
  await runOn(other, data)
  expect(await said()).toEqual(['tea at five'])
  expect(await list()).toEqual([])
})

test('what was sent by a worker that died can be neither cancelled nor changed', async () => {
  const { id, data } = await scheduleDue()
  await sendAndDie(data)
  const input = { id: data.id, content: 'coffee' }
  await expect(app.app.services.scheduledMessages.update(data.userId, input)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  expect(await cancel(id)).toBe(false)
  await runOn(other, data)
  expect(await said()).toEqual(['tea at five'])
  expect(await list()).toEqual([])
})

test('one that was edited after a worker had sent it and died is not sent again', async () => {
  const { data } = await scheduleDue()
  await sendAndDie(data, 'as it was before it was changed')
  await runOn(other, data)
  expect(await said()).toEqual(['as it was before it was changed'])
  expect(await list()).toEqual([])
})

test('of cancelling and sending at the same moment one wins, and says so', async () => {
  const outcomes = new Set<boolean>()
  for (let round = 0; round < 40; round++) {
    const { id, data } = await scheduleDue(`${round}`)
    // From long before to long after, so that some of them meet.
    const ahead = (round - 20) * 2
    const [, cancelled] = await Promise.all([
      sleep(Math.max(0, ahead)).then(() => runOn(app, data)),
      sleep(Math.max(0, -ahead)).then(() => cancel(id)),
    ])
    outcomes.add(cancelled)
    expect((await said()).includes(`${round}`), `round ${round}`).toBe(!cancelled)
  }
  expect(await list()).toEqual([])
  expect(outcomes).toEqual(new Set([true, false]))
})

test('a worker that slept while it was cancelled sends nothing when it wakes', async () => {
  const { id, data } = await scheduleDue()
  expect(await cancel(id)).toBe(true)
  await expect(sendAndDie(data)).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'input.idempotencyKey' })
  expect(await said()).toEqual([])
})

test('of changing and sending at the same moment one comes first', async () => {
  for (let round = 0; round < 20; round++) {
    const { data } = await scheduleDue(`old ${round}`)
    const input = { id: data.id, content: `new ${round}` }
    const [, changed] = await Promise.allSettled([
      runOn(app, data),
      sleep(round % 5).then(() => other.app.services.scheduledMessages.update(data.userId, input)),
    ])
    const expected = changed.status === 'fulfilled' ? `new ${round}` : `old ${round}`
    expect((await said()).filter((content) => content.endsWith(` ${round}`)), `round ${round}`).toEqual([expected])
  }
})

test('the job of a time from which it was moved is over', async () => {
  const { data } = await scheduleDue()
  const sendAt = new Date(Date.now() + 3_600_000)
  await app.app.services.scheduledMessages.update(data.userId, { id: data.id, sendAt })
  expect(await waitingJobs(data)).toHaveLength(2)
  await runOn(app, data)
  expect(await said()).toEqual([])
  expect(await waitingJobs(data)).toHaveLength(2)
})

test('the store’s clock decides, whatever that of the process says', async () => {
  const sendAt = new Date(Date.now() + 60_000)
  const { data } = await scheduleDue()
  const service = app.app.services.scheduledMessages
  const channel = parseGlobalId(channelId) as { channelId: string }
  const at = async (ms: number, work: () => Promise<unknown>) => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + ms })
    await work().finally(() => vi.useRealTimers())
  }
  let early = data
  await at(86_400_000, async () => {
    const scheduled = await service.schedule(data.userId, { channelId: channel.channelId, content: 'not yet', sendAt })
    early = { userId: data.userId, id: scheduled.id, sendAt: sendAt.toISOString() }
    await runOn(app, early)
  })
  expect(await said()).toEqual([])
  // It waits for its time once more.
  expect(await waitingJobs(early)).toHaveLength(2)
  await at(-86_400_000, () => runOn(app, data))
  expect(await said()).toEqual(['tea at five'])
})

test('one whose job is lost gets another', async () => {
  const { data } = await scheduleDue()
  const service = app.app.services.scheduledMessages
  expect(await service.sweep()).toBe(0)
  const lost = await setBack(data.id, 20 * 60_000)
  expect(await service.sweep()).toBe(1)
  expect(await waitingJobs(data)).toHaveLength(2)
  await runOn(app, data)
  expect(await said()).toEqual([])
  await runOn(app, lost)
  expect(await said()).toEqual(['tea at five'])
  expect(await service.sweep()).toBe(0)
})

test('while the store is away nothing is lost, and nobody is told that it failed', async () => {
  const { data } = await scheduleDue()
  const { database } = app.app
  // Its channel cannot be written to.
  const held = await database.reserve()
  const channel = parseGlobalId(channelId) as { channelId: string }
  await held.run('begin', [])
  await held.run('select from channels where id = $1 for update', [channel.channelId])
  await expect(runOn(other, data)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  await held.run('rollback', [])
  held.release()
  expect(await list()).toMatchObject([{ failure: null }])
  await runOn(app, data)
  expect(await said()).toEqual(['tea at five'])
  expect(await list()).toEqual([])
})
