import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { AddMembersDocument, RemoveMemberDocument, SetPresenceDocument } from '../../../client-sdk/index.ts'
import { newChannel } from '../../../schema/testing/operations.ts'
import { createMemoryBus } from '../../event-bus/memory-bus.ts'
import { parseGlobalId } from '../../lib/global-id.ts'
import { statementName } from '../../observability/statements.ts'
import { type Person, startTestApp, type TestApp } from '../../testing/test-app.ts'
import { channelSnowflake } from '../../testing/watch-changes.ts'
import { createPresenceHub, type PresenceHub, type PresenceNews } from './presence.ts'

let app: TestApp
let bob: Person
let carol: Person
beforeAll(async () => {
  app = await startTestApp()
  ;[bob, carol] = await Promise.all([app.signUp('bob'), app.signUp('carol')])
})
afterAll(() => app.stop())

const hubs: PresenceHub[] = []
afterEach(() => hubs.splice(0).forEach((hub) => hub.close()))

/** A hub such as the replica's own. */
function createHub(options: { relookMs?: number; isDeaf?: boolean } = {}): PresenceHub {
  const { presence } = app.app.services
  const hub = createPresenceHub({
    bus: options.isDeaf === true ? createMemoryBus() : app.app.bus,
    look: presence.look,
    visible: presence.visible,
    onError: (error) => expect.fail(String(error)),
    relookMs: options.relookMs ?? 600_000,
  })
  hubs.push(hub)
  return hub
}

const idOf = (person: Person) => (parseGlobalId(person.id) as { userId: string }).userId

/** Reads a stream to its end; what it has told so far. */
function read(stream: AsyncIterableIterator<PresenceNews>): PresenceNews[] {
  const told: PresenceNews[] = []
  void (async () => {
    for await (const news of stream) told.push(news)
  })()
  return told
}
const statuses = (told: readonly PresenceNews[]) => told.map(({ presence }) => presence.status)

/** Somebody whom no other test knows, in a channel with bob, which is made known too. */
async function acquaintance(name: string) {
  const person = await app.signUp(name)
  const channelId = await newChannel(bob, {}, [person])
  return { person, id: idOf(person), channelId }
}

const set = (person: Person, status: 'ONLINE' | 'AWAY' | 'OFFLINE', statusText?: string | null) =>
  person.client.request(SetPresenceDocument, { status, ...(statusText === undefined ? {} : { statusText }) })

/** What is asked about presence from here on; the sum of it where it is called. */
function countStatements() {
  const start = app.statements.length
  return () => {
    const names = app.statements.slice(start).map(statementName)
    return names.filter((name) => name === 'select users' || name.startsWith('who ')).length
  }
}

test('a thousand who watch somebody are told by a few statements, and all who may see it are told the same object', async () => {
  const { person: alice, id, channelId } = await acquaintance('alice')
  const leave = app.app.services.presence.connect(id)
  const insert = `insert into members (channel_id, user_id, role, joined_at, change)
    select $1::bigint, 5000000 + n, 'MEMBER', now(), 1 from generate_series(1, 900) n`
  await app.app.database.run(insert, [channelSnowflake(channelId)])
  const hub = createHub()
  const opening = countStatements()
  // A hundred of them are strangers.
  const viewers = Array.from({ length: 1_000 }, (_, nth) => String(5_000_001 + nth))
  const told = await Promise.all(viewers.map(async (viewerId) => read(await hub.open(viewerId, [id]))))
  await expect.poll(() => told.filter(({ length }) => length === 1).length).toBe(1_000)
  expect(opening()).toBeLessThanOrEqual(12)
  expect(hub.size()).toBe(1)

  const moving = countStatements()
  await set(alice, 'AWAY', '점심')
  await expect.poll(() => told.slice(0, 900).filter(({ length }) => length === 2).length).toBe(900)
  // One look of alice's own at what she has set.
  expect(moving()).toBeLessThanOrEqual(7)
  const [first] = told as [PresenceNews[]]
  expect(first[1]).toMatchObject({ userId: id, presence: { status: 'AWAY', statusText: '점심' } })
  expect(new Set(told.slice(0, 900).map((news) => news[1]))).toEqual(new Set([first[1]]))
  // Strangers were told that there is nothing to see, once.
  expect(told.slice(900).every((news) => news.length === 1)).toBe(true)
  expect(new Set(told.slice(900).map((news) => news[0])).size).toBe(1)
  expect(told[999]![0]!.presence).toEqual({ status: 'OFFLINE', statusText: null, lastActiveAt: null })
  leave()
})

test('who may not see somebody cannot tell when they come, go or say something', async () => {
  const { person: dan, id, channelId } = await acquaintance('dan')
  const hub = createHub({ relookMs: 100 })
  const told = read(await hub.open(idOf(carol), [id]))
  const witness = read(await hub.open(idOf(bob), [id]))
  await expect.poll(() => [told.length, witness.length]).toEqual([1, 1])
  const leave = app.app.services.presence.connect(id)
  await expect.poll(() => statuses(witness)).toEqual(['OFFLINE', 'ONLINE'])
  await set(dan, 'AWAY', 'lunch')
  await set(dan, 'OFFLINE')
  await set(dan, 'ONLINE', null)
  await expect.poll(() => statuses(witness).at(-1)).toBe('ONLINE')
  expect(told).toHaveLength(1)
  // From when they share a channel she may.
  await bob.client.request(AddMembersDocument, { channelId, userIds: [carol.id] })
  await expect.poll(() => statuses(told)).toEqual(['OFFLINE', 'ONLINE'])
  await bob.client.request(RemoveMemberDocument, { channelId, userId: carol.id })
  await expect.poll(() => told.at(-1)!.presence).toEqual({ status: 'OFFLINE', statusText: null, lastActiveAt: null })
  leave()
})

test.each([
  ['has blocked the other', 'insert into blocks (user_id, blocked_id, blocked_at) values ($1, $2, now())'],
  ['was blocked by the other', 'insert into blocks (user_id, blocked_id, blocked_at) values ($2, $1, now())'],
])('where one %s, they see each other as away with the next look', async (_, block) => {
  const { id } = await acquaintance(`erin${_.length}`)
  const leave = app.app.services.presence.connect(id)
  const hub = createHub({ relookMs: 100 })
  const told = read(await hub.open(idOf(bob), [id]))
  await expect.poll(() => statuses(told)).toEqual(['ONLINE'])
  await app.app.database.run(block, [id, idOf(bob)])
  await expect.poll(() => statuses(told)).toEqual(['ONLINE', 'OFFLINE'])
  await app.app.database.run('delete from blocks', [])
  await expect.poll(() => statuses(told)).toEqual(['ONLINE', 'OFFLINE', 'ONLINE'])
  leave()
})

test('what the bus has lost is found by looking again, and what stays the same is not told again', async () => {
  const { person: frank, id } = await acquaintance('frank')
  const hub = createHub({ relookMs: 100, isDeaf: true })
  const told = read(await hub.open(idOf(bob), [id]))
  await expect.poll(() => statuses(told)).toEqual(['OFFLINE'])
  const leave = app.app.services.presence.connect(id)
  await expect.poll(() => statuses(told)).toEqual(['OFFLINE', 'ONLINE'])
  await set(frank, 'AWAY', 'away')
  await expect.poll(() => told.at(-1)).toMatchObject({ presence: { status: 'AWAY', statusText: 'away' } })
  const count = told.length
  await sleep(500)
  expect(told).toHaveLength(count)
  leave()
})

test('who reads slowly is told where everybody stands by then, and nothing of what came to nothing', async () => {
  const [grace, heidi] = [await acquaintance('grace'), await acquaintance('heidi')]
  const hub = createHub()
  const slow = await hub.open(idOf(bob), [grace.id, heidi.id])
  const quick = read(await hub.open(idOf(bob), [grace.id, heidi.id]))
  for (let nth = 0; nth < 2; nth++) await slow.next()
  await expect.poll(() => quick.length).toBe(2)
  for (let round = 0; round < 20; round++) {
    await set(grace.person, round % 2 === 0 ? 'AWAY' : 'ONLINE', `${round}`)
    await expect.poll(() => quick.at(-1)!.presence.statusText).toBe(`${round}`)
  }
  await set(heidi.person, 'ONLINE', 'here')
  await expect.poll(() => quick.at(-1)!.presence.statusText).toBe('here')
  await set(heidi.person, 'ONLINE', null)
  await expect.poll(() => quick.at(-1)).toMatchObject({ userId: heidi.id, presence: { statusText: null } })
  expect((await slow.next()).value).toMatchObject({ userId: grace.id, presence: { statusText: '19' } })
  const next = slow.next()
  await set(heidi.person, 'ONLINE', 'there')
  expect((await next).value).toMatchObject({ userId: heidi.id, presence: { statusText: 'there' } })
})

test('a user is watched for as long as anybody watches them', async () => {
  const hub = createHub()
  const [one, two] = [await hub.open(idOf(bob), [idOf(carol), idOf(bob)]), await hub.open(idOf(carol), [idOf(carol)])]
  expect([hub.size(), hub.isWatched(idOf(bob))]).toEqual([2, true])
  await one.return!()
  expect([hub.size(), hub.isWatched(idOf(bob))]).toEqual([1, false])
  await two.return!()
  expect(hub.size()).toBe(0)
})
