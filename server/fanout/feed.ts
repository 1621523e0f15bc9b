import type { EventBus } from '../event-bus/event-bus.ts'
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

export type Feeds<T extends Item> = {
  /**
   * Listens to the stream `id`. Resolves with where the stream stands; from there on `listener` gets every change
   * once, in order, without a gap. Null where there is no such stream.
   */
  attach(id: string, listener: (changes: T[]) => void): Promise<{ position: Position; detach: () => void } | null>
  /** How many streams are watched. */
  size(): number
  close(): void
}

type Feed<T> = {
  id: string
  /** The last change that was handed out. */
  position: Position
  listeners: Set<(changes: T[]) => void>
  /** Resolves once the position is known; false where there is no such stream. */
  ready: Promise<boolean>
  unsubscribe: () => void
  /** The newest change this replica has heard of; beyond `position`, something is missing. */
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
  bus: EventBus
  onError: (error: unknown) => void
  /** Called whenever the store had to be asked, with how many changes were missing. */
  onMissed?: (changes: number) => void
  /** Called after each comparison of heads, with how long it took. */
  onCompared?: (milliseconds: number) => void
  intervalMs?: number
}): Feeds<T> {
  const { source, bus, onError } = options
  const feeds = new Map<string, Feed<T>>()

  function deliver(feed: Feed<T>, changes: T[], position: Position) {
    feed.position = position
    if (changes.length > 0) for (const listener of feed.listeners) listener(changes)
  }

  /** Reads from the store until nothing is missing. One reader at a time; what is heard meanwhile makes it go on. */
  async function readMissed(feed: Feed<T>): Promise<void> {
    if (feed.reading) return
    feed.reading = true
    try {
      do {
        const { heard } = feed
        const page = await source.since(feed.id, feed.position, missedAtOnce, nobody)
        if (page === null) return
        options.onMissed?.(page.changes.length)
        deliver(feed, page.changes, page.position)
        // What was heard of before the store was asked, and is not in it, does not exist: the store is right. What was
        // heard of since may have been committed since, and is asked for once more.
        if (page.complete && feed.heard === heard) feed.heard = feed.position.change
      } while (feed.heard > feed.position.change && feeds.get(feed.id) === feed)
    } catch (error) {
      // The next comparison of heads tries again.
      onError(error)
    } finally {
      feed.reading = false
    }
  }

  function hear(feed: Feed<T>, payload: string) {
    const changes = source.decode(payload)
    if (changes === null) {
      feed.heard = Math.max(feed.heard, feed.position.change + 1)
      void readMissed(feed)
      return
    }
    const fresh = changes.filter((change) => change.change > feed.position.change)
    const last = fresh.at(-1)
    if (last === undefined) return
    const contiguous = fresh[0]!.change === feed.position.change + 1 && last.change - fresh[0]!.change === fresh.length - 1
    if (contiguous && !feed.reading) {
      deliver(feed, fresh, { change: last.change, seq: last.seq })
      return
    }
    feed.heard = Math.max(feed.heard, last.change)
    void readMissed(feed)
  }

  function open(id: string): Feed<T> {
    const feed: Feed<T> = {
      id,
      position: { change: 0, seq: 0 },
      listeners: new Set(),
      ready: Promise.resolve(false),
      unsubscribe: () => {},
      heard: 0,
      // Until the head is known nothing can be told to be the next change.
      reading: true,
    }
    feed.ready = (async () => {
      // Listening comes before looking, so that nothing falls between the two.
      feed.unsubscribe = await bus.subscribe(source.topic(id), (payload) => hear(feed, payload))
      const [head] = await source.heads([id])
      feed.reading = false
      if (head === undefined) return false
      feed.position = { change: head.change, seq: head.seq }
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
    const watched = [...feeds.keys()]
    for (let start = 0; start < watched.length; start += headsAtOnce) {
      for (const head of await source.heads(watched.slice(start, start + headsAtOnce))) {
        const feed = feeds.get(head.id)
        if (feed === undefined || feed.reading || head.change <= feed.position.change) continue
        feed.heard = Math.max(feed.heard, head.change)
        void readMissed(feed)
      }
    }
    options.onCompared?.(performance.now() - started)
  }

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

  return {
    async attach(id, listener) {
      const feed = feeds.get(id) ?? open(id)
      const own = (changes: T[]) => listener(changes)
      feed.listeners.add(own)
      const detach = () => {
        feed.listeners.delete(own)
        leave(feed)
      }
      try {
        if (await feed.ready) return { position: feed.position, detach }
      } catch (error) {
        detach()
        throw error
      }
      detach()
      return null
    },
    size: () => feeds.size,
    close() {
      clearInterval(timer)
      for (const feed of feeds.values()) feed.unsubscribe()
      feeds.clear()
    },
  }
}
