import { expect, test } from 'vitest'
import { createReading, createTimeline } from './timeline.ts'

test('between asking and being answered it may have been either', () => {
  const muted = createTimeline(false)
  muted.set(true, 10, 20)
  muted.set(false, 30, 40)
  const [may, mayNot] = [
    (from: number, to: number) => muted.may((is) => is, from, to),
    (from: number, to: number) => muted.may((is) => !is, from, to),
  ]
  expect([may(0, 9), mayNot(0, 9)]).toEqual([false, true])
  expect([may(9, 10), mayNot(10, 20)]).toEqual([true, true])
  expect([may(21, 29), mayNot(21, 29)]).toEqual([true, false])
  expect([may(30, 40), mayNot(30, 40)]).toEqual([true, true])
  expect([may(41, 99), mayNot(41, 99)]).toEqual([false, true])
  expect([may(0, 99), mayNot(0, 99)]).toEqual([true, true])
  expect(muted.now()).toBe(false)
})

test('what was so from the beginning was never otherwise', () => {
  const quiet = createTimeline(false)
  quiet.set(true, -Infinity, -Infinity)
  expect(quiet.may((is) => !is, 0, 99)).toBe(false)
})

test('whoever has read a message has read those before it', () => {
  const reading = createReading()
  reading.add(5, 10, 20)
  reading.add(3, 12, 14)
  reading.add(9, 30, 40)
  expect([3, 5, 6, 9, 10].map((seq) => reading.mayBeRead(seq, 11))).toEqual([true, true, false, false, false])
  expect([3, 5, 6, 9, 10].map((seq) => reading.mayBeUnread(seq, 15))).toEqual([false, true, true, true, true])
  expect([3, 5, 6, 9, 10].map((seq) => reading.mayBeUnread(seq, 41))).toEqual([false, false, false, false, true])
})
