import type { Position } from '../message-store/changes.ts'

/** Which stream, and where in it. */
export type Cursor = Position & { kind: 'channel' | 'account'; id: string }

const prefixes = { channel: 'c', account: 'a' } as const

/** Writes a cursor as clients hold it. */
export function encodeCursor(cursor: Cursor): string {
  const numbers = [BigInt(cursor.id), cursor.change, cursor.seq].map((number) => number.toString(36))
  return Buffer.from([prefixes[cursor.kind], ...numbers].join('.')).toString('base64url')
}

/** Thirteen digits hold every Snowflake, six every number that Postgres counts with. */
const shape = /^([ca])\.([0-9a-z]{1,13})\.([0-9a-z]{1,6})\.([0-9a-z]{1,6})$/

/** Reads a cursor; null where it is none that was ever given out. */
export function decodeCursor(text: string): Cursor | null {
  const parts = shape.exec(Buffer.from(text, 'base64url').toString('latin1'))
  if (parts === null) return null
  const [, prefix, digits, change, seq] = parts as unknown as [string, 'a' | 'c', string, string, string]
  let id = 0n
  for (const digit of digits) id = id * 36n + BigInt(Number.parseInt(digit, 36))
  const position = { change: Number.parseInt(change, 36), seq: Number.parseInt(seq, 36) }
  if (id >= 1n << 63n || Math.max(position.change, position.seq) > 0x7fff_ffff) return null
  const cursor: Cursor = { kind: prefix === 'c' ? 'channel' : 'account', id: id.toString(), ...position }
  // Base64 passes over what it does not know, and numbers over zeros before them: one cursor has one spelling.
  return encodeCursor(cursor) === text ? cursor : null
}
