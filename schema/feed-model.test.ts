import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  DeleteMessageDocument,
  JoinChannelDocument,
  LeaveChannelDocument,
  SetChannelNotificationsDocument,
} from '../client-sdk/index.ts'
import { createRandom, type Random } from '../server/testing/random.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { block, openDirect, unblock } from './testing/blocks.ts'
import { entriesOf, expectedFeed, feedsWritten, wholeFeed } from './testing/feed.ts'
import { channelSnowflake } from '../server/testing/watch-changes.ts'
import { newChannel, say } from './testing/operations.ts'

/*
 * Feeds beside what the tables say they should be, whatever people do, and however far the workers have come. Channels of
 * more than five are merged, and written out again with less than three.
 */

let app: TestApp
beforeAll(async () => {
  app = await startTestApp({ FEED_WRITTEN_MEMBERS: '5' })
  await app.startWorkers()
})
afterAll(() => app.stop())

type Room = { id: string; said: { author: Person; id: string }[] }
/** Of the rooms the first so many fill up and empty. */
const tides = 3

type World = { random: Random; people: Person[]; rooms: Room[] }

async function makeWorld(seed: number): Promise<World> {
  const random = createRandom(seed)
  const people = await Promise.all(Array.from({ length: 7 }, (_, nth) => app.signUp(`walker-${seed}-${nth}`)))
  const rooms: Room[] = []
  for (let nth = 0; nth < 4; nth++) {
    const id = await newChannel(people[nth]!, { kind: 'PUBLIC', name: `room ${seed} ${nth}` })
    rooms.push({ id, said: [] })
  }
  rooms.push({ id: await newChannel(people[0]!, {}, people.slice(1, 4)), said: [] })
  rooms.push({ id: await openDirect(people[0]!, people[1]!), said: [] })
  return { random, people, rooms }
}

async function send({ random, people, rooms }: World): Promise<void> {
  const room = random.pick(rooms)
  const author = random.pick(people)
  const { id } = await say(author, room.id, 'hello')
  room.said.push({ author, id })
}

const join = (person: Person, channelId: string) => person.client.request(JoinChannelDocument, { channelId })
const leave = (person: Person, channelId: string) => person.client.request(LeaveChannelDocument, { channelId })

/** People try what they may not; and where rights move all the time a send gives up at last. */
function ignoreRefusal(error: unknown) {
  const { code = '' } = error as { code?: string }
  if (!['FORBIDDEN', 'NOT_FOUND', 'BAD_USER_INPUT', 'UNAVAILABLE'].includes(code)) throw error
}

const doings: [weight: number, act: (world: World) => Promise<unknown>][] = [
  [10, send],
  [
    7,
    ({ random, people, rooms }) => {
      const channelId = random.pick(rooms.slice(0, tides)).id
      return random.chance(0.5) ? join(random.pick(people), channelId) : leave(random.pick(people), channelId)
    },
  ],
  [
    2,
    async ({ random, rooms }) => {
      const { said } = random.pick(rooms)
      const last = said[said.length - 1 - random.below(Math.min(said.length, 5))]
      if (last) await last.author.client.request(DeleteMessageDocument, { messageId: last.id })
    },
  ],
  [1, ({ random, people }) => (random.chance(0.4) ? block : unblock)(random.pick(people), random.pick(people))],
  [
    1,
    ({ random, people, rooms }) => {
      const input = { channelId: random.pick(rooms).id, level: random.chance(0.3) ? ('NONE' as const) : ('ALL' as const) }
      return random.pick(people).client.request(SetChannelNotificationsDocument, { input })
    },
  ],
  [2, () => feedsWritten(app)],
]

const total = doings.reduce((sum, [weight]) => sum + weight, 0)

/** Does something that people do, or would if they might. */
async function act(world: World): Promise<void> {
  let left = world.random.below(total)
  for (const [weight, doing] of doings) {
    left -= weight
    if (left >= 0) continue
    return void (await doing(world).catch(ignoreRefusal))
  }
}

/** Everybody comes into a room, or all but one leave, and then it is spoken in; says whether it is merged after that. */
async function turnTide({ people, rooms }: World, nth: number, isFull: boolean): Promise<boolean> {
  const [stays, ...others] = people as [Person, ...Person[]]
  const { id, said } = rooms[nth]!
  await join(stays, id)
  await Promise.all(others.map((person) => (isFull ? join(person, id) : leave(person, id).catch(ignoreRefusal))))
  said.push({ author: stays, id: (await say(stays, id, 'hello')).id })
  await feedsWritten(app)
  const [row] = await app.app.database.run<{ feed_merged: boolean }>('select feed_merged from channels where id = $1', [
    channelSnowflake(id),
  ])
  return row!.feed_merged
}

describe.each([1, 2, 3])('random walk %i', (seed) => {
  test('each feed is what the tables say, whatever was done and written meanwhile', { timeout: 120_000 }, async () => {
    const world = await makeWorld(seed)
    const { random, people } = world
    for (let step = 0; step < 80; step++) {
      if (step % 10 === 0) {
        const isFull = step % 20 === 0
        expect(await turnTide(world, random.below(tides), isFull)).toBe(isFull)
      }
      // Some things happen at the same time.
      await Promise.all(Array.from({ length: 1 + random.below(5) }, () => act(world)))
      if (step % 2 === 0) continue
      const reader = random.pick(people)
      const expected = await expectedFeed(app.app.database, reader)
      const read = await wholeFeed(reader, 1 + random.below(9), async () => {
        if (random.chance(0.3)) await send(world).catch(ignoreRefusal)
      })
      expect(read).toEqual(expected)
    }
    await feedsWritten(app)
    for (const person of people) expect(await wholeFeed(person, 100)).toEqual(await expectedFeed(app.app.database, person))
    // Otherwise nothing was tried.
    const entries = await Promise.all(people.map((person) => entriesOf(app, person)))
    expect(Math.max(...entries)).toBeGreaterThan(5)
  })
})

test('while people come and go around the bounds, who reads misses nothing and gets nothing twice', { timeout: 60_000 }, async () => {
  const [alice, bob, ...walkers] = (await Promise.all(
    ['alice', 'bob', 'w1', 'w2', 'w3', 'w4', 'w5'].map((name) => app.signUp(name)),
  )) as [Person, Person, ...Person[]]
  const channelId = await newChannel(alice, { kind: 'PUBLIC', name: 'gate' })
  await bob.client.request(JoinChannelDocument, { channelId })
  const said: string[] = []
  const state = { isOver: false }
  const crossings = new Set<boolean>()
  /** Where rights move all the time a send gives up at last; the same key makes asking again safe. */
  async function insist(content: string): Promise<string> {
    for (;;) {
      const sent = await say(bob, channelId, content, { idempotencyKey: content }).catch((error: unknown) => {
        if ((error as { code?: string }).code !== 'UNAVAILABLE') throw error
        return null
      })
      if (sent !== null) return sent.id
    }
  }
  async function speak() {
    try {
      for (let nth = 0; nth < 80; nth++) said.push(await insist(`${nth}`))
    } finally {
      state.isOver = true
    }
  }
  async function walk(person: Person) {
    while (!state.isOver) {
      await join(person, channelId)
      await sleep(20)
      await leave(person, channelId)
      await sleep(20)
    }
  }
  async function read() {
    while (!state.isOver) {
      const before = said.length
      const feed = await wholeFeed(alice, 7)
      const places = feed.map((id) => said.indexOf(id)).filter((place) => place !== -1 && place < before)
      expect(places).toEqual(Array.from({ length: before }, (_, nth) => before - 1 - nth))
      expect(new Set(feed).size).toBe(feed.length)
      const [row] = await app.app.database.run<{ feed_merged: boolean }>(`select feed_merged from channels where name = 'gate'`, [])
      crossings.add(row!.feed_merged)
    }
  }
  await Promise.all([speak(), read(), ...walkers.map(walk)])
  expect(await wholeFeed(alice)).toEqual(said.toReversed())
  expect(crossings.has(true)).toBe(true)
})
