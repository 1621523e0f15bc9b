import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { CloseCode, GRAPHQL_TRANSPORT_WS_PROTOCOL } from 'graphql-ws'
import type { Logger } from 'pino'
import { WebSocket, WebSocketServer } from 'ws'
import type { RawData } from 'ws'
import type { Caller } from './caller.ts'
import { Connection } from './connection.ts'
import type { Connections } from './connections.ts'
import type { GraphQLOverSockets } from './graphql-over-sockets.ts'
import type { HttpLimits } from './limits.ts'
import type { Origins } from './origins.ts'
import type { RateLimiting } from './rate-limiting.ts'
import { readSessionCookie } from './session-cookie.ts'
import type { HttpTelemetry } from './telemetry.ts'

export type SocketsOptions = {
  protocol: GraphQLOverSockets
  connections: Connections
  origins: Origins
  limits: HttpLimits
  limiting: RateLimiting
  /** Whether no new sockets are taken any more. */
  isDraining(): boolean
  log: Logger
  telemetry: HttpTelemetry
}

/** Turns a request for an upgrade into a socket, or refuses it. */
export type Upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer, caller: Caller) => Promise<void>

/** A socket that knows its connection, so that its handlers can be the same functions for all. */
class MaruSocket extends WebSocket {
  connection!: Connection
}

const connectionOf = (socket: WebSocket): Connection => (socket as MaruSocket).connection

/** Joins `ws`, which knows sockets, to the protocol, which knows what is said on them. */
export function createSockets({ protocol, connections, origins, limits, limiting, isDraining, log, telemetry }: SocketsOptions): Upgrade {
  const server = new WebSocketServer({
    noServer: true,
    WebSocket: MaruSocket,
    clientTracking: false,
    maxPayload: limits.maxFrameBytes,
    // It keeps 245 KB for each socket after a few messages.
    perMessageDeflate: false,
    // A socket without the protocol is opened all the same, for graphql-ws to close it with the code that says so.
    handleProtocols: (offered) => offered.has(GRAPHQL_TRANSPORT_WS_PROTOCOL) && GRAPHQL_TRANSPORT_WS_PROTOCOL,
  })

  function onMessage(this: WebSocket, data: RawData): void {
    // Until a client has answered the close, it can go on talking; its token may be what it was closed for.
    if (this.readyState !== this.OPEN) return
    connectionOf(this).alive = true
    void protocol.hear(connectionOf(this), String(data))
  }

  function onPong(this: WebSocket): void {
    connectionOf(this).alive = true
  }

  /** A frame that is too large or no frame at all; `ws` closes the socket itself. */
  function onError(this: WebSocket, error: Error): void {
    log.info({ requestId: connectionOf(this).requestId, err: error.message }, 'socket failed')
  }

  function onClose(this: WebSocket, code: number): void {
    protocol.closed(connectionOf(this))
    connections.remove(connectionOf(this))
    telemetry.onSocketClose?.(code)
  }

  function open(connection: Connection): void {
    const socket = connection.socket as MaruSocket
    socket.connection = connection
    connections.add(connection)
    telemetry.onSocketOpen?.()
    socket.on('message', onMessage).on('pong', onPong).on('error', onError).once('close', onClose)
    if (socket.protocol !== GRAPHQL_TRANSPORT_WS_PROTOCOL) {
      socket.close(CloseCode.SubprotocolNotAcceptable, 'Subprotocol not acceptable')
    }
  }

  return async (request, socket, head, caller) => {
    const { headers } = request
    if (!origins.isAllowed(headers)) return refuseUpgrade(socket, '403 Forbidden')
    const wait = await limiting.connect(caller.ip)
    if (wait !== null) return refuseUpgrade(socket, '429 Too Many Requests', { 'Retry-After': Math.ceil(wait / 1_000) })
    // Meanwhile who asked may have hung up, and the server begun to stop.
    if (socket.destroyed) return
    if (isDraining()) return refuseUpgrade(socket, '503 Service Unavailable')
    const cookie = origins.isOwnPage(headers) ? readSessionCookie(headers.cookie) : null
    server.handleUpgrade(request, socket, head, (webSocket) => open(createConnection(webSocket, socket, caller, cookie)))
  }

  function createConnection(socket: WebSocket, transport: Duplex, caller: Caller, cookie: string | null): Connection {
    // At random, so that sockets that opened together are not all pinged together.
    const pingAt = performance.now() + Math.random() * limits.pingIntervalMs
    return new Connection(socket, transport, { caller, cookie, pingAt })
  }
}

/** Answers a request for an upgrade with a status, and hangs up. */
export function refuseUpgrade(socket: Duplex, status: string, headers: Record<string, string | number> = {}): void {
  const lines = Object.entries({ ...headers, Connection: 'close', 'Content-Length': 0 }).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${status}\r\n${lines.join('')}\r\n`)
}
