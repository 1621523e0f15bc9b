import { LRUCache } from 'lru-cache'
import type { Rule, Rules } from './kinds.ts'
import type { Pauses } from './pauses.ts'
import { type Charge, chargesOf, outcomeOf, type RateLimits, type Share, unlimited, type Watcher } from './rate-limits.ts'

/** Buckets that are remembered: those used last, some 20 MB of them. One that is forgotten is full. */
const maxBuckets = 100_000

/** Rounding must not keep anybody from the last point. */
const epsilon = 1e-6

type Bucket = { points: number; at: number }

/** Buckets in this process, by its clock that never jumps. */
export function createBuckets(rules: Rules) {
  const buckets = new LRUCache<string, Bucket>({ max: maxBuckets })
  const nameOf = ({ kind, subject }: Charge) => `${kind} ${subject}`

  function bucketOf(charge: Charge, { capacity, fillMs }: Rule): Bucket {
    const now = performance.now()
    const bucket = buckets.get(nameOf(charge))
    if (bucket === undefined) return { points: capacity, at: now }
    return { points: Math.min(capacity, bucket.points + ((now - bucket.at) * capacity) / fillMs), at: now }
  }

  return {
    /** Takes the points of one charge, if there are enough; more than there ever is are not worth waiting for. */
    take(charge: Charge): Share {
      const rule = rules[charge.kind]!
      const bucket = bucketOf(charge, rule)
      const taken = bucket.points + epsilon >= charge.points
      if (taken) {
        bucket.points = Math.max(0, bucket.points - charge.points)
        buckets.set(nameOf(charge), bucket)
      }
      const remaining = Math.floor(bucket.points + epsilon)
      const until = (points: number) => Math.max(0, Math.ceil(((points - bucket.points) * rule.fillMs) / rule.capacity))
      const waitMs = taken ? 0 : until(Math.min(charge.points, rule.capacity))
      return { taken, remaining, nextMs: until(Math.min(rule.capacity, remaining + 1)), waitMs }
    },
    giveBack(charge: Charge): void {
      const rule = rules[charge.kind]!
      const bucket = bucketOf(charge, rule)
      buckets.set(nameOf(charge), { ...bucket, points: Math.min(rule.capacity, bucket.points + charge.points) })
    },
  }
}

/** Pauses in this process. */
export function createMemoryPauses(): Pauses & {
  /** A pause has begun elsewhere, and is to hold here too. */
  note(name: string, holder: string): void
} {
  const pauses = new LRUCache<string, { holder: string; at: number }>({ max: maxBuckets })
  const leftOf = (at: number, ms: number) => Math.max(0, Math.ceil(at + ms - performance.now()))
  const note = (name: string, holder: string) => void pauses.set(name, { holder, at: performance.now() })
  return {
    note,
    async begin(name, holder, ms) {
      const pause = pauses.get(name)
      const left = pause === undefined ? 0 : leftOf(pause.at, ms)
      if (left > 0) return pause!.holder === holder ? 'own' : { holder: pause!.holder, leftMs: left }
      note(name, holder)
      return 'begun'
    },
    end(name, holder) {
      if (pauses.get(name)?.holder === holder) pauses.delete(name)
    },
    async left(name, ms) {
      const pause = pauses.get(name)
      return pause === undefined ? 0 : leftOf(pause.at, ms)
    },
  }
}

/** The limits of a deployment with one process. */
export function createMemoryLimits(rules: Rules, { onTake }: Watcher = {}): RateLimits {
  const buckets = createBuckets(rules)
  return {
    rules,
    async take(all) {
      const charges = chargesOf(rules, all)
      if (charges.length === 0) return unlimited
      const shares = charges.map(buckets.take)
      const isTaken = shares.every((share) => share.taken)
      charges.forEach((charge, nth) => {
        if (!isTaken && shares[nth]!.taken) buckets.giveBack(charge)
        if (isTaken || !shares[nth]!.taken) onTake?.(charge.kind, isTaken ? 'taken' : 'refused', charge.points)
      })
      return outcomeOf(rules, charges, shares, (some) => chargesOf(rules, some).forEach(buckets.giveBack))
    },
    pauses: createMemoryPauses(),
    away: () => 0,
    close() {},
  }
}
