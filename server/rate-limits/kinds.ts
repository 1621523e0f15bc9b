import { z } from 'zod'

/**
 * What is limited, each kind with a bucket of its own for each user or address. `schema/rate-limits.ts` says which field
 * of the API is of which kind.
 */
export const kinds = [
  'SEND',
  'SEARCH',
  'UPLOAD',
  'CREATE',
  'OTHER',
  'SIGN_UP',
  'SIGN_IN',
  'SIGN_IN_FAILURE',
  'LINK',
  'CONNECT',
  'CONNECT_USER',
] as const

export type Kind = (typeof kinds)[number]

/** A bucket holds so many points, and an empty one is full again after so many milliseconds. */
export type Rule = { capacity: number; fillMs: number }

/** The rule for each kind; null where there is no limit. */
export type Rules = Readonly<Record<Kind, Rule | null>>

/** The arguments of a field, by name, and of an input the fields. */
export type FieldArguments = { readonly [name: string]: unknown; readonly input?: Readonly<Record<string, unknown>> }

/** How a root field of the schema is limited; it stands in the field's `extensions.rateLimit`. */
export type FieldLimit = {
  kind: Kind
  /** For each address, although somebody is signed in. */
  byAddress?: true
  /**
   * What of the arguments a failure is counted by, beside the address, as SIGN_IN_FAILURE. An attempt takes a point and
   * gets it back unless name or password was wrong: so that attempts that come together count, too.
   */
  failuresBy?: (args: FieldArguments) => string
}

/** No limits at all. */
export const noRules = Object.freeze(Object.fromEntries(kinds.map((kind) => [kind, null]))) as Rules

/** Kinds that go on with less, and not with more, where the processes do not know of each other. */
export const strictKinds: ReadonlySet<Kind> = new Set<Kind>(['SIGN_UP', 'SIGN_IN', 'SIGN_IN_FAILURE'])

/** What each process allows of those while the shared store is away: its share, where there are about so many. */
const strictShare = 1 / 4

/**
 * What each process allows of all others meanwhile: nobody who keeps to the limits may meet one because their buckets
 * are not known here, or because a second device of theirs is on the same process.
 */
const generousFactor = 2

/** The rules that a process goes by while the store that is shared with others is away. */
export const rulesWhileAway = (rules: Rules): Rules =>
  Object.fromEntries(
    kinds.map((kind) => {
      const rule = rules[kind]
      if (rule === null) return [kind, null]
      const factor = strictKinds.has(kind) ? strictShare : generousFactor
      const capacity = Math.ceil(rule.capacity * factor)
      // The rate is the factor of the rate, whatever became of the capacity.
      return [kind, { capacity, fillMs: (rule.fillMs * capacity) / (rule.capacity * factor) }]
    }),
  ) as Rules

/** The most points and seconds that a limit may name: a day is as long as anybody may be kept waiting. */
const maxPoints = 1_000_000
const maxSeconds = 86_400

/**
 * The text of a limit: `points/seconds`, `points/seconds/burst`, or `off`. `300/60/50` lets 300 through in a minute in the
 * long run, and at most 50 at once; without a burst all 300 may come at once. The burst is a second's worth at the least,
 * since buckets that fill faster than that are told apart by nobody.
 */
export const rateLimit = () =>
  z
    .string()
    .transform(readRule)
    .refine((rule) => rule !== undefined, {
      error:
        'must be points/seconds or points/seconds/burst, such as 300/60/50, with at most a million points, a day, and a ' +
        'burst between what one second allows and all points; or off',
    })
    .transform((rule) => rule!)

/** A rule, `null` for none, undefined for what cannot be read. */
function readRule(text: string): Rule | null | undefined {
  if (text.toLowerCase() === 'off') return null
  const parts = /^(\d{1,7})\/(\d{1,5})(?:\/(\d{1,7}))?$/.exec(text)
  if (parts === null) return undefined
  const [points, seconds, burst = points] = parts.slice(1).map((part) => (part === undefined ? undefined : Number(part)))
  if (points! < 1 || points! > maxPoints || seconds! < 1 || seconds! > maxSeconds) return undefined
  if (burst! < 1 || burst! > points! || burst! * seconds! < points!) return undefined
  return { capacity: burst!, fillMs: (burst! * seconds! * 1_000) / points! }
}
