import { expect, test } from 'vitest'
import { forbidAll, keepRules, maxRobotsBytes, readRobots } from './robots.ts'

const at = (rules: string) => readRobots('https://example.com/a', keepRules(rules))
const allowed = (rules: string, path: string) => at(rules).allows(`https://example.com${path}`)

test('the rules for us count, else those for everybody', () => {
  const rules = `# comment\r\nUser-agent: *\r\nDisallow: /\r\n\r\nUser-Agent: marubot # us\r\nDisallow: /private\r\nAllow: /private/open\r\n`
  expect(allowed(rules, '/')).toBe(true)
  expect(allowed(rules, '/private/a')).toBe(false)
  expect(allowed(rules, '/private/open')).toBe(true)
  expect(allowed('User-agent: OtherBot\nDisallow: /', '/')).toBe(true)
  expect(allowed('User-agent: *\nDisallow: /*.pdf$\nDisallow: /마루', '/a.pdf')).toBe(false)
  expect(allowed('User-agent: *\nDisallow: /마루', '/%EB%A7%88%EB%A3%A8')).toBe(false)
})

test('nothing forbids nothing, and neither does what is no robots.txt', () => {
  for (const rules of ['', '<!doctype html><title>Not found</title>', 'Disallow: /', 'User-agent: *\nDisallow:', '\0\ufffd']) {
    expect(allowed(rules, '/'), rules).toBe(true)
  }
  expect(allowed(`\ufeff${forbidAll}`, '/a?b')).toBe(false)
})

test('a host may ask for a pause, up to ten seconds', () => {
  expect(at('User-agent: *\nCrawl-delay: 2.5').delayMs).toBe(2_500)
  expect(at('User-agent: *\nCrawl-delay: 3600').delayMs).toBe(10_000)
  expect(at('User-agent: *\nCrawl-delay: -1').delayMs).toBe(0)
  expect(at('User-agent: *\nCrawl-delay: soon').delayMs).toBe(0)
  expect(at('').delayMs).toBe(0)
})

test('of a robots.txt what is for us is kept, else what is for everybody', () => {
  const others = Array.from({ length: 500 }, (_, nth) => `User-agent: Bot${nth}\nDisallow: /${'x'.repeat(100)}\n`).join('\n')
  const everybody = 'User-agent: One\nUser-agent: *\nDisallow: /a # why\nCrawl-delay: 3\n\nUser-agent: Two\nDisallow: /'
  expect(keepRules(`${others}${everybody}\nuser-agent:*\nALLOW: /a/b`)).toBe(
    'user-agent: *\ndisallow: /a\ncrawl-delay: 3\nallow: /a/b',
  )
  expect(keepRules(`${everybody}\n\nUser-agent: Two\nUser-agent: MaruBot/2.0\nDisallow: /c`)).toBe('user-agent: marubot\ndisallow: /c')
  // Rules for us that forbid nothing are rules for us.
  expect(keepRules(`User-agent: MaruBot\nDisallow:\n${forbidAll}`)).toBe('user-agent: marubot\ndisallow: ')
  expect(keepRules(others)).toBe('')
})

test('the worst rules do not hold anybody up', () => {
  const address = `https://example.com/${'a'.repeat(2_020)}`
  const long = 'a'.repeat(1_900)
  const stars = [`${'*a'.repeat(1_000)}b`, '*'.repeat(2_000), `/*${'*aaaa'.repeat(9)}${long}`]
  for (const rule of ['*a*a*a*b', '*가*b', 'a', `*${long}`, ...stars]) {
    const kept = keepRules(`User-agent: *\n${`Disallow: ${rule}\n`.repeat(500_000 / rule.length)}`)
    expect(kept.length).toBeLessThanOrEqual(8_100)
    const began = process.cpuUsage()
    for (let time = 0; time < 4; time++) readRobots(address, kept).allows(address)
    expect(process.cpuUsage(began).user / 1_000).toBeLessThan(400)
  }
})

test('reading half a megabyte of them does not either', () => {
  const half = (line: string) => line.repeat(Math.floor(maxRobotsBytes / 2 / line.length))
  const worst: [string, string][] = [
    ['User-agent: *\n', 'Disallow: /a\n'],
    ['User-agent: *\nDisallow: /a\n', '\n'],
    ['user-agent:'.padEnd(2_000), 'a'],
  ]
  for (const [one, other] of worst) {
    const began = process.cpuUsage()
    keepRules(half(one) + half(other))
    expect(process.cpuUsage(began).user / 1_000).toBeLessThan(1_000)
  }
})
