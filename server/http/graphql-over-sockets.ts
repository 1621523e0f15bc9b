import type { ExecutionArgs, ExecutionResult, GraphQLError } from 'graphql'
import { makeServer } from 'graphql-ws'
import type { Server, SubscribePayload } from 'graphql-ws'
import type { Logger } from 'pino'
import { connectionToken, isRefusal, operationToken } from './authentication.ts'
import type { Authenticate } from './authentication.ts'
import { withoutCookies } from './caller.ts'
import type { Caller, CreateContext } from './caller.ts'
import { closings } from './connection.ts'
import type { Connection, SocketOperation } from './connection.ts'
import type { Connections } from './connections.ts'
import { formatError } from './format-error.ts'
import type { HttpLimits } from './limits.ts'
import type { Format, Operation, Operations, Stream } from './operations.ts'
import type { Recorder } from './recorder.ts'

export type GraphQLOverSocketsOptions = {
  operations: Operations
  connections: Connections
  limits: HttpLimits
  log: Logger
  recorder: Recorder
  authenticate: Authenticate
  createContext: CreateContext
}

/** Makes the answer of an operation that was accepted. */
type Answer = () => Promise<ExecutionResult> | Stream

/**
 * Answers by the graphql-transport-ws protocol, which graphql-ws speaks. What is wrong with one operation is answered
 * with an error for that operation; the socket stays open, and with it everything else on it. No hook here throws,
 * because graphql-ws closes the socket of one that does.
 */
export function createGraphQLOverSockets(options: GraphQLOverSocketsOptions): Server<Connection> {
  const { operations, connections, limits, log, recorder, authenticate, createContext } = options
  const { telemetry } = recorder

  /** Whether the socket may stay: with a good token as its user's, without any as nobody's. */
  async function signIn(connection: Connection, given: string | null): Promise<boolean> {
    const token = given ?? connection.cookie
    connection.cookie = null
    if (token === null) return true
    try {
      const viewer = await authenticate(token)
      if (connections.claimSocket(connection, viewer)) return true
      connection.socket.close(...closings.tooManySockets)
    } catch (error) {
      // A stale cookie is no reason to shut out the page on which one can sign in.
      if (isRefusal(error) && given === null) return true
      if (isRefusal(error)) connection.socket.close(...closings.refused)
      else {
        // Every code that says "error" ends a client for good, and this may be over in a moment.
        log.error({ requestId: connection.requestId, err: error }, 'socket could not be authenticated')
        connection.socket.close(...closings.overload)
      }
    }
    return false
  }

  /** Accepts an operation, or says what is wrong with it. */
  async function begin(
    connection: Connection,
    payload: SubscribePayload,
  ): Promise<ExecutionArgs | readonly GraphQLError[]> {
    const caller: Caller = {
      requestId: `${connection.requestId}.${++connection.started}`,
      ip: connection.ip,
      userAgent: connection.userAgent,
    }
    const format = (error: unknown) => formatError(error, { requestId: caller.requestId, log })
    const attempt: Attempt = { connection, caller, format, started: performance.now(), running: null }
    try {
      return await accept(attempt, payload)
    } catch (errors) {
      return refuse(attempt, [errors].flat().map(format))
    }
  }

  async function accept(attempt: Attempt, payload: SubscribePayload): Promise<ExecutionArgs | readonly GraphQLError[]> {
    const { connection, format } = attempt
    const running = (attempt.running = connections.beginOperation(connection))
    const token = operationToken(payload.extensions)
    const viewer = token === null ? connection.viewer : await authenticate(token)
    if (viewer) connections.claimOperation(connection, running, viewer)
    const operation = operations.prepare(payload)
    if (!('type' in operation)) throw operation
    running.operation = operation

    if (operation.type !== 'subscription') return ride(operation, () => execute(attempt, operation))
    const source = await operations.open(operation, await contextOf(attempt), format)
    if (!(Symbol.asyncIterator in source)) return refuse(attempt, source)
    record(attempt, undefined)
    telemetry.onSubscribe?.(operation.rootField)
    return ride(operation, () =>
      operations.stream(operation, source, {
        contextFor: (event) => contextOf(attempt, event),
        format,
        onEvent: (durationMs) => telemetry.onEvent?.(operation.name, durationMs),
        onEnd() {
          connections.endOperation(connection, running)
          telemetry.onComplete?.(operation.rootField)
        },
      }),
    )
  }

  async function execute(attempt: Attempt, operation: Operation): Promise<ExecutionResult> {
    let result: ExecutionResult
    try {
      result = await operations.execute(operation, await contextOf(attempt), attempt.format)
    } catch (error) {
      result = { errors: [attempt.format(error)] }
    }
    record(attempt, result.errors)
    if (attempt.running) connections.endOperation(attempt.connection, attempt.running)
    return result
  }

  async function contextOf({ caller, running }: Attempt, event?: unknown): Promise<object> {
    return createContext({ ...caller, ...withoutCookies, viewer: running?.viewer ?? null, event })
  }

  function refuse(attempt: Attempt, errors: readonly GraphQLError[]): readonly GraphQLError[] {
    record(attempt, errors)
    if (attempt.running) connections.endOperation(attempt.connection, attempt.running)
    return errors
  }

  function record({ caller, started, running }: Attempt, errors: readonly GraphQLError[] | undefined): void {
    const { requestId } = caller
    const { viewer, operation } = running ?? { viewer: null, operation: null }
    recorder.operation({ requestId, viewer, operation, transport: 'socket', started, errors })
  }

  return makeServer<Record<string, unknown>, Connection>({
    connectionInitWaitTimeout: limits.connectionInitTimeoutMs,
    onConnect: ({ connectionParams, extra: connection }) => signIn(connection, connectionToken(connectionParams)),
    onSubscribe: ({ extra: connection }, _id, payload) => begin(connection, payload),
    execute: ({ contextValue }) => (contextValue as Answer)(),
    subscribe: ({ contextValue }) => (contextValue as Answer)(),
  })
}

/** An operation from the moment when it is asked for. */
type Attempt = {
  connection: Connection
  caller: Caller
  format: Format
  /** By `performance.now()`. */
  started: number
  /** Null where the socket has too many already. */
  running: SocketOperation | null
}

/** Sends the answer through graphql-ws, which hands to `execute` and `subscribe` what `onSubscribe` has returned. */
function ride({ args }: Operation, answer: Answer): ExecutionArgs {
  const { schema, document, operation } = args
  return { schema, document, operationName: operation.name?.value, contextValue: answer }
}
