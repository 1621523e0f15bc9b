import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { noRules, type Rules } from './kinds.ts'
import type { Charge, RateLimits } from './rate-limits.ts'

/** An engine under test, and what belongs to it. */
export type LimitsUnderTest = {
  open(rules: Rules): Promise<RateLimits>
  stop(): Promise<void>
}

/** Slow enough that nothing comes back while a test looks, but where it waits for it. */
const rules: Rules = {
  ...noRules,
  SEND: { capacity: 10, fillMs: 600_000 },
  SEARCH: { capacity: 3, fillMs: 600_000 },
  UPLOAD: { capacity: 20, fillMs: 2_000 },
}

let subjects = 0
/** A subject that nobody has charged before. */
export const newSubject = () => `u:${process.pid}${String(++subjects).padStart(6, '0')}`

/** Milliseconds that a busy machine may take over what takes none. */
const slack = 2_000

/** What every engine must do. */
export function describeRateLimits(name: string, start: () => Promise<LimitsUnderTest>): void {
  describe(`${name}, as everywhere`, () => {
    let engine: LimitsUnderTest
    let limits: RateLimits
    beforeAll(async () => {
      engine = await start()
      limits = await engine.open(rules)
    }, 60_000)
    afterAll(async () => {
      limits.close()
      await engine.stop()
    })

    const isTaken = async (...charges: Charge[]) => (await limits.take(charges)).refused === null
    const of = (subject: string, kind: Charge['kind'] = 'SEND', points = 1): Charge => ({ kind, subject, points })

    test('so much at once, and then no more until it has come back', async () => {
      const subject = newSubject()
      for (let left = 9; left >= 0; left--) {
        const { refused, standings } = await limits.take([of(subject)])
        expect(refused).toBeNull()
        expect(standings).toMatchObject([{ kind: 'SEND', remaining: left, rule: rules.SEND }])
        expect(standings[0]!.nextMs).toBeGreaterThan(60_000 - slack)
        expect(standings[0]!.nextMs).toBeLessThanOrEqual(60_000)
      }
      const { refused, standings } = await limits.take([of(subject)])
      expect(refused!.kind).toBe('SEND')
      expect(refused!.waitMs).toBeGreaterThan(60_000 - slack)
      expect(refused!.waitMs).toBeLessThanOrEqual(60_000)
      expect(standings).toMatchObject([{ remaining: 0 }])
    })

    test('a refusal says what is left, of what was taken beside it as well', async () => {
      const subject = newSubject()
      expect(await isTaken(of(subject, 'SEND', 6))).toBe(true)
      const { refused, standings } = await limits.take([of(subject, 'SEND', 7), of(subject, 'SEARCH', 2)])
      expect(standings).toMatchObject([{ kind: 'SEND', remaining: 4 }, { kind: 'SEARCH', remaining: 3, nextMs: 0 }])
      expect(refused!.waitMs).toBeGreaterThan(180_000 - slack)
      expect(standings[0]!.nextMs).toBeGreaterThan(60_000 - slack)
      expect(standings[0]!.nextMs).toBeLessThanOrEqual(60_000)
    })

    test('each subject and each kind has a bucket of its own', async () => {
      const [one, other] = [newSubject(), newSubject()]
      expect(await isTaken(of(one, 'SEND', 10))).toBe(true)
      expect(await isTaken(of(one))).toBe(false)
      expect(await isTaken(of(other))).toBe(true)
      expect(await isTaken(of(one, 'SEARCH'))).toBe(true)
    })

    test('several points are all there or none is taken', async () => {
      const subject = newSubject()
      expect(await isTaken(of(subject, 'SEND', 6))).toBe(true)
      const { refused } = await limits.take([of(subject, 'SEND', 6)])
      expect(refused!.waitMs).toBeGreaterThan(120_000 - slack)
      expect(refused!.waitMs).toBeLessThanOrEqual(120_000)
      expect(await isTaken(of(subject, 'SEND', 4))).toBe(true)
      expect(await isTaken(of(subject))).toBe(false)
    })

    test('where one of several is refused, the others are given back', async () => {
      const [one, other] = [newSubject(), newSubject()]
      expect(await isTaken(of(one, 'SEARCH', 3))).toBe(true)
      for (let nth = 0; nth < 20; nth++) {
        const { refused } = await limits.take([of(one), of(one, 'SEARCH'), of(other)])
        expect(refused!.kind).toBe('SEARCH')
      }
      await expect.poll(() => isTaken(of(one, 'SEND', 10))).toBe(true)
      await expect.poll(() => isTaken(of(other, 'SEND', 10))).toBe(true)
    })

    test('what is given back can be taken again, and makes no bucket larger', async () => {
      const subject = newSubject()
      const { refused, giveBack } = await limits.take([of(subject, 'SEND', 10)])
      expect(refused).toBeNull()
      giveBack([of(subject, 'SEND', 4)])
      await expect.poll(() => isTaken(of(subject, 'SEND', 4))).toBe(true)
      expect(await isTaken(of(subject))).toBe(false)
      giveBack([of(subject, 'SEND', 10), of(subject, 'SEND', 10)])
      await expect.poll(() => isTaken(of(subject, 'SEND', 10))).toBe(true)
      expect(await isTaken(of(subject))).toBe(false)
    })

    test('of many at once no more get through than there is', async () => {
      const subject = newSubject()
      const answers = await Promise.all(Array.from({ length: 200 }, () => isTaken(of(subject))))
      expect(answers.filter(Boolean)).toHaveLength(10)
    })

    test('points come back steadily: there is no edge at which twice as much gets through', async () => {
      // Twenty in two seconds, and twenty at once.
      const subject = newSubject()
      const started = performance.now()
      let taken = 0
      while (performance.now() - started < 3_000) {
        const before = performance.now()
        if (await isTaken(of(subject, 'UPLOAD'))) taken++
        expect(taken).toBeLessThanOrEqual(20 + Math.ceil((performance.now() - started) / 100))
        if (performance.now() - before < 5) await sleep(5)
      }
      const seconds = (performance.now() - started) / 1_000
      // One that asked all the time had nearly all of it; how late it was told depends on the machine.
      expect(taken).toBeGreaterThanOrEqual(20 + Math.floor(seconds * 10 * 0.7))
    }, 30_000)

    test('it waits as long as it was told and gets what it wants', async () => {
      const subject = newSubject()
      expect(await isTaken(of(subject, 'UPLOAD', 20))).toBe(true)
      const { refused } = await limits.take([of(subject, 'UPLOAD', 5)])
      expect(refused!.waitMs).toBeLessThanOrEqual(500)
      await sleep(refused!.waitMs + 5)
      expect(await isTaken(of(subject, 'UPLOAD', 5))).toBe(true)
    })

    test('what has no rule costs nothing, and what can never be is an error', async () => {
      const subject = newSubject()
      for (let nth = 0; nth < 50; nth++) expect(await limits.take([of(subject, 'LINK', 1_000)])).toMatchObject({ refused: null, standings: [] })
      await expect(limits.take([of(subject, 'SEND', 11)])).rejects.toThrow(RangeError)
    })

    test('of those who begin a pause one does, and may do so again', async () => {
      const name = newSubject()
      const holders = Array.from({ length: 20 }, (_, nth) => `holder ${nth}`)
      const answers = await Promise.all(holders.map((holder) => limits.pauses.begin(name, holder, 60_000)))
      expect(answers.filter((answer) => answer === 'begun')).toHaveLength(1)
      const first = holders[answers.indexOf('begun')]!
      for (const answer of answers) {
        if (typeof answer === 'string') continue
        expect(answer.holder).toBe(first)
        expect(answer.leftMs).toBeGreaterThan(60_000 - slack)
        expect(answer.leftMs).toBeLessThanOrEqual(60_000)
      }
      expect(await limits.pauses.begin(name, first, 60_000)).toBe('own')
      expect(await limits.pauses.begin(newSubject(), 'somebody else', 60_000)).toBe('begun')
    })

    test('a pause ends by itself, sooner where it is made shorter, and when its holder takes it back', async () => {
      const { pauses } = limits
      const name = newSubject()
      expect(await pauses.left(name, 60_000)).toBe(0)
      expect(await pauses.begin(name, 'one', 60_000)).toBe('begun')
      expect(await pauses.left(name, 60_000)).toBeGreaterThan(60_000 - slack)
      await sleep(300)
      expect(await pauses.left(name, 200)).toBe(0)
      expect(await pauses.begin(name, 'two', 200)).toBe('begun')
      pauses.end(name, 'one')
      expect(await pauses.begin(name, 'three', 60_000)).toMatchObject({ holder: 'two' })
      pauses.end(name, 'two')
      await expect.poll(() => pauses.left(name, 60_000)).toBe(0)
      expect(await pauses.begin(name, 'three', 100)).toBe('begun')
      await sleep(150)
      expect(await pauses.begin(name, 'four', 100)).toBe('begun')
    })

    test('a pause that is made longer lasts on, also where it was over', async () => {
      const { pauses } = limits
      const name = newSubject()
      expect(await pauses.begin(name, 'one', 200)).toBe('begun')
      await sleep(400)
      expect(await pauses.left(name, 200)).toBe(0)
      expect(await pauses.left(name, 60_000)).toBeGreaterThan(0)
      expect(await pauses.begin(name, 'one', 60_000)).toBe('own')
      expect(await pauses.begin(name, 'two', 60_000)).toMatchObject({ holder: 'one' })
    })
  })
}
