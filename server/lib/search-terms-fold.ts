import {
  characterOf,
  expansionOf,
  isDigit,
  isExpanded,
  isUpper,
  kindMask,
  kinds,
  kindShift,
  pointMask,
} from './search-terms-characters.ts'

/**
 * A text in the form in which it is searched: what `search-terms-characters.ts` makes of its characters, with one space
 * for whatever stands between words, at both ends too. Of each UTF-16 unit it says what it is, and where it came from.
 *
 * The arrays are used again by the next call: whoever wants to keep something copies it.
 */
export type Folded = {
  length: number
  units: Uint16Array
  /** A kind, and whether a run or a part of a word begins here. */
  kinds: Uint8Array
  /** The span of the text that each unit came from. */
  starts: Uint32Array
  ends: Uint32Array
}

export const unitKindMask = 0x0f
/** The first unit of characters of one kind. */
export const isRunStart = 0x10
/** The first unit of a part of a word, as in `userName`, `parseURL2`. */
export const isPartStart = 0x20

const space = 0x20

function allocate(size: number): Folded {
  return {
    length: 0,
    units: new Uint16Array(size),
    kinds: new Uint8Array(size),
    starts: new Uint32Array(size),
    ends: new Uint32Array(size),
  }
}

/** Enough for nearly every message. */
const usualSize = 8_192
const usual = allocate(usualSize)

/** Units that one unit of text may become, and the space before it. */
const maxGrowth = 9

/** Letters that change the part of a word that they stand in. */
const cases = { none: 0, lower: 1, upper: 2, digit: 3 }

/** Folds a text, in time that grows with its length and nothing else. */
export function fold(text: string): Folded {
  const to = text.length * maxGrowth < usualSize ? usual : allocate(2 + measure(text))
  const { units, kinds: kindsOf, starts, ends } = to
  let length = 0
  let kind: number = kinds.gap
  let letter = cases.none
  let before = cases.none

  units[length] = space
  kindsOf[length] = kinds.gap | isRunStart
  starts[length] = 0
  ends[length++] = 0

  function put(point: number, next: number, flags: number, start: number, end: number): void {
    if (next === kinds.gap && kind === kinds.gap) return
    let bounds = 0
    if (next !== kind || next === kinds.symbol) {
      bounds = isRunStart | isPartStart
      letter = before = cases.none
      kind = next
    }
    if (next === kinds.word) {
      const now = flags & isUpper ? cases.upper : flags & isDigit ? cases.digit : cases.lower
      if (letter !== cases.none && now !== letter) {
        // From `user` to `Name`, from `v` to `2`; but `Name` is one, and `URLParser` has its break before the last capital.
        if (now !== cases.lower || letter !== cases.upper) bounds |= isPartStart
        else if (before === cases.upper) kindsOf[length - 1]! |= isPartStart
      }
      before = letter
      letter = now
    }
    if (next === kinds.gap) point = space
    if (point > 0xffff) {
      units[length] = 0xd800 + ((point - 0x1_0000) >> 10)
      kindsOf[length] = next | bounds
      starts[length] = start
      ends[length++] = end
      point = 0xdc00 + (point & 0x3ff)
      bounds = 0
    }
    units[length] = point
    kindsOf[length] = next | bounds
    starts[length] = start
    ends[length++] = end
  }

  /** A mark makes another character of the one before it, is one in a word, or is an accent that makes no difference. */
  function putMark(mark: number, start: number, end: number): void {
    if (kind === kinds.gap || kind === kinds.symbol) return
    const last = length - 1
    const unit = units[last]!
    if (unit < 0x80) {
      ends[last] = end
      return
    }
    const composed = unit < 0xd800 || unit > 0xdfff ? compose(unit, mark) : null
    if (composed !== null) {
      units[last] = composed
      ends[last] = end
    } else if (isAccent(mark) || (kind !== kinds.word && kind !== kinds.chain)) ends[last] = end
    else put(mark, kind, 0, start, end)
  }

  for (let index = 0; index < text.length; ) {
    let point = text.charCodeAt(index)
    let width = 1
    if (point >= 0x80) {
      point = text.codePointAt(index)!
      width = point > 0xffff ? 2 : 1
      if (point >= 0x1100 && point < 0x1200) {
        // Conjoining Hangul letters, as some systems write all Hangul.
        if (point >= 0x11a8 && kind === kinds.hangul && (units[length - 1]! - 0xac00) % 28 === 0 && point <= 0x11c2) {
          units[length - 1]! += point - 0x11a7
          ends[length - 1] = ++index
          continue
        }
        const syllable = point <= 0x1112 ? syllableAt(text, index) : null
        if (syllable !== null) {
          put(syllable.point, kinds.hangul, 0, index, index + syllable.width)
          index += syllable.width
          continue
        }
      }
    }
    const character = characterOf(point)
    const end = index + width
    const next = (character >> kindShift) & kindMask
    if (character & isExpanded) {
      for (const one of expansionOf(point)) {
        const kindOfOne = (one >> kindShift) & kindMask
        if (kindOfOne === kinds.mark) putMark(one & pointMask, index, end)
        else if (kindOfOne !== kinds.none) put(one & pointMask, kindOfOne, one | (character & isUpper), index, end)
      }
    } else if (next === kinds.mark) putMark(character & pointMask, index, end)
    else if (next === kinds.none) ends[length - 1] = kind === kinds.gap ? ends[length - 1]! : end
    else put(character & pointMask, next, character, index, end)
    index = end
  }
  put(space, kinds.gap, 0, text.length, text.length)
  to.length = length
  return to
}

/** Room for a long text: nearly all of them stay as long as they are. */
function measure(text: string): number {
  let size = text.length
  for (let index = 0; index < text.length; index++) {
    if (text.charCodeAt(index) >= 0x80) {
      const point = text.codePointAt(index)!
      if (characterOf(point) & isExpanded) size += 2 * expansionOf(point).length
    }
  }
  return size
}

/** The syllable of the conjoining letters at a place of a text; null where they make none. */
function syllableAt(text: string, index: number): { point: number; width: number } | null {
  const vowel = text.charCodeAt(index + 1)
  if (!(vowel >= 0x1161 && vowel <= 0x1175)) return null
  const final = text.charCodeAt(index + 2)
  const isClosed = final >= 0x11a8 && final <= 0x11c2
  const open = 0xac00 + ((text.charCodeAt(index) - 0x1100) * 21 + (vowel - 0x1161)) * 28
  return isClosed ? { point: open + final - 0x11a7, width: 3 } : { point: open, width: 2 }
}

/** The character that two make together; null where they make none. */
function compose(base: number, mark: number): number | null {
  const key = base * 0x20_0000 + mark
  const found = composed.get(key)
  if (found !== undefined) return found
  const together = String.fromCodePoint(base, mark).normalize('NFC')
  const point = together.length === 1 ? characterOf(together.charCodeAt(0)) & pointMask : null
  if (composed.size > 10_000) composed.clear()
  composed.set(key, point)
  return point
}

const composed = new Map<number, number | null>()

/** Accents, and the points that Arabic and Hebrew are mostly written without. */
const isAccent = (mark: number): boolean =>
  (mark >= 0x0300 && mark <= 0x036f) ||
  (mark >= 0x064b && mark <= 0x065f) ||
  mark === 0x0670 ||
  (mark >= 0x0591 && mark <= 0x05c7)
