import { decodeCursor } from '../../fanout/cursor.ts'
import type { Trail } from './chronicle.ts'

/** One subscription of a device, which it opens again on every connection. */
export type Listener = {
  trail: Trail
  /** What to ask for now; once everything that was told has been taken in. Null where there is nothing to ask for. */
  open(): Promise<{ query: string; variables: object } | null>
  /** Takes in one answer. */
  next(data: any): void
  /** How it stands that a subscription has ended with this code. */
  ended(code: string): 'again' | 'later' | 'never'
  /** What is still to come before everything is told that there is; null where there is nothing. */
  lacks(): string | null
}

/** The change that a cursor stands for. Devices take cursors as they are; only their judge looks into them. */
export function changeOf(cursor: string): number {
  const decoded = decodeCursor(cursor)
  if (decoded === null) throw new Error(`This is no cursor: ${cursor}`)
  return decoded.change
}
