import robotsParser from 'robots-parser'

// Its types speak of a module of the newer kind, which it is not.
const parse = robotsParser as unknown as typeof robotsParser.default

/** The name by which robots.txt may speak of us. */
export const productToken = 'MaruBot'

/** Bytes of robots.txt that are read: RFC 9309, section 2.5, wants no less. */
export const maxRobotsBytes = 500 * 1024

/**
 * Characters of rules that are kept of it. Each is matched with each address that is asked for: the worst rules that fit
 * take some milliseconds, while those of half a megabyte would hold everybody up for seconds.
 */
const maxRules = 64_000

/** What a rule may be long; it could match no address that is opened. */
const maxRule = 2_048

/** Everything is forbidden: what RFC 9309, section 2.3.1.4, says of a host whose robots.txt cannot be had. */
export const forbidAll = 'User-agent: *\nDisallow: /'

/** The longest pause that a host may ask for, in milliseconds; whoever wants more gets this. */
const maxDelayMs = 10_000

/** What a host wants of robots. */
export type Robots = {
  allows(url: string): boolean
  /** How long it wants to be left alone between two requests; 0 where it does not say. */
  delayMs: number
}

/** What is worth keeping of a robots.txt: the lines that somebody may have to obey, as far as they are to be kept. */
export function keepRules(text: string): string {
  const lines = text
    .replace(/^\ufeff/, '')
    .split(/\r\n|\r|\n/)
    .map((line) => line.replace(/#.*$/, '').trim())
    .filter((line) => line.length <= maxRule && /^(user-agent|allow|disallow|crawl-delay)\s*:/i.test(line))
  let length = 0
  return lines.filter((line) => (length += line.length + 1) <= maxRules).join('\n').replaceAll('\0', '')
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
