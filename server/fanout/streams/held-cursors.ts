import { badInput, cursorExpired } from '../../errors.ts'
import type { Position } from '../../message-store/changes.ts'
import { type Cursor, decodeCursor } from '../cursor.ts'

/** Reads the cursor that a client holds of one stream; throws BAD_USER_INPUT where it is of none, or of another. */
export function checkCursor(text: string, kind: Cursor['kind'], id: string, field: string): Position {
  const cursor = decodeCursor(text)
  if (cursor === null || cursor.kind !== kind || cursor.id !== id) {
    throw badInput('This is not a cursor of this stream.', field)
  }
  return { change: cursor.change, seq: cursor.seq }
}

/**
 * A cursor from the future was given out by a store that has since been put back: nobody knows what came after. One of
 * before what is kept misses what has been removed.
 */
export function checkCursorIsGood(
  after: Position,
  head: Position & { expiredChange: number },
  field = 'after',
  /** Where the stream will begin, which may be later. */
  from = after,
) {
  const isAhead = after.change > head.change || after.seq > head.seq
  if (isAhead || from.change < head.expiredChange) throw cursorExpired(field)
}

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
