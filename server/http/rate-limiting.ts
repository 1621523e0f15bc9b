import { createHash } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import {
  type ExecutionResult,
  type FieldNode,
  getArgumentValues,
  getDirectiveValues,
  type GraphQLError,
  type GraphQLField,
  GraphQLIncludeDirective,
  GraphQLSkipDirective,
  Kind as NodeKind,
  type SelectionSetNode,
  type ValidatedExecutionArgs,
} from 'graphql'
import { MaruError } from '../errors.ts'
import type { FieldLimit } from '../rate-limits/kinds.ts'
import { type Charge, type Outcome, type RateLimits, unlimited } from '../rate-limits/rate-limits.ts'
import { addressSubject, userSubject } from '../rate-limits/subjects.ts'
import type { Viewer } from '../viewer.ts'
import { errorCode } from './format-error.ts'
import type { Operation } from './operations.ts'
import { type Headers, rateLimitHeaders } from './rate-limit-headers.ts'

/** Who is charged. */
export type Asking = { ip: string; viewer: Pick<Viewer, 'userId'> | null }

/** Where headers go; sockets have none. */
type Tell = (headers: Headers) => void

/** Told what came of an operation that was let in: what only failures cost is given back to the others. */
export type Settle = (result: ExecutionResult) => void

/** Charges whoever asks, before anything is done. */
export type RateLimiting = {
  /** Lets an operation in, or throws RATE_LIMITED; QUERY_TOO_COMPLEX where it asks for more at once than ever is allowed. */
  admit(operation: Operation, asking: Asking, tell?: Tell): Promise<Settle>
  /** Counts a request that comes to nothing: finding that out takes time, too. Throws RATE_LIMITED. */
  countMalformed(asking: Asking, tell?: Tell): Promise<void>
  /** Counts a new socket for its address; how long to wait, in milliseconds, where there are too many, or null. */
  connect(ip: string): Promise<number | null>
  /** The same for its user, once that is known. */
  connectUser(viewer: Viewer): Promise<number | null>
  /** Counts a look at a page of a short link; how long to wait, in milliseconds, where there were too many, or null. */
  page(asking: Asking, response: ServerResponse): Promise<number | null>
}

/**
 * Those who were refused together should not come back together: each waits up to this much longer, as a part of the wait
 * and in milliseconds.
 */
const spread = 0.25
const maxSpreadMs = 1_000

const otherwise: FieldLimit = { kind: 'OTHER' }

/** The limits of one server; without `limits` nothing is limited. */
export function createRateLimiting(limits: RateLimits | undefined): RateLimiting {
  if (limits === undefined) return unlimitedServer
  const { rules } = limits

  /** Takes what is asked for, and tells how it stands. */
  async function take(charges: readonly Charge[], tell?: Tell): Promise<Outcome> {
    const outcome = await limits!.take(charges)
    if (outcome !== unlimited) tell?.(rateLimitHeaders(outcome.standings))
    return outcome
  }

  /** Throws RATE_LIMITED unless all of it could be taken. */
  async function charge(charges: readonly Charge[], tell?: Tell): Promise<Outcome> {
    const outcome = await take(charges, tell)
    const wait = waitOf(outcome)
    if (wait === null) return outcome
    tell?.(retryAfter(wait))
    throw new MaruError('RATE_LIMITED', `That was too much at once; try again in ${secondsOf(wait)}.`, { retryAfterMs: wait })
  }

  const countMalformed: RateLimiting['countMalformed'] = async ({ ip, viewer }, tell) => {
    await charge([{ kind: 'OTHER', subject: subjectOf({ ip, viewer }), points: 1 }], tell)
  }

  /** What an operation costs. One that asks for more than there ever is, or whose directives fail, costs as malformed. */
  async function costsOf(operation: Operation, asking: Asking, tell?: Tell): Promise<Costs> {
    try {
      const costs = chargesOf(operation, asking)
      for (const { kind, points } of costs.charges) {
        const rule = rules[kind]
        if (rule === null || points <= rule.capacity) continue
        throw new MaruError('QUERY_TOO_COMPLEX', `This asks for ${points} things at once, of which at most ${rule.capacity} are allowed.`)
      }
      return costs
    } catch (error) {
      await countMalformed(asking, tell)
      throw error
    }
  }

  const connectAs = async (kind: 'CONNECT' | 'CONNECT_USER', subject: string) =>
    waitOf(await limits.take([{ kind, subject, points: 1 }]))

  return {
    async admit(operation, asking, tell) {
      const { charges, failures } = await costsOf(operation, asking, tell)
      const { giveBack } = await charge(charges, tell)
      if (failures.size === 0) return nothingToSettle
      return ({ errors = [] }) => {
        // What goes wrong below a field at the root does so after it let somebody in.
        const failed = new Set(errors.filter(isWrongSecret).flatMap(({ path }) => (path?.length === 1 ? path : [])))
        giveBack([...failures].filter(([key]) => !failed.has(key)).map(([, one]) => one))
      }
    },
    countMalformed,
    connect: (ip) => connectAs('CONNECT', addressSubject(ip)),
    connectUser: ({ userId }) => connectAs('CONNECT_USER', userSubject(userId)),
    async page(asking, response) {
      const tell = (headers: Headers) => setHeaders(response, headers)
      const wait = waitOf(await take([{ kind: 'LINK', subject: subjectOf(asking), points: 1 }], tell))
      if (wait !== null) tell(retryAfter(wait))
      return wait
    },
  }
}

/** Sets headers on an answer that is not on its way yet. */
export function setHeaders(response: ServerResponse, headers: Headers): void {
  if (response.headersSent) return
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
}

/** Whether somebody has given a name or a password that is wrong: what can be tried again with another one. */
function isWrongSecret(error: GraphQLError): boolean {
  const code = errorCode(error)
  return code === 'UNAUTHENTICATED' || (code === 'BAD_USER_INPUT' && error.extensions.field === 'password')
}

const nothingToSettle: Settle = () => {}

const unlimitedServer: RateLimiting = {
  admit: async () => nothingToSettle,
  async countMalformed() {},
  connect: async () => null,
  connectUser: async () => null,
  page: async () => null,
}

/** How long to wait, a little longer than until it would be allowed; null where it was. */
function waitOf({ refused }: Outcome): number | null {
  if (refused === null) return null
  return Math.ceil(refused.waitMs + Math.random() * Math.min(refused.waitMs * spread, maxSpreadMs))
}

const retryAfter = (waitMs: number): Headers => ({ 'retry-after': String(Math.ceil(waitMs / 1_000)) })

/** Whose buckets count: a user's, and where nobody is signed in the address's. */
const subjectOf = ({ ip, viewer }: Asking): string => (viewer === null ? addressSubject(ip) : userSubject(viewer.userId))

function secondsOf(ms: number): string {
  const seconds = Math.ceil(ms / 1_000)
  return seconds === 1 ? 'a second' : `${seconds} seconds`
}

type Costs = { charges: Charge[]; failures: Map<string, Charge> }

/** What an operation costs, one bucket after the other, and which of it only a failure does, by response key. */
function chargesOf({ args }: Operation, asking: Asking): Costs {
  const address = addressSubject(asking.ip)
  const user = subjectOf(asking)
  const charges = new Map<string, Charge>()
  const failures = new Map<string, Charge>()
  const add = (charge: Charge) => {
    const key = `${charge.kind} ${charge.subject}`
    const before = charges.get(key)
    if (before === undefined) charges.set(key, { ...charge })
    else before.points += charge.points
  }
  const type = args.schema.getRootType(args.operation.operation)!
  for (const [key, node] of rootFields(args)) {
    const field = type.getFields()[node.name.value]
    const { kind, byAddress, failuresBy } = (field?.extensions.rateLimit as FieldLimit | undefined) ?? otherwise
    add({ kind, subject: byAddress ? address : user, points: 1 })
    if (field === undefined || failuresBy === undefined) continue
    const name = nameOf(field, node, args, failuresBy)
    if (name === null) continue
    const failure: Charge = { kind: 'SIGN_IN_FAILURE', subject: `${address} ${name}`, points: 1 }
    failures.set(key, failure)
    add(failure)
  }
  return { charges: [...charges.values()], failures }
}

/** What failures are counted by, as a hash: it may be as long as a client likes. Null where the arguments are none. */
function nameOf(
  field: GraphQLField<unknown, unknown>,
  node: FieldNode,
  args: ValidatedExecutionArgs,
  failuresBy: NonNullable<FieldLimit['failuresBy']>,
): string | null {
  try {
    const name = failuresBy(getArgumentValues(field, node, args.variableValues))
    return createHash('sha256').update(name).digest('base64url').slice(0, 22)
  } catch {
    // Execution will say what is wrong with them, and do nothing.
    return null
  }
}

/** The fields at the root that will be executed, by response key: aliases count each, and the same field twice but once. */
function rootFields({ operation, fragmentDefinitions, variableValues }: ValidatedExecutionArgs): Map<string, FieldNode> {
  const fields = new Map<string, FieldNode>()
  const spread = new Set<string>()
  function collect(set: SelectionSetNode): void {
    for (const selection of set.selections) {
      if (getDirectiveValues(GraphQLSkipDirective, selection, variableValues)?.if === true) continue
      if (getDirectiveValues(GraphQLIncludeDirective, selection, variableValues)?.if === false) continue
      if (selection.kind === NodeKind.FIELD) {
        const key = selection.alias?.value ?? selection.name.value
        if (!fields.has(key)) fields.set(key, selection)
      } else if (selection.kind === NodeKind.INLINE_FRAGMENT) collect(selection.selectionSet)
      else if (!spread.has(selection.name.value)) {
        spread.add(selection.name.value)
        const fragment = fragmentDefinitions[selection.name.value]
        if (fragment !== undefined) collect(fragment.selectionSet)
      }
    }
  }
  collect(operation.selectionSet)
  return fields
}
