import { describe, expect, test } from 'vitest'
import { createWordList } from './word-list.ts'

const isBlocked = createWordList(`\ufeff# what nobody wants to read
ass
free money
바보
ㅅㅂ
18년
馬鹿
Straße

`)

describe('words of alphabets are found as whole words, however they are written', () => {
  test.each(['ass', 'You ASS!', 'an ａｓｓ', 'áss', 'ass-hat', 'a­ss', '"ass"', 'free   money', 'FREE-money!', 'STRASSE', 'strasse', '바ass보'])(
    '%s',
    (text) => expect(isBlocked(text)).toBe(true),
  )
  test.each(['class', 'assess', 'as s', 'free moneys', 'money free', '', ' ', 'a', 'ass2'])('and not in %j', (text) =>
    expect(isBlocked(text)).toBe(false),
  )
})

describe('words without spaces around them are found within others', () => {
  test.each(['바보', '이바보들아', '바보야!', '바보'.normalize('NFD'), 'ㅋㅋㅅㅂㅋ', '18년', '馬鹿野郎', '오빠바보ass'])('%s', (text) =>
    expect(isBlocked(text)).toBe(true),
  )
  test.each(['바 보', '2018년', '밥보', '바봉', '시바', '馬と鹿'])('and not in %s', (text) =>
    expect(isBlocked(text)).toBe(false),
  )
})

test('a list of nothing finds nothing', () => {
  for (const lines of ['', '# nothing', '!!!\n\n…']) expect(createWordList(lines)('!!! anything …')).toBe(false)
})

test('an entry that is no word is refused, with its line', () => {
  expect(() => createWordList(`tea\n${'x'.repeat(101)}`)).toThrow('Line 2 is longer than 100 characters.')
  createWordList('x'.repeat(100))
})

test('the longest text against the most unlucky entry takes its time, and no more', () => {
  const unlucky = createWordList(`${'바'.repeat(99)}보\n${'ㅋ'.repeat(99)}ㅎ`)
  const before = performance.now()
  expect(unlucky('바'.repeat(100_000))).toBe(false)
  // A hundredfold of what it takes; a search that goes through the text anew for each place would take minutes.
  expect(performance.now() - before).toBeLessThan(10_000)
})
