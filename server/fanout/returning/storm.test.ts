import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { ChannelDocument, InboxDocument, MessagesDocument } from '../../../client-sdk/index.ts'
import { newChannel, say } from '../../../schema/testing/operations.ts'
import { parseGlobalId } from '../../lib/global-id.ts'
import type { Position } from '../../message-store/changes.ts'
import { statementName } from '../../observability/statements.ts'
import { createRandom } from '../../testing/random.ts'
import { listen, type Listening } from '../../testing/listen.ts'
import { type Person, startTestApp, type TestApp } from '../../testing/test-app.ts'
import { channelSnowflake } from '../../testing/watch-changes.ts'
import { encodeCursor } from '../cursor.ts'
import { openInbox } from '../streams/inbox.ts'
import { openMessages } from '../streams/messages.ts'

let app: TestApp
let people: Person[]
let alice: Person
/** Who comes back: so many accounts, which are not worth a password each. */
let users: string[]
const returning = 250
beforeAll(async () => {
  app = await startTestApp({ MAX_SOCKETS_PER_USER: '1000' })
  people = await Promise.all(['alice', 'bob', 'carol'].map((name) => app.signUp(name)))
  alice = people[0]!
  const rows = await app.app.database.run<{ id: string }>(
    `insert into users (id, username, display_name, created_at)
     select 1000 + n, 'user' || n, 'user', now() from generate_series(1, $1::int) n returning id`,
    [returning],
  )
  users = rows.map((row) => row.id)
})
afterAll(() => app.stop())

type Channel = { id: string; global: string; positions: Position[] }

/** A channel in which all are members and much has happened; `positions` are where it stood after each thing. */
async function busyChannel(count: number): Promise<Channel> {
  const global = await newChannel(alice, { kind: 'PUBLIC' }, people.slice(1))
  const id = channelSnowflake(global)
  await app.app.database.run(
    `insert into members (channel_id, user_id, role, joined_at, change)
     select $1, u, 'MEMBER', now(), 1 from unnest($2::bigint[]) u`,
    [id, `{${users.join(',')}}`],
  )
  const head = async () => (await app.app.messages.heads([id]))[0]!
  const positions = [await head()]
  for (let nth = 0; nth < count; nth++) {
    await app.app.services.messages.send(ownId(), { channelId: id, content: `${nth}` })
    positions.push(await head())
  }
  return { id, global, positions }
}

const ownId = () => (parseGlobalId(alice.id) as { userId: string }).userId

/** How often each kind of statement was run by `work`. */
async function statementsOf(work: () => Promise<unknown>): Promise<Record<string, number>> {
  const start = app.statements.length
  await work()
  const counts: Record<string, number> = {}
  for (const text of app.statements.slice(start)) counts[statementName(text)] = (counts[statementName(text)] ?? 0) + 1
  return counts
}

let channel: Channel
beforeEach(async () => {
  channel = await busyChannel(120)
})

/** Comes back with a cursor and reads up to the newest change; the changes that were told. */
async function comeBack(userId: string, from: Position): Promise<number[]> {
  const after = encodeCursor({ kind: 'channel', id: channel.id, change: from.change, seq: from.seq })
  const stream = await openMessages(app.app.streams, userId, channel.id, after)
  const told: number[] = []
  for await (const { change } of stream) {
    told.push(change)
    if (change === channel.positions.at(-1)!.change) break
  }
  return told
}

const changesAfter = ({ change }: Position) => channel.positions.map((position) => position.change).filter((each) => each > change)

test('who comes back together is told everything, for the price of a few', async () => {
  const from = channel.positions[10]!
  const counts = await statementsOf(async () => {
    const all = await Promise.all(users.map((userId) => comeBack(userId, from)))
    for (const told of all) expect(told).toEqual(changesAfter(from))
  })
  // 110 changes are two pages.
  expect(counts).toMatchObject({ 'changes from': 2, 'changes since': 2 })
  expect(counts.standings).toBeLessThanOrEqual(8)
  expect(counts.heads).toBeLessThanOrEqual(3)
})

test('who comes back together with different cursors, too', async () => {
  const random = createRandom(1)
  const froms = users.map(() => channel.positions[random.below(40)]!)
  const counts = await statementsOf(async () => {
    const all = await Promise.all(users.map((userId, nth) => comeBack(userId, froms[nth]!)))
    for (const [nth, told] of all.entries()) expect(told).toEqual(changesAfter(froms[nth]!))
  })
  expect(counts['changes since']).toBeLessThanOrEqual(12)
  expect(counts.standings).toBeLessThanOrEqual(12)
})

test('over sockets, as clients come back, and what happens then is told to all of them', async () => {
  const { channel: before } = await alice.client.request(ChannelDocument, { id: channel.global })
  for (let nth = 0; nth < 20; nth++) await say(alice, channel.global, `missed ${nth}`)
  const contents = Array.from({ length: 20 }, (_, nth) => `missed ${nth}`)
  const all: Listening<{ messages: { message: { content: string } } }>[] = []
  const counts = await statementsOf(async () => {
    for (let nth = 0; nth < 200; nth++) all.push(listen(app, people[nth % 3]!, MessagesDocument, { channelId: channel.global, after: before!.cursor }))
    await expect.poll(() => all.filter(({ events }) => events.length === 20).length, { timeout: 20_000 }).toBe(200)
  })
  // They connect for longer than a page is kept, where the machine is slow.
  expect(counts['changes since']).toBeLessThanOrEqual(5)
  await say(alice, channel.global, 'live')
  await expect.poll(() => all.filter(({ events }) => events.length === 21).length, { timeout: 20_000 }).toBe(200)
  for (const { events } of all) expect(events.map(({ messages }) => messages.message.content)).toEqual([...contents, 'live'])
  for (const each of all) each.cut()
}, 60_000)

test('inboxes that come back together ask for their channels and heads together', async () => {
  const channels = [channel, await busyChannel(20), await busyChannel(20)]
  const heads = channels.map(({ positions }) => positions[0]!.change)
  const after = channels.map(({ id, positions }) => encodeCursor({ kind: 'channel', id, change: positions[0]!.change, seq: positions[0]!.seq }))
  const expected = channels.map(({ positions }, nth) => positions.at(-1)!.change - heads[nth]!)
  const counts = await statementsOf(() =>
    Promise.all(
      users.map(async (userId) => {
        const told = new Map<string, number>()
        for await (const item of await openInbox(app.app.streams, userId, after)) {
          if (item.type === 'synced') break
          if (item.type === 'change') told.set(item.change.channelId, (told.get(item.change.channelId) ?? 0) + 1)
        }
        expect(channels.map(({ id }) => told.get(id))).toEqual(expected)
      }),
    ),
  )
  // Two pages of the first channel, and one of each other.
  expect(counts).toMatchObject({ 'changes since': 4 })
  for (const name of ['account heads', 'memberships', 'heads', 'standings']) expect([name, counts[name]! <= 20]).toEqual([name, true])
  expect(Object.values(counts).reduce((sum, count) => sum + count, 0)).toBeLessThan(80)
})

test('an inbox that is synced has told what was there when it was opened, also where its replica has not heard of it', async () => {
  const deaf = await app.addReplica()
  const bob = people[1]!
  const listening = listen(deaf, bob, InboxDocument, {})
  await expect.poll(() => listening.events.at(-1)?.inbox.__typename).toBe('SyncedEvent')
  const { channel: before } = await alice.client.request(ChannelDocument, { id: channel.global })
  for (let round = 0; round < 5; round++) {
    await say(alice, channel.global, `round ${round}`)
    const back = listen(deaf, bob, InboxDocument, { after: [before!.cursor] })
    await expect.poll(() => back.events.some(({ inbox }) => inbox.__typename === 'SyncedEvent')).toBe(true)
    const synced = back.events.findIndex(({ inbox }) => inbox.__typename === 'SyncedEvent')
    const told = back.events.slice(0, synced).flatMap(({ inbox }) => (inbox.__typename === 'MessageEvent' ? [inbox.message.content] : []))
    expect(told).toEqual(Array.from({ length: round + 1 }, (_, nth) => `round ${nth}`))
    back.stop()
  }
  listening.stop()
})

test('where too many wait, whoever comes is sent away for a while', async () => {
  const { admission } = app.app.streams
  const held = Promise.withResolvers<void>()
  const gone = new AbortController()
  const waiting = Array.from({ length: 10_050 }, () => admission.run('somebody', () => held.promise, gone.signal).catch(() => {}))
  const bob = people[1]!
  const after = encodeCursor({ kind: 'channel', id: channel.id, ...channel.positions[100]! })
  expect(await listen(app, bob, MessagesDocument, { channelId: channel.global, after }).ended).toBe('RATE_LIMITED')
  expect(await listen(app, bob, InboxDocument, { after: [after] }).ended).toBe('RATE_LIMITED')
  gone.abort()
  held.resolve()
  await Promise.all(waiting)
  const listening = listen(app, bob, MessagesDocument, { channelId: channel.global, after })
  await expect.poll(() => listening.events.length).toBe(20)
  listening.stop()
})
