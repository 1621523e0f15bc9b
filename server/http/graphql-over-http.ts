import type { IncomingMessage, ServerResponse } from 'node:http'
import { GraphQLError } from 'graphql'
import type { ExecutionResult } from 'graphql'
import { createYoga } from 'graphql-yoga'
import type { GraphQLParams, Plugin } from 'graphql-yoga'
import type { Logger } from 'pino'
import { badInput } from '../errors.ts'
import type { Viewer } from '../viewer.ts'
import { bearerToken, isRefusal } from './authentication.ts'
import type { Authenticate } from './authentication.ts'
import { withoutCookies } from './caller.ts'
import type { Caller, ContextArgs, CreateContext } from './caller.ts'
import { formatError } from './format-error.ts'
import { malformed, withStatus } from './http-status.ts'
import type { HttpLimits } from './limits.ts'
import type { Operation, Operations } from './operations.ts'
import type { Origins } from './origins.ts'
import { type RateLimiting, setHeaders } from './rate-limiting.ts'
import type { Headers } from './rate-limit-headers.ts'
import type { Recorder } from './recorder.ts'
import { endedSessionCookies, readSessionCookie, sessionCookies } from './session-cookie.ts'

export type GraphQLOverHttpOptions = {
  operations: Operations
  origins: Origins
  limits: HttpLimits
  limiting: RateLimiting
  log: Logger
  recorder: Recorder
  /** Whether the session cookie is only for https. */
  secureCookies: boolean
  authenticate: Authenticate
  createContext: CreateContext
}

export type GraphQLOverHttp = (request: IncomingMessage, response: ServerResponse, caller: Caller) => Promise<void>

type Exchange = {
  request: IncomingMessage
  response: ServerResponse
  caller: Caller
  /** Whether the request was good enough to be answered by `operations`; else its errors are Yoga's. */
  wellFormed: boolean
}
type ServerContext = { exchange: Exchange }

/**
 * Answers POST and GET by the GraphQL over HTTP specification. Yoga reads the request and writes the answer; what lies
 * between, from the text of a document to its result, is `operations`, as it is for sockets.
 */
export function createGraphQLOverHttp(options: GraphQLOverHttpOptions): GraphQLOverHttp {
  const { operations, origins, limits, limiting, log, recorder, secureCookies, authenticate, createContext } = options

  async function identify({ request, response }: Exchange): Promise<Viewer | null> {
    const bearer = bearerToken(request.headers.authorization)
    if (bearer !== null) return authenticate(bearer)
    const cookie = origins.isOwnPage(request.headers) ? readSessionCookie(request.headers.cookie) : null
    if (cookie === null) return null
    try {
      return await authenticate(cookie)
    } catch (error) {
      if (!isRefusal(error)) throw error
      // Nobody typed the cookie in, so nobody could mend it: without it the page can sign in anew.
      response.appendHeader('set-cookie', endedSessionCookies(secureCookies))
      return null
    }
  }

  function cookiesFor({ request, response }: Exchange): Pick<ContextArgs, 'startCookieSession' | 'endCookieSession'> {
    // Only the GraphiQL page asks for a cookie. Another page of the same origin keeps its token itself.
    if (!request.headers['x-maru-graphiql'] || !origins.isOwnPage(request.headers)) return withoutCookies
    const set = (cookies: string[]) => {
      if (!response.headersSent) response.setHeader('set-cookie', cookies)
    }
    return {
      startCookieSession: (token, expiresAt) => set(sessionCookies(token, expiresAt, secureCookies)),
      endCookieSession: () => set(endedSessionCookies(secureCookies)),
    }
  }

  async function answer(params: GraphQLParams, exchange: Exchange): Promise<ExecutionResult> {
    const started = performance.now()
    const { requestId } = exchange.caller
    const format = (error: unknown) => formatError(error, { requestId, log })
    exchange.wellFormed = true
    let viewer: Viewer | null = null
    let operation: Operation | null = null
    let result: ExecutionResult
    try {
      viewer = await identify(exchange).catch(async (error: unknown) => {
        if (isRefusal(error)) await countUnknown(exchange)
        throw error
      })
      const asking = { ip: exchange.caller.ip, viewer }
      const tell = (headers: Headers) => setHeaders(exchange.response, headers)
      try {
        operation = prepare(params, exchange.request.method)
      } catch (errors) {
        await limiting.countMalformed(asking, tell)
        throw errors
      }
      const settle = await limiting.admit(operation, asking, tell)
      const context = await createContext({ ...exchange.caller, ...cookiesFor(exchange), viewer })
      result = await operations.execute(operation, context, format)
      settle(result)
      tellToWait(result, exchange.response)
    } catch (errors) {
      result = { errors: [errors].flat().map((error) => withStatus(error, format(error))) }
    }
    recorder.operation({ requestId, viewer, operation, transport: 'http', started, errors: result.errors })
    return result
  }

  /** Counts what comes to nothing before it is known who asks. Throws RATE_LIMITED. */
  const countUnknown = ({ caller, response }: Exchange) =>
    limiting.countMalformed({ ip: caller.ip, viewer: null }, (headers) => setHeaders(response, headers))

  /** Throws the errors of an operation that cannot be had, or not in this way. */
  function prepare({ query, operationName, variables }: GraphQLParams, method: string | undefined): Operation {
    // Yoga has checked the types of all other parameters.
    if (typeof (operationName ?? '') !== 'string') throw malformed('"operationName" must be a string.')
    const operation = operations.prepare({ query: query ?? '', operationName, variables })
    if (!('type' in operation)) throw operation
    if (operation.type === 'mutation' && method === 'GET') {
      throw malformed('Send mutations by POST.', 405, { allow: 'POST' })
    }
    if (operation.type === 'subscription') {
      throw badInput('Subscriptions are served by WebSocket at this address, with the graphql-transport-ws protocol.')
    }
    return operation
  }

  /** What Yoga itself found wrong with a request: its parameters, its JSON, its size. */
  function formatMalformed(error: unknown, { requestId }: Caller): GraphQLError {
    const isJson = error instanceof GraphQLError && error.originalError instanceof SyntaxError
    const cause = isJson ? malformed('The request holds invalid JSON.') : error
    return withStatus(cause, formatError(cause, { requestId, log }))
  }

  const throughOperations: Plugin<{}, ServerContext> = {
    onParams({ setParamsHandler }) {
      setParamsHandler(({ params, context }) => answer(params, context.exchange))
    },
    async onResultProcess({ result, setResult, serverContext: { exchange } }) {
      if (exchange.wellFormed || !('errors' in result)) return
      const refusal = await countUnknown(exchange).then(() => null, (error: unknown) => error)
      if (refusal !== null) return setResult({ errors: [formatMalformed(refusal, exchange.caller)] })
      setResult({ errors: result.errors?.map((error) => formatMalformed(error, exchange.caller)) })
    },
  }

  const yoga = createYoga<ServerContext>({
    plugins: [throughOperations],
    graphqlEndpoint: '/graphql',
    maxRequestBodySize: limits.maxBodyBytes,
    // Everything below is done elsewhere, or is not offered.
    maskedErrors: false,
    logging: false,
    cors: false,
    graphiql: false,
    landingPage: false,
    multipart: false,
    batching: false,
    parserAndValidationCache: false,
    // It cannot be switched off: this is an address that no request can have.
    healthCheckEndpoint: ' ',
  })

  return async (request, response, caller) => {
    await yoga(request, response, { exchange: { request, response, caller, wellFormed: false } })
  }
}

/** Says in a header, too, how long to wait, where something within the operation has to: slow mode, or an export a day. */
function tellToWait({ errors = [] }: ExecutionResult, response: ServerResponse): void {
  const waits = errors
    .filter(({ extensions }) => extensions.code === 'RATE_LIMITED')
    .map(({ extensions }) => Number(extensions.retryAfterMs ?? 0))
  if (waits.length > 0) setHeaders(response, { 'retry-after': String(Math.ceil(Math.max(...waits) / 1_000)) })
}
