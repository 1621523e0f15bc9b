import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { AddMembersDocument, AddReactionDocument, DeleteMessageDocument, EditMessageDocument, RemoveMemberDocument } from '../../client-sdk/index.ts'
import { newChannel, say } from '../../schema/testing/operations.ts'
import { cursorExpired, unavailable } from '../errors.ts'
import { parseGlobalId } from '../lib/global-id.ts'
import { createCatchUp } from '../message-store/catch-up.ts'
import type { Change, Position } from '../message-store/changes.ts'
import type { MessageStore } from '../message-store/message-store.ts'
import { createRandom, type Random } from '../testing/random.ts'
import { storedMessages } from '../testing/stored-messages.ts'
import { type Person, startTestApp, type TestApp } from '../testing/test-app.ts'
import { channelSnowflake } from '../testing/watch-changes.ts'
import { createAdmission } from './admission.ts'
import { createSharedWalks, type SharedWalks } from './shared-catch-up.ts'
import { createStandings } from './standings.ts'
import type { Walk } from './walk.ts'

let app: TestApp
let store: MessageStore
let alice: Person
let bob: Person
let carol: Person
beforeAll(async () => {
  app = await startTestApp()
  store = app.app.messages
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
})
afterAll(() => app.stop())

const idOf = (person: Person) => (parseGlobalId(person.id) as { userId: string }).userId

let channelId: string
let id: string
beforeEach(async () => {
  channelId = await newChannel(alice, { kind: 'PUBLIC' }, [bob, carol])
  id = channelSnowflake(channelId)
})

const opened: SharedWalks[] = []
afterEach(() => opened.splice(0).forEach((walks) => walks.close()))

type Options = Partial<Parameters<typeof createSharedWalks>[0]>

/** Shared walks, and the pages that they read from the store, by what came before each. */
function open(options: Options = {}) {
  const reads: { after: Position; userId: string }[] = []
  const { changesSince } = options.store ?? store
  const admission = createAdmission({ atOnce: 4 })
  const walks = createSharedWalks({
    admission,
    standings: createStandings(app.app.database, admission),
    pageSize: 5,
    ...options,
    store: {
      changesSince(channel, after, limit, userId, catchUp) {
        reads.push({ after, userId })
        return changesSince(channel, after, limit, userId, catchUp)
      },
    },
  })
  opened.push(walks)
  return { walks, reads }
}

async function head(): Promise<Position> {
  const [{ change, seq }] = (await store.heads([id])) as [Position]
  return { change, seq }
}

const edit = (messageId: string, content: string) => alice.client.request(EditMessageDocument, { input: { messageId, content } })

async function sayMany(count: number) {
  const said = []
  for (let nth = 0; nth < count; nth++) said.push(await say(alice, channelId, `${nth}`))
  return said
}

/** Walks on to the end, and notes what is told. `pause` is waited for before each page. */
async function walkOn(walk: Walk<Change>, from: Position, mustReach: number, pause: () => Promise<unknown> = async () => {}) {
  const told: Change[] = []
  for (let position = from; ; ) {
    await pause()
    const page = await walk.read(position, mustReach)
    if (page === 'forbidden') throw new Error('forbidden')
    for (const change of page.changes) told.push(walk.tell(change))
    position = page.position
    if (page.complete) return { told, position }
  }
}

const follow = (walks: SharedWalks, person: Person, from: Position, mustReach = 0, pause?: () => Promise<unknown>) =>
  walkOn(walks.begin(id, idOf(person), from), from, mustReach, pause)

/** The same for somebody who shares nothing. */
async function followAlone(from: Position, pageSize = 5) {
  const catchUp = createCatchUp(from.change)
  const told: Change[] = []
  for (let position = from; ; ) {
    const page = (await store.changesSince(id, position, pageSize, idOf(alice), catchUp))!
    told.push(...page.changes)
    position = page.position
    if (page.complete) return { told, position }
  }
}

/** What a reader is told, but for the seq of its cursor, which may be lower where that does no harm. */
const withoutSeq = (changes: Change[]) => changes.map(({ seq: _, ...change }) => change)

/** Does something to the channel, and knows where it has stood. */
function writer(random: Random) {
  const said: string[] = []
  const positions: Position[] = []
  return {
    positions,
    async write() {
      const what = said.length === 0 ? 0 : random.next()
      if (what < 0.5) said.push((await say(alice, channelId, `said ${random.next()}`)).id)
      else if (what < 0.8) await edit(random.pick(said), `edited ${random.next()}`)
      else if (what < 0.9) await alice.client.request(AddReactionDocument, { messageId: random.pick(said), emoji: random.pick(['👍', '👎', '🎉', '❤️']) })
      else await alice.client.request(DeleteMessageDocument, { messageId: said.splice(random.below(said.length), 1)[0]! })
      positions.push(await head())
    },
  }
}

describe('a page is read once', () => {
  test('for all who stand at the same place, and they get the same objects', async () => {
    const after = await head()
    await sayMany(12)
    const { walks, reads } = open()
    const people = [alice, bob, carol]
    const all = await Promise.all(Array.from({ length: 60 }, (_, nth) => follow(walks, people[nth % 3]!, after)))
    expect(reads.map((read) => read.after.change - after.change)).toEqual([0, 5, 10])
    for (const { told } of all) {
      expect(told).toHaveLength(12)
      for (const [nth, change] of told.entries()) expect(change).toBe(all[0]!.told[nth])
    }
    // A little later, too.
    expect((await follow(walks, bob, after)).told[11]).toBe(all[0]!.told[11])
    expect(reads).toHaveLength(3)
  })

  test('for those who stand a little farther on', async () => {
    const positions = [await head()]
    for (let nth = 0; nth < 12; nth++) {
      await say(alice, channelId, `${nth}`)
      positions.push(await head())
    }
    const { walks, reads } = open()
    const all = await Promise.all(Array.from({ length: 50 }, (_, nth) => follow(walks, bob, positions[nth % 5]!)))
    expect(reads).toHaveLength(3)
    for (const [nth, { told, position }] of all.entries()) {
      expect(told.map(({ change }) => change)).toEqual(positions.slice((nth % 5) + 1).map(({ change }) => change))
      expect(position).toEqual(positions.at(-1))
    }
  })

  test('and again where it does not reach what the reader knows to be there', async () => {
    const after = await head()
    await sayMany(2)
    const { walks, reads } = open()
    await follow(walks, bob, after)
    await sayMany(2)
    expect((await follow(walks, bob, after)).told).toHaveLength(2)
    expect(reads).toHaveLength(1)
    const now = await head()
    const all = await Promise.all([1, 2, 3].map(() => follow(walks, bob, after, now.change)))
    expect(all.map(({ told }) => told.length)).toEqual([4, 4, 4])
    expect(reads).toHaveLength(2)
    // More than there is, as after the store was put back: the store is right.
    expect((await follow(walks, bob, after, now.change + 10)).position).toEqual(now)
  })
})

test.each([1, 2, 3, 4])('what is told in shared walks is what is told in walks of one’s own (seed %i)', async (seed) => {
  const random = createRandom(seed)
  const { write, positions } = writer(random)
  positions.push(await head())
  for (let nth = 0; nth < 60; nth++) await write()
  // In some rounds little is kept, or not for long, so that readers fall out of what is.
  const kept = random.pick<Options>([{}, { keptMs: 20 }, { maxChanges: 12 }, { maxCharacters: 40 }])
  const { walks, reads } = open({ ...kept, pageSize: 2 + random.below(9) })
  const now = await head()
  await Promise.all(
    Array.from({ length: 40 }, async () => {
      const from = random.pick(positions)
      const slowly = () => sleep(random.chance(0.3) ? random.below(30) : 0)
      const [shared, alone] = await Promise.all([follow(walks, random.pick([alice, bob, carol]), from, now.change, slowly), followAlone(from)])
      expect(withoutSeq(shared.told)).toEqual(withoutSeq(alone.told))
      expect(shared.position.change).toBe(now.change)
      // Each cursor on the way leads on, and to nothing that was told before.
      const some = shared.told.at(random.below(shared.told.length))
      if (some === undefined) return
      const rest = await followAlone({ change: some.change, seq: some.seq })
      expect(rest.told.map(({ change }) => change)).toEqual(shared.told.map(({ change }) => change).filter((change) => change > some.change))
    }),
  )
  expect(reads.length).toBeGreaterThan(0)
})

test.each([5, 6, 7])('while others write each message is CREATED when it is first told, and none is left out (seed %i)', async (seed) => {
  const random = createRandom(seed)
  const { write, positions } = writer(random)
  positions.push(await head())
  for (let nth = 0; nth < 25; nth++) await write()
  const { walks } = open({ pageSize: 2 + random.below(6) })
  let isOver = false
  const writing = (async () => {
    for (let nth = 0; nth < 40; nth++) await write()
    isOver = true
  })()
  const readers: Promise<void>[] = []

  async function read(from: Position) {
    const person = random.pick([alice, bob, carol])
    const walk = walks.begin(id, idOf(person), from)
    const told = new Map<string, number>()
    let position = from
    let last = from.change
    for (let isLast = false; ; ) {
      // It goes on until it has seen the end of all.
      const page = await walk.read(position, isLast ? (await head()).change : 0)
      if (page === 'forbidden') throw new Error('forbidden')
      for (const change of page.changes.map(walk.tell)) {
        expect(change.change).toBeGreaterThan(last)
        last = change.change
        if (change.type !== 'message') continue
        const isNew = !told.has(change.message.id) && change.message.change > from.change
        expect([change.message.id, change.kind === 'CREATED']).toEqual([change.message.id, isNew])
        expect(change.message.version).toBeGreaterThan(told.get(change.message.id) ?? 0)
        told.set(change.message.id, change.message.version)
      }
      position = page.position
      if (page.complete && isLast) break
      isLast = isOver
      await sleep(random.below(10))
    }
    const rows = await app.app.database.run<{ id: string; version: number }>(`select id, version from ${storedMessages} where channel_id = $1`, [id])
    expect(told).toEqual(new Map(rows.flatMap((row) => (row.version > from.change ? [[row.id, row.version]] : []))))
  }

  while (!isOver) {
    readers.push(read(random.pick(positions)))
    await sleep(random.below(20))
  }
  await writing
  await Promise.all(readers)
})

describe('a forged cursor', () => {
  test('with too great a seq makes nobody else miss anything', async () => {
    const after = await head()
    await sayMany(8)
    const { walks } = open()
    const forged = { change: after.change, seq: after.seq + 4 }
    const [theirs, honest] = await Promise.all([follow(walks, bob, forged), follow(walks, carol, after)])
    expect(theirs.told).toHaveLength(4)
    expect(honest.told).toHaveLength(8)
    expect((await follow(walks, alice, after)).told).toHaveLength(8)
  })

  test('with too low a seq is told the same as everybody', async () => {
    await sayMany(8)
    const after = await head()
    await sayMany(8)
    const { walks } = open()
    const [theirs, honest] = await Promise.all([follow(walks, bob, { ...after, seq: 0 }), follow(walks, carol, after)])
    expect(withoutSeq(theirs.told)).toEqual(withoutSeq(honest.told))
    expect(honest.told).toHaveLength(8)
  })
})

describe('who is not a member any more', () => {
  const remove = (person: Person) => alice.client.request(RemoveMemberDocument, { channelId, userId: person.id })
  const add = (person: Person) => alice.client.request(AddMembersDocument, { channelId, userIds: [person.id] })

  test('gets nothing of a page that others get', async () => {
    const after = await head()
    await sayMany(12)
    const { walks, reads } = open()
    const [his, hers] = [bob, carol].map((person) => walks.begin(id, idOf(person), after))
    const pages = await Promise.all([his!.read(after, 0), hers!.read(after, 0)])
    expect(pages[0]).toEqual(pages[1])
    const { position } = pages[0] as { position: Position }
    await hers!.read(position, 0)
    await remove(bob)
    expect(await his!.read(position, 0)).toBe('forbidden')
    expect(await hers!.read(position, 0)).toMatchObject({ changes: expect.arrayContaining([expect.objectContaining({ change: position.change + 1 })]) })
    // Nor of one that he is the first to ask for.
    expect(await his!.read(await head(), 0)).toBe('forbidden')
    expect(reads.at(-1)!.userId).toBe(idOf(bob))
  })

  test('and is back since, gets none of what was read while they were out, but what is there now', async () => {
    const after = await head()
    await remove(bob)
    const secret = await say(alice, channelId, 'while he is out')
    const { walks, reads } = open()
    expect((await follow(walks, carol, after)).told.at(-1)).toMatchObject({ message: { content: 'while he is out' } })
    await alice.client.request(DeleteMessageDocument, { messageId: secret.id })
    await add(bob)
    const { told } = await follow(walks, bob, after)
    expect(JSON.stringify(told)).not.toContain('while he is out')
    expect(withoutSeq(told)).toEqual(withoutSeq((await followAlone(after)).told))
    expect(reads.map(({ userId }) => userId)).toEqual([carol, bob].map(idOf))
  })
})

describe('what is kept', () => {
  test('is bounded, in changes and in characters, and the page that was used last stays', async () => {
    const positions = [await head()]
    for (let nth = 0; nth < 20; nth++) {
      await say(alice, channelId, 'x'.repeat(100))
      positions.push(await head())
    }
    for (const [bound, limits] of [['changes', { maxChanges: 30 }], ['characters', { maxCharacters: 1_500 }]] as const) {
      const { walks, reads } = open({ pageSize: 4, ...limits })
      for (const from of positions.toReversed()) {
        await follow(walks, bob, from)
        expect(walks.size()[bound]).toBeLessThanOrEqual(bound === 'changes' ? 30 : 1_500)
      }
      expect(walks.size().pages).toBeGreaterThan(1)
      const before = reads.length
      await follow(walks, bob, positions.at(-2)!)
      expect(reads).toHaveLength(before)
    }
  })

  test('is let go of after a while, however often it is used, and whoever is slower reads on by themselves', async () => {
    const after = await head()
    await sayMany(9)
    const { walks, reads } = open({ keptMs: 100 })
    const slow = walks.begin(id, idOf(bob), after)
    await Promise.all([slow.read(after, 0), follow(walks, carol, after)])
    expect(walks.size()).toEqual({ pages: 2, changes: 11, characters: 9 })
    for (let nth = 0; nth < 15; nth++) {
      await sleep(20)
      await follow(walks, carol, after)
    }
    expect(reads.length).toBeGreaterThanOrEqual(4)
    await expect.poll(() => walks.size()).toEqual({ pages: 0, changes: 0, characters: 0 })
    const { told } = await walkOn(walks.begin(id, idOf(bob), after), after, 0, () => sleep(250))
    expect(withoutSeq(told)).toEqual(withoutSeq((await followAlone(after)).told))
  })
})

describe('a page that cannot be read', () => {
  test('is refused to all who wait for it, and read again for whoever tries again', async () => {
    const after = await head()
    await sayMany(3)
    let isAway = true
    const changesSince: MessageStore['changesSince'] = (...asked) => (isAway ? Promise.reject(unavailable()) : store.changesSince(...asked))
    const { walks, reads } = open({ store: { changesSince } })
    const begun = [alice, bob, carol].map((person) => walks.begin(id, idOf(person), after))
    for (const outcome of await Promise.allSettled(begun.map((walk) => walk.read(after, 0)))) expect(outcome).toMatchObject({ reason: { code: 'UNAVAILABLE' } })
    expect(reads).toHaveLength(1)
    isAway = false
    const all = await Promise.all(begun.map((walk) => walkOn(walk, after, 0)))
    expect(all.map(({ told }) => told.length)).toEqual([3, 3, 3])
    expect(reads).toHaveLength(2)
  })

  test('as it is from before what is kept, is refused to nobody who stands farther on', async () => {
    const after = await head()
    await sayMany(3)
    const farther = await head()
    await sayMany(3)
    const changesSince: MessageStore['changesSince'] = async (channel, from, ...asked) => {
      if (from.change === after.change) throw cursorExpired()
      return store.changesSince(channel, from, ...asked)
    }
    const { walks, reads } = open({ store: { changesSince } })
    const [old, ...others] = await Promise.allSettled([follow(walks, bob, after), ...[1, 2, 3].map(() => follow(walks, carol, farther))])
    expect(old).toMatchObject({ reason: { code: 'CURSOR_EXPIRED' } })
    for (const other of others) expect(other).toMatchObject({ value: { told: { length: 3 } } })
    expect(reads.map((read) => read.after)).toEqual([after, farther])
  })

  test('as nobody waits for it any more, is not read', async () => {
    const after = await head()
    await sayMany(3)
    const admission = createAdmission({ atOnce: 1 })
    const held = Promise.withResolvers<void>()
    const holding = admission.run('somebody', () => held.promise)
    const { walks, reads } = open({ admission, standings: createStandings(app.app.database, admission) })
    const begun = [bob, carol].map((person) => walks.begin(id, idOf(person), after))
    const all = Promise.allSettled(begun.map((walk) => walk.read(after, 0)))
    expect(admission.waiting()).toBe(1)
    begun[0]!.close()
    expect(admission.waiting()).toBe(1)
    begun[1]!.close()
    expect(admission.waiting()).toBe(0)
    const later = follow(walks, alice, after)
    held.resolve()
    expect((await later).told).toHaveLength(3)
    expect((await all).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(reads).toEqual([{ after, userId: idOf(alice) }])
    await holding
  })
})
