import { describe, expect, test } from 'vitest'
import { highlight, matches, parseSearchQuery } from './search-query.ts'
import { searchTerms } from './search-terms.ts'

/** What is found of a query in a text: the parts that are highlighted, or null. */
function find(query: string, text: string): string[] | null {
  const { needles, terms } = parseSearchQuery(query)
  const isIndexed = terms.every((term) => searchTerms(text).includes(term))
  const found = matches(needles, text) ? highlight(needles, text).map(({ start, end }) => text.slice(start, end)) : null
  // What the index does not give is not found, and what is found must be given by the index.
  return isIndexed ? found : null
}

describe('finding', () => {
  test.each([
    ['학교', '학교에서 만나요', ['학교']],
    ['학교', '중학교', ['학교']],
    ['학교', '학교에서'.normalize('NFD'), ['학교'.normalize('NFD')]],
    ['학교'.normalize('NFD'), '학교에서', ['학교']],
    ['점검', '긴급점검회의록', ['점검']],
    ['집', '집에서 우리집', ['집']],
    ['집', '우리집', null],
    ['ㅎㄱ', '내일 학교에서', ['학교']],
    ['ㅎㄱㅇ', '학교에서 한국', ['학교에']],
    ['ㅎㄱ', '중학교', null],
    ['학ㄱ', '학교, 학생', ['학교']],
    ['ㅋㅋ', 'ㅋㅋㅋㅋ', ['ㅋㅋ', 'ㅋㅋ']],
    ['ㄳ', '감사합니다', ['감사']],
    ['東', '東京', ['東']],
    ['京', '東京', ['京']],
    ['カタ', 'ｶﾀｶﾅ', ['ｶﾀ']],
    ['ガ', 'ｶﾞｷ', ['ｶﾞ']],
    ['か', 'がき', null],
    ['ไทย', 'ภาษาไทย', ['ไทย']],
    ['café', 'CAFÉ Cafe\u0301 cafes', ['CAFÉ', 'Cafe\u0301']],
    ['strasse', 'Straße', ['Straße']],
    ['user', 'getUserName user_id users', ['User', 'user']],
    ['use', 'user', null],
    ['node.js', 'use Node.js', ['Node.js']],
    ['１２３', '123', ['123']],
    ['don’t', "don't", ["don't"]],
    ['"quick fox"', 'the quick, fox quick', ['quick, fox']],
    ['"quick fox"', 'fox quick', null],
    ['quick fox', 'fox quick', ['fox', 'quick']],
    ['"여자 친구"', '내 여자 친구', ['여자 친구']],
    ['"여자 친구"', '내 여자친구', null],
    ['API를', 'API를 쓴다', ['API를']],
    ['👍', 'ok👍🏽', ['👍🏽']],
    ['🇰🇷', '🇯🇵🇰🇷', ['🇰🇷']],
    ['from', 'from here', ['from']],
    ['"unclosed phrase', 'an unclosed phrase here', ['unclosed phrase']],
    ['“smart quotes”', 'some smart quotes', ['smart quotes']],
    ['a"b c"d', 'd a b c', ['d', 'a', 'b c']],
  ])('%s in %s', (query, text, found) => {
    expect(find(query, text)).toEqual(found)
  })

  test('joins highlights that overlap, and bounds how many there are', () => {
    expect(highlight(parseSearchQuery('학교에 교에서').needles, '학교에서')).toEqual([{ start: 0, end: 4 }])
    expect(highlight(parseSearchQuery('a').needles, 'a '.repeat(1_000))).toHaveLength(100)
  })
})

describe('the parts of a query', () => {
  const day = Date.UTC(2026, 0, 31)
  const hours = (count: number) => count * 3_600_000
  test.each([
    ['from:alice', { from: ['alice'] }],
    ['FROM:@alice from:"bob"', { from: ['alice', 'bob'] }],
    ['in:general in:#dev in:"two words" in:@bob', { in: ['general', 'dev', 'two words', '@bob'] }],
    ['before:2026-01-31', { until: day }],
    ['after:2026-01-31', { since: day + hours(24) }],
    ['on:2026-01-31', { since: day, until: day + hours(24) }],
    ['on:2026-01', { since: Date.UTC(2026, 0, 1), until: Date.UTC(2026, 1, 1) }],
    ['after:2025', { since: Date.UTC(2026, 0, 1) }],
    ['before:2026-01-31T18:30Z', { until: day + hours(18.5) }],
    ['before:2026-01-31T18:30:00+09:00', { until: day + hours(9.5) }],
    ['after:2026-01-31T18:30', { since: day + hours(18.5) + 1 }],
    ['after:2026-01-31T18:30:00.250+0900', { since: day + hours(9.5) + 251 }],
    ['after:2026-01-01 after:2026-01-30 before:2027 before:2026-02-01', { since: day, until: day + hours(24) }],
  ])('%s', (query, filters) => {
    const nothing = { needles: [], terms: [], from: [], in: [], since: null, until: null }
    expect(parseSearchQuery(query)).toEqual({ ...nothing, ...filters })
  })

  test('may stand in any order', () => {
    const read = parseSearchQuery('one from:alice "two three" in:general four')
    expect(read).toMatchObject({ from: ['alice'], in: ['general'] })
    expect(read.needles).toHaveLength(3)
  })

  test('are text in quotes', () => {
    const read = parseSearchQuery('"from:alice" http://example.org/in:x')
    expect(read).toMatchObject({ from: [], in: [] })
    expect(matches(read.needles, 'from: Alice, http://example.org/in:x')).toBe(true)
  })

  test.each([
    ['???', /no letter, digit or emoji/],
    ['""!', /no letter, digit or emoji/],
    ['from:', /“from:” needs something/],
    ['in: general', /“in:” needs something/],
    ['before:2026-02-30', /“before:2026-02-30” is no date/],
    ['on:yesterday', /“on:yesterday” is no date/],
    ['after:2026-01-31T25:00', /is no date/],
    ['a '.repeat(33), /at most 32/],
    ['a'.repeat(501), /at most 500/],
    ['a\u0000', /cannot be shown/],
  ])('%s is refused', (query, message) => {
    expect(() => parseSearchQuery(query)).toThrow(message)
    expect(() => parseSearchQuery(query)).toThrow(expect.objectContaining({ code: 'BAD_USER_INPUT', field: 'query' }))
  })

  test('ask the index for a bounded number of terms', () => {
    expect(parseSearchQuery('가나다라마바사아자차카타파하'.repeat(30)).terms.length).toBeLessThanOrEqual(24)
  })
})
