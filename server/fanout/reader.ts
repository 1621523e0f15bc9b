import { type CatchUp, createCatchUp } from '../message-store/catch-up.ts'
import type { Position } from '../message-store/changes.ts'
import type { Feeds } from './feed.ts'
import type { Room } from './room.ts'
import type { Item, Source } from './source.ts'

/** What a reader asks the store for at once. */
const pageSize = 100

/**
 * What the next step of a reader gave: a change, and whether it was read from the store because the reader had missed
 * it; nothing for now; or that it may not read here any more.
 */
export type Step<T> = { change: T; missed: boolean } | 'nothing' | 'forbidden'

export type Reader<T extends Item> = {
  /** Says where to begin. To be called once, after it is known whether the reader may read, and before `step`. */
  begin(position: Position): void
  /** Where the reader stands after what it was given last. */
  position(): Position
  /** Whether it holds more of a page that it has read. */
  isOnPage(): boolean
  /** The next change. Asks the store where the reader is behind, so that it may reject; trying again is safe. */
  step(): Promise<Step<T>>
  close(): void
}

/**
 * Opens one reader of one stream. It is in one of two modes:
 *
 * - **behind**: it reads pages from the store, from its position. Live changes gather meanwhile, up to a bound; when a
 *   page was the last one, those beyond it are the next, and the reader is live.
 * - **live**: it gives out what gathers. When more gathers than there is room for, all of it is dropped, and the reader
 *   is behind: so a reader that does not read costs a position, and not a queue.
 *
 * It listens from when this resolves, and gives out nothing before `begin`. `onReady` is called whenever `step` may
 * have something. Null where there is no such stream.
 */
export async function openReader<T extends Item>(options: {
  source: Source<T>
  feeds: Feeds<T>
  id: string
  userId: string
  room: Room
  onReady: () => void
}): Promise<Reader<T> | null> {
  const { source, feeds, id, userId, room, onReady } = options
  let waiting: T[] = []
  let overflowed = false
  let catchUp: CatchUp | null = null
  let page: T[] = []
  /** How often the reader was put out while it listened. */
  let dismissals = 0

  function drop(isDropped: (change: T) => boolean) {
    const kept: T[] = []
    for (const change of waiting) {
      if (isDropped(change)) room.leave(source.size(change))
      else kept.push(change)
    }
    waiting = kept
  }

  const attached = await feeds.attach(id, (changes) => {
    if (changes === 'lost') {
      // The store will tell this reader that it cannot read on; or that it has read further by itself.
      drop(() => true)
      overflowed = true
      onReady()
      return
    }
    if (changes.some((change) => source.dismisses(change, userId))) {
      // What was gathered or read before this is answered with what is true now, which is none of theirs any more: it
      // is asked of the store anew, which says so; or that they are back.
      drop(() => true)
      page = []
      catchUp = null
      overflowed = true
      dismissals++
      onReady()
      return
    }
    if (overflowed) return
    for (const change of changes) {
      waiting.push(change)
      if (!room.enter(source.size(change))) overflowed = true
    }
    if (overflowed) drop(() => true)
    onReady()
  })
  if (attached === null) return null

  const listeningFrom = attached.position()
  let position = listeningFrom
  let behind = false
  /** Where the reader stands once `page` is given out. */
  let afterPage = position

  function give(change: T, missed: boolean): Step<T> {
    position = { change: change.change, seq: Math.max(position.seq, change.seq) }
    return { change, missed }
  }

  async function readPage(): Promise<'forbidden' | 'read'> {
    // Whatever gathers from here on is either in the page or after it.
    overflowed = false
    drop((change) => change.change <= position.change)
    catchUp ??= createCatchUp(position.change)
    const before = dismissals
    const missed = await source.since(id, position, pageSize, userId, catchUp)
    // Read before the reader was put out: it is asked for anew.
    if (dismissals > before) return 'read'
    if (missed === null || !missed.member) return 'forbidden'
    page = missed.changes
    behind = !missed.complete
    if (missed.complete) {
      afterPage = missed.position
      catchUp = null
    }
    // A page may be without any changes to tell, and yet the reader is further on.
    else if (page.length === 0) position = missed.position
    return 'read'
  }

  return {
    begin(from) {
      position = from
      afterPage = from
      behind = from.change < listeningFrom.change
    },
    position: () => position,
    isOnPage: () => page.length > 0,
    async step() {
      for (;;) {
        const fromPage = page.shift()
        if (fromPage !== undefined) return give(fromPage, true)
        if (overflowed) behind = true
        if (behind) {
          if ((await readPage()) === 'forbidden') return 'forbidden'
          continue
        }
        if (afterPage.change > position.change) position = afterPage
        const next = waiting.shift()
        if (next === undefined) return 'nothing'
        room.leave(source.size(next))
        // What was missed by the feed, and is new to it, need not be new to a reader that has read on by itself.
        if (next.change > position.change) return give(source.toldAt(next, afterPage), false)
      }
    },
    close() {
      attached.detach()
      drop(() => true)
    },
  }
}
