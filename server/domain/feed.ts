import { eq } from 'drizzle-orm'
import { blocks } from '../../drizzle/tables/index.ts'
import type { MessageRow } from '../message-store/rows.ts'
import type { Deps } from './deps.ts'
import {
  type Candidate,
  channelSources,
  compareFeedPlaces,
  type FeedPlace,
  previous,
  readChannels,
  readFollowed,
  readFollowedMerged,
  readWritten,
  type Source,
  sourcesOf,
} from './feed-sources.ts'
import { feedFloor } from './feed-writing.ts'

export type FeedPage = {
  /** The newest first. */
  messages: MessageRow[]
  /** After which place a next page goes on; null where there is nothing more. */
  next: FeedPlace | null
}

export type FeedService = ReturnType<typeof createFeedService>

/** Milliseconds after which a page ends where it is: somebody may have blocked whoever wrote all of the last month. */
const patienceMs = 200

/** Bytes of content on one page, as on pages of history. */
const maxPageBytes = 1_000_000

/** Channels of one statement: some milliseconds. */
const channelsAtOnce = 250

/**
 * Of each channel about twice as many messages are read as it would have on a page if all said as much, and so many at
 * least. Of those that have more, more are read.
 */
const leastOfEach = 4

/**
 * What is new in all channels that somebody follows: those that they are in, but for the ones whose level of
 * notifications is NONE. (A channel that is quiet until some hour is followed on: it is not to ring, and a feed does
 * not.) It holds what people said after the reader came, and neither the reader's own words, nor what was deleted, nor
 * what those whom the reader has blocked say.
 *
 * Messages of small channels are written out to their members by workers (`feed-writing.ts`), and read from one place.
 * What is not written out is read from its channel: large ones, what is older than entries are kept, and what was sent a
 * moment ago, so that nothing is missing however far behind workers are. Which is which `feed_spans` and the outbox say;
 * they are read before the entries, and what is in both counts once. All that is found is looked at anew in the store,
 * so that leaving, blocking, deleting and muting count at once.
 *
 * The order is that of ids, and a place is one of them: pages neither repeat nor leave out anything while new messages
 * come in. What is missed until a feed is read from the top again is a message whose id is older than a page that has
 * been read, and which was not committed by then: that takes as long as its transaction does, which is some
 * milliseconds as a rule, and as much as the clock of its server is slow.
 */
export function createFeedService({ database, store }: Pick<Deps, 'database' | 'store'>) {
  async function readBlocked(viewerId: string): Promise<Set<string>> {
    const rows = await database.orm.select({ id: blocks.blockedId }).from(blocks).where(eq(blocks.userId, viewerId))
    return new Set(rows.map((row) => row.id))
  }

  /** Reads some of the sources that have the newest, and adds to them where one turns out to be several. */
  async function readSome(sources: Source[], open: Source[], viewerId: string, start: Start, limit: number) {
    const ordered = open.toSorted(bySource)
    const [first] = ordered
    if (first!.kind === 'written') return readWritten(database, viewerId, first!, start.floor, limit)
    const channels = ordered.filter((source) => source.kind === 'channel').slice(0, Math.min(limit, channelsAtOnce))
    if (channels.length > 0) return readChannels(database, channels, ofEach(limit, channels.length))
    first!.next = null
    sources.push(...channelSources(await readFollowed(database, viewerId), start.old, '0'))
    return []
  }

  /**
   * Reads sources until `wanted` messages are known before which nothing else comes. Those that cannot have anything
   * newer than what is known already are not asked. `reached` is null where nothing is left unread.
   */
  async function gather(viewerId: string, after: FeedPlace | null, wanted: number) {
    const start = startOf(after)
    const [merged, blocked] = await Promise.all([readFollowedMerged(database, viewerId), readBlocked(viewerId)])
    const sources = sourcesOf(merged, after, start.floor)
    const found = new Map<string, Candidate>()
    const started = performance.now()
    let begin: FeedPlace | null = null
    for (let limit = wanted; ; ) {
      const known = [...found.values()].toSorted(compareFeedPlaces)
      const last = known[wanted - 1]
      const open = sources.filter(({ next }) => next !== null && (last === undefined || compareFeedPlaces(next, last) < 0))
      if (open.length === 0) return { known, reached: null }
      const reached = open.map(({ next }) => next!).toSorted(compareFeedPlaces)[0]!
      begin ??= reached
      // However slow the store is, each page comes further than the one before.
      if (performance.now() - started > patienceMs && compareFeedPlaces(reached, begin) > 0) {
        return { known: known.filter((each) => compareFeedPlaces(each, reached) < 0), reached }
      }
      for (const each of await readSome(sources, open, viewerId, start, limit)) {
        if (each.authorId !== viewerId && !blocked.has(each.authorId)) found.set(`${each.id} ${each.channelId}`, each)
      }
      // Where much is left out, more is looked at in one go.
      limit = Math.min(2 * limit, maxLimit)
    }
  }

  return {
    /**
     * A page of the viewer's feed: `size` messages after a place. It may be short, or empty, where much of what was
     * looked at is not to be seen, and goes on at `next`.
     */
    async page(viewerId: string, size: number, after: FeedPlace | null): Promise<FeedPage> {
      const { known, reached } = await gather(viewerId, after, size + 1)
      const shown = cut(known.slice(0, size))
      const keys = shown.map(({ channelId, id }) => ({ channelId, messageId: id }))
      const rows = new Map((await store.messages(keys)).map((row) => [`${row.channelId} ${row.id}`, row]))
      const messages = shown
        .map(({ channelId, id }) => rows.get(`${channelId} ${id}`))
        // Deleted just now.
        .filter((row) => row !== undefined && row.deletedAt === null) as MessageRow[]
      const isMore = known.length > shown.length
      return { messages, next: isMore ? placeOf(shown.at(-1)!) : reached === null ? null : justBefore(reached) }
    },
  }
}

/** Where a page begins. */
type Start = {
  /** The newest id that counts as old, from which on back everything is read from the channels. */
  floor: string
  /** After which place the old begins for this page. */
  old: FeedPlace
}

function startOf(after: FeedPlace | null): Start {
  const floor = previous(feedFloor())
  // No channel has a higher id than this, so that nothing of the floor itself is passed.
  const top = { id: floor, channelId: ((1n << 63n) - 1n).toString() }
  return { floor, old: after !== null && compareFeedPlaces(after, top) > 0 ? after : top }
}

const order: Record<Source['kind'], number> = { written: 0, channel: 1, older: 2 }

/**
 * What is written out is asked first, as it tells which channels need not be; then the channels with the newest; and
 * what is older than all of them when nothing else is left.
 */
const bySource = (one: Source, other: Source): number =>
  order[one.kind] - order[other.kind] || compareFeedPlaces(one.next!, other.next!)

/** Messages that a source is asked for at once, at the most. */
const maxLimit = 1_000

const ofEach = (limit: number, channels: number): number =>
  Math.max(leastOfEach, Math.min(limit, Math.ceil((2 * limit) / channels)))

const placeOf = ({ id, channelId }: FeedPlace): FeedPlace => ({ id, channelId })

/** The place after which comes what is at this one. */
const justBefore = ({ id, channelId }: FeedPlace): FeedPlace => ({ id, channelId: (BigInt(channelId) + 1n).toString() })

/** As many as fit on a page, and one at least. */
function cut(candidates: readonly Candidate[]): Candidate[] {
  let bytes = 0
  const end = candidates.findIndex((each, nth) => (bytes += each.bytes) > maxPageBytes && nth > 0)
  return end === -1 ? [...candidates] : candidates.slice(0, end)
}
