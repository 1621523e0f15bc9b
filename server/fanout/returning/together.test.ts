import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createAdmission } from './admission.ts'
import { createTogether } from './together.ts'

/** Asks in groups, and notes who was asked for together. */
function start({ most = 100, atOnce = 4, readMs = 5, apartMs = 0 } = {}) {
  const reads: { key: string; asked: readonly number[]; began: number }[] = []
  let underWay = 0
  let mostUnderWay = 0
  const ask = createTogether<number, string>({
    admission: createAdmission({ atOnce }),
    most,
    apartMs,
    async read(key, asked) {
      reads.push({ key, asked, began: performance.now() })
      mostUnderWay = Math.max(mostUnderWay, ++underWay)
      await sleep(readMs)
      underWay--
      if (asked.includes(13)) throw new Error('thirteen')
      return asked.map((number) => `${key} ${number}`)
    },
  })
  return { reads, ask: (key: string, number: number) => ask(key, 'alice', number), most: () => mostUnderWay }
}

test('who asks at the same moment shares a read, and each gets their own answer', async () => {
  const { reads, ask } = start()
  expect(await Promise.all([1, 2, 3, 2].map((number) => ask('tea', number)))).toEqual(['tea 1', 'tea 2', 'tea 3', 'tea 2'])
  expect(reads.map(({ asked }) => asked)).toEqual([[1, 2, 3, 2]])
})

test('who comes while a read is under way shares the next one, which begins afterwards', async () => {
  const { reads, ask, most } = start({ readMs: 30 })
  const first = ask('tea', 1)
  while (reads.length === 0) await sleep(1)
  const asked = performance.now()
  const others = [2, 3, 4].map((number) => ask('tea', number))
  await Promise.all([first, ...others])
  expect(reads.map((read) => read.asked)).toEqual([[1], [2, 3, 4]])
  expect(reads[1]!.began).toBeGreaterThan(asked)
  expect(most()).toBe(1)
})

test('different keys are read side by side, as far as there is room, and those who wait for it go on gathering', async () => {
  const { reads, ask, most } = start({ atOnce: 2, readMs: 30 })
  const first = ['tea', 'cake', 'coffee'].map((key) => ask(key, 1))
  while (reads.length < 2) await sleep(1)
  expect(reads.map(({ key }) => key)).toEqual(['tea', 'cake'])
  const late = ask('coffee', 2)
  expect(await Promise.all([...first, late])).toEqual(['tea 1', 'cake 1', 'coffee 1', 'coffee 2'])
  expect(reads.map(({ asked }) => asked)).toEqual([[1], [1], [1, 2]])
  expect(most()).toBe(2)
})

test('a read is for so many and no more, and what fails fails those whose read it was', async () => {
  const { reads, ask } = start({ most: 2 })
  const outcomes = await Promise.allSettled([11, 12, 13, 14, 15].map((number) => ask('tea', number)))
  expect(reads.map(({ asked }) => asked)).toEqual([[11, 12], [13, 14], [15]])
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'rejected', 'fulfilled'])
  expect(await ask('tea', 16)).toBe('tea 16')
})

test('however many come one after the other, there are only so many reads in a second', async () => {
  const { reads, ask } = start({ readMs: 0, apartMs: 40 })
  const all: Promise<string>[] = []
  for (let number = 20; number < 40; number++) {
    all.push(ask('tea', number))
    await sleep(5)
  }
  await Promise.all(all)
  expect(reads.flatMap(({ asked }) => asked)).toEqual(Array.from({ length: 20 }, (_, nth) => 20 + nth))
  for (const [nth, { began }] of reads.entries()) if (nth > 0) expect(began - reads[nth - 1]!.began).toBeGreaterThan(35)
})
