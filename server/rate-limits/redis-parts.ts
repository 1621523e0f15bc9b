import type { RedisClient, RedisConnection } from '../lib/redis.ts'
import { answerMs } from './rate-limits.ts'

/**
 * Subjects are spread over so many parts, each a slot of a cluster, so that its nodes share the work, and a node that is
 * away takes only its parts with it. All replicas of a deployment must agree on it.
 */
const partCount = 32

/** How often a part that is away is looked for, in milliseconds. */
const lookEveryMs = 500

/** So often it must have answered in time before it is relied on again: one that limps is away. */
const answersToReturn = 2

/** A part of Redis, with what is known of it. */
type Part = { number: number; isAway: boolean; answers: number; isLooked: boolean }

export type Parts = {
  /** The prefix of the keys of whoever this is, hash tag included. */
  prefixOf(subject: string): string
  /**
   * Runs a command about a subject, and answers null where that part is away: at once where this is known, else after
   * `answerMs` at the most.
   */
  ask<Answer>(subject: string, command: (client: RedisClient) => Promise<Answer>): Promise<Answer | null>
  /** The share of parts that are away, 0 to 1. */
  away(): number
  close(): void
}

/**
 * The parts of Redis as one process sees them. A command that fails or comes late takes its part away (on a single Redis
 * all of them), and nobody waits for it again until it has answered a few times in a row.
 */
export function createParts(options: {
  redis: RedisConnection
  /** Of the keys; without a hash tag. */
  prefix: string
  /** Asks a part, whose keys begin so, for all that it is needed for; rejects where it does not do it. */
  look(client: RedisClient, prefix: string): Promise<void>
  onError(error: unknown): void
  onAway(isAway: boolean, reason?: unknown): void
}): Parts {
  const { redis, prefix, look, onError, onAway } = options
  const parts = Array.from({ length: partCount }, (_, number): Part => ({ number, isAway: false, answers: 0, isLooked: false }))
  const partOf = (subject: string) => parts[hash(subject) % partCount]!
  const tagged = (part: Part) => `${prefix}:{${part.number}}`
  const awayCount = () => parts.reduce((count, { isAway }) => count + (isAway ? 1 : 0), 0)
  let timer: NodeJS.Timeout | null = null
  let isClosed = false

  /** Those that share a fate with a part: one Redis answers for all. */
  const together = (part: Part) => (redis.client.isCluster ? [part] : parts)

  function lose(part: Part, reason: unknown): void {
    const before = awayCount()
    for (const each of together(part)) Object.assign(each, { isAway: true, answers: 0 })
    if (before === 0 && !isClosed) onAway(true, reason)
    if (timer !== null || isClosed) return
    timer = setInterval(() => void lookForAll(), lookEveryMs)
    timer.unref()
  }

  function find(part: Part): void {
    if (++part.answers < answersToReturn) return
    for (const each of together(part)) each.isAway = false
    if (awayCount() > 0) return
    if (timer !== null) clearInterval(timer)
    timer = null
    if (!isClosed) onAway(false)
  }

  async function lookForAll(): Promise<void> {
    const lost = parts.filter(({ isAway }) => isAway)
    await Promise.all((redis.client.isCluster ? lost : lost.slice(0, 1)).map(lookFor))
  }

  async function lookFor(part: Part): Promise<void> {
    if (part.isLooked) return
    part.isLooked = true
    const answer = redis.isUp() ? look(redis.client, tagged(part)) : Promise.reject(down)
    const isThere = await inTime(answer).then(() => true, () => false)
    if (isThere) find(part)
    else part.answers = 0
    // The next look is not sent before this one was answered, however late: a frozen Redis is not to be filled with them.
    await answer.catch(() => {})
    part.isLooked = false
  }

  return {
    prefixOf: (subject) => tagged(partOf(subject)),
    async ask(subject, command) {
      const part = partOf(subject)
      if (part.isAway) return null
      try {
        if (!redis.isUp()) throw down
        return await inTime(command(redis.client))
      } catch (error) {
        if (!part.isAway) onError(error)
        lose(part, error)
        return null
      }
    },
    away: () => awayCount() / partCount,
    close() {
      isClosed = true
      if (timer !== null) clearInterval(timer)
    },
  }
}

const down = new Error('Redis takes no commands')

/** Rejects where a command is not answered within `answerMs`; what it answers later is lost. */
function inTime<Answer>(command: Promise<Answer>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    // Where this process itself was held up, the answer may lie here already: what has come is read before giving up.
    const timer = setTimeout(() => setImmediate(() => reject(new Error(`Redis did not answer within ${answerMs} ms`))), answerMs)
    command.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

/** A number of 32 bits that spreads names; the low bits of Snowflakes alone would not. */
function hash(text: string): number {
  let number = 0
  for (let place = 0; place < text.length; place++) number = (Math.imul(number, 31) + text.charCodeAt(place)) | 0
  return (number ^ (number >>> 15)) >>> 0
}
