import { kinds, syllablesOf } from './search-terms-characters.ts'
import { fold, type Folded, isPartStart, isRunStart, unitKindMask } from './search-terms-fold.ts'
import { termOfOne, termOfTwo, termOfWord } from './search-terms.ts'

/** A span of a text in UTF-16 units, the end excluded. */
export type Highlight = { start: number; end: number }

/** A text that was folded to be searched; valid until the next one is. */
export type Haystack = { folded: Folded; text: string }

/** One word or phrase that is looked for, one thing after the other without a gap. */
export type Needle = {
  /** What every message that holds it has among its terms. Empty where the index does not help. */
  terms: readonly number[]
  /** The first place that holds it, from a unit of the folded text on; null where there is none. */
  find(haystack: Haystack, from: number): { start: number; end: number } | null
}

/** Makes a text ready to be searched. */
export function haystackOf(content: string): Haystack {
  const folded = fold(content)
  return { folded, text: textOf(folded, 0, folded.length) }
}

const textOf = ({ units }: Folded, from: number, to: number) =>
  Buffer.from(units.buffer, units.byteOffset + 2 * from, 2 * (to - from)).toString('utf16le')

type Run = { kind: number; text: string }

/**
 * What a word or phrase looks for; null where it has nothing that can be looked for.
 *
 * It finds what `searchTerms` makes findable: whole words and parts of `camelCase`, Hangul and Han wherever they stand,
 * a single syllable at the beginning of a run. Hangul consonants find themselves and, at the beginning of a run, the
 * syllables that begin with them: ㅎㄱ finds 학교에서.
 */
export function makeNeedle(text: string): Needle | null {
  const runs = runsOf(fold(text))
  const [first, last] = [runs[0], runs.at(-1)]
  if (first === undefined || last === undefined) return null
  const literal = runs.map((run) => run.text).join('')
  const pattern = runs.some((run) => run.kind === kinds.jamo) ? patternOf(runs) : null
  /** Where the first run is one character, the index knows only those that begin a run. */
  const startsRun = !freeKinds.has(first.kind) && [...first.text].length === 1

  function next(text: string, from: number): [start: number, end: number] | null {
    if (pattern === null) {
      const start = text.indexOf(literal, from)
      return start < 0 ? null : [start, start + literal.length]
    }
    pattern.lastIndex = from
    const found = pattern.exec(text)
    return found === null ? null : [found.index, pattern.lastIndex]
  }

  return {
    terms: [...new Set(runs.flatMap((run, nth) => termsOf(run, runs[nth - 1])))],
    find({ folded: { kinds: kindsOf }, text }, from) {
      for (let at = from; ; ) {
        const found = next(text, at)
        if (found === null) return null
        const [start, end] = found
        const bounds = kindsOf[start]!
        const kind = bounds & unitKindMask
        const begins =
          first.kind === kinds.word
            ? (bounds & isPartStart) !== 0
            : (!startsRun && (first.kind !== kinds.jamo || kind === kinds.jamo)) || (bounds & isRunStart) !== 0
        const after = kindsOf[end]!
        const ends = last.kind !== kinds.word || (after & unitKindMask) !== kinds.word || (after & isPartStart) !== 0
        if (begins && ends) return { start, end }
        at = start + 1
      }
    },
  }
}

/** Kinds of which each single character is a term. */
const freeKinds = new Set<number>([kinds.word, kinds.han, kinds.symbol])

/** Runs of one kind; gaps between them are runs, too, but not at the ends. */
function runsOf(folded: Folded): Run[] {
  const runs: Run[] = []
  for (let start = 1; start < folded.length - 1; ) {
    let end = start + 1
    while (end < folded.length && (folded.kinds[end]! & isRunStart) === 0) end++
    runs.push({ kind: folded.kinds[start]! & unitKindMask, text: textOf(folded, start, end) })
    start = end
  }
  while (runs.at(-1)?.kind === kinds.gap) runs.pop()
  return runs
}

function termsOf(run: Run, before: Run | undefined): number[] {
  if (run.kind === kinds.gap) return []
  if (run.kind === kinds.word) return [termOfWord(run.text)]
  const points = Array.from(run.text, (character) => character.codePointAt(0)!)
  const pairs = points.slice(1).map((point, nth) => termOfTwo(points[nth]!, point))
  if (run.kind === kinds.jamo) {
    // After a syllable they are the beginning of what somebody is still typing, and no term of a whole text.
    if (before?.kind === kinds.hangul) return []
    // They may stand for syllables, of which the index knows the first two.
    return pairs.length === 0 ? [termOfOne(points[0]!)] : pairs.slice(0, 1)
  }
  // Within a phrase a run begins where it begins in the text, too.
  return pairs.length === 0 || (before !== undefined && run.kind !== kinds.han) ? [termOfOne(points[0]!), ...pairs] : pairs
}

/** Of runs with Hangul letters among them: a consonant stands for itself and for the syllables that begin with it. */
function patternOf(runs: readonly Run[]): RegExp {
  const isAlone = runs.length === 1 && runs[0]!.text.length === 1
  const source = runs.flatMap(({ kind, text }) =>
    Array.from(text, (character) => {
      const syllables = kind === kinds.jamo && !isAlone ? syllablesOf(character) : null
      return syllables === null ? RegExp.escape(character) : `[${character}${syllables[0]}-${syllables[1]}]`
    }),
  )
  // Of UTF-16 units, as all places are: with `u` it would go back to the beginning of a pair.
  return new RegExp(source.join(''), 'g')
}
