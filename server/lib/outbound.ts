import { setTimeout as sleep } from 'node:timers/promises'
import { getCACertificates } from 'node:tls'
import { Agent, errors, type Dispatcher } from 'undici'
import { guardedLookup, OutboundError, readAllowed, readOutboundUrl } from './outbound-addresses.ts'
import { acceptEncoding, readBody, type BodyLimits } from './outbound-body.ts'
import { createResolve, type Resolve, systemLookup } from './outbound-lookup.ts'

export { isPublicAddress, OutboundError, type OutboundReason } from './outbound-addresses.ts'

export type OutboundRequest = BodyLimits & {
  /** GET unless said otherwise. */
  method?: string
  headers?: Record<string, string>
  body?: Uint8Array | string
  /** From the first look-up to the last byte, over all redirects. */
  timeoutMs: number
  /** Redirects to follow, each checked as the first address was; 0 unless said otherwise. */
  maxRedirects?: number
  /** Other limits for the body, now that it is known what is coming. */
  limitsFor?: (answer: Omit<OutboundAnswer, 'body'>) => Partial<BodyLimits>
  /** Gives up. */
  signal?: AbortSignal
}

/** `url` is where the answer came from. A redirect that is not followed is an answer like any other. */
export type OutboundAnswer = { url: string; status: number; headers: Headers; body: Buffer }

/**
 * Requests to addresses that somebody else chose: links in messages, endpoints of push services, webhooks. They go to
 * the open Internet and nowhere else, wherever a name, a redirect or a way of writing an IP address points, and end
 * within their limits of time and size, whatever the other side does. No cookies, nothing is cached, nothing is tried
 * again.
 */
export type Outbound = {
  /** Throws OutboundError. Any status is an answer. */
  fetch(url: string, options: OutboundRequest): Promise<OutboundAnswer>
  /** Cuts what is under way. */
  close(): Promise<void>
}

export type OutboundOptions = {
  /** `host` or `host:port` (IPv6 in brackets) that may be reached although private or on another port. */
  allowed?: readonly string[]
  userAgent: string
  /** Certificates (PEM) to trust besides those of the system. */
  ca?: string | readonly string[]
  /** Looks up the names of hosts that are not in `allowed`; asks the system's name servers unless said otherwise. */
  resolve?: Resolve
}

/** Enough for a page with its picture and a burst of pushes, and too short to be counted on by anybody. */
const keepAliveMs = 4_000

/** Connections to one origin: push services are the only ones that are asked for much at once. */
const maxConnections = 32

/** Long enough for sockets that are open to be cut. */
const closeMs = 500

/** Twice what servers allow their visitors by default. */
const maxHeaderBytes = 16_384

const redirects = new Set([301, 302, 303, 307, 308])

/** Headers that say who asks, and are for the first origin only. */
const personal = new Set(['authorization', 'cookie', 'proxy-authorization'])

/** See Outbound. Throws TypeError where an entry of `allowed` is no host. */
export function createOutbound(options: OutboundOptions): Outbound {
  const allowed = readAllowed(options.allowed ?? [])
  const closing = new AbortController()
  const ca = options.ca === undefined ? {} : { ca: [...getCACertificates('default'), options.ca].flat() }
  const agent = (connect: object) =>
    new Agent({
      // The oldest protocol is the one with the fewest ways to keep a reader busy.
      allowH2: false,
      connections: maxConnections,
      keepAliveTimeout: keepAliveMs,
      keepAliveMaxTimeout: keepAliveMs,
      maxHeaderSize: maxHeaderBytes,
      // The one limit over everything is enough; undici's own are coarser.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: { ...ca, ...connect },
    })
  const guarded = agent({ lookup: guardedLookup(options.resolve ?? createResolve(), closing.signal) })
  const trusted = agent({ lookup: systemLookup })

  async function follow(first: string, request: OutboundRequest, signal: AbortSignal): Promise<OutboundAnswer> {
    let url = readOutboundUrl(first, allowed)
    let { method = 'GET', body = null } = request as { method?: string; body?: Uint8Array | string | null }
    let headers: Record<string, string> = { 'accept-encoding': acceptEncoding, ...lowerCased(request.headers) }
    headers['user-agent'] ??= options.userAgent
    for (let left = request.maxRedirects ?? 0; ; left--) {
      const answer = await (allowed(url) ? trusted : guarded).request({
        origin: url.origin,
        path: url.pathname + url.search,
        method: method as Dispatcher.HttpMethod,
        headers,
        body,
        signal,
      })
      const answered = readHeaders(answer.headers)
      const location = redirects.has(answer.statusCode) && left > 0 ? answered.get('location') : null
      if (location === null) {
        const head = { url: url.href, status: answer.statusCode, headers: answered }
        const limits = { ...request, ...request.limitsFor?.(head) }
        // The headers of an answer to HEAD are about a body that does not come.
        return { ...head, body: await readBody(answer.body, method === 'HEAD' ? new Headers() : answered, limits) }
      }
      // What a redirect says besides is not read.
      answer.body.on('error', () => undefined).destroy()
      const next = readOutboundUrl(URL.parse(location, url) ?? '', allowed)
      // As browsers do: Fetch, section 4.4, "HTTP-redirect fetch".
      if (answer.statusCode === 303 ? method !== 'HEAD' : answer.statusCode <= 302 && method === 'POST') {
        method = 'GET'
        body = null
        headers = without(headers, (name) => name.startsWith('content-'))
      }
      if (next.protocol === 'http:' && url.protocol === 'https:' && body !== null) {
        throw new OutboundError('refused', 'What was meant for https is not sent in the clear.')
      }
      if (next.origin !== url.origin) headers = without(headers, (name) => personal.has(name))
      url = next
    }
  }

  return {
    async fetch(url, request) {
      const timeUp = new AbortController()
      const timer = setTimeout(() => timeUp.abort(), request.timeoutMs)
      const signal = request.signal ? AbortSignal.any([timeUp.signal, request.signal]) : timeUp.signal
      try {
        signal.throwIfAborted()
        // undici tells a request that waits for its connection of an abort only once there is one, or none.
        const { promise: givenUp, reject } = Promise.withResolvers<never>()
        signal.addEventListener('abort', () => reject(signal.reason), { once: true })
        return await Promise.race([follow(url, request, signal), givenUp])
      } catch (error) {
        if (timeUp.signal.aborted) throw new OutboundError('timeout', `Not done within ${request.timeoutMs} ms.`, error)
        throw asOutboundError(error)
      } finally {
        clearTimeout(timer)
      }
    },
    async close() {
      closing.abort()
      const closed = Promise.all([guarded.destroy(), trusted.destroy()])
      // undici waits for connections that are still being made, and with them for resolvers that do not answer.
      await Promise.race([closed, sleep(closeMs, undefined, { ref: false })])
    },
  }
}

function asOutboundError(error: unknown): OutboundError {
  for (let cause = error; cause instanceof Error; cause = cause.cause) if (cause instanceof OutboundError) return cause
  if (error instanceof errors.HeadersOverflowError) {
    return new OutboundError('too-large', `The headers are larger than ${maxHeaderBytes} bytes.`, error)
  }
  return new OutboundError('failed', error instanceof Error ? error.message : 'Given up.', error)
}

function lowerCased(headers: Record<string, string> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}

function without(headers: Record<string, string>, isUnwanted: (name: string) => boolean): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !isUnwanted(name)))
}

function readHeaders(received: Record<string, string | string[] | undefined>): Headers {
  const headers = new Headers()
  for (const [name, values] of Object.entries(received)) {
    for (const value of [values ?? []].flat()) {
      try {
        headers.append(name, name === 'location' ? escaped(value) : value)
      } catch {
        // No header that anybody could use.
      }
    }
  }
  return headers
}

/** Redirects are often written as they are read, 한글 and all. undici gives bytes: those no header should hold go. */
function escaped(location: string): string {
  const escape = (byte: string) => `%${byte.charCodeAt(0).toString(16).padStart(2, '0').toUpperCase()}`
  return location.trim().replace(/[^\x21-\x7e]/g, escape)
}
