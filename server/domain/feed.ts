import { eq } from 'drizzle-orm'
import { blocks } from '../../drizzle/tables/index.ts'
import type { MessageRow } from '../message-store/rows.ts'
import { compareSnowflakes } from '../message-store/snowflake.ts'
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

/** Channels of one statement, or twice that: some milliseconds. */
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

  /** Reads sources of one kind, and adds to all of them where one turns out to be several. */
  async function readSome(sources: Source[], some: Source[], viewerId: string, start: Start, limit: number) {
    const channels = some.filter((source) => source.kind === 'channel')
    if (channels.length > 0) return readChannels(database, channels, ofEach(limit, channels.length))
    const [only] = some
    if (only!.kind === 'written') return readWritten(database, viewerId, only!, start.floor, limit)
    only!.next = null
    sources.push(...channelSources(await readFollowed(database, viewerId), start.old, '0'))
    return []
  }

  /**
   * Reads sources until `wanted` messages are known before which nothing else comes. Those that cannot have anything
   * newer than what is known already are not asked. `reached` is null where nothing is left unread.
   *
   * Nothing but a place is remembered from page to page: what was found behind it is looked for again. So however slow
   * the store is, a page ends early only once it has something to show, or all that stood at its beginning has gone on
   * past a message at least: otherwise pages of somebody with many channels could be empty for ever.
   */
  async function gather(viewerId: string, after: FeedPlace | null, wanted: number) {
    const start = startOf(after)
    const [merged, blocked] = await Promise.all([readFollowedMerged(database, viewerId), readBlocked(viewerId)])
    const sources = sourcesOf(merged, after, start.floor)
    const asked = new Set<Source>()
    const started = performance.now()
    let found: Candidate[] = []
    let begin: FeedPlace | null = null
    for (let limit = wanted; ; ) {
      const last = found[wanted - 1]
      const open = sources.filter(({ next }) => next !== null && (last === undefined || compareFeedPlaces(next, last) < 0))
      if (open.length === 0) return { known: found, reached: null }
      const reached = open.map(({ next }) => next!).reduce((one, next) => (compareFeedPlaces(next, one) < 0 ? next : one))
      begin ??= reached
      const isBegun = open.every((source) => asked.has(source) || !isAt(source.next!, begin!))
      if (performance.now() - started > patienceMs) {
        const known = found.filter((each) => compareFeedPlaces(each, reached) < 0)
        if (isBegun || known.length > 0) return { known, reached }
      }
      const some = pickSome(open, limit)
      for (const source of some) asked.add(source)
      const read = await readSome(sources, some, viewerId, start, limit)
      const seen = read.filter((each) => each.authorId !== viewerId && !blocked.has(each.authorId))
      // What comes after as many as are wanted is of no use.
      found = distinct([...found, ...seen]).slice(0, wanted)
      // Where much is left out, more is looked at in one go.
      if (isBegun) limit = Math.min(2 * limit, maxLimit)
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

/** Those that are to be asked next: one that is no channel, or channels with the newest. */
function pickSome(open: readonly Source[], limit: number): Source[] {
  const ordered = open.toSorted(bySource)
  const [first] = ordered
  if (first!.kind !== 'channel') return [first!]
  const channels = ordered.filter((source) => source.kind === 'channel')
  // Of those at different places as many as make a page. Of a crowd at one place, as where a page begins, all have to be
  // asked; with the last of them go as many more, so that each page comes that far, and not to the next channel only.
  const crowd = channels.filter(({ next }) => isAt(next!, first!.next!)).length
  return channels.slice(0, crowd > channelsAtOnce ? channelsAtOnce : crowd + Math.min(limit, channelsAtOnce))
}

/** Whether a source that goes on there stands at a place: of a cursor's channels some have passed its id itself. */
const isAt = (next: FeedPlace, place: FeedPlace): boolean => compareSnowflakes(next.id, previous(place.id)) >= 0

/** In the order of a feed; what was found twice, as it is in two sources, once. */
function distinct(candidates: readonly Candidate[]): Candidate[] {
  const ordered = candidates.toSorted(compareFeedPlaces)
  return ordered.filter((each, nth) => nth === 0 || compareFeedPlaces(each, ordered[nth - 1]!) !== 0)
}

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
