import { convertHangulToQwerty, convertQwertyToAlphabet, disassemble, getChoseong } from 'es-hangul'
import { isPartStart, isRunStart, unitKindMask, fold } from './search-terms-fold.ts'
import { kinds } from './search-terms-characters.ts'
import { firstCodePoints } from './text.ts'

/*
 * What names are found by while somebody types. A name and what is typed are both spelt the way keys are pressed: folded
 * as in searching (capitals, accents, full-width forms), without spaces and punctuation, and Hangul taken apart into the
 * letters of a keyboard: 한국 is ㅎㅏㄴㄱㅜㄱ, 값 is ㄱㅏㅂㅅ. So a syllable that is half typed (하, 한, 한ㄱ, 한구) is
 * the beginning of what it becomes, and finding is comparing beginnings.
 */

/** When names are spelt otherwise than before, all of them are written anew. */
export const keysVersion = 1

/**
 * Letters of a key: about ten syllables of Hangul. Who has typed so much and means another one of those that still begin
 * alike compares by the whole name, as all that is found is compared with it.
 */
export const maxKeyLength = 32

/** Words of a name with whose beginning it is found; the name as a whole is the first. */
const maxStarts = 6

const syllable = /[가-힣]/
/** What a person is called, in nearly all of Korea: one syllable of the family, two of one's own. */
const koreanName = /^[가-힣]{3}$/

/** A text without what stands between words, and where in it words begin. */
type Spelt = { text: string; starts: number[] }

function spell(name: string): Spelt {
  const { units, kinds: kindsOf, length } = fold(name)
  const starts: number[] = []
  let text = ''
  let isAfterGap = true
  for (let place = 0; place < length; place++) {
    const bits = kindsOf[place]!
    if ((bits & unitKindMask) === kinds.gap) {
      isAfterGap = true
      continue
    }
    const character = String.fromCharCode(units[place]!)
    // In userName and 마루Team parts are words; in minsu92 the number is not.
    const isPart = (bits & (isRunStart | isPartStart)) !== 0 && !/[0-9]/.test(character)
    if (isAfterGap || isPart) starts.push(text.length)
    text += character
    isAfterGap = false
  }
  return { text, starts: starts.slice(0, maxStarts) }
}

/**
 * The keys of a name, whole: from the beginning of each word to the end of the name, as it is typed, and by initial
 * consonants where there is Hangul (한국 대학: ㅎㄱㄷㅎ). `isPerson`: 김민수 is looked for as 민수, too.
 */
export function wholeKeys(name: string, { isPerson = false } = {}): string[] {
  const { text, starts } = spell(name)
  const keys = new Set<string>()
  const add = (part: string) => {
    keys.add(disassemble(part))
    if (syllable.test(part)) keys.add(getChoseong(part, { keepNonHangul: true }))
  }
  for (const start of starts) add(text.slice(start))
  if (isPerson && koreanName.test(text)) add(text.slice(1))
  keys.delete('')
  return [...keys]
}

/** The keys of a name as they are stored: the beginnings of its whole ones. */
export const storedKeys = (name: string, options: { isPerson?: boolean } = {}): string[] => [
  ...new Set(wholeKeys(name, options).map(cutKey)),
]

/** As much of a key as is stored. */
export const cutKey = (key: string): string => (key.length <= maxKeyLength ? key : firstCodePoints(key, maxKeyLength))

/** The character by which keys are spread; empty for the empty key. */
export const leadOf = (key: string): string => (key === '' ? '' : String.fromCodePoint(key.codePointAt(0)!))

/**
 * A key before which all lie that begin with this one, and of others none that comes after it, in the order of code
 * points. This one must not be empty.
 */
export function keyAfter(prefix: string): string {
  const points = Array.from(prefix, (character) => character.codePointAt(0)!)
  while (points.length > 0) {
    const last = points.pop()!
    // Surrogates are no characters, and no key holds any by itself.
    if (last < 0x10_ffff) return String.fromCodePoint(...points, last === 0xd7ff ? 0xe000 : last + 1)
  }
  // Nothing but the last of all characters, which is none that a text may hold.
  return prefix + '\u{10ffff}'.repeat(maxKeyLength)
}

/** What is found has a key that begins with `key`, and one, the same or another, that begins with `also`. */
export type SoughtKey = { key: string; also: string }

/** What somebody has typed as a key: as it stands, and as the other layout of the keyboard would have it. */
export type TypedKeys = { own: string; other: string | null; mixed: SoughtKey | null }

/**
 * Spells what was typed. `other` is what the same strokes give on the other layout: gksrnr is ㅎㅏㄴㄱㅜㄱ, and ㅗ디ㅣㅐ is
 * hello; null where that is nothing that somebody would type. Spaces count for nothing, so that 김 민 finds 김민수.
 * `mixed` is there where initials follow syllables: 김ㅁㅅ is looked for by all initials, of what begins with 김.
 */
export function typedKeys(text: string): TypedKeys {
  const typed = spell(text).text
  const own = disassemble(typed)
  const [, begin] = syllablesThenInitials.exec(typed) ?? []
  const mixed =
    begin === undefined ? null : { key: getChoseong(typed, { keepNonHangul: true }), also: disassemble(begin) }
  const other = otherLayout(text.trim())
  return { own, other: other === null || other === '' || other === own ? null : other, mixed }
}

/** A single one may be the next syllable's, which is being typed. */
const syllablesThenInitials = /^(.*[가-힣])[ㄱ-ㅎ]{2,}$/u

const latin = /^[a-zA-Z][a-zA-Z0-9\s._-]*$/
const hangul = /^[ㄱ-ㅎㅏ-ㅣ가-힣][ㄱ-ㅎㅏ-ㅣ가-힣0-9\s._-]*$/

function otherLayout(text: string): string | null {
  if (latin.test(text)) {
    // With the lock on, every letter is a capital; by itself a capital is a double consonant.
    const isLocked = text.length > 1 && text === text.toUpperCase()
    const letters = disassemble(spell(convertQwertyToAlphabet(isLocked ? text.toLowerCase() : text)).text)
    return canBeTyped(letters) ? letters : null
  }
  const normal = text.normalize('NFC')
  return hangul.test(normal) ? spell(convertHangulToQwerty(normal)).text : null
}

const consonant = '[ㄱ-ㅎ]'
const vowel = '(?:ㅗ[ㅏㅐㅣ]?|ㅜ[ㅓㅔㅣ]?|ㅡㅣ?|[ㅏ-ㅣ])'
/** Initial consonants alone; or syllables: a consonant, one or two strokes of a vowel, and up to three consonants. */
const initials = new RegExp(`^${consonant}+[0-9]*$`)
const syllables = new RegExp(`^(?:${consonant}${vowel}${consonant}{0,3}(?=${consonant}|[0-9]|$)|[0-9])+$`)

/** Whether strokes make Hangul that means something: hello, as ㅗㄷㅣㅣㅐ, does not. */
function canBeTyped(letters: string): boolean {
  if (initials.test(letters)) return true
  return letters.length <= 2 * maxKeyLength && syllables.test(letters)
}

/** Letters for which a key is shifted, and those of the same keys without. */
const shifted: Readonly<Record<string, string>> = { ㄲ: 'ㄱ', ㄸ: 'ㄷ', ㅃ: 'ㅂ', ㅆ: 'ㅅ', ㅉ: 'ㅈ', ㅒ: 'ㅐ', ㅖ: 'ㅔ' }
const unshift = (key: string) => key.replace(/[ㄲㄸㅃㅆㅉㅒㅖ]/g, (letter) => shifted[letter]!)

/**
 * Tells whether there is a word of a list in a text, wherever in it, and however it is written: also across spaces, in
 * letters that are not put together, and on the other layout of the keyboard, where it may have lost its capitals, as
 * search terms do. `lines` is a file as `createWordList` takes it. It finds more than is meant, which for something that
 * is merely offered to others is the right side to err on.
 */
export function createBlockedParts(lines: string): (text: string) => boolean {
  const blocked = new Set<string>()
  for (const line of lines.split(/\r\n?|\n/)) {
    const word = line.replace(/^\ufeff/, '').trim()
    const spelt = word.startsWith('#') ? '' : disassemble(spell(word).text)
    if (spelt !== '') blocked.add(spelt)
  }
  const isIn = hasPartOf(blocked)
  const isTypedIn = hasPartOf(new Set(Array.from(blocked, unshift)))
  return (text) => {
    if (isIn(disassemble(spell(text).text))) return true
    const others = [text, ...text.split(/\s+/)].map((part) => typedKeys(part).other)
    return others.some((other) => other !== null && isTypedIn(unshift(other)))
  }
}

/** Tells whether one of these words is part of a key. */
function hasPartOf(words: ReadonlySet<string>): (key: string) => boolean {
  const lengths = [...new Set(Array.from(words, (word) => word.length))]
  return (key) => {
    for (let start = 0; start < key.length; start++) {
      for (const length of lengths) if (words.has(key.slice(start, start + length))) return true
    }
    return false
  }
}
