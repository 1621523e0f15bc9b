import { expect, test } from 'vitest'
import { isShortCode, newShortCode, shortCodeLength } from './short-codes.ts'

test('codes are base-62, each character as likely as any other in each place, and none comes twice', () => {
  const codes = Array.from({ length: 20_000 }, newShortCode)
  expect(codes.every(isShortCode)).toBe(true)
  expect(new Set(codes).size).toBe(codes.length)
  for (let place = 0; place < shortCodeLength; place++) {
    const counts = new Map<string, number>()
    for (const code of codes) counts.set(code[place]!, (counts.get(code[place]!) ?? 0) + 1)
    expect(counts.size).toBe(62)
    // The sum of squared deviations has a mean of 61 and a deviation of 11: beyond 160 once in 10^10 times.
    const expected = codes.length / 62
    const deviation = [...counts.values()].reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
    expect(deviation).toBeLessThan(160)
  }
})

test('what is no code is known by its looks', () => {
  const code = newShortCode()
  for (const odd of ['', code.slice(1), `${code}a`, `${code}\n`, ` ${code.slice(1)}`, `-${code.slice(1)}`, '가'.repeat(14)]) {
    expect(isShortCode(odd)).toBe(false)
  }
})
