import type { ChangePage, Position } from '../../message-store/changes.ts'
import type { Admission } from './admission.ts'

/**
 * How long a page is good for, in milliseconds, however often it is used: for so long somebody may be shown a message
 * that has been deleted since, before they are told so. Those who were cut off together are back within it.
 */
const defaultKeptMs = 5_000

/** Changes in all pages that are kept, of about a kilobyte each beside what is said in them. */
const defaultMaxChanges = 20_000

/** Characters of what is said in them: 16 MB at the most, so that the largest messages fill it sooner. */
const defaultMaxCharacters = 8_000_000

/** A page that can be shared: every message in it is told as new, with what touched it last beside it. */
export type RecentPage = Pick<ChangePage, 'changes' | 'position' | 'complete'> & {
  after: Position
  /** Whose membership was looked at in the same snapshot, and what it was. */
  userId: string
  member: boolean
  /** When the store was asked for it, and when it answered, by `now()`. */
  asked: number
  answered: number
}

/** What a page must be to be of use. */
export type Wanted = {
  after: Position
  /** It must have been asked for at this time or later. */
  notBefore: number
  /** Where it holds nothing new, it must reach this change, or have been asked for after this call. */
  mustReach: number
}

/** Somebody's hold of a page that is on its way; `leave` lets go of it. */
export type Hold = { leave: (() => void) | null }

export type RecentPages = {
  /** A page of a channel; null where there is no such channel. Rejects where the store cannot be asked. */
  find(channelId: string, userId: string, wanted: Wanted, hold: Hold): Promise<RecentPage | null>
  /** A clock that ticks whenever the store is asked or answers: it says which of two reads began after the other. */
  now(): number
  /** Ticks for a read that was not made here. */
  tick(): number
  /** What is kept. */
  size(): { pages: number; changes: number; characters: number }
  close(): void
}

/** A page on its way, or waiting for its turn to be asked for. */
type Reading = {
  after: Position
  /** Null while it waits. */
  asked: number | null
  page: Promise<RecentPage | null>
  /** How many hold it. */
  holds: number
  withdraw: () => void
}

type Channel = { pages: Set<RecentPage>; readings: Set<Reading> }

type Weighed = { channelId: string; changes: number; characters: number; until: number }

/**
 * Pages of what changed in channels, kept for a few seconds: so those who come back together, with cursors that are
 * about the same, are read for once.
 *
 * **Whose page is whose.** A page was read after a position `(c, s)`: it holds each thing that changed after `c`, at
 * the last change of it, in order, up to the page's end; but no message that was created with a seq up to `s` and not
 * touched since. Whoever stands at `(b, t)`, `b` within the page, may take what comes after `b` from it, if `s <= t`:
 * the messages that it does not hold are none that they would be told of themselves. So a page that was begun with a
 * seq that is too great, as only a forged cursor has it, is of use to nobody but those who hold such a cursor too.
 *
 * **In which order.** Pages of one walk must be of one moment after the other: what an earlier page leaves out, as it
 * was touched again, must be on a later one, and would not be on one that was read before it. Hence `notBefore`.
 */
export function createRecentPages(options: {
  read: (channelId: string, after: Position, userId: string) => Promise<ChangePage | null>
  admission: Pick<Admission, 'run'>
  /** Changes in a page, at the most. */
  pageSize: number
  keptMs?: number
  maxChanges?: number
  maxCharacters?: number
}): RecentPages {
  const { read, admission, pageSize, keptMs = defaultKeptMs } = options
  const { maxChanges = defaultMaxChanges, maxCharacters = defaultMaxCharacters } = options
  const channels = new Map<string, Channel>()
  /** All pages, from the one that was used longest ago. */
  const kept = new Map<RecentPage, Weighed>()
  let changes = 0
  let characters = 0
  let clock = 0

  function channelOf(channelId: string): Channel {
    const known = channels.get(channelId)
    if (known !== undefined) return known
    const channel: Channel = { pages: new Set(), readings: new Set() }
    channels.set(channelId, channel)
    return channel
  }

  function forgetIfEmpty(channelId: string, channel: Channel) {
    const isEmpty = channel.pages.size === 0 && channel.readings.size === 0
    if (isEmpty && channels.get(channelId) === channel) channels.delete(channelId)
  }

  function drop(page: RecentPage) {
    const weighed = kept.get(page)
    if (weighed === undefined) return
    kept.delete(page)
    changes -= weighed.changes
    characters -= weighed.characters
    const channel = channels.get(weighed.channelId)!
    channel.pages.delete(page)
    forgetIfEmpty(weighed.channelId, channel)
  }

  function dropOld() {
    const now = performance.now()
    for (const [page, { until }] of kept) if (until <= now) drop(page)
  }
  const timer = setInterval(dropOld, Math.max(keptMs / 4, 50))
  timer.unref()

  function keep(channelId: string, page: RecentPage) {
    const said = page.changes.map((change) => (change.type === 'message' ? change.message.content.length : 0))
    const weighed: Weighed = {
      channelId,
      // One that holds nothing takes its place, too.
      changes: page.changes.length + 1,
      characters: said.reduce((sum, length) => sum + length, 0),
      until: performance.now() + keptMs,
    }
    kept.set(page, weighed)
    changes += weighed.changes
    characters += weighed.characters
    channelOf(channelId).pages.add(page)
    for (const oldest of kept.keys()) {
      if (changes <= maxChanges && characters <= maxCharacters) break
      drop(oldest)
    }
  }

  /** The page that leads on farthest, if one does. */
  function pick(channelId: string, wanted: Wanted, called: number): RecentPage | null {
    const now = performance.now()
    let best: RecentPage | null = null
    for (const page of channels.get(channelId)?.pages ?? []) {
      if (!isOfUse(page, wanted, called) || kept.get(page)!.until <= now) continue
      if (best === null || page.position.change > best.position.change) best = page
    }
    if (best !== null) {
      // Used last.
      const weighed = kept.get(best)!
      kept.delete(best)
      kept.set(best, weighed)
    }
    return best
  }

  /** One on its way that will lead on from there, as far as one can tell, from not more than `near` changes before. */
  function pickReading(channelId: string, { after, notBefore }: Wanted, near: number): Reading | null {
    let best: Reading | null = null
    for (const reading of channels.get(channelId)?.readings ?? []) {
      if (reading.asked !== null && reading.asked < notBefore) continue
      const [ahead, seqAhead] = [after.change - reading.after.change, after.seq - reading.after.seq]
      if (ahead < 0 || seqAhead < 0 || ahead > near || seqAhead > near) continue
      if (best === null || reading.after.change > best.after.change) best = reading
    }
    return best
  }

  function begin(channelId: string, userId: string, after: Position): Reading {
    const channel = channelOf(channelId)
    const withdrawing = new AbortController()
    const end = () => {
      channel.readings.delete(reading)
      forgetIfEmpty(channelId, channel)
    }
    async function ask(): Promise<RecentPage | null> {
      const asked = ++clock
      reading.asked = asked
      const page = await read(channelId, after, userId)
      return page === null ? null : { ...page, after, userId, asked, answered: ++clock }
    }
    const reading: Reading = {
      after,
      asked: null,
      holds: 0,
      page: Promise.resolve(null),
      withdraw() {
        // Once it has been asked for, it may as well be kept.
        if (reading.asked !== null) return
        end()
        withdrawing.abort()
      },
    }
    channel.readings.add(reading)
    reading.page = admission
      .run(userId, ask, withdrawing.signal)
      .then((page) => {
        if (page !== null) keep(channelId, page)
        return page
      })
      .finally(end)
    return reading
  }

  /** Waits for a page, as one of those who do. */
  async function hold(reading: Reading, holder: Hold): Promise<RecentPage | null> {
    reading.holds++
    holder.leave = () => {
      holder.leave = null
      reading.holds--
      if (reading.holds === 0) reading.withdraw()
    }
    try {
      return await reading.page
    } finally {
      holder.leave = null
    }
  }

  return {
    async find(channelId, userId, wanted, holder) {
      const called = clock
      // What is read from a little before here ends after it, as a rule; where it does not, that is not tried again.
      for (let near = pageSize - 1; ; near = 0) {
        const page = pick(channelId, wanted, called)
        if (page !== null) return page
        const reading = pickReading(channelId, wanted, near)
        if (reading === null) break
        const got = await hold(reading, holder).catch((error: unknown) => {
          // What somebody farther behind is refused, as their cursor has expired, need not be refused here.
          if (reading.after.change === wanted.after.change) throw error
        })
        if (got === null || (got !== undefined && isOfUse(got, wanted, called))) return got
      }
      return hold(begin(channelId, userId, wanted.after), holder)
    },
    now: () => clock,
    tick: () => ++clock,
    size: () => ({ pages: kept.size, changes, characters }),
    close() {
      clearInterval(timer)
      kept.clear()
      channels.clear()
      changes = 0
      characters = 0
    },
  }
}

/** Whether a page may be used by who asked at `called`, and is of use to them. */
function isOfUse(page: RecentPage, { after, notBefore, mustReach }: Wanted, called: number): boolean {
  const { position, complete, asked } = page
  if (page.after.change > after.change || page.after.seq > after.seq || asked < notBefore) return false
  return position.change > after.change || (complete && (position.change >= mustReach || asked > called))
}
