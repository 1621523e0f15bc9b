import { bucketOf, rangeOf } from './bucket-time.ts'
import { compareSnowflakes, snowflakeAt, snowflakeTime } from './snowflake.ts'

/** One step of a search: messages from the id `low` on, and below where the step before has ended. */
export type Step = {
  /** By the index of channels, whose messages are looked through; or by that of terms, whose finds may be anybody's. */
  by: 'channels' | 'terms'
  low: string
}

/** What came of a step. */
export type Outcome = {
  /** Messages that were found, and how many would have been enough. */
  hits: number
  wanted: number
  milliseconds: number
  /** Of a step by terms: how many messages in all channels have the terms; null where they are too many. */
  looked?: number | null
}

export type StepsRequest = {
  /** The oldest id that matters. */
  low: string
  hasTerms: boolean
  channels: number
  /** Messages of these channels, and since when there are any, in milliseconds since 1970. */
  messages: number
  since: number
}

/**
 * Finds of the index of terms that are looked at in one step: some milliseconds where they lie in old months. Beyond it
 * the words are common, and looking through the channels' own messages comes to a page sooner.
 */
export const maxLooked = 1_000

/** Messages that are looked through first: less than a millisecond. */
const firstLook = 1_000

/** Messages, and places in indexes, that are looked through at once where that is all there is: some milliseconds. */
const littleWork = 4_000

/** What a find of the index of terms costs, in messages of a channel, which lie together. */
const findCost = 2

const firstBuckets = 4
const day = 86_400_000
const minute = 60_000

/**
 * Decides how a search goes back through time, and by which index. What a step costs is known beforehand for the index
 * of channels only, as nothing tells how common a word is: so the newest messages are looked through first, where a
 * common word soon fills a page. A word that is not among them is rare, and the index of terms finds it through years
 * at once. Where that index gives more than the channels have themselves, the word is common elsewhere, and they are
 * looked through after all.
 *
 * Neither depends on what the planner knows or guesses: both statements have one plan each.
 */
export function createSteps(request: StepsRequest) {
  const { low, hasTerms, channels, messages } = request
  const age = Math.max(Date.now() - request.since, day)
  const buckets = age / (30 * day) + 1
  const isLittle = messages + 2 * channels * buckets <= littleWork
  let span = (firstLook / Math.max(messages, 1)) * age
  let width = firstBuckets
  let by: Step['by'] = 'channels'
  let isCommon = !hasTerms

  const above = (id: string) => (compareSnowflakes(id, low) > 0 ? id : low)

  return {
    /** The next step down from `high`. */
    next(high: string): Step {
      if (isLittle) return { by: 'channels', low }
      if (by === 'channels') {
        return { by, low: above(snowflakeAt(+snowflakeTime(high) - Math.max(span, minute))) }
      }
      // Whole buckets: the index gives nothing less.
      const newest = bucketOf((BigInt(high) - 1n).toString())
      return { by, low: above(rangeOf(Math.max(0, newest - width + 1)).low) }
    },

    /** Takes in what a step has found; says whether it counts, or has to be made anew in another way. */
    learn(step: Step, { hits, wanted, milliseconds, looked }: Outcome): boolean {
      const growth = hits > 0 ? Math.min(1.5 * (wanted / hits), 8) : 8
      if (step.by === 'terms') {
        const own = (messages / age) * (30 * day) * width
        if (own < findCost * (looked ?? maxLooked) || (looked === null && width === 1)) {
          isCommon = true
          by = 'channels'
        }
        const room = (0.8 * maxLooked * width) / Math.max(looked ?? Infinity, 1)
        width = Math.max(1, Math.floor(Math.min(width * growth, room)))
        return looked !== null
      }
      // What takes long must not take longer the next time.
      span = Math.max(span, minute) * Math.min(growth, milliseconds > 100 ? 0.25 : milliseconds > 20 ? 1 : 4)
      if (!isCommon && hits < wanted / 4) by = 'terms'
      return true
    },
  }
}
