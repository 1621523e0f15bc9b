import { describe, expect, test } from 'vitest'
import { findLinks, pageOf } from './links.ts'

describe('links', () => {
  test.each<[string, string[]]>([
    ['no links here, not even example.com or //example.com', []],
    ['see https://example.com/a.', ['https://example.com/a']],
    ['HTTPS://EXAMPLE.com', ['https://example.com/']],
    ['(https://en.wikipedia.org/wiki/A_(b)), or not', ['https://en.wikipedia.org/wiki/A_(b)']],
    ['[here](https://example.com/a)', ['https://example.com/a']],
    ['http://localhost:3000/a', ['http://localhost:3000/a']],
    ['ftp://example.com mailto:a@example.com', []],
    ['https://user:secret@example.com/', []],
    // The first three different ones, in order.
    ['http://c.io http://a.io http://c.io http://b.io http://d.io', ['http://c.io/', 'http://a.io/', 'http://b.io/']],
    ['http://a.io/x#one http://a.io/x#two', ['http://a.io/x#one']],
    // Wanted plain.
    ['<https://example.com/a> https://example.com/b', ['https://example.com/b']],
    ['<https://example.com/a', ['https://example.com/a']],
    // Code.
    ['`https://example.com/a`', []],
    ['``https://example.com/a` `` https://example.com/b', ['https://example.com/b']],
    ['```\nhttps://example.com/a\n```\nhttps://example.com/b', ['https://example.com/b']],
    ['```\nhttps://example.com/a', []],
    ['a ` and https://example.com/a', ['https://example.com/a']],
    // What follows without a space.
    ['https://example.com/a에서 봤어', ['https://example.com/a']],
    ['https://example.com/에서', ['https://example.com/']],
    ['https://example.com입니다', ['https://example.com/']],
    ['https://youtu.be/abc?t=3이거 봐', ['https://youtu.be/abc?t=3']],
    ['여기https://example.com/a를', ['https://example.com/a']],
    ['https://a.io/a랑https://b.io/b요', ['https://a.io/a', 'https://b.io/b']],
    ['https://example.com/aを見て', ['https://example.com/a']],
    ['https://example.com/b。', ['https://example.com/b']],
    // What is part of it.
    ['https://ko.wikipedia.org/wiki/마루', ['https://ko.wikipedia.org/wiki/%EB%A7%88%EB%A3%A8']],
    ['https://search.example/?q=마루', ['https://search.example/?q=%EB%A7%88%EB%A3%A8']],
    ['http://한글.한국', ['http://xn--bj0bj06e.xn--3e0b707e/']],
    ['http://한글.한국/페이지', ['http://xn--bj0bj06e.xn--3e0b707e/%ED%8E%98%EC%9D%B4%EC%A7%80']],
    [`https://example.com/${'a'.repeat(3_000)}`, []],
  ])('of %j', (content, links) => {
    expect(findLinks(content)).toEqual(links)
  })

  test.each([
    ['backticks', '`'.repeat(100_000)],
    ['pairs of backticks', '`a'.repeat(50_000) + 'http://'],
    ['beginnings', 'http://'.repeat(14_000)],
    ['links', 'http://a.io '.repeat(8_000)],
    ['brackets', '<http://'.repeat(12_000)],
    ['parentheses', `http://a.io/${'('.repeat(90_000)}`],
    ['Korean', `http://a.io/a${'가'.repeat(90_000)}`],
    ['dots', `http://${'a.'.repeat(45_000)}`],
    ['quotes', `http://a.io/${`'"`.repeat(45_000)}`],
    ['dashes', `http://${'-'.repeat(90_000)}`],
    ['colons', 'a:'.repeat(45_000) + 'http://a.io'],
  ])('are found in no time among 100,000 characters of %s', (_, content) => {
    const started = performance.now()
    findLinks(content)
    expect(performance.now() - started).toBeLessThan(1_000)
  })

  test('a page is what stands before the fragment', () => {
    expect(pageOf('https://example.com/a#b#c')).toBe('https://example.com/a')
    expect(pageOf('https://example.com/a')).toBe('https://example.com/a')
  })
})
