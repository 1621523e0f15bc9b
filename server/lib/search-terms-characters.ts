/**
 * What becomes of one character when text is searched. Capitals, accents of Latin and Greek letters, full-width and
 * half-width forms, ligatures and the like make no difference; a voiced kana and a plain one do.
 */

/** What a character is to search. Of two neighbours of different kinds, one run ends and another begins. */
export const kinds = {
  /** Between words: spaces, punctuation, symbols. */
  gap: 1,
  /** Part of a word that is written with spaces around it: letters, digits, and the marks on them. */
  word: 2,
  /** A Hangul syllable. */
  hangul: 3,
  /** A Hangul letter that stands by itself, as in ㅋㅋ. */
  jamo: 4,
  /** Han, Kana, Bopomofo, Yi. */
  han: 5,
  /** Scripts without spaces between words, such as Thai, whose characters mean little by themselves; flags, too. */
  chain: 6,
  /** Emoji and their like: each stands for itself. */
  symbol: 7,
  /** Goes with the character before it. */
  mark: 8,
  /** Not there: joiners, soft hyphens, variation selectors, skin tones. */
  none: 9,
} as const

/** A character is looked up as one number: what it becomes (a code point), its kind, and what follows here. */
export const pointMask = 0x1f_ffff
export const kindShift = 21
export const kindMask = 0xf
/** A capital or title case letter, before which a new part of a word may begin. */
export const isUpper = 1 << 25
export const isDigit = 1 << 26
/** It becomes several characters: they stand in `expansionOf`. */
export const isExpanded = 1 << 27

/** No character that people search for becomes as many as this; one that becomes more is a gap. */
const maxExpansion = 8

/** Two planes, filled in as characters are met: 512 KB. */
const known = new Uint32Array(0x2_0000)
const expansions = new Map<number, readonly number[]>()

/** What becomes of a code point, as one number. */
export function characterOf(point: number): number {
  if (point < known.length) {
    const found = known[point]!
    return found === 0 ? (known[point] = describe(point)) : found
  }
  // The planes of rare Han, where only the compatibility characters become others.
  if (point < 0x4_0000 && !(point >= 0x2_f800 && point < 0x2_fa20)) return point | (kinds.han << kindShift)
  return describe(point)
}

/** What a character becomes that becomes several, each as one number. */
export const expansionOf = (point: number): readonly number[] => expansions.get(point)!

/** The Hangul letters of compatibility, by the conjoining ones they are the same as. */
const compatibleJamo = new Map<number, number>()
for (let point = 0x3131; point <= 0x3163; point++) {
  compatibleJamo.set(String.fromCodePoint(point).normalize('NFKC').codePointAt(0)!, point)
}

/** Two letters that keyboards join to one. */
const joinedJamo: Record<string, string> = {
  ㄳ: 'ㄱㅅ', ㄵ: 'ㄴㅈ', ㄶ: 'ㄴㅎ', ㄺ: 'ㄹㄱ', ㄻ: 'ㄹㅁ', ㄼ: 'ㄹㅂ', ㄽ: 'ㄹㅅ', ㄾ: 'ㄹㅌ', ㄿ: 'ㄹㅍ', ㅀ: 'ㄹㅎ', ㅄ: 'ㅂㅅ',
}

/** Letters with a stroke or joined to one, which Unicode does not take apart. */
const plainLetters: Record<string, string> = {
  ø: 'o', đ: 'd', ð: 'd', ħ: 'h', ł: 'l', ŧ: 't', þ: 'th', æ: 'ae', œ: 'oe', ı: 'i', ё: 'е',
}

const ofLatinOrGreek = /[\p{Script=Latin}\p{Script=Greek}]/u
const accents = /[\u0300-\u036f]/gu

/** The initial consonant of a Hangul syllable, as a letter that stands by itself. */
export const initialOf = (syllable: number): number => initials[Math.floor((syllable - 0xac00) / 588)]!

/** The nineteen initial consonants in the order of syllables. */
const initials = [...'ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ'].map((letter) => letter.charCodeAt(0))

/** The first and the last syllable that begins with a consonant that stands by itself; null for what begins none. */
export function syllablesOf(jamo: string): [first: string, last: string] | null {
  const place = initials.indexOf(jamo.charCodeAt(0))
  if (place < 0) return null
  const first = 0xac00 + place * 588
  return [String.fromCharCode(first), String.fromCharCode(first + 587)]
}

function fold(point: number): string {
  const original = String.fromCodePoint(point)
  if (point >= 0x3131 && point <= 0x318e) return joinedJamo[original] ?? original
  let text = ofLatinOrGreek.test(original)
    ? original.normalize('NFKD').replaceAll(accents, '')
    : original.normalize('NFKC')
  const jamo = compatibleJamo.get(text.codePointAt(0)!)
  if (jamo !== undefined) {
    text = String.fromCodePoint(jamo)
    return joinedJamo[text] ?? text
  }
  // Through the capitals, so that letters which share one (σ and ς, ß and ss) are the same.
  text = text.toLowerCase().toUpperCase().toLowerCase()
  return plainLetters[text] ?? text
}

function describe(point: number): number {
  if (point < 0x80) return describeAscii(point)
  if (point >= 0xd800 && point <= 0xdfff) return point | (kinds.gap << kindShift)
  const folded = Array.from(fold(point), (character) => character.codePointAt(0)!)
  const flags = upper.test(String.fromCodePoint(point)) ? isUpper : 0
  if (folded.length === 0) return point | (kinds.none << kindShift)
  if (folded.length === 1) return pack(folded[0]!) | flags
  if (folded.length > maxExpansion) return point | (kinds.gap << kindShift)
  expansions.set(point, folded.map(pack))
  return point | (kinds.gap << kindShift) | isExpanded | flags
}

function describeAscii(point: number): number {
  if (point >= 0x41 && point <= 0x5a) return (point + 32) | (kinds.word << kindShift) | isUpper
  return pack(point)
}

const pack = (point: number) =>
  point | (kindOf(point) << kindShift) | (digit.test(String.fromCodePoint(point)) ? isDigit : 0)

const upper = /[\p{Lu}\p{Lt}]/u
const digit = /\p{Nd}/u
const unseen = /[\p{Default_Ignorable_Code_Point}\p{Emoji_Modifier}\p{Me}]/u
const ofHan =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Bopomofo}\p{Script=Yi}\u30fc\u{20000}-\u{3ffff}]/u
const ofChains =
  /[\p{Regional_Indicator}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}\p{Script=Tibetan}\p{Script=Javanese}\p{Script=Balinese}\p{Script=Tai_Tham}\p{Script=Tai_Le}\p{Script=New_Tai_Lue}\p{Script=Tai_Viet}]/u
const ofWords = /[\p{L}\p{N}]/u
const ofChainWords = /[\p{L}\p{M}\p{N}\p{Regional_Indicator}]/u
const ofMarks = /\p{M}/u
const pictograph = /\p{Extended_Pictographic}/u

function kindOf(point: number): number {
  if (point >= 0xac00 && point <= 0xd7a3) return kinds.hangul
  const character = String.fromCodePoint(point)
  if (unseen.test(character)) return kinds.none
  if (point >= 0x3131 && point <= 0x318e) return kinds.jamo
  if (ofChains.test(character)) return ofChainWords.test(character) ? kinds.chain : kinds.gap
  if (ofMarks.test(character)) return kinds.mark
  if (ofHan.test(character)) return ofWords.test(character) ? kinds.han : kinds.gap
  if (ofWords.test(character)) return kinds.word
  return pictograph.test(character) ? kinds.symbol : kinds.gap
}
