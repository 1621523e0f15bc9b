import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { AddContactDocument, OpenDirectChannelDocument, SaveDraftDocument } from '../client-sdk/index.ts'
import { type Database, openDatabase } from '../drizzle/connection.ts'
import { failure, history, newChannel, say } from '../schema/testing/operations.ts'
import { createAccountDeletionService } from '../server/domain/account-deletion.ts'
import { createAccountMessagesService } from '../server/domain/account-deletion-messages.ts'
import { lockPair } from '../server/domain/blocks.ts'
import type { Deps } from '../server/domain/deps.ts'
import { createMembersService } from '../server/domain/members.ts'
import { unavailable } from '../server/errors.ts'
import type { JobData, NewJob } from '../server/jobs/jobs.ts'
import { parseGlobalId } from '../server/lib/global-id.ts'
import { compareSnowflakes } from '../server/message-store/snowflake.ts'
import { countLockWaits } from '../server/testing/lock-waits.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'

/** The jobs, run by hand where a part of what they need is away, or another is at it. */
let app: TestApp
let bob: Person
let database: Database
let services: ReturnType<typeof createServices>
/** What was added as a job. */
let added: NewJob[] = []
/** The statements that fail, each of those whose text has one of these in it. */
let broken: string[] = []
beforeAll(async () => {
  app = await startTestApp()
  bob = await app.signUp('bob')
  const around = async <T>(text: string, run: () => Promise<T>): Promise<T> => {
    if (broken.some((part) => text.includes(part))) throw new Error('broken')
    return run()
  }
  database = openDatabase({ url: app.databaseUrl, poolSize: 6, unavailable, around })
  services = createServices()
})
afterAll(async () => {
  await database.close()
  await app.stop()
})

/** `failing`: what to leave a channel throws, if anything. Messages are emptied in no time, so that each job makes another. */
function createServices(failing: (channelId: string) => Error | null = () => null) {
  const jobs: Deps['jobs'] = { add: async (_, more) => void added.push(...more) }
  const deps = { ...app.app, database, store: app.app.messages, jobs } as unknown as Deps
  const { leave } = createMembersService(deps)
  const members = {
    leave: async (...who: Parameters<typeof leave>) => {
      const error = failing(who[1])
      if (error !== null) throw error
      return leave(...who)
    },
  }
  const deletion = createAccountDeletionService(deps, members, app.app.services.sessions)
  return { deletion, hurried: createAccountMessagesService(deps, 0) }
}

const userIdOf = ({ id }: Person) => (parseGlobalId(id) as { userId: string }).userId
const never = new AbortController().signal

async function remove(person: Person) {
  const viewer = { userId: userIdOf(person), sessionId: '1', expiresAt: null }
  await services.deletion.delete(viewer, { username: person.username, password: `${person.username}’s password` })
}

test('what cannot be done keeps nothing else from being done, and is said in the end', async () => {
  const jin = await app.signUp('jin')
  const userId = userIdOf(jin)
  const groups = await Promise.all([1, 2, 3, 4, 5, 6].map((nth) => newChannel(jin, { name: `tea ${nth}` }, [bob])))
  const direct = (await jin.client.request(OpenDirectChannelDocument, { userId: bob.id })).openDirectChannel.channel.id
  await jin.client.request(SaveDraftDocument, { channelId: groups[0]!, content: 'not yet' })
  await bob.client.request(AddContactDocument, { userId: jin.id })
  await remove(jin)
  // All but the last of them are on a shard that is away.
  const ids = groups.map((id) => (parseGlobalId(id) as { channelId: string }).channelId).toSorted(compareSnowflakes)
  const down = ids.slice(0, -1)
  const isDown = new Error('the shard is away')
  const away = createServices((id) => (down.includes(id) ? isDown : null))
  broken = ['/* contacts of others */']
  added = []
  await expect(away.deletion.finish({ userId, deleteMessages: true }, database, never)).rejects.toBe(isDown)
  broken = []
  const groupsOf = async () => {
    const rows = await database.run<{ channel_id: string }>('select channel_id from members where user_id = $1 and left_at is null', [userId])
    return rows.map((row) => row.channel_id).filter((id) => ids.includes(id)).toSorted(compareSnowflakes)
  }
  expect(await groupsOf()).toEqual(down)
  expect((await failure(say(bob, direct, 'hello?'))).code).toBe('FORBIDDEN')
  expect(await database.run('select from drafts where user_id = $1', [userId])).toEqual([])
  expect(added.filter(({ kind }) => kind === 'account-messages')).toHaveLength(7)
  expect(await database.run('select from contacts where contact_id = $1', [userId])).toHaveLength(1)
  // And not at each of three hundred attempts.
  added = []
  await expect(away.deletion.finish({ userId, deleteMessages: true }, database, never, 1)).rejects.toBe(isDown)
  expect(added.filter(({ kind }) => kind === 'account-messages')).toEqual([])
  expect(await database.run('select from contacts where contact_id = $1', [userId])).toEqual([])
  await services.deletion.finish({ userId, deleteMessages: true }, database, never, 2)
  expect(added.filter(({ kind }) => kind === 'account-messages')).toHaveLength(7)
  expect(await groupsOf()).toEqual([])
})

test('a store that is away is not asked about each of many channels', async () => {
  const kim = await app.signUp('kim')
  const userId = userIdOf(kim)
  for (let nth = 0; nth < 60; nth++) await app.app.services.channels.create(userId, { kind: 'GROUP', name: `${nth}` })
  await remove(kim)
  let asked = 0
  const away = createServices(() => {
    asked++
    return new Error('away')
  })
  await expect(away.deletion.finish({ userId, deleteMessages: false }, database, never)).rejects.toThrow('away')
  expect(asked).toBeGreaterThanOrEqual(20)
  expect(asked).toBeLessThan(30)
})

test('what is not done in its time is left to a job that goes on from there', async () => {
  const lee = await app.signUp('lee')
  const channelId = await newChannel(bob, {}, [lee])
  for (let nth = 0; nth < 90; nth++) await say(nth % 3 === 2 ? bob : lee, channelId, `${nth}`)
  await remove(lee)
  const { channelId: id } = parseGlobalId(channelId) as { channelId: string }
  let next: JobData['account-messages'] | undefined = { userId: userIdOf(lee), channelId: id, after: null }
  let rounds = 0
  for (; next !== undefined; rounds++) {
    added = []
    await services.hurried.remove(next, database, never)
    const [job, ...more] = added.filter(({ kind }) => kind === 'account-messages')
    expect(more).toEqual([])
    const after = job?.data as JobData['account-messages'] | undefined
    if (after !== undefined) expect(BigInt(after.after!)).toBeGreaterThan(BigInt(next.after ?? 0))
    next = after
  }
  expect(rounds).toBeGreaterThan(2)
  const said = (await history(bob, channelId, 100)).filter(({ kind }) => kind === 'USER')
  expect(said.filter(({ author, content }) => author.id === lee.id && content !== '')).toEqual([])
  expect(said.filter(({ content }) => content !== '')).toHaveLength(30)
})

test('a direct channel is shut in turn with blocks, and for whoever has been allowed to write before', async () => {
  const mia = await app.signUp('mia')
  const direct = (await mia.client.request(OpenDirectChannelDocument, { userId: bob.id })).openDirectChannel.channel.id
  const { channelId } = parseGlobalId(direct) as { channelId: string }
  const stateOf = async () => {
    const [row] = await database.run<{ shut: boolean; version: number }>('select shut, membership_version as version from channels where id = $1', [channelId])
    return row!
  }
  await remove(mia)
  const before = await stateOf()
  let finishing: Promise<void> | undefined
  await app.app.database.transaction(async (tx) => {
    await lockPair(tx, userIdOf(bob), userIdOf(mia))
    finishing = services.deletion.finish({ userId: userIdOf(mia), deleteMessages: false }, database, never)
    await vi.waitFor(async () => expect(await countLockWaits(app.app.database)).toBeGreaterThan(0), 10_000)
    expect(await stateOf()).toEqual(before)
  })
  await finishing
  expect(await stateOf()).toEqual({ shut: true, version: before.version + 1 })
  await services.deletion.finish({ userId: userIdOf(mia), deleteMessages: false }, database, never)
  expect(await stateOf()).toEqual({ shut: true, version: before.version + 1 })
})
