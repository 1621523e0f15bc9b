import { initialOf, kinds } from './search-terms-characters.ts'
import { fold, type Folded, isPartStart, isRunStart, unitKindMask } from './search-terms-fold.ts'

/**
 * Terms of one message, at the most: more than prose of 100,000 characters has, which came to 3,200 in English and
 * 9,500 in Korean. What comes after so many different ones is not found.
 */
export const maxTerms = 16_384

/**
 * How texts are made findable. To be raised with every change of what `searchTerms` gives: maintenance then writes the
 * terms of what is stored anew.
 */
export const termsVersion = 1

/**
 * What a text can be found by: distinct 32-bit signed integers in ascending order, at most `maxTerms`, each the hash of
 * one term. Takes time that grows with the length of the text and nothing else: a line of chat some microseconds.
 *
 * Terms, of the text as `fold` gives it:
 * - words, and the parts of words like `userName` or `mp3` that have two letters or more;
 * - of Hangul each two neighbours, the first syllable of each run, and the initial consonants of its first two;
 * - of Han and Kana each two neighbours, and each by itself;
 * - of Thai and its like, and of Hangul letters that stand alone, each two neighbours, and the first of each run;
 * - emoji.
 */
export function searchTerms(text: string): number[] {
  begin()
  addTerms(fold(text))
  return Array.from(found.subarray(0, count).toSorted())
}

/** The terms that are stored with a message: what its text can be found by, and where it is. */
export function messageTerms(channelId: string, text: string): number[] {
  const terms = searchTerms(text)
  if (terms.length > 0) terms.push(termOfChannel(channelId))
  return terms
}

/** The term of all messages of a channel. No word has such a character. */
export const termOfChannel = (channelId: string): number => termOfWord(`#${channelId}`)

/** The hashes of those different terms that were found so far. */
const found = new Int32Array(maxTerms)
let count = 0

/** A hash table of what was found, by open addressing; a place belongs to this text where it bears its number. */
const tableMask = 4 * maxTerms - 1
const table = new Int32Array(tableMask + 1)
const bearer = new Int32Array(tableMask + 1)
let textNumber = 0

function begin() {
  count = 0
  textNumber = (textNumber + 1) | 0
  if (textNumber === 0) bearer.fill(-1)
}

function add(term: number): void {
  let place = term & tableMask
  while (bearer[place] === textNumber) {
    if (table[place] === term) return
    place = (place + 1) & tableMask
  }
  if (count === maxTerms) return
  bearer[place] = textNumber
  table[place] = term
  found[count++] = term
}

function addTerms({ length, units, kinds: kindsOf }: Folded): void {
  let index = 0
  while (index < length && count < maxTerms) {
    const kind = kindsOf[index]! & unitKindMask
    if (kind === kinds.gap) {
      index++
      continue
    }
    if (kind === kinds.word) {
      index = addWord(units, kindsOf, index)
      continue
    }
    let point = pointAt(units, index)
    index += point > 0xffff ? 2 : 1
    add(termOfOne(point))
    if (kind === kinds.symbol) continue
    for (let place = 1; index < length && (kindsOf[index]! & unitKindMask) === kind; place++) {
      const next = pointAt(units, index)
      index += next > 0xffff ? 2 : 1
      add(termOfTwo(point, next))
      if (kind === kinds.han) add(termOfOne(next))
      else if (kind === kinds.hangul && place === 1) add(termOfTwo(initialOf(point), initialOf(next)))
      point = next
    }
  }
}

/** Adds the word that begins at a place, and its parts where it has several; says where it ends. */
function addWord(units: Uint16Array, kindsOf: Uint8Array, start: number): number {
  let whole = wordSeed
  let part = wordSeed
  let partStart = start
  let index = start
  do {
    if (index > start && kindsOf[index]! & isPartStart) {
      if (index - partStart > 1) add(mix(part))
      part = wordSeed
      partStart = index
    }
    const unit = units[index]!
    whole = Math.imul(whole ^ unit, wordPrime)
    part = Math.imul(part ^ unit, wordPrime)
    index++
  } while ((kindsOf[index]! & (unitKindMask | isRunStart)) === kinds.word)
  if (partStart > start && index - partStart > 1) add(mix(part))
  add(mix(whole))
  return index
}

const pointAt = (units: Uint16Array, index: number): number => {
  const unit = units[index]!
  return unit < 0xd800 || unit > 0xdbff ? unit : 0x1_0000 + ((unit - 0xd800) << 10) + units[index + 1]! - 0xdc00
}

// FNV-1a of 32 bits (http://www.isthe.com/chongo/tech/comp/fnv/), over UTF-16 units.
const wordSeed = 0x811c9dc5 | 0
const wordPrime = 0x01000193

/** The term of a word, as `fold` gives it. */
export function termOfWord(word: string): number {
  let hash = wordSeed
  for (let index = 0; index < word.length; index++) hash = Math.imul(hash ^ word.charCodeAt(index), wordPrime)
  return mix(hash)
}

/** The term of one character (a code point). */
export const termOfOne = (point: number): number => mix(point)

/** The term of two neighbours. Of those in the first plane no two have the same. */
export const termOfTwo = (first: number, second: number): number =>
  mix(((first << 16) | (first >>> 16)) ^ second)

/**
 * Spreads the bits of a hash: the finaliser of MurmurHash3 (Austin Appleby, public domain,
 * https://github.com/aappleby/smhasher). Different numbers stay different.
 */
function mix(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}
