import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { ScheduledMessagesDocument, ScheduleMessageDocument } from '../client-sdk/index.ts'
import { history, newChannel, operation } from '../schema/testing/operations.ts'
import type { JobData } from '../server/jobs/jobs.ts'
import { parseGlobalId } from '../server/lib/global-id.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'

const setSlowMode = operation(
  'mutation Slow($channelId: ID!, $seconds: Int) { setSlowMode(channelId: $channelId, seconds: $seconds) { channel { id } } }',
)

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
  channelId = await newChannel(alice, {}, [bob, carol])
})
afterAll(() => app.stop())

/** Messages of somebody's that were due so many minutes ago, a second after the other; the last is scheduled first. */
async function due(person: Person, contents: string[], { minutes = 20, to = channelId } = {}): Promise<JobData['scheduled-message'][]> {
  const data: JobData['scheduled-message'][] = []
  const first = Date.now() - minutes * 60_000
  for (const [nth, content] of [...contents.entries()].toReversed()) {
    const sendAt = new Date(Date.now() + 3_600_000).toISOString()
    await person.client.request(ScheduleMessageDocument, { input: { channelId: to, content, sendAt } })
    const [row] = await app.app.database.run<{ user_id: string; id: string; send_at: Date }>(
      'update scheduled_messages set send_at = $1 where send_at = $2 returning user_id, id, send_at',
      [new Date(first + nth * 1_000), new Date(sendAt)],
    )
    data.push({ userId: row!.user_id, id: row!.id, sendAt: row!.send_at.toISOString() })
  }
  return data
}

const slow = (seconds: number | null) => alice.client.request(setSlowMode, { channelId, seconds })
const said = async (of = channelId) => (await history(alice, of)).filter(({ kind }) => kind === 'USER').map(({ content }) => content)
const left = async (person: Person) =>
  (await person.client.request(ScheduledMessagesDocument, { channelId })).scheduledMessages.map(({ failure }) => failure)

/** The channel's id as the store has it. */
const idOf = () => (parseGlobalId(channelId) as { channelId: string }).channelId

/** Jobs that wait, of one kind. */
async function waiting(kind: string): Promise<{ ready: number; deferred: number }> {
  const { ready, deferred } = (await app.app.jobs.operator.counts()).find((counts) => counts.kind === kind)!
  return { ready, deferred }
}

test('what is due in slow mode waits for one job, however often it is looked for, and nobody else waits with it', async () => {
  await slow(21_600)
  const { scheduledMessages } = app.app.services
  const his = await due(bob, Array.from({ length: 20 }, (_, nth) => `nth ${nth}`))
  // All at once, the last first: the first alone is sent, whichever comes.
  await Promise.all(his.map(scheduledMessages.sendDue))
  await scheduledMessages.sendNext({ userId: his[0]!.userId, channelId: idOf() })
  expect(await said()).toEqual(['nth 0'])
  expect(await left(bob)).toEqual(Array.from({ length: 19 }, () => null))

  const before = await waiting('scheduled-message')
  for (let nth = 0; nth < 3; nth++) expect(await scheduledMessages.sweep()).toBe(19)
  expect(await waiting('scheduled-message')).toEqual(before)
  const { ready, deferred } = await waiting('scheduled-turn')
  // One whose time has come, from before the first was sent, and no more.
  expect(ready + deferred).toBe(1)

  const elsewhere = await newChannel(bob)
  await Promise.all((await due(carol, ['hers'])).map(scheduledMessages.sendDue))
  await Promise.all((await due(bob, ['elsewhere'], { to: elsewhere })).map(scheduledMessages.sendDue))
  expect(await said()).toEqual(['nth 0', 'hers'])
  expect((await history(bob, elsewhere)).map(({ content }) => content)).toEqual(['elsewhere'])

  // Once it is over, what waits is found as what was lost is.
  await slow(null)
  expect(await scheduledMessages.sweep()).toBe(19)
  expect((await waiting('scheduled-message')).ready + (await waiting('scheduled-message')).deferred).toBe(before.ready + before.deferred + 19 + 2)
})

test('it waits as long as it is told, ten minutes at most', async () => {
  const { scheduledMessages } = app.app.services
  const startsIn = async (userId: string) => {
    const [schema] = await app.app.database.run<{ name: string }>(`select current_schema() || '_jobs' as name`, [])
    const rows = await app.app.database.run<{ seconds: number }>(
      `select extract(epoch from start_after - now())::float8 as seconds from ${schema!.name}.job
       where name = 'scheduled-turn' and state = 'created' and data ->> 'userId' = $1 and data ->> 'channelId' = $2`,
      [userId, idOf()],
    )
    return rows.map(({ seconds }) => seconds)
  }
  await slow(300)
  const his = (await due(bob, ['one', 'two'])).toReversed()
  for (const each of his) await scheduledMessages.sendDue(each)
  const [his300, ...none] = await startsIn(his[0]!.userId)
  expect(none).toEqual([])
  expect(his300).toBeGreaterThan(240)
  expect(his300).toBeLessThan(301)
  await slow(21_600)
  const hers = (await due(carol, ['one', 'two'])).toReversed()
  for (const each of hers) await scheduledMessages.sendDue(each)
  const [hers600] = await startsIn(hers[0]!.userId)
  expect(hers600).toBeGreaterThan(540)
  expect(hers600).toBeLessThan(601)
})

test('by itself it is all sent, in the order of its time, each in its turn', async () => {
  await slow(1)
  await due(bob, ['one', 'two', 'three', 'four'])
  await app.startWorkers()
  await app.app.services.scheduledMessages.sweep()
  await expect.poll(() => said(), { timeout: 60_000, interval: 200 }).toEqual(['one', 'two', 'three', 'four'])
  const times = (await history(alice, channelId)).filter(({ kind }) => kind === 'USER').map(({ createdAt }) => Date.parse(createdAt))
  // Their times are those of their ids, some milliseconds from when their turns began.
  for (const [nth, time] of times.slice(1).entries()) expect(time - times[nth]!).toBeGreaterThan(900)
  expect(await left(bob)).toEqual([])
}, 90_000)
