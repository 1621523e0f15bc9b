import { expect, test } from 'vitest'
import { forbidAll, keepRules, readRobots } from './robots.ts'

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

test('the worst rules do not hold anybody up', () => {
  const path = `/${'a'.repeat(2_000)}`
  for (const rule of ['Disallow: /*a*a*a*b', `Disallow: /${'*a'.repeat(1_000)}b`, 'Disallow: *']) {
    const rules = `User-agent: *\n${`${rule}\n`.repeat(500_000 / rule.length)}`
    const kept = keepRules(rules)
    expect(kept.length).toBeLessThanOrEqual(64_000)
    const started = performance.now()
    readRobots('https://example.com/', kept).allows(`https://example.com${path}`)
    expect(performance.now() - started).toBeLessThan(2_000)
  }
})
