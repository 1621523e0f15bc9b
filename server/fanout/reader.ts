import type { Position } from '../message-store/changes.ts'
import type { Feeds } from './feed.ts'
import type { Item, Source } from './source.ts'

/** Changes that wait for a reader before it is left to read on from the store. */
const maxWaiting = 64

/** What a reader asks the store for at once. */
const pageSize = 100

/** What the next step of a reader gave: a change, nothing for now, or that it may not read here any more. */
export type Step<T> = { change: T } | 'nothing' | 'forbidden'

export type Reader<T extends Item> = {
  /** Where the reader stands after what it was given last. */
  position(): Position
  /** The next change. Asks the store where the reader is behind, so that it may reject; trying again is safe. */
  step(): Promise<Step<T>>
  close(): void
}

/**
 * Opens one reader of one stream. It is in one of two modes:
 *
 * - **behind**: it reads pages from the store, from its position. Live changes gather meanwhile, up to a bound; when a
 *   page was the last one, those beyond it are the next, and the reader is live.
 * - **live**: it gives out what gathers. When more gathers than the bound, all of it is dropped, and the reader is
 *   behind: so a reader that does not read costs a position, and not a queue.
 *
 * Without `after` it begins where the stream stands, live. `onReady` is called whenever `step` may have something.
 * Null where there is no such stream.
 */
export async function openReader<T extends Item>(options: {
  source: Source<T>
  feeds: Feeds<T>
  id: string
  userId: string
  after: Position | null
  onReady: () => void
}): Promise<Reader<T> | null> {
  const { source, feeds, id, userId, onReady } = options
  let waiting: T[] = []
  let overflowed = false
  const attached = await feeds.attach(id, (changes) => {
    if (overflowed) return
    waiting.push(...changes)
    if (waiting.length > maxWaiting) {
      overflowed = true
      waiting = []
    }
    onReady()
  })
  if (attached === null) return null

  let position = options.after ?? attached.position
  let behind = position.change < attached.position.change
  let page: T[] = []
  /** Where the reader stands once `page` is given out. */
  let afterPage = position

  function give(change: T): Step<T> {
    position = { change: change.change, seq: Math.max(position.seq, change.seq) }
    return { change }
  }

  async function readPage(): Promise<'forbidden' | 'read'> {
    // Whatever gathers from here on is either in the page or after it.
    overflowed = false
    waiting = waiting.filter((change) => change.change > position.change)
    const missed = await source.since(id, position, pageSize, userId)
    if (missed === null || !missed.member) return 'forbidden'
    page = missed.changes
    behind = !missed.complete
    if (missed.complete) afterPage = missed.position
    return 'read'
  }

  return {
    position: () => position,
    async step() {
      for (;;) {
        const fromPage = page.shift()
        if (fromPage !== undefined) return give(fromPage)
        if (overflowed) behind = true
        if (behind) {
          if ((await readPage()) === 'forbidden') return 'forbidden'
          continue
        }
        if (afterPage.change > position.change) position = afterPage
        const next = waiting.shift()
        if (next === undefined) return 'nothing'
        if (next.change > position.change) return give(next)
      }
    },
    close: attached.detach,
  }
}
