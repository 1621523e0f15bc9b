import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { createBell, pullIterator } from './pull-iterator.ts'

const ended = { done: true, value: undefined }

describe('a pull iterator', () => {
  test('gives what it pulls until there is no more, and stops once', async () => {
    const items = [1, 2, 3]
    let stops = 0
    const iterator = pullIterator(async () => items.shift(), () => stops++)
    expect(await Array.fromAsync(iterator)).toEqual([1, 2, 3])
    expect(await iterator.next()).toEqual(ended)
    expect(await iterator.return!()).toEqual(ended)
    expect(stops).toBe(1)
  })

  test('pulls nothing before it is asked, and one at a time', async () => {
    let pulls = 0
    const iterator = pullIterator(async () => ++pulls, () => {})
    await turn()
    expect(pulls).toBe(0)
    expect(await iterator.next()).toEqual({ done: false, value: 1 })
    await turn()
    expect(pulls).toBe(1)
  })

  test('return while a pull waits settles at once, and so does the pull that waits', async () => {
    let stops = 0
    const iterator = pullIterator(() => new Promise<number>(() => {}), () => stops++)
    const waiting = iterator.next()
    expect(await iterator.return!()).toEqual(ended)
    expect(await waiting).toEqual(ended)
    expect(await iterator.next()).toEqual(ended)
    expect(stops).toBe(1)
  })

  test('what a pull comes to after the end interests nobody, a failure neither', async () => {
    const pulls = [Promise.withResolvers<number>(), Promise.withResolvers<number>()]
    for (const [place, settle] of [() => pulls[0]!.resolve(7), () => pulls[1]!.reject(new Error('too late'))].entries()) {
      let stops = 0
      const iterator = pullIterator(() => pulls[place]!.promise, () => stops++)
      const waiting = iterator.next()
      await iterator.return!()
      settle()
      expect(await waiting).toEqual(ended)
      expect(stops).toBe(1)
    }
  })

  test('leaving a loop ends it', async () => {
    let stops = 0
    const iterator = pullIterator(async () => 1, () => stops++)
    for await (const item of iterator) {
      expect(item).toBe(1)
      break
    }
    expect(stops).toBe(1)
  })

  test('a pull that fails ends it with the error, once', async () => {
    let stops = 0
    const iterator = pullIterator(() => Promise.reject(new Error('gone')), () => stops++)
    await expect(iterator.next()).rejects.toThrow('gone')
    expect(await iterator.next()).toEqual(ended)
    expect(stops).toBe(1)
  })

  test('throw ends it with the error that it is given', async () => {
    let stops = 0
    const iterator = pullIterator(() => new Promise<number>(() => {}), () => stops++)
    const waiting = iterator.next()
    await expect(iterator.throw!(new Error('enough'))).rejects.toThrow('enough')
    expect(await waiting).toEqual(ended)
    expect(stops).toBe(1)
  })
})

describe('a bell', () => {
  test('lets one pass who waits, and one who comes after it was rung', async () => {
    const bell = createBell()
    let passed = 0
    const waiting = bell.wait().then(() => passed++)
    await turn()
    expect(passed).toBe(0)
    bell.ring()
    await waiting
    bell.ring()
    bell.ring()
    await bell.wait()
    // Two rings while nobody waited are one.
    void bell.wait().then(() => passed++)
    await turn()
    expect(passed).toBe(1)
    bell.ring()
    await turn()
    expect(passed).toBe(2)
  })
})
