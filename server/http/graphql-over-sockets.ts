import { CloseCode, type Message, MessageType, parseMessage, type SubscribePayload } from 'graphql-ws'
import type { ExecutionResult, GraphQLError } from 'graphql'
import type { Logger } from 'pino'
import { expectedFailure } from '../errors.ts'
import type { Viewer } from '../viewer.ts'
import type { Admission } from '../fanout/returning/admission.ts'
import { isPushStream } from '../fanout/live/group.ts'
import { PulledStream } from '../fanout/live/pulled-stream.ts'
import { connectionToken, isRefusal, operationToken } from './authentication.ts'
import type { Authenticate } from './authentication.ts'
import { withoutCookies } from './caller.ts'
import type { Caller, CreateContext } from './caller.ts'
import type { Coalescing } from './coalescing.ts'
import { closings, findOperation } from './connection.ts'
import type { Connection } from './connection.ts'
import type { Connections } from './connections.ts'
import { formatError } from './format-error.ts'
import type { Format, Operation, Operations } from './operations.ts'
import type { RateLimiting, Settle } from './rate-limiting.ts'
import type { Recorder } from './recorder.ts'
import { type OperationHost, SocketOperation } from './socket-operation.ts'
import type { Wire } from './wire.ts'

export type GraphQLOverSocketsOptions = {
  operations: Operations
  coalescing: Coalescing
  connections: Connections
  /** Lets new sockets in. */
  admission: Admission
  limiting: RateLimiting
  wire: Wire
  log: Logger
  recorder: Recorder
  authenticate: Authenticate
  createContext: CreateContext
}

/** Clients use a UUID or a number. */
const maxIdLength = 256

/** Whether somebody is still there: in a storm many have gone by the time that it is their turn. */
const isOpen = ({ socket }: Connection): boolean => socket.readyState === socket.OPEN

/** What is said on sockets. */
export type GraphQLOverSockets = {
  /** A message has come. Never rejects. */
  hear(connection: Connection, text: string): Promise<void>
  /** The socket is gone. */
  closed(connection: Connection): void
}

/**
 * Answers by the graphql-transport-ws protocol. Its messages are those of the graphql-ws library; what is kept for each
 * socket is our own, as that is where memory goes. What is wrong with one operation is answered with an error for that
 * operation; the socket stays open, and with it everything else on it.
 */
export function createGraphQLOverSockets(options: GraphQLOverSocketsOptions): GraphQLOverSockets {
  const { operations, coalescing, connections, admission, limiting, wire, log, recorder, authenticate, createContext } = options
  const { telemetry } = recorder

  const say = (connection: Connection, message: Message) => wire.send(connection, JSON.stringify(message))

  const host: OperationHost = {
    wire,
    onTold: (count) => telemetry.onDelivered?.(count),
    onEnd(operation, error) {
      const { connection, id } = operation
      if (operation.isOver) return
      finish(operation)
      if (error === null) return void say(connection, { type: MessageType.Complete, id })
      const formatted = formatError(error, { requestId: connection.requestId, log })
      void say(connection, { type: MessageType.Error, id, payload: [formatted.toJSON()] })
    },
  }

  /** Forgets an operation and ends its source; that it was forgotten before does not matter. */
  function finish(operation: SocketOperation): void {
    if (operation.isOver) return
    operation.isOver = true
    connections.endOperation(operation.connection, operation)
    operation.stream?.stop()
    if (operation.field === null) return
    coalescing.leave(operation.group)
    telemetry.onComplete?.(operation.field)
  }

  async function greet(connection: Connection, payload: Record<string, unknown> | undefined): Promise<void> {
    const { socket } = connection
    if (connection.phase !== 'new') {
      return socket.close(CloseCode.TooManyInitialisationRequests, 'Too many initialisation requests')
    }
    connection.phase = 'greeting'
    if (!(await signIn(connection, connectionToken(payload)))) return
    connection.phase = 'ready'
    await say(connection, { type: MessageType.ConnectionAck })
  }

  /** Whether the socket may stay: with a good token as its user's, without any as nobody's. */
  async function signIn(connection: Connection, given: string | null): Promise<boolean> {
    const token = given ?? connection.cookie
    connection.cookie = null
    if (token === null) return true
    try {
      admission.check()
      const viewer = await admission.run(connection.ip, async () => isOpen(connection) && authenticate(token))
      if (viewer === false) return false
      if ((await limiting.connectUser(viewer)) !== null) {
        connection.socket.close(...closings.tooOften)
        return false
      }
      if (connections.claimSocket(connection, viewer)) return true
      connection.socket.close(...closings.tooManySockets)
    } catch (error) {
      // A stale cookie is no reason to shut out the page on which one can sign in.
      if (isRefusal(error) && given === null) return true
      if (isRefusal(error)) connection.socket.close(...closings.refused)
      else if (expectedFailure(error)?.code === 'RATE_LIMITED') connection.socket.close(...closings.overload)
      else {
        // Every code that says "error" ends a client for good, and this may be over in a moment.
        log.error({ requestId: connection.requestId, err: error }, 'socket could not be authenticated')
        connection.socket.close(...closings.overload)
      }
    }
    return false
  }

  async function begin(connection: Connection, id: string, payload: SubscribePayload): Promise<void> {
    const { socket } = connection
    if (connection.phase !== 'ready') return socket.close(CloseCode.Unauthorized, 'Unauthorized')
    // It stands before every answer, and is kept for as long as the operation lasts.
    if (id.length > maxIdLength) return socket.close(CloseCode.BadRequest, `An id has at most ${maxIdLength} characters`)
    if (findOperation(connection, id) !== undefined) {
      return socket.close(CloseCode.SubscriberAlreadyExists, `Subscriber for ${id} already exists`.slice(0, 120))
    }
    const caller: Caller = {
      requestId: `${connection.requestId}.${++connection.started}`,
      ip: connection.ip,
      userAgent: connection.userAgent,
    }
    const format = (error: unknown) => formatError(error, { requestId: caller.requestId, log })
    const running = new SocketOperation(host, connection, id)
    const attempt: Attempt = { caller, format, started: performance.now(), running, operation: null }
    let refusal: readonly GraphQLError[] | null
    try {
      connections.beginOperation(connection, running)
      refusal = await accept(attempt, payload)
    } catch (errors) {
      refusal = [errors].flat().map(format)
    }
    if (refusal === null) return
    record(attempt, refusal)
    if (running.isOver) return
    finish(running)
    await say(connection, { type: MessageType.Error, id, payload: refusal.map((error) => error.toJSON()) })
  }

  /** Answers an operation, or opens a subscription; returns what is wrong with it, or null. */
  async function accept(attempt: Attempt, payload: SubscribePayload): Promise<readonly GraphQLError[] | null> {
    const { running, format } = attempt
    const { connection } = running
    const token = operationToken(payload.extensions)
    const viewer = token === null ? connection.viewer : await identify(token, connection)
    if (viewer) connections.claimOperation(connection, running, viewer)
    const operation = operations.prepare(payload)
    const asking = { ip: connection.ip, viewer }
    if (!('type' in operation)) {
      await limiting.countMalformed(asking)
      throw operation
    }
    attempt.operation = operation
    const settle = await limiting.admit(operation, asking)
    if (operation.type !== 'subscription') {
      await execute(attempt, operation, settle)
      return null
    }
    running.isSubscription = true
    const source = await operations.open(operation, await contextOf(attempt), format)
    if (!(Symbol.asyncIterator in source)) return source
    const stream = isPushStream(source) ? source : new PulledStream(source)
    record(attempt, undefined)
    // It may have been completed, or the socket been closed, while its source was opened.
    if (running.isOver) stream.stop()
    else {
      telemetry.onSubscribe?.(operation.rootField)
      running.begin(operation.rootField, coalescing.join(operation, viewer), stream)
    }
    return null
  }

  async function execute(attempt: Attempt, operation: Operation, settle: Settle): Promise<void> {
    const { running, format } = attempt
    const answer = async () => operations.execute(operation, await contextOf(attempt), format)
    const result = await answer().catch((error: unknown): ExecutionResult => ({ errors: [format(error)] }))
    settle(result)
    record(attempt, result.errors)
    if (running.isOver) return
    const { connection, id } = running
    // The answer is out once it has left: who does not read it cannot ask for more without end.
    await say(connection, { type: MessageType.Next, id, payload: result as ExecutionResult<Record<string, unknown>> })
    finish(running)
    void say(connection, { type: MessageType.Complete, id })
  }

  /** Whose token came with an operation; one that is refused is counted, too. */
  async function identify(token: string, { ip }: Connection): Promise<Viewer> {
    return authenticate(token).catch(async (error: unknown) => {
      if (isRefusal(error)) await limiting.countMalformed({ ip, viewer: null })
      throw error
    })
  }

  async function contextOf({ caller, running }: Attempt): Promise<object> {
    return createContext({ ...caller, ...withoutCookies, viewer: running.viewer })
  }

  function record({ caller, started, running, operation }: Attempt, errors: readonly GraphQLError[] | undefined): void {
    const { requestId } = caller
    recorder.operation({ requestId, viewer: running.viewer, operation, transport: 'socket', started, errors })
  }

  async function answer(connection: Connection, message: Message): Promise<void> {
    if (message.type === MessageType.ConnectionInit) return greet(connection, message.payload as Record<string, unknown>)
    if (message.type === MessageType.Subscribe) return begin(connection, message.id, message.payload)
    if (message.type === MessageType.Ping) {
      const { payload } = message
      return say(connection, { type: MessageType.Pong, ...(payload == null ? {} : { payload }) })
    }
    if (message.type === MessageType.Complete) {
      const operation = findOperation(connection, message.id)
      if (operation !== undefined) finish(operation)
      return
    }
    if (message.type !== MessageType.Pong) throw new Error(`Only servers send ${message.type}`)
  }

  return {
    async hear(connection, text) {
      let message: Message
      try {
        message = parseMessage(text)
      } catch {
        return connection.socket.close(CloseCode.BadRequest, 'Invalid message received')
      }
      try {
        await answer(connection, message)
      } catch (error) {
        log.error({ requestId: connection.requestId, err: error }, 'socket message failed')
        connection.socket.close(...closings.overload)
      }
    },
    closed(connection) {
      for (const operation of connection.operations) finish(operation)
    },
  }
}

/** An operation from the moment when it is asked for. */
type Attempt = {
  caller: Caller
  format: Format
  /** By `performance.now()`. */
  started: number
  running: SocketOperation
  /** Null until its document is understood. */
  operation: Operation | null
}
