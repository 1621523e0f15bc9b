import { convertQwertyToHangul, getChoseong } from 'es-hangul'
import { describe, expect, test } from 'vitest'
import { createBlockedParts, keyAfter, maxKeyLength, storedKeys, typedKeys, wholeKeys } from './hangul-keys.ts'
import { koreanWords } from './testing/korean-words.ts'

/** Whether somebody who has typed this finds a name. */
function finds(typed: string, name: string): boolean {
  const { own, other } = typedKeys(typed)
  const keys = wholeKeys(name)
  return keys.some((key) => key.startsWith(own)) || (other !== null && keys.some((key) => key.startsWith(other)))
}

/** What stands on the screen after each stroke of a keyboard with Hangul, from the strokes as a Latin one has them. */
const screens = (strokes: string) => Array.from(strokes, (_, nth) => convertQwertyToHangul(strokes.slice(0, nth + 1)))

describe('the keys of a name', () => {
  test.each([
    ['한국 대학', ['ㅎㅏㄴㄱㅜㄱㄷㅐㅎㅏㄱ', 'ㅎㄱㄷㅎ', 'ㄷㅐㅎㅏㄱ', 'ㄷㅎ']],
    ['값진', ['ㄱㅏㅂㅅㅈㅣㄴ', 'ㄱㅈ']],
    ['꺾다', ['ㄲㅓㄲㄷㅏ', 'ㄲㄷ']],
    ['학교'.normalize('NFD'), ['ㅎㅏㄱㄱㅛ', 'ㅎㄱ']],
    ['minsu.kim', ['minsukim', 'kim']],
    ['userName92', ['username92', 'name92']],
    ['Élodie Ångström', ['elodieangstrom', 'angstrom']],
    ['maru개발', ['maruㄱㅐㅂㅏㄹ', 'maruㄱㅂ', 'ㄱㅐㅂㅏㄹ', 'ㄱㅂ']],
    ['東京 タワー', ['東京タワー', 'タワー']],
    ['👍 ok', ['👍ok', 'ok']],
    ['!?', []],
  ])('%s', (name, keys) => {
    expect(wholeKeys(name)).toEqual(keys)
  })

  test('a person is found by what they are called without the name of the family', () => {
    expect(wholeKeys('김민수', { isPerson: true })).toEqual(['ㄱㅣㅁㅁㅣㄴㅅㅜ', 'ㄱㅁㅅ', 'ㅁㅣㄴㅅㅜ', 'ㅁㅅ'])
    expect(wholeKeys('김민수')).toEqual(['ㄱㅣㅁㅁㅣㄴㅅㅜ', 'ㄱㅁㅅ'])
  })

  test('of a long name the beginning is stored, and only so many of its words', () => {
    expect(storedKeys('뷁'.repeat(30)).map((key) => key.length)).toEqual([maxKeyLength, 30])
    expect(storedKeys('👍'.repeat(80)).every((key) => key.isWellFormed())).toBe(true)
    expect(wholeKeys('a b c d e f g h')).toHaveLength(6)
  })
})

describe('what is typed on the other layout', () => {
  test.each([
    ['gksrnr', 'ㅎㅏㄴㄱㅜㄱ'],
    ['GKSRNR', 'ㅎㅏㄴㄱㅜㄱ'],
    ['rlaalstn', 'ㄱㅣㅁㅁㅣㄴㅅㅜ'],
    ['Rkcl', 'ㄲㅏㅊㅣ'],
    ['gr', 'ㅎㄱ'],
    ['dkssud gktpdy', 'ㅇㅏㄴㄴㅕㅇㅎㅏㅅㅔㅇㅛ'],
    ['ㅗ디ㅣㅐ', 'hello'],
    ['미ㅑㅊㄷ', 'alice'],
    ['갱', 'rod'],
  ])('%s may be %s', (typed, other) => {
    expect(typedKeys(typed).other).toBe(other)
  })

  test.each(['hello', 'kim', 'Kim', 'alice', 'i', 'maru', '123', '東京', 'привет', '', '👍'])('%s is nothing else', (typed) => {
    expect(typedKeys(typed).other).toBeNull()
  })

  test('takes no time, whatever it is', () => {
    const started = performance.now()
    for (const odd of ['gk'.repeat(50), `gk${'1'.repeat(97)}k`, 'r'.repeat(100), `${'gks'.repeat(33)}k`]) typedKeys(odd)
    expect(performance.now() - started).toBeLessThan(200)
  })
})

test('every beginning of what somebody types who composes 한국 finds it', () => {
  const strokes = 'gksrnr'
  expect(screens(strokes)).toEqual(['ㅎ', '하', '한', '한ㄱ', '한구', '한국'])
  for (const screen of screens(strokes)) expect(finds(screen, '한국'), screen).toBe(true)
  // The same with the other layout, and with syllables that systems write apart.
  for (let nth = 1; nth <= strokes.length; nth++) expect(finds(strokes.slice(0, nth), '한국')).toBe(true)
  for (const screen of screens(strokes)) expect(finds(screen.normalize('NFD'), '한국'.normalize('NFD')), screen).toBe(true)
  expect(finds('ㅎㄱ', '한국') && finds('ㅎㄱ', '학교')).toBe(true)
  expect(finds('항', '한국') || finds('ㄱㅎ', '한국')).toBe(false)
})

test('a final consonant that is about to begin the next syllable is none yet', () => {
  // 하교 is 핟, 학 before it is itself; 닭이 is 닥, 달, 닭, 달기.
  for (const [strokes, name] of [['gkry', '하교'], ['ekfrl', '달기'], ['rkqtdl', '값이'], ['dksgdms', '않은'], ['dhksfy', '완료']] as const) {
    for (const screen of screens(strokes)) expect(finds(screen, name), `${screen} for ${name}`).toBe(true)
  }
})

describe('words that people say', () => {
  test('are fifty, none twice', () => expect(new Set(koreanWords.map(([word]) => word)).size).toBe(50))

  test.each(koreanWords)('%s, typed as %s', (word, strokes) => {
    for (const screen of screens(strokes)) expect(finds(screen, word), screen).toBe(true)
    for (let nth = 1; nth <= strokes.length; nth++) expect(finds(strokes.slice(0, nth), word), strokes.slice(0, nth)).toBe(true)
    const initials = getChoseong(word)
    for (let nth = 1; nth <= initials.length; nth++) expect(finds(initials.slice(0, nth), word)).toBe(true)
    // And nobody finds it who has typed something else.
    expect(finds(`${word}힣`, word) || finds(`ㅿ${word}`, word)).toBe(false)
  })
})

test('the key after all that begin with another', () => {
  const points = ['a', 'ab', 'ㅎㅏ', '힣', '👍', '\ud7ff', 'a\u{10ffff}']
  const bytes = (text: string) => Buffer.from(text)
  for (const prefix of points) {
    const after = keyAfter(prefix)
    expect(Buffer.compare(bytes(`${prefix}\u{10ffff}\u{10ffff}`), bytes(after)), prefix).toBe(-1)
    expect(Buffer.compare(bytes(prefix), bytes(after))).toBe(-1)
    expect(after.startsWith(prefix)).toBe(false)
  }
})

describe('blocked words', () => {
  const isBlocked = createBlockedParts('\ufeff# not these\n바보\r\nBad word\n\n빵꾸\n')
  test.each(['바보', '왕바보들', '바 보', 'ㅂㅏㅂㅗ', '바ㅂㅗ', '바보'.normalize('NFD'), 'my BAD-word!', 'sobadwords', 'qkqh', 'QKQH', 'qk qh', 'hello qkqhemf', 'QkdRn', 'qkdrn', 'ㅠㅁㅇ재ㄱㅇ'])('%s', (text) => {
    expect(isBlocked(text)).toBe(true)
  })
  test.each(['바다', '보바', 'bad', 'word bad', '', 'ㅂㅂ', 'not these', 'qkek', 'qk', '방구'])('not %s', (text) => {
    expect(isBlocked(text)).toBe(false)
  })
  test('no list blocks nothing', () => expect(createBlockedParts('')('anything')).toBe(false))
})
