import { describe, expect, test } from 'vitest'
import { createRandom } from '../testing/random.ts'
import { createRecent, loadOf } from './loads.ts'
import { findPlace, mostTimesMean, type Place, roomAnyway } from './placement.ts'
import { ways } from './testing/rivals.ts'
import { simulateComings, simulateStorm } from './testing/simulation.ts'

const places = (...loads: number[]): Place[] => loads.map((load, nth) => ({ name: `https://maru-${nth}`, load }))
const keys = Array.from({ length: 1_000 }, (_, nth) => String(nth))
const found = (some: Place[]) => keys.map((key) => findPlace(some, key)!.name)

describe('a place', () => {
  test('is the same for the same key, in whatever order places are listed', () => {
    const some = places(10, 10, 10, 10)
    expect(found(some.toReversed())).toEqual(found(some))
    expect(new Set(found(some)).size).toBe(4)
  })

  test('is none where there are none, and the only one where there is one, however full', () => {
    expect(findPlace([], 'alice')).toBe(null)
    const [only] = places(1_000_000)
    expect(findPlace([only!], 'alice')).toBe(only)
  })

  test('that comes or goes moves only who ranks it first', () => {
    const before = found(places(50, 50, 50))
    const after = found(places(50, 50, 50, 50))
    const moved = keys.filter((_, nth) => before[nth] !== after[nth])
    expect(new Set(after.filter((name, nth) => name !== before[nth]))).toEqual(new Set(['https://maru-3']))
    expect(moved.length).toBeGreaterThan(150)
    expect(moved.length).toBeLessThan(350)
  })

  test('is never one that has its bound already, and what it turns away goes to all others', () => {
    const random = createRandom(3)
    for (let round = 0; round < 300; round++) {
      const loads = Array.from({ length: 1 + random.below(12) }, () => random.below(random.pick([40, 200, 2_000])))
      const some = places(...loads)
      const people = 1 + some.reduce((sum, { load }) => sum + load, 0)
      const { load } = findPlace(some, String(random.next()))!
      expect(load).toBeLessThan(Math.max(roomAnyway, Math.ceil((mostTimesMean * people) / some.length)))
    }
    const full = places(200, 100, 100, 100)
    const turnedAway = keys.filter((key) => findPlace(places(100, 100, 100, 100), key)!.name === 'https://maru-0')
    const shares = Map.groupBy(turnedAway, (key) => findPlace(full, key)!.name)
    expect(shares.size).toBe(3)
    for (const { length } of shares.values()) expect(length).toBeGreaterThan(turnedAway.length / 6)
  })

  test('by one of two names that are the same is the emptier one', () => {
    const [one, other] = [{ name: 'a', load: 9 }, { name: 'a', load: 8 }]
    expect(findPlace([one, other], 'alice')).toBe(other)
    expect(findPlace([other, one], 'alice')).toBe(other)
  })
})

describe('10 → 11 → 10 replicas', () => {
  const small = { clients: 10_000, replicas: 10, seed: 7 }

  test('move little more of 100,000 clients than the share of the one that comes or goes, and stay even', () => {
    const { begin, join, leave, together } = simulateComings(ways.this!, { ...small, clients: 100_000 })
    for (const { spread } of [begin, join, leave]) expect(spread).toBeLessThan(1.05)
    expect(join.moved).toBeLessThan(1.02 * join.least)
    expect(leave.moved).toBeLessThan(1.02 * leave.least)
    expect(together).toBeGreaterThan(0.99)
    expect(simulateComings(ways['plain: hash mod n']!, small).join.moved).toBeGreaterThan(0.8)
  })

  test('keep the bound where a tenth of all are one user’s', () => {
    const crowded = { ...small, crowd: 1_000 }
    const { begin, join, leave } = simulateComings(ways.this!, crowded)
    for (const { spread } of [begin, join, leave]) expect(spread).toBeLessThan(mostTimesMean + 0.01)
    expect(join.moved).toBeLessThan(1.5 * join.least)
    expect(leave.moved).toBeLessThan(1.5 * leave.least)
    expect(simulateComings(ways['circle, 100 points each, no bound']!, crowded).begin.spread).toBeGreaterThan(1.5)
  })

  test('are the same in each run', () => {
    expect(simulateComings(ways.this!, small)).toEqual(simulateComings(ways.this!, small))
  })
})

describe('a storm', () => {
  const storm = { clients: 30_000, replicas: 3, seconds: 1, seed: 7, crowd: 15_000 }

  test('of 10,000 in a second at each of three replicas keeps the bound, though none knows what the others do', () => {
    expect(simulateStorm(storm).spread).toBeLessThan(mostTimesMean + 0.01)
    expect(simulateStorm({ ...storm, find: ways['plain: hash mod n']! }).spread).toBeGreaterThan(1.8)
  })

  test('at ten needs that what was not told counts ten times', () => {
    const wide = { ...storm, replicas: 10 }
    expect(simulateStorm(wide).spread).toBeLessThan(mostTimesMean + 0.02)
    expect(simulateStorm({ ...wide, senders: 1 }).spread).toBeGreaterThan(1.4)
  })
})

describe('a load', () => {
  test.each([
    ['sockets alone', { sockets: 7, arrived: 0, sent: 0, untold: 0 }, 7],
    ['who was sent and is not there yet', { sockets: 7, arrived: 2, sent: 5, untold: 0 }, 10],
    ['nobody who came by themselves', { sockets: 7, arrived: 6, sent: 5, untold: 0 }, 7],
    ['who was not told of', { sockets: 7, arrived: 2, sent: 2, untold: 4 }, 11],
    ['whom others probably send, too', { sockets: 7, arrived: 2, sent: 2, untold: 100 }, 7 + 100 + 2 * 80],
  ])('counts %s', (_, known, load) => expect(loadOf(known, 3)).toBe(load))

  test('forgets who arrived long ago', () => {
    let now = 100_300
    const recent = createRecent(5_000, () => now)
    recent.add()
    now += 3_000
    recent.add()
    recent.add()
    expect(recent.count()).toBe(3)
    now += 2_000
    expect(recent.count()).toBe(2)
    now += 60_000
    expect(recent.count()).toBe(0)
  })
})
