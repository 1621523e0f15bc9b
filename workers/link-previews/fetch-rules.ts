import { OutboundError, type Outbound } from '../../server/lib/outbound.ts'
import { hostOf, type Hosts } from './hosts.ts'
import { forbidAll, keepRules, maxRobotsBytes, readRobots, type Robots } from './robots.ts'
import { isAskable, redirectOf, type Trip } from './trip.ts'

/** RFC 9309, section 2.4, wants a day at the most. Where the rules could not be had, they are asked for again soon. */
const rulesForMs = 24 * 3_600_000
const noRulesForMs = 600_000

/** RFC 9309, section 2.3.1.2, wants no fewer, over other hosts too. */
const maxRedirects = 5

type Asked = { rules: string; forMs: number }

const notToBeHad: Asked = { rules: forbidAll, forMs: noRulesForMs }
const none: Asked = { rules: '', forMs: rulesForMs }

export type FetchRulesOptions = { outbound: Pick<Outbound, 'fetch'>; hosts: Hosts; timeoutMs: number }

/**
 * Says what hosts want of robots. What it returns gives the rules of the host that `url` is on, asked for where they are
 * not known: throws Postponed where a host has to be left alone just now, and OutboundError where it may not be asked.
 */
export function createFetchRules({ outbound, hosts, timeoutMs }: FetchRulesOptions) {
  async function ask(url: string, { signal, timeFor }: Trip): Promise<Asked | URL> {
    const ms = timeFor(timeoutMs / 2)
    try {
      const limits = { timeoutMs: ms, maxBytes: maxRobotsBytes, cut: true, signal }
      const answer = await outbound.fetch(url, limits)
      const { status, body } = answer
      // RFC 9309, section 2.3.1: no rules where there is no file, no entry where the server is in trouble.
      if (status >= 500 || status === 429) return notToBeHad
      if (status >= 200 && status < 300) return { rules: keepRules(body.toString()), forMs: rulesForMs }
      return redirectOf(url, answer) ?? none
    } catch (error) {
      if (!(error instanceof OutboundError) || error.reason === 'refused') throw error
      signal?.throwIfAborted()
      // A host is not to blame for having been asked at the end of a long way.
      if (error.reason === 'timeout' && ms < timeoutMs / 2) throw error
      return notToBeHad
    }
  }

  return async function rulesFor(url: string, trip: Trip): Promise<Robots> {
    const host = hostOf(url)
    const known = await hosts.rulesOf(host)
    if (known !== null) return readRobots(url, known)
    let next = new URL('/robots.txt', url)
    for (let left = maxRedirects; ; left--) {
      const { href } = next
      const askInTurn = async () => {
        const asked = await ask(href, trip)
        if (asked instanceof URL && left > 0 && isAskable(asked)) return asked
        const { rules, forMs } = asked instanceof URL ? none : asked
        // While it is our turn: whoever comes next need not ask.
        await hosts.keepRules(host, rules, forMs)
        return rules
      }
      const found = await hosts.visit(hostOf(href), askInTurn, { tour: trip.tour })
      if (typeof found === 'string') return readRobots(url, found)
      next = found
    }
  }
}
