import { OutboundError } from '../lib/outbound.ts'
import type { PushOutcome } from './push-sender.ts'

/** What a provider answered. */
export type Answer = { status: number; retryAfter: string | null; body: string }

/** A day: what is longer was not meant, and the notice is no news by then. Milliseconds. */
const longestWaitMs = 24 * 60 * 60 * 1_000

/**
 * How long a Retry-After header (RFC 9110, 10.2.3: seconds, or a date) asks to wait, in milliseconds; null for none.
 */
export function retryAfterMs(header: string | null | undefined): number | null {
  if (header == null) return null
  const text = header.trim()
  const ms = /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - Date.now()
  return Number.isNaN(ms) ? null : Math.min(Math.max(0, ms), longestWaitMs)
}

/** Who does not take our credentials may once somebody has mended them, and need not be asked all the time. Milliseconds. */
export const mendMs = 60_000

/** What becomes of a notice that was not accepted, as far as the status alone says. */
export function outcomeOf(answer: Answer, reason = `HTTP ${answer.status}`): PushOutcome {
  const { status } = answer
  if (status === 401 || status === 403) return { outcome: 'later', reason, retryAfterMs: mendMs }
  if (status === 408 || status === 429 || status >= 500) {
    return { outcome: 'later', reason, retryAfterMs: retryAfterMs(answer.retryAfter) }
  }
  return { outcome: 'refused', reason }
}

/**
 * A request came to no answer. The reason is the system's code for why not (ECONNREFUSED), or a word of ours: TIMEOUT,
 * CLOSED, ANSWER_TOO_LARGE, FAILED.
 */
export const noAnswer = (error: unknown): PushOutcome => ({
  outcome: 'later',
  reason: failureOf(error),
  retryAfterMs: null,
})

function failureOf(error: unknown): string {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    // A host that has several addresses fails with what became of each.
    if (cause instanceof AggregateError && cause.errors.length > 0) return failureOf(cause.errors[0])
    if (cause.message === 'TIMEOUT' || cause.message === 'CLOSED') return cause.message
    if (cause instanceof OutboundError && cause.reason === 'timeout') return 'TIMEOUT'
    if (cause instanceof OutboundError && cause.reason === 'too-large') return 'ANSWER_TOO_LARGE'
    if ('code' in cause && typeof cause.code === 'string') return cause.code
  }
  return 'FAILED'
}

/** The object that a provider's answer holds; empty where it holds none. */
export function readObject(body: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

/** A provider's word for what is wrong, fit for a log; null for what is none. */
export const asReason = (value: unknown): string | null =>
  typeof value === 'string' && /^\w{1,64}$/.test(value) ? value : null
