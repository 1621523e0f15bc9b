import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import type { Viewer } from '../viewer.ts'
import type { Caller } from './caller.ts'
import type { SocketOperation } from './socket-operation.ts'

/**
 * Why the server closes a socket. graphql-ws clients connect again by themselves after each of these; after most
 * others, 1009, 4400, 4409, 4429 and 4500 among them, they give up for good.
 */
export const closings = {
  draining: [1012, 'Service restart'],
  overload: [1013, 'Try again later'],
  tooManySockets: [1013, 'Too many sockets for one user; try the public address'],
  tooOften: [1013, 'Connects too often'],
  stalled: [1013, 'Reads too slowly'],
  refused: [4403, 'Forbidden'],
  expired: [4403, 'Token expired'],
  sessionEnded: [4403, 'Session ended'],
  silent: [4408, 'Connection initialisation timeout'],
  idle: [4408, 'Nobody signed in'],
} as const satisfies Record<string, readonly [code: number, reason: string]>

/**
 * An open socket and all that is kept for it. The request that opened it is let go of: it is several KB. A class, so
 * that all of them have one shape, which takes half of the memory.
 */
export class Connection implements Caller {
  readonly requestId: string
  readonly ip: string
  readonly userAgent: string | null
  readonly socket: WebSocket
  /** What the socket is written to underneath, for frames that are made already. */
  readonly transport: Duplex
  viewer: Viewer | null = null
  /** The session cookie of the server's own page, until `connection_init` has been answered. */
  cookie: string | null
  /** How far the protocol has come: nothing heard, `connection_init` being looked at, acknowledged. */
  phase: 'new' | 'greeting' | 'ready' = 'new'
  /** In no order; there are few. */
  operations: readonly SocketOperation[] = nothing
  /** Operations so far, to give each a request id of its own. */
  started = 0
  /** Frames that leave in the next round. */
  outgoing: readonly Buffer[] = nothing
  /** Since when more than a little is unsent; 0 while it is not. By `performance.now()`. */
  stalledSince = 0
  readonly openedAt: number
  /** When it is pinged next, and whether it has shown life since the last time; by `performance.now()`. */
  pingAt: number
  alive = true
  /** When it last did something, for sockets of nobody. */
  usedAt: number

  constructor(
    socket: WebSocket,
    transport: Duplex,
    { caller, cookie, pingAt }: { caller: Caller; cookie: string | null; pingAt: number },
  ) {
    this.socket = socket
    this.transport = transport
    this.requestId = caller.requestId
    this.ip = caller.ip
    this.userAgent = caller.userAgent
    this.cookie = cookie
    this.openedAt = this.usedAt = performance.now()
    this.pingAt = pingAt
  }
}

/** Shared by all who have none. */
const nothing: readonly never[] = []

/** The operation of this id, if it is under way. */
export const findOperation = ({ operations }: Connection, id: string): SocketOperation | undefined =>
  operations.find((operation) => operation.id === id)

/** When the first of a connection's tokens ends; `Infinity` if none does. */
export function expiryOf(connection: Connection): number {
  let expiry = connection.viewer?.expiresAt?.getTime() ?? Infinity
  for (const { viewer } of connection.operations) {
    if (viewer?.expiresAt) expiry = Math.min(expiry, viewer.expiresAt.getTime())
  }
  return expiry
}

/** Whether a connection, or an operation on it, is of a viewer that `match` picks. */
export function belongsTo(connection: Connection, match: (viewer: Viewer) => boolean): boolean {
  if (connection.viewer && match(connection.viewer)) return true
  return connection.operations.some(({ viewer }) => viewer !== null && match(viewer))
}

/** Whether an answer that the client waits for is still being made. */
export const isAnswering = ({ operations }: Connection): boolean => operations.some((operation) => !operation.isSubscription)
