import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { GRAPHQL_TRANSPORT_WS_PROTOCOL } from 'graphql-ws'
import type { Server } from 'graphql-ws'
import type { Logger } from 'pino'
import { WebSocketServer } from 'ws'
import type { WebSocket } from 'ws'
import type { Caller } from './caller.ts'
import { closings } from './connection.ts'
import type { Connection } from './connection.ts'
import type { Connections } from './connections.ts'
import type { HttpLimits } from './limits.ts'
import type { Origins } from './origins.ts'
import { readSessionCookie } from './session-cookie.ts'
import type { HttpTelemetry } from './telemetry.ts'

export type SocketsOptions = {
  protocol: Server<Connection>
  connections: Connections
  origins: Origins
  limits: HttpLimits
  log: Logger
  telemetry: HttpTelemetry
}

/** Turns a request for an upgrade into a socket, or refuses it. */
export type Upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer, caller: Caller) => void

/** Joins `ws`, which knows sockets, to graphql-ws, which knows what is said on them. */
export function createSockets({ protocol, connections, origins, limits, log, telemetry }: SocketsOptions): Upgrade {
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    maxPayload: limits.maxFrameBytes,
    // It keeps 245 KB for each socket after a few messages.
    perMessageDeflate: false,
    // A socket without the protocol is opened all the same, for graphql-ws to close it with the code that says so.
    handleProtocols: (offered) => offered.has(GRAPHQL_TRANSPORT_WS_PROTOCOL) && GRAPHQL_TRANSPORT_WS_PROTOCOL,
  })

  function open(connection: Connection): void {
    const { socket, requestId } = connection
    connections.add(connection)
    telemetry.onSocketOpen?.()
    const closed = protocol.opened(
      {
        protocol: socket.protocol,
        send: (data) => send(connection, data),
        close: (code, reason) => socket.close(code, reason),
        onMessage(handle) {
          socket.on('message', (data) => {
            // Until a client has answered the close, it can go on talking; its token may be what it was closed for.
            if (socket.readyState !== socket.OPEN) return
            connection.alive = true
            handle(String(data)).catch((error: unknown) => {
              log.error({ requestId, err: error }, 'socket message failed')
              socket.close(...closings.overload)
            })
          })
        },
      },
      connection,
    )
    socket.on('pong', () => {
      connection.alive = true
    })
    // A frame that is too large or no frame at all; `ws` closes the socket itself.
    socket.on('error', (error) => log.info({ requestId, err: error.message }, 'socket failed'))
    socket.once('close', (code, reason) => {
      connections.remove(connection)
      telemetry.onSocketClose?.(code)
      closed(code, String(reason)).catch((error: unknown) => {
        log.error({ requestId, err: error }, 'socket close failed')
      })
    })
  }

  /**
   * Sends a frame and waits until it has left the process, because the next event of a subscription is only fetched
   * then. Who does not read is not read from either; and who leaves too much unread is let go, to come back for it.
   *
   * Once the socket is closing, what waits for a frame to leave waits for ever, and is forgotten with the socket. Were
   * it told to go on, a source that always has a next event would keep the process from ever hearing of the close.
   */
  function send(connection: Connection, data: string): Promise<void> {
    const { socket } = connection
    return new Promise((resolve) => {
      if (socket.readyState !== socket.OPEN) return
      if (socket.bufferedAmount > limits.maxUnsentBytes) {
        log.warn({ requestId: connection.requestId, unsentBytes: socket.bufferedAmount }, 'socket does not read')
        return socket.terminate()
      }
      socket.send(data, (error) => {
        if (error) return
        if (socket.isPaused && socket.bufferedAmount <= limits.pauseReadingBytes) socket.resume()
        // Bytes that waited have left: somebody reads, and a pong may be waiting behind what is still to be read.
        if (socket.bufferedAmount > 0) connection.alive = true
        inTurn(resolve)
      })
      if (socket.bufferedAmount > limits.pauseReadingBytes) socket.pause()
    })
  }

  return (request, socket, head, caller) => {
    const { headers } = request
    if (!origins.isAllowed(headers)) return refuseUpgrade(socket, '403 Forbidden')
    const cookie = origins.isOwnPage(headers) ? readSessionCookie(headers.cookie) : null
    server.handleUpgrade(request, socket, head, (webSocket) => open(createConnection(webSocket, caller, cookie)))
  }

  function createConnection(socket: WebSocket, caller: Caller, cookie: string | null): Connection {
    const now = performance.now()
    return {
      ...caller,
      socket,
      cookie,
      viewer: null,
      operations: new Set(),
      started: 0,
      // At random, so that sockets that opened together are not all pinged together.
      pingAt: now + Math.random() * limits.pingIntervalMs,
      alive: true,
      usedAt: now,
    }
  }
}

/** Answers a request for an upgrade with a status, and hangs up. */
export function refuseUpgrade(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}

/** Frames that may leave, on all sockets, before other work has its turn: about a millisecond. */
const framesPerTurn = 100
let framesInThisTurn = 0

/**
 * Goes on at once, but for every now and then, when it lets everything else go first. The kernel takes small frames
 * without making anybody wait, so that a long catch-up would otherwise run to its end before any other socket's turn.
 */
function inTurn(goOn: () => void): void {
  if (framesInThisTurn === 0) setImmediate(() => (framesInThisTurn = 0))
  if (++framesInThisTurn > framesPerTurn) setImmediate(goOn)
  else goOn()
}
