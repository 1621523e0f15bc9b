import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { clientAddress, type TrustedProxies } from '../lib/trusted-proxies.ts'
import type { Viewer } from '../viewer.ts'

/** What is known of who sent a request or opened a socket before any token is looked at. */
export type Caller = {
  /** In the answer's `x-request-id`, in every line of the log and in every error. */
  requestId: string
  ip: string
  userAgent: string | null
}

/** An event that a context is for. */
export type EventArgs = {
  /** What the subscription's source gave. */
  item: unknown
  /** All that are answered together with it, itself included: what they need may be loaded together. */
  round: readonly unknown[]
  /**
   * Whether the answer goes to all who ask the same, whoever they are. Then the context must refuse to say who asks:
   * what depends on it is marked where it is defined, and grouped by viewer.
   */
  isShared: boolean
}

/** What a GraphQL context is made of. */
export type ContextArgs = Caller & {
  viewer: Viewer | null
  /** Where the context is for an event. */
  event?: EventArgs
  /** Signs the browser tab in. Does nothing but for requests of the server's own GraphiQL page. */
  startCookieSession(token: string, expiresAt: Date): void
  /** Signs it out again; does nothing elsewhere, too. */
  endCookieSession(): void
}

/** Makes a GraphQL context: one for each request, and one for each event of a subscription. */
export type CreateContext = (args: ContextArgs) => object | Promise<object>

/** Who an event is told to: many, as it may be. */
export const nobodyInParticular: Caller = { requestId: 'event', ip: 'unknown', userAgent: null }

/** The cookie functions where there is no cookie to set. */
export const withoutCookies = { startCookieSession() {}, endCookieSession() {} }

/** In one piece: what `randomUUID` gives is some 16 strings joined, each of which stays with an open socket. */
const newRequestId = () => randomBytes(16).toString('hex')

/** Reads a caller from a request. The address is a proxy's word only where `trusted` says that there is one. */
export function callerOf(request: IncomingMessage, trusted: TrustedProxies): Caller {
  const { headers, socket } = request
  return {
    requestId: saneRequestId(headers['x-request-id']) ?? newRequestId(),
    ip: clientAddress(socket.remoteAddress, String(headers['x-forwarded-for'] ?? ''), trusted),
    userAgent: headers['user-agent']?.slice(0, 256) ?? null,
  }
}

/** A request id that a client may choose: it ends up in logs and headers. */
function saneRequestId(header: string | string[] | undefined): string | null {
  return typeof header === 'string' && /^[\w.:/+=-]{8,128}$/.test(header) ? header : null
}
