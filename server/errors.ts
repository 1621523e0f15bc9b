/**
 * Every failure that a client may expect, by the code it is told. Whatever is thrown and is not one of these reaches
 * the client as INTERNAL, without its message.
 */
export const errorCodes = [
  'UNAUTHENTICATED',
  'FORBIDDEN',
  'NOT_FOUND',
  'BAD_USER_INPUT',
  'CONFLICT',
  'RATE_LIMITED',
  'PAYLOAD_TOO_LARGE',
  'QUERY_TOO_COMPLEX',
  'CURSOR_EXPIRED',
  'UNAVAILABLE',
  'INTERNAL',
] as const

export type ErrorCode = (typeof errorCodes)[number]

export type ErrorDetails = {
  /** The input at fault, as a path into the arguments: `input.content`. */
  field?: string
  /** How long to wait before trying again, in milliseconds. */
  retryAfterMs?: number
  /** For the log only; never sent. */
  cause?: unknown
}

/** An expected failure. Its message is shown to the client, so it must say nothing of the server's insides. */
export class MaruError extends Error {
  readonly code: ErrorCode
  readonly field: string | undefined
  readonly retryAfterMs: number | undefined

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'MaruError'
    this.code = code
    this.field = details.field
    this.retryAfterMs = details.retryAfterMs
  }
}

/** The expected failure that an error is, or wraps: Drizzle wraps what the store rejects with. Null where there is none. */
export function expectedFailure(error: unknown): MaruError | null {
  for (let cause = error; cause instanceof Error; cause = cause.cause) if (cause instanceof MaruError) return cause
  return null
}

/** The caller is not signed in, or the token is no longer good. */
export const unauthenticated = (message = 'Sign in first.') => new MaruError('UNAUTHENTICATED', message)

/** The caller is known and may not do this. */
export const forbidden = (message: string) => new MaruError('FORBIDDEN', message)

/** There is no such thing, or the caller may not know whether there is. */
export const notFound = (what: string, field?: string) =>
  new MaruError('NOT_FOUND', `No such ${what}.`, field === undefined ? {} : { field })

/** The input at `field` cannot be taken as it is; the message says what would be. */
export const badInput = (message: string, field?: string) =>
  new MaruError('BAD_USER_INPUT', message, field === undefined ? {} : { field })

/** What is asked for contradicts what is there already. */
export const conflict = (message: string, field?: string) =>
  new MaruError('CONFLICT', message, field === undefined ? {} : { field })

/** A stream cannot go on from here: what should be told has been removed, or is not known any more. */
export const cursorExpired = (field?: string) =>
  new MaruError('CURSOR_EXPIRED', 'This cursor is no longer good; read the history again.', field === undefined ? {} : { field })

/** The store did not answer in time, or is away; trying again is safe. */
export const unavailable = (cause?: unknown) =>
  new MaruError('UNAVAILABLE', 'The service is not available just now; try again.', { retryAfterMs: 1_000, cause })
