import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { AddContactDocument, OpenDirectChannelDocument, SaveDraftDocument, ScheduleMessageDocument } from '../client-sdk/index.ts'
import { type Database, openDatabase } from '../drizzle/connection.ts'
import { bad, failure, history, newChannel, operation, say } from '../schema/testing/operations.ts'
import { createAccountDeletionService } from '../server/domain/account-deletion.ts'
import { createAccountMessagesService } from '../server/domain/account-deletion-messages.ts'
import type { Deps } from '../server/domain/deps.ts'
import { createMembersService } from '../server/domain/members.ts'
import { unavailable } from '../server/errors.ts'
import type { JobData, NewJob } from '../server/jobs/jobs.ts'
import { parseGlobalId } from '../server/lib/global-id.ts'
import { createMessageStore } from '../server/message-store/message-store.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'

/** The jobs, run by hand on a database that can be made to fail at any of its statements. */
let app: TestApp
let bob: Person
let database: Database
let services: ReturnType<typeof createServices>
/** What was added as a job. */
let added: NewJob[] = []
beforeAll(async () => {
  app = await startTestApp()
  bob = await app.signUp('bob')
  database = openDatabase({ url: app.databaseUrl, poolSize: 6, unavailable, around: (text, run) => fuse.around(text, run) })
  services = createServices()
})
afterAll(async () => {
  await database.close()
  await app.stop()
})

class Killed extends Error {}

/** Lets so many statements through, and kills whoever comes next: before the statement runs, or when it has. */
const fuse = {
  left: Infinity,
  isLate: false,
  async around<T>(_: string, run: () => Promise<T>): Promise<T> {
    const isLast = this.left-- === 0
    if (this.left < 0 && !(isLast && this.isLate)) throw new Killed()
    const result = await run()
    if (isLast) throw new Killed()
    return result
  },
}

function createServices() {
  const { snowflakes, announce, files } = app.app
  const jobs: Deps['jobs'] = { add: async (_, more) => void added.push(...more) }
  const store = createMessageStore({ database, snowflakes, announce: () => {} })
  const deps = { ...app.app, database, store, snowflakes, announce, files, jobs } as unknown as Deps
  const members = createMembersService(deps)
  const deletion = createAccountDeletionService(deps, members, app.app.services.sessions)
  return { deletion, messages: createAccountMessagesService(deps) }
}

const userIdOf = ({ id }: Person) => (parseGlobalId(id) as { userId: string }).userId
const never = new AbortController().signal

async function remove(person: Person, more: Record<string, unknown> = {}) {
  const viewer = { userId: userIdOf(person), sessionId: '1', expiresAt: null }
  await services.deletion.delete(viewer, { username: person.username, password: `${person.username}’s password`, ...more })
}

/** Whether it is what a death looks like; at a transaction's commit that is UNAVAILABLE, and Drizzle wraps it. */
const isDeath = (error: unknown): boolean =>
  error instanceof Killed ||
  (error instanceof Error && ((error as { code?: unknown }).code === 'UNAVAILABLE' || isDeath(error.cause)))

/** Does the job, killed at each of its statements in turn, until one attempt comes through. Returns how many it took. */
async function finishWithDeaths(work: () => Promise<void>, isLate: boolean): Promise<number> {
  for (let attempt = 0; ; attempt++) {
    Object.assign(fuse, { left: attempt, isLate })
    try {
      await work()
      return attempt
    } catch (error) {
      if (!isDeath(error)) throw error
    } finally {
      fuse.left = Infinity
    }
  }
}

describe.each([
  ['before', false],
  ['after', true],
])('killed %s any statement', (when, isLate) => {
  test('the account is gone in the end, and everybody was told once', { timeout: 120_000 }, async () => {
    const alice = await app.signUp(`alice-${when}`)
    const groups = await Promise.all([1, 2, 3].map((nth) => newChannel(alice, { name: `tea ${nth}` }, [bob])))
    const direct = (await alice.client.request(OpenDirectChannelDocument, { userId: bob.id })).openDirectChannel.channel.id
    await say(alice, direct, 'see you')
    await alice.client.request(SaveDraftDocument, { channelId: direct, content: 'not yet' })
    await bob.client.request(AddContactDocument, { userId: alice.id })
    await remove(alice)
    const data = { userId: userIdOf(alice), deleteMessages: true }
    const deaths = await finishWithDeaths(() => services.deletion.finish(data, database, never), isLate)
    expect(deaths).toBeGreaterThan(30)
    for (const channelId of groups) {
      const left = (await history(bob, channelId)).filter(({ kind }) => kind === 'MEMBER_LEFT')
      expect(left.map(({ author }) => author.id)).toEqual([alice.id])
      const { channel } = await bob.client.request(Roles, { channelId })
      expect(channel).toEqual({ memberCount: 1, members: { edges: [{ node: { role: 'OWNER', user: { id: bob.id } } }] } })
    }
    expect((await failure(say(bob, direct, 'hello?'))).code).toBe('FORBIDDEN')
    for (const table of ['drafts', 'accounts', 'account_changes', 'settings']) {
      expect(await database.run(`select from ${table} where user_id = $1`, [data.userId]), table).toEqual([])
    }
    expect(await database.run('select from contacts where contact_id = $1', [data.userId])).toEqual([])
    // And again, as the second round does.
    await services.deletion.finish(data, database, never)
    expect((await history(bob, groups[0]!)).filter(({ kind }) => kind === 'MEMBER_LEFT')).toHaveLength(1)
  })

  test('messages are emptied once', { timeout: 120_000 }, async () => {
    const dora = await app.signUp(`dora-${when}`)
    const channelId = await newChannel(bob, {}, [dora])
    const root = await say(bob, channelId, 'who is there?')
    for (let nth = 0; nth < 3; nth++) await say(dora, channelId, `${nth}`, { replyToId: root.id })
    await remove(dora)
    const { channelId: id } = parseGlobalId(channelId) as { channelId: string }
    const data: JobData['account-messages'] = { userId: userIdOf(dora), channelId: id, after: null }
    const deaths = await finishWithDeaths(() => services.messages.remove(data, database, never), isLate)
    expect(deaths).toBeGreaterThan(5)
    const said = (await history(bob, channelId)).filter(({ kind }) => kind === 'USER')
    expect(said.map(({ content }) => content)).toEqual(['who is there?', '', '', ''])
    expect(said[0]!.replyCount).toBe(0)
  })

  test('the deletion itself is whole or has not been', { timeout: 60_000 }, async () => {
    const eve = await app.signUp(`eve-${when}`)
    added = []
    const outcomes: string[] = []
    for (let attempt = 0; ; attempt++) {
      Object.assign(fuse, { left: attempt, isLate })
      const outcome = await remove(eve).then(() => 'done', (error: { code?: string }) => error.code ?? 'killed')
      fuse.left = Infinity
      outcomes.push(outcome)
      const [row] = await database.run<{ gone: boolean; sessions: number; passwords: number; held: number }>(
        `select deleted_at is not null as gone,
           (select count(*)::int from sessions where user_id = $1 and revoked_at is null) as sessions,
           (select count(*)::int from credentials where user_id = $1) as passwords,
           (select count(*)::int from usernames where key = $2 and held_until is not null) as held
         from users where id = $1`,
        [userIdOf(eve), eve.username],
      )
      expect(row).toEqual(row!.gone ? { gone: true, sessions: 0, passwords: 0, held: 1 } : { gone: false, sessions: 1, passwords: 1, held: 0 })
      if (outcome === 'done' || outcome === 'UNAUTHENTICATED') break
      expect(attempt).toBeLessThan(100)
    }
    expect(outcomes.length).toBeGreaterThan(8)
  })
})

const Roles = operation<any, { channelId: string }>(`
  query Roles($channelId: ID!) { channel(id: $channelId) { memberCount members { edges { node { role user { id } } } } } }`)

test('nobody who is still there is taken apart, whoever makes the job', async () => {
  const fay = await app.signUp('fay')
  const channelId = await newChannel(fay, {}, [bob])
  await say(fay, channelId, 'hello')
  const userId = userIdOf(fay)
  await services.deletion.finish({ userId, deleteMessages: true }, database, never)
  await services.messages.remove({ userId, channelId: (parseGlobalId(channelId) as { channelId: string }).channelId, after: null }, database, never)
  expect((await history(fay, channelId)).map(({ content }) => content)).toEqual(['hello'])
})

test('what was under way when the account was deleted goes in the second round', async () => {
  const gil = await app.signUp('gil')
  const channelId = await newChannel(bob, {}, [gil])
  const userId = userIdOf(gil)
  added = []
  await remove(gil)
  const [first, second] = added.filter(({ kind }) => kind === 'account-deletion')
  expect(first).toMatchObject({ data: { userId } })
  expect(+second!.startAfter! - Date.now()).toBeGreaterThan(9 * 60_000)
  await services.deletion.finish({ userId, deleteMessages: false }, database, never)
  // As if they had been asked for before, and taken their time.
  const { drafts, members, presence } = app.app.services
  await members.join(userId, (parseGlobalId(await newChannel(bob, { kind: 'PUBLIC', name: 'late' })) as { channelId: string }).channelId)
  await presence.set(userId, 'ONLINE', 'still here')
  await database.run('insert into drafts (user_id, channel_id, content, saved_at) values ($1, $2, $3, now())', [userId, (parseGlobalId(channelId) as { channelId: string }).channelId, 'late'])
  await services.deletion.finish({ userId, deleteMessages: false }, database, never)
  expect((await drafts.find(userId, [(parseGlobalId(channelId) as { channelId: string }).channelId])).size).toBe(0)
  expect(await database.run('select from members where user_id = $1 and left_at is null', [userId])).toEqual([])
  const [row] = await database.run<object>('select presence_text, presence_status from users where id = $1', [userId])
  expect(row).toEqual({ presence_text: null, presence_status: 'OFFLINE' })
})

test('a thousand channels are left, each of them once, by two workers', { timeout: 180_000 }, async () => {
  const hana = await app.signUp('hana')
  const userId = userIdOf(hana)
  const { channels } = app.app.services
  for (let from = 0; from < 1_000; from += 20) {
    await Promise.all(Array.from({ length: 20 }, (_, nth) => channels.create(userId, { kind: 'GROUP', name: `${from + nth}` })))
  }
  await remove(hana)
  const data = { userId, deleteMessages: false }
  await Promise.all([services.deletion.finish(data, database, never), services.deletion.finish(data, database, never)])
  expect(await database.run('select from members where user_id = $1 and left_at is null', [userId])).toEqual([])
  const [row] = await database.run<{ told: number }>(
    `select count(*)::int as told from messages where author_id = $1 and kind = 'MEMBER_LEFT'`,
    [userId],
  )
  expect(row!.told).toBe(1_000)
})

test('a scheduled message of a deleted account is never sent', async () => {
  const ida = await app.signUp('ida')
  const channelId = await newChannel(bob, {}, [ida])
  const sendAt = new Date(Date.now() + 3_600_000).toISOString()
  await ida.client.request(ScheduleMessageDocument, { input: { channelId, content: 'from beyond', sendAt } })
  expect(await failure(ida.client.request(operation(`mutation X { deleteAccount(username: "bob") }`)))).toMatchObject(bad('username'))
  await remove(ida)
  const [row] = await database.run<{ id: string }>('update scheduled_messages set send_at = now() where user_id = $1 returning id', [userIdOf(ida)])
  await services.deletion.finish({ userId: userIdOf(ida), deleteMessages: false }, database, never)
  await app.app.services.scheduledMessages.sendDue({ userId: userIdOf(ida), id: row!.id, sendAt })
  expect((await history(bob, channelId)).filter(({ kind }) => kind === 'USER')).toEqual([])
})
