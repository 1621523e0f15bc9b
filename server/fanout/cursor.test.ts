import { expect, test } from 'vitest'
import { type Cursor, decodeCursor, encodeCursor } from './cursor.ts'

const largest = (2n ** 63n - 1n).toString()

test('a cursor leads back to where it was given out, as long as there are Snowflakes', () => {
  const cursors: Cursor[] = [
    { kind: 'channel', id: '1', change: 0, seq: 0 },
    { kind: 'channel', id: '3563000000000000000', change: 12_345, seq: 6_789 },
    // In 2035 Snowflakes take a digit more.
    { kind: 'channel', id: (36n ** 12n).toString(), change: 1, seq: 1 },
    { kind: 'account', id: largest, change: 0x7fff_ffff, seq: 0x7fff_ffff },
  ]
  for (const cursor of cursors) expect(decodeCursor(encodeCursor(cursor))).toEqual(cursor)
})

test('what was never given out is no cursor, nor is another spelling of one that was', () => {
  const spelt = (text: string) => Buffer.from(text).toString('base64url')
  const good = encodeCursor({ kind: 'channel', id: '42', change: 7, seq: 7 })
  const garbage = [
    '', ' ', 'null', '0', 'c.16.7.7', '🪵', 'x'.repeat(100_000), `${good} `, ` ${good}`, `${good}==`, `${good}A`, `*${good}`,
    good.slice(1), good.slice(0, -1),
    ...[
      '', 'c', 'c...', 'x.16.7.7', 'C.16.7.7', 'c.16.7', 'c.16.7.7.7', 'c.-1.7.7', 'c.16.7.zzzzzz', 'c.16.zzzzzz.7',
      'c.16.1000000.7', 'c.016.7.7', 'c.16.07.7', 'c.16.7.7 ', 'c.16.7.7\n', `c.${(2n ** 63n).toString(36)}.7.7`,
      `c.${'z'.repeat(13)}.7.7`, `c.${'z'.repeat(14)}.7.7`, 'c.1６.7.7', 'c.16.NaN.7', 'c.G.7.7',
    ].map(spelt),
  ]
  for (const text of garbage) expect([text, decodeCursor(text)]).toEqual([text, null])
  expect(decodeCursor(good)).toEqual({ kind: 'channel', id: '42', change: 7, seq: 7 })
})
