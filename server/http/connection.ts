import type { WebSocket } from 'ws'
import type { Viewer } from '../viewer.ts'
import type { Caller } from './caller.ts'
import type { Operation } from './operations.ts'

/**
 * Why the server closes a socket. graphql-ws clients connect again by themselves after each of these; after most
 * others, 1009, 4400, 4409, 4429 and 4500 among them, they give up for good.
 */
export const closings = {
  draining: [1012, 'Service restart'],
  overload: [1013, 'Try again later'],
  tooManySockets: [1013, 'Too many sockets for one user'],
  refused: [4403, 'Forbidden'],
  expired: [4403, 'Token expired'],
  sessionEnded: [4403, 'Session ended'],
  idle: [4408, 'Nobody signed in'],
} as const satisfies Record<string, readonly [code: number, reason: string]>

/** An operation under way on a socket. */
export type SocketOperation = {
  viewer: Viewer | null
  /** Null until its document is understood. */
  operation: Operation | null
}

/** An open socket and all that is kept for it. The request that opened it is let go of: it is several KB. */
export type Connection = Caller & {
  readonly socket: WebSocket
  viewer: Viewer | null
  /** The session cookie of the server's own page, until `connection_init` has been answered. */
  cookie: string | null
  readonly operations: Set<SocketOperation>
  /** Operations so far, to give each a request id of its own. */
  started: number
  /** When it is pinged next, and whether it has shown life since the last time; by `performance.now()`. */
  pingAt: number
  alive: boolean
  /** When it last did something, for sockets of nobody. */
  usedAt: number
}

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
  for (const { viewer } of connection.operations) if (viewer && match(viewer)) return true
  return false
}

/** Whether an answer that the client waits for is still being made. */
export function isAnswering(connection: Connection): boolean {
  for (const { operation } of connection.operations) if (operation?.type !== 'subscription') return true
  return false
}
