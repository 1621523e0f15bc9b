import { expectedFailure } from '../errors.ts'
import type { EventBus } from '../event-bus/event-bus.ts'
import { createCatchUp } from '../message-store/catch-up.ts'
import type { Position } from '../message-store/changes.ts'
import type { Item, Source } from './source.ts'

/** How often heads are compared, in milliseconds: the most that a lost publish can cost. */
export const headIntervalMs = 1_000

/** Streams in one comparison of heads: 10,000 took 11 ms. */
const headsAtOnce = 10_000

/** What the store is asked for at once when something was missed. */
const missedAtOnce = 200

/** Nobody in particular reads for a feed: who may see what is the reader's affair. */
const nobody = '0'

/** Somebody's hold of a feed. */
export type Attached = {
  /** The last change that was handed out. */
  position(): Position
  /** Whether the store is being asked for what was missed: more of it may come. */
  isReading(): boolean
  /** Asks the store for this change at once, unless it has been handed out: somebody knows that it is there. */
  lookFor(change: number): void
  detach(): void
}

export type Listener<T> = (changes: T[] | 'lost') => void

export type Feeds<T extends Item> = {
  /**
   * Listens to the stream `id`. Once this has resolved, `listener` gets every change after `position()`, once, in
   * order, without a gap. Or else it is told that some are lost: retention has removed them before they were read, and
   * the feed goes on from the stream's head. Null where there is no such stream; rejects where the store cannot be
   * asked.
   */
  attach(id: string, listener: Listener<T>): Promise<Attached | null>
  /** The same at once, where somebody is attached already; null where nobody is. */
  listen(id: string, listener: Listener<T>): Attached | null
  /**
   * What this replica has written itself: handed out without the way over the bus where it is the next. Where it is
   * not, another replica was first, whose news the bus is about to bring, with this behind it.
   */
  tell(id: string, changes: readonly T[]): void
  /** How many streams are watched. */
  size(): number
  /** How long ago all of them were last compared with their heads, in milliseconds. */
  lag(): number
  close(): void
}

type Feed<T> = {
  id: string
  /** The last change that was handed out. */
  position: Position
  listeners: Set<Listener<T>>
  /** Resolves once the position is known; false where there is no such stream. */
  ready: Promise<boolean>
  isOpen: boolean
  unsubscribe: () => void
  /** The newest change this replica has heard of since it last asked the store; beyond `position`, some are missing. */
  heard: number
  reading: boolean
}

/**
 * The streams that this replica's sockets watch, each once, however many sockets there are. A published change that is
 * the next one goes out at once. One that skips ahead, a break of the bus, or the comparison of heads makes the feed
 * ask the store for what is missing and hand it out in order.
 */
export function createFeeds<T extends Item>(options: {
  source: Source<T>
  /** The heads of streams that begin to be watched, together with those of others; the source's own where it is not given. */
  openingHeads?: Source<T>['heads']
  bus: EventBus
  onError: (error: unknown) => void
  /** Called whenever the store had to be asked, with how many changes were missing. */
  onMissed?: (changes: number) => void
  /** Called after each comparison of any heads, with how long it took and how many streams were found behind. */
  onCompared?: (milliseconds: number, behind: number) => void
  intervalMs?: number
}): Feeds<T> {
  const { source, openingHeads = source.heads, bus, onError } = options
  const feeds = new Map<string, Feed<T>>()

  function deliver(feed: Feed<T>, changes: T[], position: Position) {
    feed.position = position
    if (changes.length > 0) tellAll(feed, changes)
  }

  /** One listener that fails keeps nothing from the others. */
  function tellAll(feed: Feed<T>, changes: T[] | 'lost') {
    for (const listener of feed.listeners) {
      // Who has not heard all of it must not go on as if they had.
      if (!isHeard(listener, changes) && changes !== 'lost') isHeard(listener, 'lost')
    }
  }

  function isHeard(listener: Listener<T>, changes: T[] | 'lost'): boolean {
    try {
      listener(changes)
      return true
    } catch (error) {
      onError(error)
      return false
    }
  }

  /** Goes on from the stream's head, as what comes before it is not to be had any more. */
  async function skip(feed: Feed<T>): Promise<void> {
    const [head] = await source.heads([feed.id])
    if (head === undefined || feeds.get(feed.id) !== feed) return
    feed.position = { change: head.change, seq: head.seq }
    tellAll(feed, 'lost')
  }

  /** Reads from the store until nothing is missing. One reader at a time; what is heard meanwhile makes it go on. */
  async function readMissed(feed: Feed<T>): Promise<void> {
    if (feed.reading) return
    feed.reading = true
    const catchUp = createCatchUp(feed.position.change)
    try {
      let complete = false
      while (!complete || feed.heard > feed.position.change) {
        // What was heard of before the store is asked, and is not in it, does not exist: the store is right. What is
        // heard of from here on may be committed after it has looked, and makes it look once more.
        feed.heard = 0
        const page = await source.since(feed.id, feed.position, missedAtOnce, nobody, catchUp).catch(lostIfExpired)
        if (page === 'lost') return void (await skip(feed))
        if (page === null || feeds.get(feed.id) !== feed) return
        options.onMissed?.(page.changes.length)
        deliver(feed, page.changes, page.position)
        complete = page.complete
      }
    } catch (error) {
      // The next comparison of heads tries again.
      onError(error)
    } finally {
      feed.reading = false
    }
  }

  function lookFor(feed: Feed<T>, change: number) {
    feed.heard = Math.max(feed.heard, change)
    if (feed.heard > feed.position.change) void readMissed(feed)
  }

  /** What was published; no number at all where it cannot be read, as while replicas of two versions run. */
  function decode(feed: Feed<T>, payload: string): T[] | number {
    try {
      return source.decode(payload, feed.position.change)
    } catch (error) {
      onError(error)
      return Number.POSITIVE_INFINITY
    }
  }

  /** Whether these are the next changes of a feed that is not being read for. */
  function areNext(feed: Feed<T>, changes: readonly T[]): boolean {
    const [first, last] = [changes[0]!, changes.at(-1)!]
    const isGapless = last.change - first.change === changes.length - 1
    return !feed.reading && isGapless && first.change === feed.position.change + 1
  }

  function hear(feed: Feed<T>, payload: string) {
    const changes = decode(feed, payload)
    if (typeof changes === 'number') return lookFor(feed, changes)
    const last = changes.at(-1)
    if (last === undefined) return
    if (areNext(feed, changes)) deliver(feed, changes, { change: last.change, seq: last.seq })
    else lookFor(feed, last.change)
  }

  function open(id: string): Feed<T> {
    const feed: Feed<T> = {
      id,
      position: { change: 0, seq: 0 },
      listeners: new Set(),
      ready: Promise.resolve(false),
      isOpen: false,
      unsubscribe: () => {},
      heard: 0,
      // Until the head is known nothing can be told to be the next change.
      reading: true,
    }
    feed.ready = (async () => {
      // Listening comes before looking, so that nothing falls between the two.
      feed.unsubscribe = await bus.subscribe(source.topic(id), (payload) => hear(feed, payload))
      const [head] = await openingHeads([id])
      feed.reading = false
      if (head === undefined) return false
      feed.position = { change: head.change, seq: head.seq }
      feed.isOpen = true
      if (feed.heard > head.change) void readMissed(feed)
      return true
    })()
    feeds.set(id, feed)
    return feed
  }

  function leave(feed: Feed<T>) {
    if (feed.listeners.size > 0) return
    if (feeds.get(feed.id) === feed) feeds.delete(feed.id)
    feed.unsubscribe()
  }

  async function compareHeads(): Promise<void> {
    const started = performance.now()
    let behind = 0
    const watched = [...feeds.keys()]
    for (let start = 0; start < watched.length; start += headsAtOnce) {
      for (const head of await source.heads(watched.slice(start, start + headsAtOnce))) {
        const feed = feeds.get(head.id)
        if (feed === undefined) continue
        if (feed.isOpen && head.change > feed.position.change) behind++
        lookFor(feed, head.change)
      }
    }
    comparedAt = performance.now()
    if (watched.length > 0) options.onCompared?.(comparedAt - started, behind)
  }

  let comparedAt = performance.now()
  let comparing: Promise<void> | null = null
  function compare() {
    comparing ??= compareHeads()
      .catch(onError)
      .finally(() => {
        comparing = null
      })
  }
  const timer = setInterval(compare, options.intervalMs ?? headIntervalMs)
  timer.unref()
  bus.onGap(compare)

  /** Adds a listener to a feed, by a function of its own: the same may listen twice. */
  function join(feed: Feed<T>, listener: Listener<T>): Attached {
    const own: Listener<T> = (changes) => listener(changes)
    feed.listeners.add(own)
    return {
      position: () => feed.position,
      isReading: () => feed.reading,
      lookFor: (change) => lookFor(feed, change),
      detach() {
        feed.listeners.delete(own)
        leave(feed)
      },
    }
  }

  return {
    async attach(id, listener) {
      const feed = feeds.get(id) ?? open(id)
      const attached = join(feed, listener)
      try {
        if (await feed.ready) return attached
      } catch (error) {
        attached.detach()
        throw error
      }
      attached.detach()
      return null
    },
    listen(id, listener) {
      const feed = feeds.get(id)
      return feed?.isOpen === true ? join(feed, listener) : null
    },
    tell(id, changes) {
      const feed = feeds.get(id)
      const last = changes.at(-1)
      if (feed === undefined || last === undefined || !areNext(feed, changes)) return
      deliver(feed, changes.slice(), { change: last.change, seq: last.seq })
    },
    size: () => feeds.size,
    lag: () => performance.now() - comparedAt,
    close() {
      clearInterval(timer)
      for (const feed of feeds.values()) feed.unsubscribe()
      feeds.clear()
    },
  }
}

/** Taken for a rejection of the store: what was asked for has been removed. */
function lostIfExpired(error: unknown): 'lost' {
  if (expectedFailure(error)?.code === 'CURSOR_EXPIRED') return 'lost'
  throw error
}
