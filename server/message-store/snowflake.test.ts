import { expect, test } from 'vitest'
import { compareSnowflakes, createSnowflakes, snowflakeAt, snowflakeTime } from './snowflake.ts'

test('a Snowflake tells its time to the millisecond, also of imported history', () => {
  for (const date of ['2004-12-25T09:14:08.571Z', '2026-11-21T00:00:00.000Z', '2069-01-01T00:00:00.000Z']) {
    expect(snowflakeTime(snowflakeAt(Date.parse(date))).toISOString()).toBe(date)
  }
})

test('a moment before the epoch gives the lowest Snowflake rather than a negative one', () => {
  expect(snowflakeAt(Date.UTC(1999, 11, 31))).toBe('1')
})

test('Snowflakes grow when thousands are made in a millisecond, and when the clock jumps back', () => {
  let now = Date.UTC(2026, 0, 1)
  const snowflakes = createSnowflakes(() => 7, () => now)
  let last = snowflakes.next()
  for (let made = 0; made < 10_000; made++) {
    if (made === 5_000) now -= 3_600_000
    const next = snowflakes.next()
    expect(compareSnowflakes(next, last)).toBeGreaterThan(0)
    last = next
  }
  expect((BigInt(last) >> 12n) & 0x3ffn).toBe(7n)
})
