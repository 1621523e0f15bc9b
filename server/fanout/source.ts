import type { CatchUp } from '../message-store/catch-up.ts'
import type { Position } from '../message-store/changes.ts'

/** One item of a stream: where the stream stands after it, and whatever it tells. */
export type Item = Position

/** A page of what a reader has missed. */
export type MissedPage<T extends Item> = {
  changes: T[]
  position: Position
  complete: boolean
  /** Whether the reader may have it. */
  member: boolean
}

/**
 * What a kind of stream is made of: where its news travels, and how the store is asked for what was missed. Two kinds
 * exist, a channel's changes and an account's.
 */
export type Source<T extends Item> = {
  /** The bus topic of the stream `id`. */
  topic(id: string): string
  /**
   * What was published and is new after change `known`, in order. A number where it says only how far the stream has
   * come: then the store is asked. Throws where it cannot be read.
   */
  decode(payload: string, known: number): T[] | number
  /** Whether this item ends a reader's membership. */
  dismisses(item: T, userId: string): boolean
  /** The same item, as it is to a reader who stands at `position` and has been told all that was there before. */
  toldAt(item: T, position: Position): T
  /** About how many characters an item keeps in memory. */
  size(item: T): number
  /** Where these streams stand, in one query, and the change that one must have seen to read on. */
  heads(ids: readonly string[]): Promise<(Position & { id: string; expiredChange: number })[]>
  /**
   * What changed after a position, as `userId` may see it. Null where there is no such stream. Who reads on hands in
   * the same `catchUp` for each page. Throws CURSOR_EXPIRED where some of it has been removed.
   */
  since(id: string, after: Position, limit: number, userId: string, catchUp: CatchUp): Promise<MissedPage<T> | null>
}
