import { GraphQLError } from 'graphql'
import type { ErrorCode } from '../errors.ts'
import { errorCode } from './format-error.ts'

/** The status of a request that was refused before anything was executed. */
const statusByCode: Partial<Record<string, number>> = {
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  PAYLOAD_TOO_LARGE: 413,
  RATE_LIMITED: 429,
  UNAVAILABLE: 503,
  INTERNAL: 500,
} satisfies Partial<Record<ErrorCode, number>>

/** A request that is no GraphQL request, whatever its document says. */
export function malformed(message: string, status = 400, headers: Record<string, string> = {}): GraphQLError {
  return new GraphQLError(message, { extensions: { http: { status, headers } } })
}

/**
 * Gives a formatted error the HTTP status of the whole answer, in the form that Yoga looks for and takes out again.
 *
 * By the specification a client that accepts `application/graphql-response+json` is told by the status, and one that
 * accepts only `application/json` gets 200 (`spec: true`): libraries of that time throw away the body of everything
 * else, and with it the code that says to fetch a new token. What keeps a request from being read at all (Yoga's own
 * errors, and `malformed`) has its own status for both.
 */
export function withStatus(original: unknown, formatted: GraphQLError): GraphQLError {
  const own = original instanceof GraphQLError ? (original.extensions.http as Own | undefined) : undefined
  if (own?.status === 413) formatted.extensions.code = 'PAYLOAD_TOO_LARGE'
  const status = own?.status ?? statusByCode[errorCode(formatted)] ?? 400
  formatted.extensions.http = { headers: own?.headers, status, spec: own === undefined }
  return formatted
}

type Own = { status?: number; headers?: Record<string, string> }
