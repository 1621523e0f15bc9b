import type { Position } from '../../message-store/changes.ts'
import type { Feeds } from '../feed.ts'
import type { Room } from './room.ts'
import type { Item, Source } from '../source.ts'
import type { Walk, Walks } from './walk.ts'

/**
 * What the next step of a reader gave: a change, and whether it was read from the store because the reader had missed
 * it; nothing for now; or that it may not read here any more.
 */
export type Step<T> = { change: T; missed: boolean } | 'nothing' | 'forbidden'

export type Reader<T extends Item> = {
  /**
   * Says where to begin, and how far the stream is known to have come by now, where the feed may lag behind that. To be
   * called once, after it is known whether the reader may read, and before `step`.
   */
  begin(position: Position, reach?: number): void
  /** Where the reader stands after what it was given last. */
  position(): Position
  /** Whether it holds more of a page that it has read. */
  isOnPage(): boolean
  /** Whether its user was put out since it was opened, and may be out still. */
  wasDismissed(): boolean
  /** Whether the next step need not wait: there is more of a page, or of what has gathered. */
  isAtHand(): boolean
  /** The next change. Asks the store where the reader is behind, so that it may reject; trying again is safe. */
  step(): Promise<Step<T>>
  close(): void
}

/**
 * Opens one reader of one stream. It is in one of two modes:
 *
 * - **behind**: it reads pages from the store, from its position, or shares those that others have read. Live changes
 *   gather meanwhile, up to a bound; when a page was the last one, those beyond it are the next, and the reader is
 *   live. A page may be older than the gathering, so the last one must reach what had been handed out when that began.
 * - **live**: it gives out what gathers. When more gathers than there is room for, all of it is dropped, and the reader
 *   is behind: so a reader that does not read costs a position, and not a queue.
 *
 * It listens from when this resolves, and gives out nothing before `begin`. `onReady` is called whenever `step` may
 * have something. Null where there is no such stream.
 */
export async function openReader<T extends Item>(options: {
  source: Source<T>
  feeds: Feeds<T>
  walks: Walks<T>
  id: string
  userId: string
  room: Room
  onReady: () => void
}): Promise<Reader<T> | null> {
  const { source, feeds, walks, id, userId, room, onReady } = options
  let waiting: T[] = []
  let overflowed = false
  let isClosed = false
  /** What was read and is not given out: others may share it, so it stays as it is, and `given` of it are past. */
  let page: readonly T[] = []
  let given = 0
  let position: Position = { change: 0, seq: 0 }
  /** Where the reader stands once `page` is given out. */
  let afterPage = position
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
      given = 0
      afterPage = position
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

  position = attached.position()
  afterPage = position
  /** What had been handed out when the gathering began, or is known to be there. It comes from the store. */
  let mustReach = position.change
  let behind = false
  /** Its way through what it has missed; null while it is live. */
  let walk: Walk<T> | null = null

  function give(change: T, missed: boolean): Step<T> {
    position = { change: change.change, seq: Math.max(position.seq, change.seq) }
    return { change, missed }
  }

  async function readPage(): Promise<'forbidden' | 'read'> {
    // Whatever gathers from here on is after what was handed out by now, and that the page reaches.
    if (overflowed) mustReach = Math.max(mustReach, attached!.position().change)
    overflowed = false
    drop((change) => change.change <= position.change)
    walk ??= walks.begin(id, userId, position)
    const before = dismissals
    const missed = await walk.read(position, mustReach)
    // Read before the reader was put out: it is asked for anew.
    if (dismissals > before || isClosed) return 'read'
    if (missed === 'forbidden') return 'forbidden'
    page = missed.changes
    given = 0
    afterPage = missed.position
    behind = !missed.complete
    return 'read'
  }

  async function step(): Promise<Step<T>> {
    while (!isClosed) {
      if (given < page.length) return give(walk!.tell(page[given++]!), true)
      // A page may be without any changes to tell, and yet the reader is further on.
      if (afterPage.change > position.change) position = afterPage
      if (overflowed) behind = true
      if (behind) {
        if ((await readPage()) === 'forbidden') return 'forbidden'
        continue
      }
      page = []
      given = 0
      walk = null
      const next = waiting.shift()
      if (next === undefined) break
      room.leave(source.size(next))
      // What was missed by the feed, and is new to it, need not be new to a reader that has read on by itself.
      if (next.change > position.change) return give(source.toldAt(next, afterPage), false)
    }
    return 'nothing'
  }

  return {
    begin(from, reach = 0) {
      position = from
      afterPage = from
      mustReach = Math.max(mustReach, reach)
      behind = from.change < mustReach
    },
    position: () => position,
    isOnPage: () => given < page.length,
    wasDismissed: () => dismissals > 0,
    isAtHand: () => given < page.length || (!behind && !overflowed && waiting.length > 0),
    async step() {
      try {
        return await step()
      } catch (error) {
        if (isClosed) return 'nothing'
        throw error
      }
    },
    close() {
      isClosed = true
      attached.detach()
      drop(() => true)
      page = []
      given = 0
      walk?.close()
    },
  }
}
