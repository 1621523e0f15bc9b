import type { ErrorCode } from './generated/operations.ts'

/**
 * Why something failed: what the server says, or NETWORK where no answer of it came. A newer server may have codes that
 * this client has not heard of.
 */
export type MaruErrorCode = ErrorCode | 'NETWORK' | (string & {})

/** One error as GraphQL sends it. */
export type GraphQLErrorMessage = {
  readonly message: string
  readonly path?: readonly (string | number)[]
  readonly extensions?: { readonly [name: string]: unknown }
}

export type MaruClientErrorDetails = {
  errors?: readonly GraphQLErrorMessage[]
  field?: string | undefined
  retryAfterMs?: number | undefined
  requestId?: string | undefined
  cause?: unknown
}

/** Everything that this client throws, but for what an AbortSignal makes of it. */
export class MaruClientError extends Error {
  override readonly name = 'MaruClientError'
  readonly code: MaruErrorCode
  /** The input at fault, as a path into the arguments: `input.content`. */
  readonly field: string | undefined
  /** How long the server asks to wait before trying again. */
  readonly retryAfterMs: number | undefined
  /** What to quote to who runs the server. */
  readonly requestId: string | undefined
  /** All errors of the answer, as they came. */
  readonly errors: readonly GraphQLErrorMessage[]

  constructor(code: MaruErrorCode, message: string, details: MaruClientErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.field = details.field
    this.retryAfterMs = details.retryAfterMs
    this.requestId = details.requestId
    this.errors = details.errors ?? []
  }

  /** Whether the same may go well later. Of a mutation without an idempotency key nobody knows whether it was done. */
  get retryable(): boolean {
    return retryableCodes.has(this.code)
  }
}

const retryableCodes: ReadonlySet<string> = new Set<MaruErrorCode>([
  'NETWORK',
  'UNAVAILABLE',
  'RATE_LIMITED',
  'INTERNAL',
])

/** The error that an answer's `errors` amount to: the first one says which. */
export function errorFromAnswer(errors: readonly GraphQLErrorMessage[]): MaruClientError {
  const first = errors[0]
  const { code, field, retryAfterMs, requestId } = first?.extensions ?? {}
  return new MaruClientError(
    // Without a code the document itself was refused before the server's own checks: trying again cannot help.
    typeof code === 'string' ? code : 'BAD_USER_INPUT',
    first?.message ?? 'The server refused without saying why.',
    {
      errors,
      field: typeof field === 'string' ? field : undefined,
      retryAfterMs: typeof retryAfterMs === 'number' ? retryAfterMs : undefined,
      requestId: typeof requestId === 'string' ? requestId : undefined,
    },
  )
}

/** No answer came, or something other than an answer of Maru. */
export const networkError = (message: string, cause?: unknown) => new MaruClientError('NETWORK', message, { cause })

/** No token that the server takes is to be had. */
export const signedOut = (cause?: unknown) =>
  new MaruClientError('UNAUTHENTICATED', 'Not signed in any more: sign in again.', { cause })
