import { describe, expect, test } from 'vitest'
import { detectFormat, formats } from './formats.ts'

const line = { channel: 'tea', author: 'alice', time: '2020-01-01T10:00:00Z', text: '안녕' }
const ircLine = {
  channel: 'ubuntu',
  day: '2005-06-12',
  at: '2005-06-12T02:07:34.285Z',
  nick: 'bob',
  text: 'hi',
  me: true,
  line: 7,
  replyTo: 3,
}

test('the documented form, with nothing that may be left out', () => {
  expect(formats.maru.parse(line)).toEqual({
    channel: 'tea',
    author: 'alice',
    at: Date.UTC(2020, 0, 1, 10),
    text: '안녕',
    id: null,
    replyTo: null,
    action: false,
    mentions: null,
  })
})

test('the documented form, with everything, and null for what is left out', () => {
  const whole = { ...line, id: 7, replyTo: '3', action: true, mentions: ['bob'], extra: 'passed over' }
  expect(formats.maru.parse(whole)).toMatchObject({ id: '7', replyTo: '3', action: true, mentions: ['bob'] })
  const empty = { ...line, id: null, replyTo: null, action: null, mentions: null }
  expect(formats.maru.parse(empty)).toEqual(formats.maru.parse(line))
})

test('times in any zone, and as milliseconds', () => {
  const at = Date.UTC(2020, 0, 1, 10)
  for (const time of ['2020-01-01T10:00:00.000Z', '2020-01-01T19:00:00+09:00', at]) {
    expect(formats.maru.parse({ ...line, time }).at).toBe(at)
  }
})

test('text that cannot be shown is cleaned, and text with nothing to be seen is empty', () => {
  expect(formats.maru.parse({ ...line, text: 'a\u0000b\u0008\u007f\ud83d' }).text).toBe('a\ufffdb\ufffd\ufffd\ufffd')
  for (const text of ['', '   ', '\t\n', '\u200b']) expect(formats.maru.parse({ ...line, text }).text).toBe('')
})

describe('a line with a fault says what is wrong with it:', () => {
  test.each([
    [{ time: undefined }, '"time" is missing'],
    [{ author: undefined }, '"author" is missing'],
    [{ author: ' ' }, '"author" must not be blank'],
    [{ author: 'a'.repeat(201) }, '"author" may be at most 200 characters long'],
    [{ text: 5 }, '"text" must be a text'],
    [{ text: '😀'.repeat(100_001) }, '"text" may be at most 100,000 characters long'],
    [{ time: '2020-01-01T10:00:00' }, '"time" must be a time with its zone'],
    [{ time: '2020-02-30T10:00:00Z' }, '"time" must be a time with its zone'],
    [{ time: '1999-12-31T23:59:59Z' }, '"time" must not be before the year 2000'],
    [{ time: 1_577_872_800 }, '"time" must not be before the year 2000; a number is milliseconds'],
    [{ time: '2999-01-01T00:00:00Z' }, '"time" must not lie in the future'],
    [{ id: 1.5 }, '"id" must be a text of 1 to 200 characters or a whole number'],
    [{ id: '' }, '"id" must be a text of 1 to 200 characters or a whole number'],
    [{ action: 'yes' }, '"action" must be true or false'],
    [{ mentions: ['bob', 3] }, '"mentions.1" must be a text'],
    [{ channel: 'a\nb' }, 'The name of a channel must be one line.'],
    [{ channel: '' }, 'The name of a channel must not be empty.'],
    [{ channel: 'x'.repeat(81) }, 'The name of a channel may be at most 80 characters long.'],
  ])('%o', (fault, problem) => {
    expect(() => formats.maru.parse({ ...line, ...fault })).toThrow(problem)
  })

  test.each([[[]], ['text'], [null], [7]])('%o', (value) => {
    expect(() => formats.maru.parse(value)).toThrow('must be an object')
  })
})

test('a text of exactly the longest length is taken', () => {
  expect(formats.maru.parse({ ...line, text: '😀'.repeat(100_000) }).text).toHaveLength(200_000)
})

test('the form of the IRC corpus: each day of a channel is a channel', () => {
  expect(formats.irc.parse(ircLine)).toEqual({
    channel: 'ubuntu 2005-06-12',
    author: 'bob',
    at: Date.UTC(2005, 5, 12, 2, 7, 34, 285),
    text: 'hi',
    id: '7',
    replyTo: '3',
    action: true,
    mentions: null,
  })
  expect(() => formats.irc.parse({ ...ircLine, line: 'x' })).toThrow('"line" must be a whole number')
})

test('the first line tells the form', () => {
  expect(detectFormat(ircLine)).toBe('irc')
  expect(detectFormat(line)).toBe('maru')
  expect(detectFormat({ ...line, nick: 'al', day: '1' })).toBe('maru')
  expect(detectFormat(null)).toBe('maru')
})
