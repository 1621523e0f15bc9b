import { fold, isRunStart, unitKindMask } from './search-terms-fold.ts'
import { kinds } from './search-terms-characters.ts'

/** Tells whether one of a list of words is in a text. */
export type WordList = (text: string) => boolean

type Node = { next: Map<number, Node>; isEnd: boolean }

/** UTF-16 units of one entry, folded: whatever is longer is no word, and would make each text slow to look through. */
const maxEntryLength = 100

/**
 * Reads a list of words, one a line; what begins with `#` is a comment. What is found is found however it is written:
 * both sides are folded as in searching (`search-terms-characters.ts`), so that capitals, accents, full-width and
 * conjoining forms make no difference, and whatever stands between two words counts as one space.
 *
 * Words of alphabets are found as whole words: `ass` is not in `class`. Hangul, Kana, Han and scripts without spaces are
 * found within words too, as their words take endings: 바보 is in 바보들아. A letter of a syllable is no part of it: ㅂ is
 * not in 바. It takes time that grows with the text, times the longest entry at worst.
 *
 * Throws an Error that names the line where an entry is too long.
 */
export function createWordList(lines: string): WordList {
  const root: Node = { next: new Map(), isEnd: false }
  for (const [index, line] of lines.split(/\r\n?|\n/).entries()) {
    const entry = line.replace(/^\ufeff/, '').trim()
    if (entry === '' || entry.startsWith('#')) continue
    const { length, units } = fold(entry)
    // Spaces stand at both ends.
    if (length - 2 > maxEntryLength) throw new Error(`Line ${index + 1} is longer than ${maxEntryLength} characters.`)
    add(root, units.subarray(1, length - 1))
  }
  return root.next.size === 0 ? () => false : (text) => isIn(root, text)
}

function add(root: Node, units: Uint16Array): void {
  // Of nothing but signs nothing is left.
  if (units.length === 0) return
  let node = root
  for (const unit of units) {
    let next = node.next.get(unit)
    if (next === undefined) node.next.set(unit, (next = { next: new Map(), isEnd: false }))
    node = next
  }
  node.isEnd = true
}

function isIn(root: Node, text: string): boolean {
  const { length, units, kinds: kindsOf } = fold(text)
  const isWord = (place: number) => (kindsOf[place]! & unitKindMask) === kinds.word
  for (let start = 1; start < length; start++) {
    if (isWord(start) && (kindsOf[start]! & isRunStart) === 0) continue
    let node: Node | undefined = root
    for (let place = start; place < length; place++) {
      node = node.next.get(units[place]!)
      if (node === undefined) break
      if (node.isEnd && !(isWord(place) && isWord(place + 1))) return true
    }
  }
  return false
}
