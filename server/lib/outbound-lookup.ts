import type { LookupAddress } from 'node:dns'
import { lookup, Resolver } from 'node:dns/promises'
import type { LookupFunction } from 'node:net'
import { callbackify } from 'node:util'

/**
 * All addresses of a host name, as `dns.promises.lookup` gives them with `all`. Rejects where there are none, or the
 * signal ends it.
 */
export type Resolve = (hostname: string, signal?: AbortSignal) => Promise<readonly LookupAddress[]>

/** One question to one name server: farther than the other side of the world is nobody. Milliseconds. */
const askMs = 1_500

/** A packet may be lost; two in a row say that nobody is there. */
const tries = 2

/** The longest that a look-up takes, however many name servers there are. Milliseconds. */
const lookupMs = 4_000

/** How long the addresses of one kind wait for the others: some name servers answer for IPv4 alone. Milliseconds. */
const otherKindMs = 250

/**
 * Looks names up by asking the name servers themselves. The system's own way (getaddrinfo) keeps a thread for as long as
 * a name server says nothing, and Node has two for it: whoever has a name server that is dead could keep the whole
 * process from connecting to anything. It also reads /etc/hosts, where nothing of the open Internet is. `servers`:
 * address and port of those to ask; the system's unless said otherwise.
 */
export function createResolve(servers?: readonly string[]): Resolve {
  return async (hostname, signal) => {
    signal?.throwIfAborted()
    // One each, as giving up a look-up gives up all that its resolver has under way.
    const resolver = new Resolver({ timeout: askMs, tries })
    if (servers !== undefined) resolver.setServers(servers)
    const giveUp = () => resolver.cancel()
    const timers = [setTimeout(giveUp, lookupMs)]
    signal?.addEventListener('abort', giveUp)
    try {
      const kinds = [
        resolver.resolve4(hostname).then((found) => found.map((address) => ({ address, family: 4 }))),
        resolver.resolve6(hostname).then((found) => found.map((address) => ({ address, family: 6 }))),
      ]
      const first = Promise.any(kinds).then(() => void timers.push(setTimeout(giveUp, otherKindMs)))
      first.catch(() => undefined)
      const answers = await Promise.allSettled(kinds)
      const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
      const failed = answers.find((answer) => answer.status === 'rejected')
      if (found.length === 0 && failed !== undefined) throw failed.reason
      return found
    } finally {
      for (const timer of timers) clearTimeout(timer)
      signal?.removeEventListener('abort', giveUp)
    }
  }
}

/** Look-ups that are under way or wait, by name: as many as the operator has named hosts, at the most. */
const underWay = new Map<string, Promise<LookupAddress[]>>()
let last: Promise<unknown> = Promise.resolve()

/**
 * The system's way to look names up, /etc/hosts and all, for hosts that the operator has named. One at a time in the
 * whole process, so that a dead name server keeps one thread, and the store and the others have the second.
 */
export const systemLookup: LookupFunction = (hostname, options, callback) => {
  let found = underWay.get(hostname)
  if (found === undefined) {
    const before = last
    found = before.then(() => lookup(hostname, { all: true })).finally(() => underWay.delete(hostname))
    last = found.catch(() => undefined)
    underWay.set(hostname, found)
  }
  answerWith(() => found, hostname, options, callback)
}

/** Gives what `find` finds to whoever called a look-up, in the form that was asked for. */
export function answerWith(
  find: (hostname: string) => Promise<readonly LookupAddress[]>,
  ...[hostname, options, callback]: Parameters<LookupFunction>
): void {
  callbackify(find)(hostname, (error, addresses) => {
    if (error) callback(error, [])
    else if (options.all === true) callback(null, [...addresses])
    else callback(null, addresses[0]!.address, addresses[0]!.family)
  })
}
