import { badInput } from '../errors.ts'
import { type Haystack, haystackOf, type Highlight, makeNeedle, type Needle } from './search-query-needle.ts'
import { checkText } from './text.ts'

export type { Highlight } from './search-query-needle.ts'

/** What somebody searches for: words and phrases, all of which must be there, and who, where and when. */
export type SearchQuery = {
  needles: readonly Needle[]
  /** What the messages that are looked for have among their terms, each once. */
  terms: readonly number[]
  /** Names of authors, any of whom will do; none is everybody. */
  from: readonly string[]
  /** Names of channels, any of which will do; with `@` the direct channel with somebody. None is everywhere. */
  in: readonly string[]
  /** Milliseconds since 1970: not before `since`, and before `until`. */
  since: number | null
  until: number | null
}

/** The longest query, in code points: a sentence that is looked for word by word. */
const maxQueryLength = 500

/** Words, phrases and filters of one query. */
const maxParts = 32

/** Terms that the index is asked for. More would hardly leave fewer messages, which are compared with all of it. */
const maxIndexTerms = 24

/** Highlights in one message: more than a screen shows. */
const maxHighlights = 100

/** A part: a filter's name or nothing; in quotes, of which the last may not be closed, or up to the next space. */
const part = /(?:(?<filter>from|in|before|after|on):)?(?:["“”„](?<quoted>[^"“”„]*)(?:["“”„]|$)|(?<plain>[^\s"“”„]*))/giuy

const space = /\s+/uy

/**
 * Reads what somebody typed to search:
 *
 *     word "several words in this order" from:alice in:general before:2026-01-31 after:2026-01-01T09:00+09:00 on:2026-01-15
 *
 * Names may stand in quotes, too. A day is one of UTC: `before` ends with the moment at which it begins, `after` begins
 * when it is over. Throws BAD_USER_INPUT, in words that name the part at fault, about the input `query`.
 */
export function parseSearchQuery(text: string): SearchQuery {
  if (text.trim() !== '') checkText(text, 'A query', 'query', maxQueryLength)
  const read: Reading = { needles: [], from: [], in: [], since: null, until: null }
  let isText = false
  let count = 0
  for (const { filter, words } of partsOf(text)) {
    if (filter === undefined && words.trim() === '') continue
    if (++count > maxParts) throw badInput(`A query has at most ${maxParts} words and filters.`, 'query')
    if (filter !== undefined) readFilter(filter.toLowerCase(), words.trim(), read)
    else {
      isText = true
      const needle = makeNeedle(words)
      if (needle !== null) read.needles.push(needle)
    }
  }
  if (isText && read.needles.length === 0) throw badInput('There is no letter, digit or emoji to search for.', 'query')
  const terms = [...new Set(read.needles.flatMap((needle) => needle.terms))].slice(0, maxIndexTerms)
  return { ...read, terms }
}

/** The words of a query and what stands in its quotes, without its filters; nothing is checked. */
export const plainWords = (text: string): string[] =>
  Array.from(partsOf(text)).flatMap(({ filter, words }) => (filter === undefined ? words.split(/\s+/).filter(Boolean) : []))

type Reading = { needles: Needle[]; from: string[]; in: string[]; since: number | null; until: number | null }

function* partsOf(text: string): Generator<{ filter: string | undefined; words: string }> {
  for (let index = 0; index < text.length; ) {
    part.lastIndex = index
    const { filter, quoted, plain } = part.exec(text)!.groups!
    index = part.lastIndex
    yield { filter, words: quoted ?? plain ?? '' }
    space.lastIndex = index
    if (space.test(text)) index = space.lastIndex
  }
}

function readFilter(filter: string, value: string, read: Reading): void {
  if (value === '') throw badInput(`“${filter}:” needs something right after it.`, 'query')
  if (filter === 'from') read.from.push(value.replace(/^@/, ''))
  else if (filter === 'in') read.in.push(value.replace(/^#/, ''))
  else {
    const { start, end } = readMoment(filter, value)
    if (filter !== 'before') read.since = Math.max(read.since ?? -Infinity, filter === 'on' ? start : end)
    if (filter !== 'after') read.until = Math.min(read.until ?? Infinity, filter === 'on' ? end : start)
  }
}

/** A year, a month, a day, or a moment, which is one of UTC unless it says how far from it. */
const moment =
  /^(?<year>\d{4})(?:-(?<month>\d\d?)(?:-(?<day>\d\d?)(?:T(?<time>\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?)(?<zone>Z|[+-]\d\d:?\d\d)?)?)?)?$/i

/** When the time that a part names begins and when it is over, in milliseconds since 1970. */
function readMoment(filter: string, value: string): { start: number; end: number } {
  const { year, month, day, time, zone } = moment.exec(value)?.groups ?? {}
  const [y, m, d] = [Number(year), Number(month ?? 1) - 1, Number(day ?? 1)]
  const date = new Date(Date.UTC(y, m, d))
  if (date.getUTCFullYear() !== y || date.getUTCMonth() !== m || date.getUTCDate() !== d) throw noMoment(filter, value)
  const start = date.getTime()
  if (time !== undefined) {
    const exact = Date.parse(`${date.toISOString().slice(0, 10)}T${time}${readZone(zone)}`)
    if (Number.isNaN(exact)) throw noMoment(filter, value)
    return { start: exact, end: exact + 1 }
  }
  if (day !== undefined) return { start, end: Date.UTC(y, m, d + 1) }
  return { start, end: month === undefined ? Date.UTC(y + 1, 0) : Date.UTC(y, m + 1) }
}

const readZone = (zone = 'Z') => zone.toUpperCase().replace(/^([+-]\d\d)(\d\d)$/, '$1:$2')

const noMoment = (filter: string, value: string) =>
  badInput(`“${filter}:${value}” is no date: write ${filter}:2026-01-31 or ${filter}:2026-01-31T18:30Z.`, 'query')

/** Whether a text holds everything that is looked for. */
export function matches(needles: readonly Needle[], content: string): boolean {
  if (needles.length === 0) return true
  const haystack = haystackOf(content)
  return needles.every((needle) => needle.find(haystack, 0) !== null)
}

/** Where a text holds what is looked for: in order, apart from each other, the first `maxHighlights`. */
export function highlight(needles: readonly Needle[], content: string): Highlight[] {
  const haystack = haystackOf(content)
  const found = needles.flatMap((needle) => placesOf(needle, haystack)).toSorted((a, b) => a.start - b.start)
  const apart: Highlight[] = []
  for (const { start, end } of found) {
    const last = apart.at(-1)
    if (last !== undefined && start < last.end) last.end = Math.max(last.end, end)
    else apart.push({ start, end })
  }
  return apart.slice(0, maxHighlights)
}

function placesOf(needle: Needle, haystack: Haystack): Highlight[] {
  const { starts, ends } = haystack.folded
  const places: Highlight[] = []
  for (let from = 0; places.length < maxHighlights; ) {
    const place = needle.find(haystack, from)
    if (place === null) break
    places.push({ start: starts[place.start]!, end: ends[place.end - 1]! })
    from = place.end
  }
  return places
}
