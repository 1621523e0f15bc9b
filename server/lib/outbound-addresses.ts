import { isIP, type LookupFunction } from 'node:net'
import ipaddr from 'ipaddr.js'
import { answerWith, type Resolve } from './outbound-lookup.ts'

export type OutboundReason = 'refused' | 'timeout' | 'too-large' | 'failed'

/**
 * Why nothing came of a request. `refused`: the address is not one that may be asked. `timeout`: not whole in time.
 * `too-large`: headers or body beyond the limit. `failed`: no connection, no HTTP, a broken body, or given up.
 */
export class OutboundError extends Error {
  readonly reason: OutboundReason

  constructor(reason: OutboundReason, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'OutboundError'
    this.reason = reason
  }
}

/** What IANA gives out to the Internet, today the whole of what can be reached by IPv6: RFC 4291, section 2.4. */
const globalUnicast = ipaddr.IPv6.parseCIDR('2000::/3')

/**
 * Whether an IP address is one of the open Internet: unicast, in no range kept for a purpose. What carries an IPv4
 * address in it (mapped, NAT64, 6to4, Teredo …) is not, whatever that address is: the way there is not ours to know.
 */
export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 0) return false
  const parsed = ipaddr.parse(address)
  if (parsed.range() !== 'unicast') return false
  // ipaddr.js calls unicast whatever it has no range for: ::127.0.0.1 too.
  return parsed.kind() === 'ipv4' || parsed.match(globalUnicast)
}

/** The hosts that may be reached although they are private, and by any port: `host` or `host:port`, IPv6 in brackets. */
export type Allowed = (url: URL) => boolean

/** Reads the list of exceptions. Throws TypeError for what is no host. */
export function readAllowed(entries: readonly string[]): Allowed {
  const hosts = new Set(
    entries.map((entry) => {
      const [, host, port] = /^(.+?)(?::(\d+))?$/.exec(entry) ?? []
      const { hostname } = new URL(`http://${host}`)
      return port === undefined ? hostname : `${hostname}:${port}`
    }),
  )
  return (url) => hosts.has(url.hostname) || hosts.has(`${url.hostname}:${portOf(url)}`)
}

const portOf = (url: URL) => url.port || (url.protocol === 'https:' ? '443' : '80')

/**
 * Reads an address to ask: http or https, at their own ports, without a name and password, and no IP address that is
 * not public. URL has by then made one form of the ways to write an IP address (decimal, octal, hexadecimal, short).
 * Throws OutboundError `refused`.
 */
export function readOutboundUrl(text: string | URL, allowed: Allowed): URL {
  const url = URL.parse(text)
  if (url === null) throw new OutboundError('refused', 'This is no address.')
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new OutboundError('refused', `Only http and https are asked, not ${url.protocol}`)
  }
  if (url.username !== '' || url.password !== '') {
    throw new OutboundError('refused', 'An address with a name or password in it is not asked.')
  }
  if (allowed(url)) return url
  // URL leaves the port of the scheme away.
  if (url.port !== '' && url.port !== '80' && url.port !== '443') {
    throw new OutboundError('refused', `Port ${url.port} is not asked.`)
  }
  // Loopback whoever is asked: RFC 6761, section 6.3. Resolvers differ.
  if (/(^|\.)localhost\.?$/.test(url.hostname)) throw notPublic(url.hostname)
  const literal = url.hostname.replace(/^\[|\]$/g, '')
  if (isIP(literal) !== 0 && !isPublicAddress(literal)) throw notPublic(url.hostname)
  return url
}

const notPublic = (host: string) => new OutboundError('refused', `${host} is not an address of the open Internet.`)

/**
 * A look-up for `net.connect` that refuses a host with any address that is not public. What it has checked is what is
 * connected to, so a name that has another answer a moment later gains nothing. The signal ends all look-ups.
 */
export function guardedLookup(resolve: Resolve, signal?: AbortSignal): LookupFunction {
  const check = async (hostname: string) => {
    const addresses = await resolve(hostname, signal)
    if (addresses.length === 0) throw new OutboundError('failed', `${hostname} has no address.`)
    if (!addresses.every(({ address }) => isPublicAddress(address))) throw notPublic(hostname)
    return addresses
  }
  return (hostname, options, callback) => answerWith(check, hostname, options, callback)
}
