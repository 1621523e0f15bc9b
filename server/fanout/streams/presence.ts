import { setTimeout as sleep } from 'node:timers/promises'
import { type Presence, unseen } from '../../domain/presence.ts'
import { type Pair, pairKey } from '../../domain/visibility.ts'
import { badInput, expectedFailure } from '../../errors.ts'
import type { EventBus } from '../../event-bus/event-bus.ts'
import { type Bell, createBell, pullIterator } from '../../lib/pull-iterator.ts'
import { topics } from '../topics.ts'

/** People whose presence one stream may watch. */
export const maxWatched = 500

/**
 * How often everybody who is watched is looked at again: news may have been lost. With what it takes to find out that a
 * replica is dead it stays within the ten seconds in which presence is to be true. Milliseconds.
 */
export const relookMs = 2_500

/** How long opening a stream waits for the bus: it need not, as whoever is watched is looked at again. Milliseconds. */
const listeningMs = 250

/** Users that are looked at together: 500 of them are what one stream asks for. */
const usersAtOnce = 1_000

/** Pairs of watcher and watched that are decided on together, in one go of the event loop and of the store. */
const pairsAtOnce = 5_000

/**
 * Pairs that are decided on anew in one round of looking again, though nothing has moved: somebody may have left the last
 * channel that they shared, or been blocked without the news of it. Beyond it those wait whose turn was last, so that a
 * replica with very many watchers asks the store for no more than that: half a second of its time where no two of the
 * pairs have anybody in common, and mostly much less.
 */
const pairsAgain = 5_000

/** How long to wait for the store before it is asked again, at the least. Milliseconds. */
const retryMs = 500

/** Where somebody stands, as whoever is told of it may see it. The same object for all who are told the same. */
export type PresenceNews = { userId: string; presence: Presence }

type News = PresenceNews & { key: string }

/** One stream. */
type Watcher = {
  viewerId: string
  /** What it was told of each last. */
  told: Map<string, News>
  /** What it is to be told of each: the latest, however slowly it reads. */
  waiting: Map<string, News>
  bell: Bell
}

/** Somebody who is watched, once for the replica. */
type Watched = {
  userId: string
  watchers: Set<Watcher>
  /** Where they stand, for those who may see it, and since when this object says so. */
  news: News | null
  newsAt: number
  /** What those are told who may not. */
  hidden: News
  unsubscribe: () => void
}

/**
 * Who is to be told of somebody: some watchers in any case, all of them, or nobody in particular. If something has
 * changed it is all of them, whichever it was.
 */
type Due = Set<Watcher> | 'all' | 'again'

export type PresenceHub = {
  /**
   * Tells the viewer where each of these users stands, and then each change. Waits neither for the bus nor the store.
   * Throws BAD_USER_INPUT where there are too many.
   */
  open(viewerId: string, userIds: readonly string[]): Promise<AsyncIterableIterator<PresenceNews>>
  /** Whether somebody on this replica watches the user, who therefore exists. */
  isWatched(userId: string): boolean
  /** How many are watched. */
  size(): number
  close(): void
}

const keyOf = ({ status, statusText, lastActiveAt }: Presence) =>
  // Who is there was active just now, which is no news.
  JSON.stringify([status, statusText, status === 'OFFLINE' ? (lastActiveAt?.getTime() ?? null) : null])

const newsOf = (userId: string, presence: Presence): News => ({ userId, presence, key: keyOf(presence) })

/**
 * The users whom this replica's streams watch, each once, however many streams there are. News makes the hub look where
 * the user stands and who may see it, once for all who watch; it looks at everybody again every few seconds, and after a
 * break of the bus.
 */
export function createPresenceHub(options: {
  bus: EventBus
  look: (userIds: readonly string[]) => Promise<Map<string, Presence>>
  visible: (pairs: readonly Pair[]) => Promise<Set<string>>
  onError: (error: unknown) => void
  relookMs?: number
}): PresenceHub {
  const { bus, look, visible, onError } = options
  /** In the order in which it was last decided who may see them. */
  const watched = new Map<string, Watched>()
  let due = new Map<string, Due>()
  let pairsLeft = 0
  let isLooking = false
  let isClosed = false

  function add(userId: string, more: Due) {
    const known = due.get(userId)
    // Who is told in any case is told with the others where something has changed.
    if (known === undefined || known === 'again' || more === 'all') due.set(userId, more)
    else if (known instanceof Set && more instanceof Set) for (const watcher of more) known.add(watcher)
    void run()
  }

  async function run(): Promise<void> {
    if (isLooking) return
    isLooking = true
    // What comes in the same moment is looked at together.
    await new Promise(setImmediate)
    while (due.size > 0 && !isClosed) {
      const now = due
      due = new Map()
      try {
        const userIds = [...now.keys()].filter((userId) => watched.has(userId))
        for (let start = 0; start < userIds.length; start += usersAtOnce) {
          await tell(userIds.slice(start, start + usersAtOnce), now)
        }
      } catch (error) {
        if (expectedFailure(error)?.code !== 'UNAVAILABLE') onError(error)
        // Streams outlive the store's absence; at random, so that replicas do not come back at once.
        await sleep(retryMs * (1 + Math.random()), undefined, { ref: false })
        for (const [userId, whom] of now) add(userId, whom)
      }
    }
    isLooking = false
  }

  /** Looks at some users, and tells whoever is to be told. */
  async function tell(userIds: readonly string[], whom: ReadonlyMap<string, Due>): Promise<void> {
    const seen = await look(userIds)
    let pairs: { one: Watched; watcher: Watcher }[] = []
    for (const userId of userIds) {
      const one = watched.get(userId)
      if (one === undefined) continue
      const hasMoved = refresh(one, seen.get(userId) ?? unseen)
      const watchers = watchersToTell(one, whom.get(userId)!, hasMoved)
      for (const watcher of watchers) {
        pairs.push({ one, watcher })
        if (pairs.length < pairsAtOnce) continue
        await decide(pairs)
        pairs = []
      }
    }
    if (pairs.length > 0) await decide(pairs)
  }

  /** Takes note of where somebody stands; whether that is new. */
  function refresh(one: Watched, presence: Presence): boolean {
    const known = one.news
    const news = newsOf(one.userId, presence)
    const hasMoved = known?.key !== news.key
    // The same object for longer, so that it is answered once; but not so long that "active just now" becomes untrue.
    if (!hasMoved && (presence.status === 'OFFLINE' || performance.now() - one.newsAt < relookMs)) return false
    one.news = news
    one.newsAt = performance.now()
    return hasMoved
  }

  function watchersToTell(one: Watched, whom: Due, hasMoved: boolean): Iterable<Watcher> {
    if (whom instanceof Set && !hasMoved) return whom
    if (whom === 'again' && !hasMoved) {
      const { status, statusText } = one.news!.presence
      if (pairsLeft <= 0 || (status === 'OFFLINE' && statusText === null)) return []
      pairsLeft -= one.watchers.size
    }
    // Whose turn it was comes last.
    watched.delete(one.userId)
    watched.set(one.userId, one)
    return one.watchers
  }

  async function decide(pairs: readonly { one: Watched; watcher: Watcher }[]): Promise<void> {
    const keys = pairs.map(({ one, watcher }) => ({ viewerId: watcher.viewerId, userId: one.userId }))
    const seen = await visible(keys)
    pairs.forEach(({ one, watcher }, nth) => {
      if (one.watchers.has(watcher)) offer(watcher, one, seen.has(pairKey(keys[nth]!)))
    })
  }

  function offer(watcher: Watcher, one: Watched, maySee: boolean) {
    const news = maySee ? one.news! : one.hidden
    const told = watcher.told.get(one.userId)
    const isKnown = told !== undefined && (maySee ? told.key === news.key : looksAway(told))
    // Gone and back before it was told: there is nothing to tell.
    if (isKnown) watcher.waiting.delete(one.userId)
    else {
      watcher.waiting.set(one.userId, news)
      watcher.bell.ring()
    }
  }

  function watch(userId: string): { one: Watched; listening: Promise<void> | null } {
    const known = watched.get(userId)
    if (known !== undefined) return { one: known, listening: null }
    const one: Watched = {
      userId,
      watchers: new Set(),
      news: null,
      newsAt: 0,
      hidden: newsOf(userId, unseen),
      unsubscribe: () => {},
    }
    watched.set(userId, one)
    const listening = bus.subscribe(topics.presence(userId), () => add(userId, 'all')).then((unsubscribe) => {
      if (watched.get(userId) === one) one.unsubscribe = unsubscribe
      else unsubscribe()
      // It was looked at before it was listened for: what came between is not known.
      if (one.news !== null) add(userId, 'again')
    }, onError)
    return { one, listening }
  }

  function leave(one: Watched, watcher: Watcher) {
    one.watchers.delete(watcher)
    if (one.watchers.size > 0 || watched.get(one.userId) !== one) return
    watched.delete(one.userId)
    one.unsubscribe()
  }

  function lookAgain() {
    pairsLeft = pairsAgain
    for (const userId of watched.keys()) add(userId, 'again')
  }
  const timer = setInterval(lookAgain, options.relookMs ?? relookMs)
  timer.unref()
  bus.onGap(lookAgain)

  return {
    async open(viewerId, userIds) {
      const distinct = new Set(userIds)
      if (distinct.size > maxWatched) throw badInput(`At most ${maxWatched} people at once.`, 'userIds')
      const watcher: Watcher = { viewerId, told: new Map(), waiting: new Map(), bell: createBell() }
      const opened = Array.from(distinct, watch)
      for (const { one } of opened) one.watchers.add(watcher)
      const listening = opened.flatMap((each) => each.listening ?? [])
      if (listening.length > 0) await Promise.race([Promise.all(listening), sleep(listeningMs, undefined, { ref: false })])
      for (const userId of distinct) add(userId, new Set([watcher]))
      return pullIterator(
        async () => {
          for (;;) {
            const [news] = watcher.waiting.values()
            if (news === undefined) await watcher.bell.wait()
            else {
              watcher.waiting.delete(news.userId)
              watcher.told.set(news.userId, news)
              return news
            }
          }
        },
        () => {
          for (const { one } of opened) leave(one, watcher)
        },
      )
    },
    isWatched: (userId) => watched.has(userId),
    size: () => watched.size,
    close() {
      isClosed = true
      clearInterval(timer)
      for (const one of watched.values()) one.unsubscribe()
      watched.clear()
    },
  }
}

/**
 * Whether what somebody was told last looks like nothing to see. Who may not see how somebody comes and goes must not be
 * able to tell it from what they are told, nor from when.
 */
const looksAway = ({ presence }: News) => presence.status === 'OFFLINE' && presence.statusText === null
