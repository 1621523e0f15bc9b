import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  AddReactionDocument, DeleteMessageDocument, EditMessageDocument, JoinChannelDocument, LeaveChannelDocument,
  RemoveReactionDocument,
} from '../../client-sdk/index.ts'
import type { Database } from '../../drizzle/connection.ts'
import { activityOf, unreadOf } from '../../schema/testing/activities.ts'
import { newChannel, say } from '../../schema/testing/operations.ts'
import { relayOutbox, relayReactions } from '../../workers/outbox.ts'
import type { ActivityJob } from '../jobs/jobs.ts'
import { parseGlobalId } from '../lib/global-id.ts'
import { bucketAt } from '../message-store/bucket-time.ts'
import { ensureBuckets } from '../message-store/partitions.ts'
import { snowflakeAt, snowflakeTime } from '../message-store/snowflake.ts'
import { statementName } from '../observability/statements.ts'
import { type Person, startTestApp, type TestApp } from '../testing/test-app.ts'
import { channelSnowflake } from '../testing/watch-changes.ts'
import { maxTold } from './activities-reactions.ts'
import { type ActivitiesService, createActivitiesService } from './activities.ts'
import type { AccountChange } from './announcer.ts'
import type { Deps } from './deps.ts'

/*
 * What jobs come to when they run late, cross each other, or come by the thousand. No worker runs here: each job is taken
 * out of its queue and called.
 */
let app: TestApp
let database: Database
let service: ActivitiesService
beforeAll(async () => {
  app = await startTestApp({ LINK_PREVIEWS: 'off' })
  database = app.app.database
  service = app.app.services.activities
})
afterAll(() => app.stop())

let alice: Person
let bob: Person
let channel: string
let channelId: string
let tests = 0
beforeEach(async () => {
  tests++
  ;[alice, bob] = (await Promise.all(['alice', 'bob'].map((name) => app.signUp(`${name}${tests}`)))) as [Person, Person]
  channel = await newChannel(alice, { kind: 'PUBLIC', name: 'general' }, [bob])
  channelId = channelSnowflake(channel)
  await takeJobs()
})

const userIdOf = (person: Person) => (parseGlobalId(person.id) as { userId: string }).userId
const messageIdOf = (id: string) => (parseGlobalId(id) as { messageId: string }).messageId
const queueSchema = () => `${new URL(app.databaseUrl).searchParams.get('search_path')}_jobs`

/** Takes the jobs of activities that wait; what was sent and reacted is made jobs of first. */
async function takeJobs(): Promise<ActivityJob[]> {
  const onError = (error: unknown) => {
    throw error
  }
  await relayOutbox(database, app.app.jobs, { links: true, feedMembers: 0, writeFeeds() {}, onError })
  await relayReactions(database, app.app.jobs)
  const rows = await database.run<{ name: string; data: ActivityJob }>(
    `delete from ${queueSchema()}.job where state = 'created' returning name, data`,
    [],
  )
  return rows.filter(({ name }) => name === 'activity').map(({ data }) => data)
}

async function makeAll(): Promise<void> {
  for (const job of await takeJobs()) await service.make(job)
}

/** A worker that stands still after its first look, before its transaction, until it is told to go on. */
function standingStill() {
  const looked = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  const slow: Database = {
    ...database,
    async transaction(work) {
      looked.resolve()
      await gate.promise
      return database.transaction(work)
    },
  }
  const slowService = createActivitiesService({ ...app.app, database: slow } as unknown as Deps)
  return { make: slowService.make, looked: looked.promise, goOn: gate.resolve }
}

const edit = (messageId: string, content: string) =>
  alice.client.request(EditMessageDocument, { input: { messageId, content } })

test('a worker that looked before an edit, and writes after the next one’s, takes nothing back that is there', async () => {
  const { id } = await say(alice, channel, `hi @${bob.username}`)
  await makeAll()
  await edit(id, 'hi')
  const [job] = await takeJobs()
  const slow = standingStill()
  const made = slow.make(job!)
  await slow.looked
  await edit(id, `hi again @${bob.username}`)
  await makeAll()
  slow.goOn()
  await made
  expect((await activityOf(bob)).map(({ kind }) => kind)).toEqual(['MENTION'])
})

test('a worker that looked while a reaction was gone takes nothing back once it is there again', async () => {
  const { id } = await say(bob, channel, 'tea?')
  const reaction = { messageId: id, emoji: '👍' }
  await alice.client.request(AddReactionDocument, reaction)
  await makeAll()
  await alice.client.request(RemoveReactionDocument, reaction)
  const [job] = await takeJobs()
  const slow = standingStill()
  const made = slow.make(job!)
  await slow.looked
  await alice.client.request(AddReactionDocument, reaction)
  await makeAll()
  slow.goOn()
  await made
  expect((await activityOf(bob)).map(({ kind }) => kind)).toEqual(['REACTION'])
})

test('what was sent to somebody who has left since, or longer ago than a month, is not told of any more', async () => {
  await say(alice, channel, `gone? @${bob.username}`)
  const [job] = await takeJobs()
  await bob.client.request(LeaveChannelDocument, { channelId: channel })
  await service.make(job!)
  await bob.client.request(JoinChannelDocument, { channelId: channel })
  expect(await activityOf(bob)).toEqual([])

  const now = Date.now()
  await ensureBuckets(database, bucketAt(now) - 2, bucketAt(now))
  for (const [nth, days] of [31, 29].entries()) {
    await database.run(
      `insert into messages (channel_id, id, author_id, seq, change, kind, content, mention_ids)
       values ($1, $2, $3, $4, $4, 'USER', 'old', array[$5::bigint])`,
      [channelId, snowflakeAt(now - days * 86_400_000), userIdOf(alice), 100 + nth, userIdOf(bob)],
    )
  }
  await service.make({ of: 'sent', channelId, firstSeq: 100, lastSeq: 101 })
  const rows = await database.run('select from activities where user_id = $1', [userIdOf(bob)])
  expect(rows).toHaveLength(1)
})

test('who is mentioned by an edit is so from the edit on', async () => {
  const { id } = await say(alice, channel, 'hi')
  await takeJobs()
  await edit(id, `hi @${bob.username}`)
  const [job] = (await takeJobs()) as [Extract<ActivityJob, { of: 'edited' }>]
  await service.make(job)
  const [found] = await activityOf(bob)
  expect(new Date(found!.at)).toEqual(new Date(job.at))
  expect(+new Date(found!.at)).toBeGreaterThan(+snowflakeTime(messageIdOf(id)))
})

/** Has so many people react to a message, behind its back; who was here before reacts again. Their ids, in their order. */
async function reactAll(id: string, from: number, to: number): Promise<string[]> {
  const ids = Array.from({ length: to - from }, (_, nth) => String(5_000_000_000_000_000n + BigInt(tests * 1_000_000 + from + nth)))
  await database.run(
    `insert into members (channel_id, user_id, role, joined_at, change)
     select $1, id, 'MEMBER', now(), 1 from unnest($2::bigint[]) as w (id) on conflict do nothing`,
    [channelId, ids],
  )
  await note(id, ids, from)
  await database.run(
    `insert into reactions (channel_id, message_id, emoji, user_id, change)
     select $1, $2, '👍', id, 1000 + n from unnest($3::bigint[], $4::int[]) as w (id, n)`,
    [channelId, messageIdOf(id), ids, ids.map((_, nth) => from + nth)],
  )
  return ids
}

/** Leaves in the outbox that these have reacted, or taken it back. */
const note = (id: string, ids: readonly string[], from: number) =>
  database.run(
    `insert into reaction_outbox (channel_id, message_id, change, user_id, at)
     select $1, $2, 1000 + n, id, now() from unnest($3::bigint[], $4::int[]) as w (id, n)`,
    [channelId, messageIdOf(id), ids, ids.map((_, nth) => from + nth)],
  )

const toldOf = async (person: Person) =>
  (
    await database.run<{ subject: string }>(
      'select subject from activities where user_id = $1 and not withdrawn and subject > 0 order by id',
      [userIdOf(person)],
    )
  ).map(({ subject }) => subject)

test('a reaction adds no job; hundreds are one, and told are the first hundred, for good', async () => {
  const { id } = await say(bob, channel, 'I am famous')
  await takeJobs()
  const start = app.statements.length
  await alice.client.request(AddReactionDocument, { messageId: id, emoji: '🍵' })
  await alice.client.request(AddReactionDocument, { messageId: id, emoji: '🍵' })
  expect(app.statements.slice(start).filter((text) => text.includes('_jobs.'))).toEqual([])
  expect(app.statements.slice(start).filter((text) => text.includes('insert into "reaction_outbox"'))).toHaveLength(1)
  const people = await reactAll(id, 0, 300)
  const jobs = await takeJobs()
  expect(jobs).toHaveLength(1)
  const work = app.statements.length
  await service.make(jobs[0]!)
  expect(app.statements.slice(work).length).toBeLessThanOrEqual(14)
  const told = await toldOf(bob)
  expect(told).toEqual([userIdOf(alice), ...people.slice(0, maxTold - 1)])

  // One more costs two looks, and holds nobody's account.
  await reactAll(id, 300, 301)
  const [more] = await takeJobs()
  const once = app.statements.length
  await service.make(more!)
  expect(app.statements.slice(once).map(statementName)).toEqual(['author', 'told reactions'])

  // Who takes it back keeps the place, and is told of by that alone.
  await database.run('delete from reactions where channel_id = $1 and user_id = any ($2::bigint[])', [
    channelId,
    people.slice(0, 3),
  ])
  await note(id, people.slice(0, 3), 400)
  await reactAll(id, 500, 505)
  const announced: AccountChange[] = []
  const announce = { ...app.app.announce, account: (change: AccountChange) => void announced.push(change) }
  const listening = createActivitiesService({ ...app.app, announce } as unknown as Deps)
  for (const job of await takeJobs()) await listening.make(job)
  expect(await toldOf(bob)).toEqual(told.filter((subject) => !people.slice(0, 3).includes(subject)))
  expect(new Set(announced.map((change) => change.channelId)).size).toBe(3)
  expect(announced.map((change) => change.channelId)).not.toContain('0')
})

test('what many did to a message that is deleted is taken back bit by bit', async () => {
  const { id } = await say(bob, channel, 'I am famous')
  await database.run(
    `insert into activities (user_id, id, kind, channel_id, message_id, subject, actor_id, emoji, at)
     select $1, n, 'REACTION', $2, $3, n, $4, '👍', now() from generate_series(1001, 3500) n`,
    [userIdOf(bob), channelId, messageIdOf(id), userIdOf(alice)],
  )
  await database.run('update accounts set last_change = 4000 where user_id = $1', [userIdOf(bob)])
  await alice.client.request(AddReactionDocument, { messageId: id, emoji: '🍵' })
  await bob.client.request(DeleteMessageDocument, { messageId: id })
  const start = app.statements.length
  await makeAll()
  const names = app.statements.slice(start).map(statementName)
  expect(names.filter((name) => name === 'withdraw activities')).toHaveLength(3)
  expect(await toldOf(bob)).toEqual([])
})

test('a count is given to all that happened before it was begun, and to nothing else', async () => {
  const counts = () => app.statements.filter((text) => statementName(text) === 'unread activities').length
  await say(alice, channel, `one @${bob.username}`)
  await makeAll()
  const changeOf = async () => {
    const text = 'select last_change from accounts where user_id = $1'
    return (await database.run<{ last_change: number }>(text, [userIdOf(bob)]))[0]!.last_change
  }
  const first = await changeOf()
  const before = counts()
  const since = (change: number) => service.unreadCountSince(userIdOf(bob), change)
  expect(await Promise.all([since(first), since(first), since(first - 1)])).toEqual([1, 1, 1])
  expect(counts()).toBe(before + 1)
  await say(alice, channel, `two @${bob.username}`)
  await makeAll()
  const second = await changeOf()
  expect(await Promise.all([since(second), since(second)])).toEqual([2, 2])
  expect(counts()).toBe(before + 2)
  // What no account is told of is in the count a moment later.
  await bob.client.request(LeaveChannelDocument, { channelId: channel })
  expect(await since(await changeOf())).toBe(0)
})

test('what will never be seen again is looked at once, and hides nothing older', async () => {
  await say(alice, channel, `one @${bob.username}`)
  await makeAll()
  const [last] = await database.run<{ last_change: number }>(
    'update accounts set last_change = last_change + 900 where user_id = $1 returning last_change',
    [userIdOf(bob)],
  )
  await database.run(
    `insert into activities (user_id, id, kind, channel_id, message_id, subject, actor_id, at)
     select $1, $2::int - 900 + n, 'MENTION', $3, 1000 + n, 0, $4, now() from generate_series(1, 900) n`,
    [userIdOf(bob), last!.last_change, channelId, userIdOf(alice)],
  )
  expect(await unreadOf(bob)).toBe(1)
  const start = app.statements.length
  expect(await unreadOf(bob)).toBe(1)
  const names = app.statements.slice(start).map(statementName)
  expect(names.filter((name) => name === 'visible activities').length).toBeLessThanOrEqual(2)
  expect(names).not.toContain('put activities away')
})
