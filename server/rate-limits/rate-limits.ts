import type { Pauses } from './pauses.ts'
import type { Kind, Rule, Rules } from './kinds.ts'

/**
 * Who may do how much. Each kind of operation has a bucket of points for each subject (a user, an address); points come
 * back at a steady rate, so that there is no edge of a window at which twice as much gets through.
 *
 * What every engine guarantees:
 * - From one subject's bucket never more is taken within any span of time than its capacity and what came in meanwhile:
 *   `capacity + span * capacity / fillMs`, whatever comes at the same time.
 * - `take` takes all that is asked for or, as far as it can, nothing: where one bucket has too little, what was taken from
 *   others with it is given back, and its standings say so. Whoever is refused has not used anything up.
 * - `take` does not reject, and answers within `answerMs` and a little, whatever became of what it has to ask.
 * - `waitMs` of a refusal is when there will be enough, if nobody else takes of it.
 * - What has not been used for long is forgotten; a bucket that nobody knows is full.
 *
 * What none guarantees:
 * - That a bucket outlives the engine: after a restart, or where Redis has lost its memory, all buckets are full.
 * - That processes know of each other while the engine on Redis is away: each then has buckets of its own, by
 *   `rulesWhileAway`. Sending and the like may get through twice as much in each process, signing in and up a quarter; what
 *   asks for more than that at once is refused meanwhile.
 * - That what `giveBack` is given arrives.
 */
export type RateLimits = {
  rules: Rules
  /** Takes points. Charges whose kind has no rule cost nothing; one of more points than a bucket holds is a RangeError. */
  take(charges: readonly Charge[]): Promise<Outcome>
  /** Waits between one thing and the next, for slow mode. They hold whether there are rules or not. */
  pauses: Pauses
  /** The share of the engine, 0 to 1, that is away, so that this process goes by its own buckets. */
  away(): number
  close(): void
}

export type Charge = {
  kind: Kind
  /** Whose bucket: `userSubject` or `addressSubject`. */
  subject: string
  /** A whole number. */
  points: number
}

/** How a bucket stands. */
export type Standing = {
  kind: Kind
  rule: Rule
  /** Whole points that are left. */
  remaining: number
  /** Milliseconds until there is one more; 0 where the bucket is full. */
  nextMs: number
}

export type Outcome = {
  /** Null where all was taken. */
  refused: { kind: Kind; waitMs: number } | null
  /** Of each bucket that was asked, in their order. */
  standings: readonly Standing[]
  /** Gives back some of what was taken and not used, where it was taken. Neither waits nor fails. */
  giveBack(charges: readonly Charge[]): void
}

/** The longest that anybody waits to be told whether they may. Milliseconds. */
export const answerMs = 150

/** Told what was taken and refused, and what went wrong. */
export type Watcher = {
  onTake?: (kind: Kind, outcome: 'taken' | 'refused', points: number) => void
  /** A command that failed or did not answer in time. */
  onError?: (error: unknown) => void
  /** The engine is away (for the first of its parts), and why; or back (all of it). */
  onAway?: (isAway: boolean, reason?: unknown) => void
}

/** What became of one charge: how its bucket stands now, and if it had too little, in how many milliseconds it has enough. */
export type Share = { taken: boolean; remaining: number; nextMs: number; waitMs: number }

/** The answer where nothing is limited. */
export const unlimited: Outcome = { refused: null, standings: [], giveBack() {} }

/** Charges that cost something; throws a RangeError where one asks for more than there can ever be. */
export function chargesOf(rules: Rules, charges: readonly Charge[]): Charge[] {
  const costing = charges.filter(({ kind, points }) => rules[kind] !== null && points > 0)
  for (const { kind, points } of costing) {
    if (points > rules[kind]!.capacity) throw new RangeError(`${points} points of ${kind} are more than there can be`)
  }
  return costing
}

/** Puts together what became of each charge. What was taken beside one that was refused is shown as it is given back. */
export function outcomeOf(
  rules: Rules,
  charges: readonly Charge[],
  shares: readonly Share[],
  giveBack: Outcome['giveBack'],
): Outcome {
  let refused: Outcome['refused'] = null
  for (const [nth, { taken, waitMs }] of shares.entries()) {
    if (!taken && (refused === null || waitMs > refused.waitMs)) refused = { kind: charges[nth]!.kind, waitMs }
  }
  const standings = charges.map(({ kind, points }, nth): Standing => {
    const { taken, remaining, nextMs } = shares[nth]!
    const rule = rules[kind]!
    if (refused === null || !taken) return { kind, rule, remaining, nextMs }
    const whole = Math.min(rule.capacity, remaining + points)
    return { kind, rule, remaining: whole, nextMs: whole === rule.capacity ? 0 : nextMs }
  })
  return { refused, standings, giveBack: refused === null ? giveBack : unlimited.giveBack }
}
