import { expect, test } from 'vitest'
import { createCatchUp } from './catch-up.ts'

/** A message that was created and touched last at these changes. */
const message = (change: number, version = change) => ({ change, version })

test('on one page new is what was created since, touched or not', () => {
  const catchUp = createCatchUp(10)
  expect(catchUp.isNew(message(11))).toBe(true)
  expect(catchUp.isNew(message(11, 20))).toBe(true)
  expect(catchUp.isNew(message(10, 20))).toBe(false)
  expect(catchUp.isNew(message(1, 20))).toBe(false)
})

test('over many pages new is what no page has told, each page having been read when the channel stood elsewhere', () => {
  const catchUp = createCatchUp(10)
  catchUp.turn(20, 50)
  // Created before the end of the first page, and touched by then: the first page did not tell it.
  expect(catchUp.isNew(message(15, 40))).toBe(true)
  // Touched only after that page was read: it was on it.
  expect(catchUp.isNew(message(15, 55))).toBe(false)
  expect(catchUp.isNew(message(25))).toBe(true)
  catchUp.turn(30, 60)
  // The second page was read later: what was touched in between was on none.
  expect(catchUp.isNew(message(25, 55))).toBe(true)
  expect(catchUp.isNew(message(15, 55))).toBe(false)
  expect(catchUp.isNew(message(25, 65))).toBe(false)
  expect(catchUp.isNew(message(10, 65))).toBe(false)
})
