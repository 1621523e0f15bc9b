import { describe, expect, test } from 'vitest'
import { fold } from './search-terms-fold.ts'
import { maxTerms, searchTerms, termOfOne, termOfTwo, termOfWord } from './search-terms.ts'

const folded = (text: string) => {
  const { units, length } = fold(text)
  return String.fromCharCode(...units.subarray(1, length - 1))
}

const one = (character: string) => termOfOne(character.codePointAt(0)!)
const two = (characters: string) => {
  const [first, second] = Array.from(characters, (character) => character.codePointAt(0)!)
  return termOfTwo(first!, second!)
}

describe('a folded text', () => {
  test.each([
    ['Hello,  World!', 'hello world'],
    ['Café NAÏVE ångström Łódź', 'cafe naive angstrom lodz'],
    ['Cafe\u0301 nai\u0308ve', 'cafe naive'],
    ['Straße ﬁn Æsir', 'strasse fin aesir'],
    ['ΟΔΟΣ όδος', 'οδοσ οδοσ'],
    ['Ёлка й и\u0306', 'елка й й'],
    ['İstanbul ISPARTA ısı', 'istanbul isparta isi'],
    ['ＡＢＣ　１２３', 'abc 123'],
    ['①㎏ x²', '1kg x2'],
    ['학교에서'.normalize('NFD'), '학교에서'],
    ['가\u11a8', '각'],
    ['ㄳ ﾡﾢ \u1100', 'ㄱㅅ ㄱㄲ ㄱ'],
    ['ｶﾞｷﾞ が か\u3099', 'ガギ が が'],
    ['東京（とうきょう）', '東京 とうきょう'],
    ['so\u00adft zero\u200bwidth', 'soft zerowidth'],
    ['👍🏽 👨‍👩‍👧 ❤️ 1️⃣', '👍 👨👩👧 ❤ 1'],
    ['كِتَاب', 'كتاب'],
    ['हिन्दी', 'हिन्दी'],
    ['…!?', ''],
  ])('%s', (text, expected) => {
    expect(folded(text)).toBe(expected)
  })

  test('says where each unit came from', () => {
    const text = 'x Cafe\u0301 ﬁ ㄳ'
    const { units, starts, ends, length } = fold(text)
    const from = Array.from(units.subarray(0, length), (unit, at) => [
      String.fromCharCode(unit),
      text.slice(starts[at], ends[at]),
    ])
    expect(from.filter(([unit]) => unit !== ' ')).toEqual([
      ['x', 'x'], ['c', 'C'], ['a', 'a'], ['f', 'f'], ['e', 'e\u0301'],
      ['f', 'ﬁ'], ['i', 'ﬁ'], ['ㄱ', 'ㄳ'], ['ㅅ', 'ㄳ'],
    ])
  })
})

describe('terms', () => {
  const sorted = (terms: number[]) => [...new Set(terms)].toSorted((a, b) => a - b)
  const words = (...all: string[]) => all.map(termOfWord)

  test.each([
    ['Hello hello, WORLD', words('hello', 'world')],
    ['getUserName', words('getusername', 'get', 'user', 'name')],
    ['URLParser2 mp3', words('urlparser2', 'url', 'parser', 'mp3', 'mp')],
    ['snake_case node.js', words('snake', 'case', 'node', 'js')],
    ['https://example.org/a-path?q=1', words('https', 'example', 'org', 'a', 'path', 'q', '1')],
    ['don’t', words('don', 't')],
    ['학교에서', [two('학교'), two('교에'), two('에서'), one('학'), two('ㅎㄱ')]],
    ['집', [one('집')]],
    ['API를 3박', [...words('api', '3'), one('를'), one('박')]],
    ['ㅋㅋㅋ', [one('ㅋ'), two('ㅋㅋ')]],
    ['안녕ㅎㅎ', [one('안'), two('안녕'), two('ㅇㄴ'), one('ㅎ'), two('ㅎㅎ')]],
    ['東京は', [one('東'), one('京'), one('は'), two('東京'), two('京は')]],
    ['𠮷野家', [one('𠮷'), one('野'), one('家'), two('𠮷野'), two('野家')]],
    ['ไทย', [one('ไ'), two('ไท'), two('ทย')]],
    ['hi😀👍🏽', [...words('hi'), one('😀'), one('👍')]],
    ['🇰🇷', [one('🇰'), two('🇰🇷')]],
    ['', []],
    ['?! …', []],
  ])('of %s', (text, terms) => {
    expect(searchTerms(text)).toEqual(sorted(terms))
    expect(searchTerms(text.normalize('NFD'))).toEqual(sorted(terms))
  })

  test('are distinct 32-bit integers in order, and the same each time', () => {
    const text = 'the quick brown 여우 jumps over the lazy 개 '.repeat(20)
    const terms = searchTerms(text)
    expect(terms).toEqual(sorted(terms))
    expect(terms.every((term) => term === (term | 0))).toBe(true)
    searchTerms('something else in between')
    expect(searchTerms(text)).toEqual(terms)
  })

  test('do not change, as they are stored', () => {
    expect([termOfWord('hello'), one('집'), two('학교'), two('𠮷野')]).toMatchInlineSnapshot(`
      [
        -2003995026,
        -105559864,
        -610396333,
        364771908,
      ]
    `)
  })
})

describe('the worst texts of 100,000 characters', () => {
  const size = 100_000
  const fill = (make: (nth: number) => string) => Array.from({ length: size }, (_, nth) => make(nth)).join('')
  const worst: Record<string, (length: number) => string> = {
    'accents on one letter': (length) => `e${'\u0301\u0316'.repeat(length / 2)}`,
    'marks that might compose': (length) => `\u0995\u09c7${'\u09be'.repeat(length)}`,
    'voiced marks': (length) => `か${'\u3099'.repeat(length)}`,
    'conjoining letters': (length) => '\u1112\u1161\u11a8'.repeat(length / 3),
    'only initial ones': (length) => '\u1100'.repeat(length),
    'characters that become many': (length) => '\ufdfa\u3316'.repeat(length / 2),
    'a word without end': (length) => 'aB1'.repeat(length / 3),
    'nothing to be seen': (length) => '\u200d'.repeat(length),
    'all syllables': (length) => fill((nth) => String.fromCharCode(0xac00 + ((nth * 7_919) % 11_172))).slice(0, length),
    'rare Han': (length) => fill((nth) => String.fromCodePoint(0x2_0000 + ((nth * 7_919) % 40_000))).slice(0, 2 * length),
    'everything': (length) => fill((nth) => String.fromCharCode((nth * 7_919) % 0xd800)).slice(0, length),
    'different words': (length) => fill((nth) => `${(nth * 7_919).toString(36)} `).slice(0, length),
  }

  test.each(Object.entries(worst))('take time that grows with their length: %s', (_, make) => {
    const [short, long] = [make(size / 10), make(size)]
    expect(long.length).toBeGreaterThan(9 * short.length)
    const best = (text: string) =>
      Math.min(
        ...Array.from({ length: 5 }, () => {
          const started = performance.now()
          searchTerms(text)
          return performance.now() - started
        }),
      )
    best(long)
    // Ten times as long; a quadratic way takes a hundred times as much.
    expect(best(long)).toBeLessThan(40 * best(short) + 5)
    expect(searchTerms(long).length).toBeLessThanOrEqual(maxTerms)
  })
})
