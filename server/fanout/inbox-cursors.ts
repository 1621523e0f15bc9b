import { badInput } from '../errors.ts'
import type { Position } from '../message-store/changes.ts'
import { decodeCursor } from './cursor.ts'

/** Cursors of one inbox: a channel each, and people with more channels than this do not exist. */
const maxCursors = 10_000

/** A position that a client holds, and where in the input it stands. */
export type HeldCursor = Position & { field: string }

/**
 * Sorts the cursors that a client holds: one of its account, and one for each channel. Throws BAD_USER_INPUT for what is no
 * cursor of theirs, and where there are too many.
 */
export function readCursors(after: readonly string[], viewerId: string) {
  if (after.length > maxCursors) throw badInput(`At most ${maxCursors} cursors.`, 'after')
  const channels = new Map<string, HeldCursor>()
  let account: HeldCursor | null = null
  for (const [place, text] of after.entries()) {
    const cursor = decodeCursor(text)
    if (cursor === null || (cursor.kind === 'account' && cursor.id !== viewerId)) {
      throw badInput('This is not a cursor of yours.', 'after')
    }
    const position = { change: cursor.change, seq: cursor.seq, field: `after.${place}` }
    if (cursor.kind === 'account') account = position
    else channels.set(cursor.id, position)
  }
  return { account, channels }
}
