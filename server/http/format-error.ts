import { GraphQLError } from 'graphql'
import type { Logger } from 'pino'
import { expectedFailure } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'

export type ErrorContext = {
  requestId: string
  log: Logger
}

/**
 * Makes of anything that was thrown what the client may see of it, for every transport. Expected failures keep their
 * message and code; what graphql-js says of a document or of variables keeps its message and place and is
 * BAD_USER_INPUT; anything else is logged here and becomes INTERNAL, without a word of what it was.
 */
export function formatError(error: unknown, { requestId, log }: ErrorContext): GraphQLError {
  const cause = rootCause(error)
  const expected = expectedFailure(cause)
  if (expected !== null) {
    const { code, message, field, retryAfterMs } = expected
    if (expected.cause !== undefined) log.warn({ requestId, err: expected.cause, code }, 'operation failed')
    return shown(message, error, {
      code,
      ...(field !== undefined && { field }),
      ...(retryAfterMs !== undefined && { retryAfterMs }),
      requestId,
    })
  }
  if (error instanceof GraphQLError && isAboutTheRequest(error, cause)) {
    return shown(error.message, error, { code: 'BAD_USER_INPUT', requestId })
  }
  log.error({ requestId, err: cause }, 'unexpected error')
  return shown('Something went wrong.', error, { code: 'INTERNAL', requestId })
}

/** The code of an error that `formatError` has made. */
export function errorCode(error: GraphQLError): string {
  return String(error.extensions.code)
}

/** What was thrown first: graphql-js wraps it to say where, and graphql-ws once more. */
function rootCause(error: unknown): unknown {
  let cause = error
  while (cause instanceof GraphQLError && cause.originalError) cause = cause.originalError
  return cause
}

/**
 * Whether graphql-js blames the document or the variables. Before execution an error has no path, and is about the
 * request unless it only wraps an error of another kind; a scalar that refuses a value does throw one, and then the
 * place in the document is known. During execution only a refused argument names a place in the document by itself;
 * other GraphQLErrors come from results that do not fit the schema, and those are the server's fault.
 */
function isAboutTheRequest(error: GraphQLError, cause: unknown): boolean {
  if (error.path === undefined) return cause instanceof GraphQLError || error.nodes !== undefined
  return cause instanceof GraphQLError && cause.nodes !== undefined
}

function shown(message: string, error: unknown, extensions: { code: ErrorCode } & Record<string, unknown>) {
  if (!(error instanceof GraphQLError)) return new GraphQLError(message, { extensions })
  const { nodes, source, positions, path } = error
  return new GraphQLError(message, { nodes, source, positions, path, extensions })
}
