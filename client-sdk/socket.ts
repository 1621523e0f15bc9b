import { CloseCode, createClient, type Client } from 'graphql-ws/client'
import type { TypedDocument } from './document.ts'
import { backoffMs, type RetryOptions, sleep } from './delay.ts'
import { errorFromAnswer, type GraphQLErrorMessage, MaruClientError, networkError } from './errors.ts'
import { freshToken, type TokenSource } from './token.ts'

export type ConnectionState = 'connecting' | 'open' | 'closed'

export type SocketOptions = {
  url: string
  token?: TokenSource
  /** For where there is no global WebSocket. */
  webSocketImpl?: unknown
  /** Connect with the first subscription and hang up some seconds after the last (default), or keep a socket always. */
  lazy?: boolean
  /** A ping after so much time; no pong for as long again means that the connection is dead. Default 10 s. */
  keepAliveMs?: number
  retry?: RetryOptions
  onConnection?: (state: ConnectionState) => void
  onAuthExpired?: () => void
}

export type Operation<Result, Variables> = {
  document: TypedDocument<Result, Variables>
  /** Asked each time that the operation is sent, so after each reconnect: gives the cursors held by then. */
  variables: () => Variables
}

export type Sink<Result> = {
  next(answer: { data?: Result | null; errors?: readonly GraphQLErrorMessage[] }): void
  error(error: unknown): void
  complete(): void
}

export type Socket = {
  /** Sends the operation now and after each reconnect, until the returned function is called. */
  subscribe<Result, Variables>(operation: Operation<Result, Variables>, sink: Sink<Result>): () => void
}

/** Long enough to go from one screen to the next without a new connection. */
const lingerMs = 3_000

/** What is left of the browser's and of Node's WebSocket when neither's types are around. */
type RawSocket = { readyState: number; onmessage: unknown; onclose: unknown }
const OPEN = 1

/**
 * One socket for all subscriptions, speaking graphql-transport-ws. graphql-ws reconnects and sends the operations
 * again; what it leaves to its user is here: fresh variables, fresh tokens, and noticing a connection that died in
 * silence. It lives until the signal is aborted.
 */
export function createSocket(options: SocketOptions, closing: AbortSignal): Socket {
  const { token: source = () => null, keepAliveMs = 10_000, retry, onConnection } = options
  let raw: RawSocket | undefined
  let pongTimer: ReturnType<typeof setTimeout> | undefined
  let tokenInUse: string | undefined
  let tokenRefused = false

  const client: Client = createClient({
    url: options.url,
    webSocketImpl: options.webSocketImpl,
    lazy: options.lazy ?? true,
    lazyCloseTimeout: lingerMs,
    // Whoever waits for something on the socket is told; there is nobody else to tell.
    onNonLazyError: () => {},
    keepAlive: keepAliveMs,
    connectionAckWaitTimeout: keepAliveMs,
    retryAttempts: Infinity,
    retryWait: (failures) => sleep(backoffMs(failures, retry), closing),
    // graphql-ws retries close events only, yet a refused connection first shows as an error event.
    shouldRetry: (error) => !(error instanceof MaruClientError),
    connectionParams,
    on: {
      connecting: () => onConnection?.('connecting'),
      opened: (socket) => {
        raw = socket as RawSocket
      },
      connected: () => {
        tokenRefused = false
        onConnection?.('open')
      },
      closed: (event) => {
        clearTimeout(pongTimer)
        if ((event as { code?: number }).code === CloseCode.Forbidden) tokenRefused = true
        onConnection?.('closed')
      },
      ping: (received) => {
        if (!received) pongTimer = setTimeout(hangUp, keepAliveMs)
      },
      pong: (received) => {
        if (received) clearTimeout(pongTimer)
      },
    },
  })

  closing.addEventListener('abort', () => {
    clearTimeout(pongTimer)
    // It rejects when there was no connection to close.
    Promise.resolve(client.dispose()).catch(() => {})
  })

  /** The token as the server wants it. Where there is none that it would take it throws, which ends all streams. */
  async function connectionParams(): Promise<Record<string, unknown>> {
    const socket = raw!
    for (let failures = 0; ; failures++) {
      try {
        const token = tokenRefused ? await freshToken(source, tokenInUse) : await source()
        tokenInUse = token || undefined
        return token ? { authorization: `Bearer ${token}` } : {}
      } catch (error) {
        if (!isPassing(error)) {
          // graphql-ws now closes with 4005, and would end a newer connection too if it heard of that close later.
          socket.onclose = null
          options.onAuthExpired?.()
          throw error
        }
      }
      await sleep(backoffMs(failures, retry), closing)
      // The server does not wait long for the token: graphql-ws has seen the close and connects anew.
      if (socket.readyState !== OPEN) return {}
    }
  }

  function hangUp() {
    // Should the dead connection come to life again, its events must not mingle with those of the next one.
    if (raw) raw.onmessage = null
    client.terminate()
  }

  return {
    subscribe({ document, variables }, sink) {
      const payload = {
        query: document.text,
        operationName: document.name,
        // graphql-ws turns this object into JSON for each sending, and so asks for the variables each time.
        get variables() {
          return variables() as Record<string, unknown>
        },
      }
      return client.subscribe(payload, {
        next: (answer) => sink.next(answer as Parameters<typeof sink.next>[0]),
        error: (error) => sink.error(subscriptionError(error)),
        complete: () => sink.complete(),
      })
    },
  }
}

/** A token that could not be had just now, such as when the network is away while it is refreshed. */
function isPassing(error: unknown): boolean {
  return !(error instanceof MaruClientError) || error.retryable
}

/** graphql-ws hands on GraphQL errors, fatal close events and whatever was thrown while connecting. */
function subscriptionError(error: unknown): unknown {
  if (Array.isArray(error)) return errorFromAnswer(error)
  if (error instanceof MaruClientError) return error
  const { code, reason } = error as { code?: number; reason?: string }
  if (code === undefined) return networkError('The connection failed.', error)
  const message = `The server closed the socket with ${code}${reason ? `: ${reason}` : ''}.`
  return new MaruClientError(errorCodeOfClose(code), message, { cause: error })
}

function errorCodeOfClose(closeCode: number): string {
  switch (closeCode) {
    case CloseCode.Unauthorized:
      return 'UNAUTHENTICATED'
    case CloseCode.BadRequest:
    case CloseCode.SubprotocolNotAcceptable:
    case CloseCode.SubscriberAlreadyExists:
    case CloseCode.TooManyInitialisationRequests:
      return 'BAD_USER_INPUT'
    default:
      return 'NETWORK'
  }
}
