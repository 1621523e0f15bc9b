import { createHash } from 'node:crypto'
import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible'
import type { RedisClient, RedisConnection } from '../lib/redis.ts'
import { type Kind, rulesWhileAway, type Rules } from './kinds.ts'
import { createBuckets, createMemoryPauses } from './memory-limits.ts'
import type { Pauses } from './pauses.ts'
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
  const parts = createParts({ redis, prefix, onError: onError ?? ignore, onAway: onAway ?? ignore })
  const rulesHere = rulesWhileAway(rules)
  const here = createBuckets(rulesHere)
  const limiterOf = createLimiters(rules)
  const keyOf = ({ kind, subject }: Charge) => `${parts.prefixOf(subject)}:${kind}:${subject}`

  async function take(charge: Charge): Promise<Taken> {
    const share = await parts.ask(charge.subject, (client) =>
      limiterOf(client, charge.kind)
        .consume(keyOf(charge), charge.points)
        .then(
          ({ remainingPoints, msBeforeNext }): Share => ({ taken: true, remaining: remainingPoints, nextMs: msBeforeNext }),
          (refusal: unknown): Share => {
            if (!(refusal instanceof RateLimiterRes)) throw refusal
            return { taken: false, remaining: 0, nextMs: refusal.msBeforeNext }
          },
        ),
    )
    return share === null ? { ...takeHere(charge), isHere: true } : { ...share, isHere: false }
  }

  /** Where rules are stricter here, more may be asked for than there is room for: then it takes all there is. */
  const takeHere = (charge: Charge): Share =>
    here.take({ ...charge, points: Math.min(charge.points, rulesHere[charge.kind]!.capacity) })

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
      return outcomeOf(rules, charges, shares)
    },
    giveBack(charges) {
      // Where it was taken is not known any more: where takes go now is the best guess.
      for (const charge of chargesOf(rules, charges)) giveBack(charge, parts.away() > 0)
    },
    pauses: createPauses(parts),
    away: parts.away,
    close: parts.close,
  }
}

const ignore = () => {}

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
      // In Redis it is a hash: what callers call themselves may be long, or have spaces in it.
      const holderHash = createHash('sha256').update(holder).digest('base64url')
      const answer = await parts.ask(name, (client) => client.eval(beginPauseScript, 1, keyOf(name), holderHash, ms) as Promise<number>)
      if (answer === null) return here.begin(name, holder, ms)
      if (answer > 0) return answer
      if (answer < 0) here.note(name, holder)
      return answer < 0 ? 'begun' : 'own'
    },
    end(name, holder) {
      here.end(name, holder)
      const holderHash = createHash('sha256').update(holder).digest('base64url')
      void parts.ask(name, (client) => client.eval(endPauseScript, 1, keyOf(name), holderHash))
    },
    async left(name, ms) {
      const answer = await parts.ask(name, (client) => client.eval(leftOfPauseScript, 1, keyOf(name), ms) as Promise<number>)
      return answer ?? here.left(name, ms)
    },
  }
}
