import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible'
import type { RedisClient, RedisConnection } from '../lib/redis.ts'
import { type Kind, noRules, type Rule, rulesWhileAway, type Rules } from './kinds.ts'
import { createBuckets, createMemoryPauses } from './memory-limits.ts'
import { longestPauseMs, type Pauses } from './pauses.ts'
import { type Charge, chargesOf, outcomeOf, type RateLimits, type Share, unlimited, type Watcher } from './rate-limits.ts'
import { createParts, type Parts } from './redis-parts.ts'
import { beginPauseScript, bucketScript, endPauseScript, leftOfPauseScript } from './redis-scripts.ts'

export type RedisLimitsOptions = Watcher & {
  redis: RedisConnection
  /** What the deployment is called: others on the same Redis have other keys. */
  deployment: string
  rules: Rules
}

/** What an operation was charged, and where: what is given back goes where it came from. */
type Taken = Share & { isHere: boolean }

/**
 * The limits of many replicas, in Redis or in a Redis Cluster; in this process for as long as Redis is away. All that one
 * operation is charged goes out at once, so that it is one round trip. The connection stays the caller's.
 */
export function createRedisLimits({ redis, deployment, rules, onTake, onError, onAway }: RedisLimitsOptions): RateLimits {
  // Braces would say which part of the name decides on the slot.
  const prefix = `maru:${deployment.replaceAll(/[{}]/g, '_')}:limits`
  const look = lookWith(createLimiters(lookRules))
  const parts = createParts({ redis, prefix, look, onError: onError ?? ignore, onAway: onAway ?? ignore })
  const here = createBuckets(rulesWhileAway(rules))
  const limiterOf = createLimiters(rules)
  const keyOf = ({ kind, subject }: Charge) => `${parts.prefixOf(subject)}:${kind}:${subject}`

  async function take(charge: Charge): Promise<Taken> {
    const share = await parts.ask(charge.subject, (client) =>
      limiterOf(client, charge.kind)
        .consume(keyOf(charge), charge.points)
        .then(
          ({ remainingPoints, msBeforeNext }): Share => {
            return { taken: true, remaining: remainingPoints, nextMs: msBeforeNext, waitMs: 0 }
          },
          (refusal: unknown): Share => {
            if (!(refusal instanceof RateLimiterRes)) throw refusal
            return refusedShare(rules[charge.kind]!, charge.points, refusal)
          },
        ),
    )
    return share === null ? { ...here.take(charge), isHere: true } : { ...share, isHere: false }
  }

  function giveBack(charge: Charge, isHere: boolean): void {
    if (isHere) return here.giveBack(charge)
    void parts.ask(charge.subject, (client) => limiterOf(client, charge.kind).reward(keyOf(charge), charge.points))
  }

  return {
    rules,
    async take(all) {
      const charges = chargesOf(rules, all)
      if (charges.length === 0) return unlimited
      const shares = await Promise.all(charges.map(take))
      const isTaken = shares.every((share) => share.taken)
      charges.forEach((charge, nth) => {
        const share = shares[nth]!
        if (!isTaken && share.taken) giveBack(charge, share.isHere)
        if (isTaken || !share.taken) onTake?.(charge.kind, isTaken ? 'taken' : 'refused', charge.points)
      })
      // A key of one kind and subject is one bucket, wherever that is.
      const isHere = new Map(charges.map((charge, nth) => [keyOf(charge), shares[nth]!.isHere]))
      return outcomeOf(rules, charges, shares, (some) => {
        for (const charge of chargesOf(rules, some)) giveBack(charge, isHere.get(keyOf(charge)) ?? false)
      })
    },
    pauses: createPauses(parts),
    away: parts.away,
    close: parts.close,
  }
}

const ignore = () => {}

/** What a refusal of the script says: the library knows nothing of what is left. */
function refusedShare({ capacity, fillMs }: Rule, points: number, { consumedPoints, msBeforeNext }: RateLimiterRes): Share {
  const remaining = consumedPoints - capacity - 1
  const untilOneMore = msBeforeNext - ((points - remaining - 1) * fillMs) / capacity
  return { taken: false, remaining, nextMs: Math.max(0, Math.ceil(untilOneMore)), waitMs: msBeforeNext }
}

/** A bucket that looks take from, and never empty. */
const lookRules: Rules = { ...noRules, OTHER: { capacity: 1_000_000, fillMs: 1_000_000 } }

/**
 * Looks for a part that is away by what is asked of it otherwise: a Redis that answers, and lets no script be run, or
 * nothing be written, is of no use here.
 */
const lookWith = (limiterOf: ReturnType<typeof createLimiters>) => async (client: RedisClient, prefix: string) => {
  await Promise.all([
    limiterOf(client, 'OTHER').consume(`${prefix}:look`),
    client.eval(beginPauseScript, 1, `${prefix}:look:pause`, 'look', 1, lookKeptMs),
  ])
}

/** What a look leaves behind lasts so long. Milliseconds. */
const lookKeptMs = 1_000

/** The limiters of each kind, made anew for a client that has taken the place of another. */
function createLimiters(rules: Rules) {
  const byClient = new WeakMap<RedisClient, Map<Kind, RateLimiterRedis>>()
  return (client: RedisClient, kind: Kind): RateLimiterRedis => {
    const limiters = byClient.get(client) ?? new Map<Kind, RateLimiterRedis>()
    byClient.set(client, limiters)
    let limiter = limiters.get(kind)
    if (limiter === undefined) {
      const { capacity, fillMs } = rules[kind]!
      limiter = new RateLimiterRedis({
        storeClient: client,
        // Keys come whole.
        keyPrefix: '',
        points: capacity,
        duration: fillMs / 1_000,
        customIncrTtlLuaScript: bucketScript,
        rejectIfRedisNotReady: true,
      })
      limiters.set(kind, limiter)
    }
    return limiter
  }
}

/** Pauses in Redis; what began there while it was there holds in this process when it is away. */
function createPauses(parts: Parts): Pauses {
  const here = createMemoryPauses()
  const keyOf = (name: string) => `${parts.prefixOf(name)}:pause:${name}`
  return {
    async begin(name, holder, ms) {
      const answer = await parts.ask(
        name,
        (client) => client.eval(beginPauseScript, 1, keyOf(name), holder, ms, longestPauseMs) as Promise<[number, string?]>,
      )
      if (answer === null) return here.begin(name, holder, ms)
      const [leftMs, other] = answer
      if (leftMs > 0) return { holder: other!, leftMs }
      if (leftMs < 0) here.note(name, holder)
      return leftMs < 0 ? 'begun' : 'own'
    },
    end(name, holder) {
      here.end(name, holder)
      void parts.ask(name, (client) => client.eval(endPauseScript, 1, keyOf(name), holder))
    },
    async left(name, ms) {
      const answer = await parts.ask(name, (client) => client.eval(leftOfPauseScript, 1, keyOf(name), ms) as Promise<number>)
      return answer ?? here.left(name, ms)
    },
  }
}
