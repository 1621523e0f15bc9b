import { expect, test } from 'vitest'
import { createCatchUp } from './catch-up.ts'

test('what was created since is new once, however often it is touched', () => {
  const catchUp = createCatchUp(10)
  expect(catchUp.tellsFirst({ change: 11, seq: 5 })).toBe(true)
  expect(catchUp.tellsFirst({ change: 11, seq: 5 })).toBe(false)
  expect(catchUp.tellsFirst({ change: 12, seq: 6 })).toBe(true)
  expect(catchUp.tellsFirst({ change: 11, seq: 5 })).toBe(false)
})

test('what was there before is not new, touched or not', () => {
  const catchUp = createCatchUp(10)
  expect(catchUp.tellsFirst({ change: 10, seq: 4 })).toBe(false)
  expect(catchUp.tellsFirst({ change: 1, seq: 1 })).toBe(false)
})

test('seqs far apart and close together are told apart', () => {
  const catchUp = createCatchUp(0)
  const seqs = [1, 2, 7, 8, 9, 8_191, 8_192, 8_193, 16_384, 1_000_000, 0x7fff_ffff]
  for (const seq of seqs) expect(catchUp.tellsFirst({ change: 1, seq })).toBe(true)
  for (const seq of seqs) expect(catchUp.tellsFirst({ change: 1, seq })).toBe(false)
})
