import robotsParser from 'robots-parser'

// Its types speak of a module of the newer kind, which it is not.
const parse = robotsParser as unknown as typeof robotsParser.default

/** The name by which robots.txt may speak of us. */
export const productToken = 'MaruBot'

const us = productToken.toLowerCase()
const everybody = '*'

/** Bytes of robots.txt that are read: RFC 9309, section 2.5, wants no less. */
export const maxRobotsBytes = 500 * 1024

/** Characters of rules that are kept of it, of which a host may have as many as it has names. */
const maxRules = 8_000

/**
 * Characters of rules with stars that are kept of it, as they are spelt in addresses. Matching such a rule takes up to as
 * many steps as it has characters, times those of the address: this many take some twenty milliseconds at the worst.
 */
const maxStarred = 3_000

/** Stars in one rule: those that people write have two or three. */
const maxStars = 10

/** What a rule may be long; it could match no address that is opened. */
const maxRule = 2_048

/** Everything is forbidden: what RFC 9309, section 2.3.1.4, says of a host whose robots.txt cannot be had. */
export const forbidAll = 'User-agent: *\nDisallow: /'

/** The longest pause that a host may ask for, in milliseconds; whoever wants more gets this. */
export const maxDelayMs = 10_000

/** What a host wants of robots. */
export type Robots = {
  allows(url: string): boolean
  /** How long it wants to be left alone between two requests; 0 where it does not say. */
  delayMs: number
}

/** One line of a robots.txt: what it is about, in small letters, and what it says. */
type Line = [name: string, value: string]

/**
 * What is worth keeping of a robots.txt: the rules for us, or else those for everybody, as far as they are to be kept.
 * RFC 9309, section 2.2.1: groups for the same robot are one, and a group may be for several.
 */
export function keepRules(text: string): string {
  const lines = text
    .replace(/^\ufeff/, '')
    .replaceAll('\0', '')
    .split(/\r\n|\r|\n/)
    .flatMap((line): Line[] => {
      const [, name, value] = /^\s*(user-agent|allow|disallow|crawl-delay)\s*:([^#]*)/i.exec(line.slice(0, maxRule)) ?? []
      return name === undefined || line.length > maxRule ? [] : [[name.toLowerCase(), value!.trim()]]
    })
  const groups = new Map<string, Line[]>()
  let agents = new Set<string>()
  let hasRules = false
  for (const [name, value] of lines) {
    if (name !== 'user-agent') {
      hasRules = true
      for (const agent of agents) groups.get(agent)!.push([name, value])
      continue
    }
    if (hasRules) agents = new Set()
    hasRules = false
    const agent = value.replace(/\/.*$/, '').trim().toLowerCase()
    if (agent !== everybody && agent !== us) continue
    agents.add(agent)
    if (!groups.has(agent)) groups.set(agent, [])
  }
  const agent = groups.has(us) ? us : everybody
  const rules = groups.get(agent)
  if (rules === undefined) return ''
  let [length, starred] = [0, 0]
  const kept = rules
    .filter(([, value]) => {
      const stars = value.split('*').length - 1
      if (stars > maxStars) return false
      return stars === 0 || (starred += spelt(value).length) <= maxStarred
    })
    .map(([name, value]) => `${name}: ${value}`)
    .filter((line) => (length += line.length + 1) <= maxRules)
  return [`user-agent: ${agent}`, ...kept].join('\n')
}

/** As an address spells it. */
function spelt(rule: string): string {
  try {
    return encodeURI(rule)
  } catch {
    return rule
  }
}

/** Reads the rules of the host that `url` is on. */
export function readRobots(url: string, rules: string): Robots {
  const robots = parse(new URL('/robots.txt', url).href, rules)
  const delay = robots.getCrawlDelay(productToken) ?? 0
  return {
    allows: (address) => robots.isAllowed(address, productToken) !== false,
    delayMs: Math.min(Math.max(0, delay * 1_000), maxDelayMs),
  }
}
