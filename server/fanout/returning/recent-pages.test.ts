import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { newChannel, say } from '../../../schema/testing/operations.ts'
import { cursorExpired, unavailable } from '../../errors.ts'
import { parseGlobalId } from '../../lib/global-id.ts'
import type { Position } from '../../message-store/changes.ts'
import type { MessageStore } from '../../message-store/message-store.ts'
import { follow, followAlone, headOf, openWalks, walkOn, type WalksOptions, withoutSeqs } from '../../testing/shared-walks.ts'
import { type Person, startTestApp, type TestApp } from '../../testing/test-app.ts'
import { channelSnowflake } from '../../testing/watch-changes.ts'
import { createAdmission } from './admission.ts'
import type { SharedWalks } from './shared-catch-up.ts'
import { createStandings } from './standings.ts'

let app: TestApp
let alice: Person
let bob: Person
let carol: Person
beforeAll(async () => {
  app = await startTestApp()
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

function open(options: WalksOptions = {}) {
  const { walks, reads } = openWalks(app, options)
  opened.push(walks)
  return { walks, reads }
}

const head = () => headOf(app, id)
const comeBack = (walks: SharedWalks, person: Person, from: Position, ...more: [mustReach?: number, pause?: () => Promise<unknown>]) =>
  follow(walks, id, idOf(person), from, ...more)
const readAlone = (from: Position) => followAlone(app, id, idOf(alice), from)

async function sayMany(count: number) {
  for (let nth = 0; nth < count; nth++) await say(alice, channelId, `${nth}`)
}

describe('a page is read once', () => {
  test('for all who stand at the same place, and they get the same objects', async () => {
    const after = await head()
    await sayMany(12)
    const { walks, reads } = open()
    const people = [alice, bob, carol]
    const all = await Promise.all(Array.from({ length: 60 }, (_, nth) => comeBack(walks, people[nth % 3]!, after)))
    expect(reads.map((read) => read.after.change - after.change)).toEqual([0, 5, 10])
    for (const { told } of all) {
      expect(told).toHaveLength(12)
      for (const [nth, change] of told.entries()) expect(change).toBe(all[0]!.told[nth])
    }
    // A little later, too.
    expect((await comeBack(walks, bob, after)).told[11]).toBe(all[0]!.told[11])
    expect(reads).toHaveLength(3)
  })

  test('for those who stand a little farther on', async () => {
    const positions = [await head()]
    for (let nth = 0; nth < 12; nth++) {
      await say(alice, channelId, `${nth}`)
      positions.push(await head())
    }
    const { walks, reads } = open()
    const all = await Promise.all(Array.from({ length: 50 }, (_, nth) => comeBack(walks, bob, positions[nth % 5]!)))
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
    await comeBack(walks, bob, after)
    const middle = await head()
    await sayMany(2)
    expect((await comeBack(walks, bob, after)).told).toHaveLength(2)
    expect((await comeBack(walks, bob, middle)).told).toHaveLength(0)
    expect(reads).toHaveLength(1)
    const now = await head()
    const all = await Promise.all([after, middle, middle, after].map((from) => comeBack(walks, bob, from, now.change)))
    expect(all.map(({ told }) => told.length)).toEqual([4, 2, 2, 4])
    expect(reads.map((read) => read.after)).toEqual([after, middle])
    // More than there is, as after the store was put back: the store is right.
    expect((await comeBack(walks, bob, after, now.change + 10)).position).toEqual(now)
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
        await comeBack(walks, bob, from)
        expect(walks.size()[bound]).toBeLessThanOrEqual(bound === 'changes' ? 30 : 1_500)
      }
      expect(walks.size().pages).toBeGreaterThan(1)
      const before = reads.length
      await comeBack(walks, bob, positions.at(-2)!)
      expect(reads).toHaveLength(before)
    }
  })

  test('is let go of after a while, however often it is used, and whoever is slower reads on by themselves', async () => {
    const after = await head()
    await sayMany(9)
    const { walks, reads } = open({ keptMs: 100 })
    const slow = walks.begin(id, idOf(bob), after)
    await Promise.all([slow.read(after, 0), comeBack(walks, carol, after)])
    expect(walks.size()).toEqual({ pages: 2, changes: 11, characters: 9 })
    for (let nth = 0; nth < 15; nth++) {
      await sleep(20)
      await comeBack(walks, carol, after)
    }
    expect(reads.length).toBeGreaterThanOrEqual(4)
    await expect.poll(() => walks.size()).toEqual({ pages: 0, changes: 0, characters: 0 })
    const { told } = await walkOn(walks.begin(id, idOf(bob), after), after, 0, () => sleep(250))
    expect(withoutSeqs(told)).toEqual(withoutSeqs((await readAlone(after)).told))
  })
})

describe('a page that cannot be read', () => {
  test('is refused to all who wait for it, and read again for whoever tries again', async () => {
    const after = await head()
    await sayMany(3)
    let isAway = true
    const changesSince: MessageStore['changesSince'] = (...asked) => (isAway ? Promise.reject(unavailable()) : app.app.messages.changesSince(...asked))
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
      return app.app.messages.changesSince(channel, from, ...asked)
    }
    const { walks, reads } = open({ store: { changesSince } })
    const [old, ...others] = await Promise.allSettled([comeBack(walks, bob, after), ...[1, 2, 3].map(() => comeBack(walks, carol, farther))])
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
    const later = comeBack(walks, alice, after)
    held.resolve()
    expect((await later).told).toHaveLength(3)
    expect((await all).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(reads).toEqual([{ after, userId: idOf(alice) }])
    await holding
  })
})
