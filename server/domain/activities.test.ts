import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { AddReactionDocument, DeleteMessageDocument } from '../../client-sdk/index.ts'
import type { Database } from '../../drizzle/connection.ts'
import { isDistributed } from '../../drizzle/distribution.ts'
import { activityOf, activityPage, markActivityRead, unreadOf } from '../../schema/testing/activities.ts'
import { newChannel, operation, say } from '../../schema/testing/operations.ts'
import { relayOutbox, relayReactions } from '../../workers/outbox.ts'
import type { ActivityJob } from '../jobs/jobs.ts'
import { parseGlobalId } from '../lib/global-id.ts'
import { statementName } from '../observability/statements.ts'
import { dying } from '../testing/dying.ts'
import { looksOf } from '../testing/explain.ts'
import { type Person, startTestApp, type TestApp } from '../testing/test-app.ts'
import { channelSnowflake } from '../testing/watch-changes.ts'
import { type ActivitiesService, createActivitiesService } from './activities.ts'
import type { Deps } from './deps.ts'

/*
 * What jobs write, whatever happens to them. No worker runs here: each job is taken out of its queue and called.
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

/** Takes the jobs that wait, of activities, and of whatever else: what was sent is made jobs of first. */
async function takeJobs(): Promise<{ jobs: ActivityJob[]; kinds: string[] }> {
  const onError = (error: unknown) => {
    throw error
  }
  await relayOutbox(database, app.app.jobs, { links: true, feedMembers: 0, writeFeeds() {}, onError })
  await relayReactions(database, app.app.jobs)
  const rows = await database.run<{ name: string; data: ActivityJob }>(
    `delete from ${queueSchema()}.job where state = 'created' returning name, data`,
    [],
  )
  return {
    jobs: rows.filter(({ name }) => name === 'activity').map(({ data }) => data),
    kinds: rows.map(({ name }) => name),
  }
}

async function makeAll(): Promise<void> {
  for (const job of (await takeJobs()).jobs) await service.make(job)
}

/** Rows of one person, and what their stream has noted. */
async function written(person: Person) {
  const [row] = await database.run<{ rows: number; noted: number; change: number }>(
    `select (select count(*)::int from activities where user_id = $1) as rows,
       (select count(*)::int from account_changes where user_id = $1 and kind = 'ACTIVITY') as noted,
       (select max(change) from account_changes where user_id = $1 and kind = 'ACTIVITY') as change`,
    [userIdOf(person)],
  )
  return row!
}

test('sends that mention and answer nobody make no job, and those that do one for each span', async () => {
  for (let nth = 0; nth < 5; nth++) await say(alice, channel, `just talk ${nth} https://example.com`)
  const first = await takeJobs()
  expect(first.jobs).toEqual([])
  expect(first.kinds.filter((kind) => kind === 'link-preview')).toHaveLength(5)
  const { id } = await say(alice, channel, `@${bob.username}`)
  await say(bob, channel, 'yes', { replyToId: id })
  await say(bob, channel, 'talk')
  expect((await takeJobs()).jobs).toEqual([{ of: 'sent', channelId, firstSeq: 6, lastSeq: 8 }])
})

test('a job that runs twice, or on two workers at once, adds nothing twice', async () => {
  const { id } = await say(alice, channel, `hi @${bob.username}`)
  await bob.client.request(AddReactionDocument, { messageId: id, emoji: '👍' })
  const { jobs } = await takeJobs()
  expect(jobs.map(({ of }) => of).toSorted()).toEqual(['reacted', 'sent'])
  await Promise.all([...jobs, ...jobs, ...jobs].map(service.make))
  const after = [await written(alice), await written(bob)]
  expect(after).toMatchObject([{ rows: 1, noted: 1 }, { rows: 1, noted: 1 }])
  for (const job of jobs) await service.make(job)
  expect([await written(alice), await written(bob)]).toEqual(after)
})

test('a worker killed between any two statements leaves all or nothing, and the next one does the rest', async () => {
  const { id } = await say(alice, channel, `hi @${bob.username}`)
  const { jobs } = await takeJobs()
  await alice.client.request(DeleteMessageDocument, { messageId: id })
  const { jobs: deletions } = await takeJobs()
  const announced: unknown[] = []
  const announce = { ...app.app.announce, account: (change: unknown) => void announced.push(change) }
  // Undeleted for the first half, so that there is something to write, and deleted for the second.
  await database.run('update messages set deleted_at = null, mention_ids = array[$2::bigint] where channel_id = $1', [
    channelId,
    userIdOf(bob),
  ])
  for (const [part, of] of [['there', jobs], ['gone', deletions]] as const) {
    if (part === 'gone') await database.run('update messages set deleted_at = now() where channel_id = $1', [channelId])
    let deaths = 0
    for (let nth = 1; ; nth++) {
      const mortal = dying(database, nth)
      const mortalService = createActivitiesService({ database: mortal, announce } as unknown as Deps)
      const outcome = await Promise.allSettled(of.map(mortalService.make))
      if (!mortal.isDead()) break
      deaths++
      expect(outcome.map(({ status }) => status)).toEqual(['rejected'])
      expect(announced).toEqual([])
      expect(await isThere()).toBe(part === 'gone')
    }
    expect(deaths).toBeGreaterThanOrEqual(5)
    expect(await isThere()).toBe(part === 'there')
    expect(announced).toHaveLength(1)
    announced.length = 0
  }

  async function isThere() {
    const rows = await database.run('select from activities where user_id = $1 and message_id = $2 and not withdrawn', [
      userIdOf(bob),
      messageIdOf(id),
    ])
    return rows.length === 1
  }
})

/** Makes many people and lets them into the channel, behind its back. Their ids. */
async function crowd(count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, nth) => String(4_000_000_000_000_000n + BigInt(tests * 1_000_000 + nth)))
  await database.run(
    `insert into members (channel_id, user_id, role, joined_at, change)
     select $1, id, 'MEMBER', now(), 1 from unnest($2::bigint[]) as w (id)`,
    [channelId, ids],
  )
  return ids
}

async function countRows(userIds: readonly string[]) {
  const text = 'select from activities where user_id = any ($1::bigint[]) and channel_id = $2'
  return (await database.run(text, [userIds, channelId])).length
}

test('a message with 600 mentions, and a thread that 5,000 follow, cost a handful of statements', async () => {
  const people = await crowd(5_000)
  await say(alice, channel, `hi @${bob.username}`)
  const { jobs } = await takeJobs()
  await database.run('update messages set mention_ids = $2::bigint[] where channel_id = $1 and mention_ids is not null', [
    channelId,
    people.slice(0, 600),
  ])
  const start = app.statements.length
  await service.make(jobs[0]!)
  const names = app.statements.slice(start).map(statementName)
  expect(names.filter((name) => name === 'add activities')).toHaveLength(2)
  // One look at whom it is about, and six statements for each of two transactions.
  expect(names.filter((name) => !['begin', 'commit'].includes(name)).length).toBeLessThanOrEqual(13)
  expect(await countRows(people)).toBe(600)

  const { id } = await say(alice, channel, 'popular')
  await database.run(
    `insert into threads (channel_id, message_id, user_id, last_read_seq)
     select $1, $2, id, 0 from unnest($3::bigint[]) as w (id)`,
    [channelId, messageIdOf(id), people],
  )
  await say(bob, channel, 'answer', { replyToId: id })
  await makeAll()
  expect(await countRows(people)).toBe(600)
  expect((await activityOf(alice)).map(({ kind }) => kind)).toEqual(['REPLY'])
})

/** So many activities of somebody: mentions by others in messages that are there, each `nth` of which may not be seen. */
async function fill(person: Person, count: number, hide = 0): Promise<void> {
  const { id } = await say(alice, channel, 'filled')
  const userId = userIdOf(person)
  await database.run('update messages set mention_ids = array[$2::bigint] where channel_id = $1 and id = $3', [
    channelId, userId, messageIdOf(id),
  ])
  const [last] = await database.run<{ last_change: number }>(
    'update accounts set last_change = last_change + $2 where user_id = $1 returning last_change',
    [userId, count],
  )
  await database.run(
    `insert into activities (user_id, id, kind, channel_id, message_id, subject, actor_id, at)
     select $1, $2::int - $3::int + n, 'MENTION', $4,
       case when $7::int > 0 and n % $7::int <> 0 then $2::bigint else $5::bigint end, n, $6, now()
     from generate_series(1, $3::int) n`,
    [userId, last!.last_change, count, channelId, messageIdOf(id), userIdOf(alice), hide],
  )
}

test('thousands are paged, each once, while new ones arrive', async () => {
  await fill(bob, 3_000)
  const rows = await database.run<{ id: number }>('select id from activities where user_id = $1', [userIdOf(bob)])
  const before = rows.map(({ id }) => id)
  const seen: number[] = []
  let after: string | null = null
  for (let nth = 0; ; nth++) {
    const { edges, pageInfo }: Awaited<ReturnType<typeof activityPage>> = await activityPage(bob, 100, after)
    expect(edges.length).toBeGreaterThan(0)
    seen.push(...edges.map(({ node }) => node.order))
    if (nth % 5 === 0) {
      await say(alice, channel, `new @${bob.username}`)
      await makeAll()
    }
    if (!pageInfo.hasNextPage) break
    after = pageInfo.endCursor
  }
  expect(seen).toEqual(before.toSorted((a, b) => b - a))
  expect(await unreadOf(bob)).toBe(100)
})

test('a page fills up past what may not be seen, and looks at a bounded number; cursors survive what is swept', async () => {
  await fill(bob, 1_500, 10)
  const page = await activityPage(bob, 50)
  expect(page.edges).toHaveLength(50)
  await database.run('delete from activities where user_id = $1 and id = $2', [userIdOf(bob), page.edges[49]!.node.order])
  const next = await activityPage(bob, 50, page.pageInfo.endCursor)
  expect(next.edges).toHaveLength(50)
  expect(next.edges[0]!.node.order).toBeLessThan(page.edges[49]!.node.order)

  await fill(bob, 2_500, 2_500)
  const start = app.statements.length
  const sparse = await activityPage(bob, 50)
  const looks = app.statements.slice(start).map(statementName).filter((name) => name === 'activities')
  expect(looks.length).toBeLessThanOrEqual(6)
  expect(sparse.pageInfo.hasNextPage).toBe(true)
  expect(sparse.edges.length).toBe(1)
  expect(await activityOf(bob, 50)).toHaveLength(150)
})

test('a page is three statements however long, and looks at a few pages of the store', async () => {
  await fill(bob, 2_000)
  const counts: Record<string, number> = {}
  const start = app.statements.length
  await bob.client.request(operation('query Page { activity(first: 100) { edges { node { kind } } } }'), {})
  for (const name of app.statements.slice(start).map(statementName)) counts[name] = (counts[name] ?? 0) + 1
  expect(counts).toMatchObject({ activities: 1, 'visible activities': 1, 'who blocked whom': 1 })
  if (await isDistributed(database)) return
  await database.run('analyze activities', [])
  const looks = await looksOf(database, (watched) =>
    createActivitiesService({ ...app.app, database: watched } as unknown as Deps).page(userIdOf(bob), 50, null),
  )
  expect(looks.map(({ name }) => name).toSorted()).toEqual(['activities', 'visible activities', 'who blocked whom'])
  const blocks = Object.fromEntries(looks.map((look) => [look.name, look.blocks]))
  expect(blocks.activities).toBeLessThan(20)
  // A handful for each row, none of which is of a month that has nothing to do with it.
  expect(blocks['visible activities']).toBeLessThan(51 * 16)
  expect(looks.find(({ name }) => name === 'visible activities')!.touched).toHaveLength(1)
})

test('what is older than 90 days is swept, with what streams tell of it', async () => {
  await say(alice, channel, `old @${bob.username}`)
  await makeAll()
  await database.run(`update activities set at = now() - interval '91 days' where user_id = $1`, [userIdOf(bob)])
  await say(alice, channel, `new @${bob.username}`)
  await makeAll()
  expect(await written(bob)).toMatchObject({ rows: 2, noted: 2 })
  const [newest] = await activityOf(bob)
  await database.run(
    `insert into activities (user_id, id, kind, channel_id, message_id, subject, actor_id, at)
     select 1, n, 'MENTION', 1, n, 0, 2, now() - interval '100 days' from generate_series(1, 2500) n`,
    [],
  )
  expect(await service.sweep()).toBe(2_501)
  expect(await service.sweep()).toBe(0)
  expect(await written(bob)).toMatchObject({ rows: 1, noted: 1 })
  expect((await activityOf(bob)).map(({ id }) => id)).toEqual([newest!.id])
  expect(await markActivityRead(bob, newest!.id)).toBe(0)
})
