import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { createRandom, type Random } from '../testing/random.ts'

/**
 * Lines of chat to fill stores with: those in a folder, or as many made-up ones, always the same. A folder may hold
 * texts (`.txt`, a line each), tables (`.csv`, a heading and then a line in each field) and lines of JSON (`.jsonl`,
 * `.jsonl.gz`), whose `text` it is.
 */
export function readSentences(folder: string | null): string[] {
  if (folder === null) return makeUp(100_000)
  const found = readdirSync(folder).toSorted().flatMap((name) => linesOf(join(folder, name)))
  if (found.length === 0) throw new Error(`There is no chat in ${folder}`)
  // No row of Postgres can hold it.
  return found.map((line) => line.replaceAll('\0', '').trim()).filter((line) => line !== '')
}

function linesOf(file: string): string[] {
  const read = () => {
    const bytes = readFileSync(file)
    return (file.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString().trim().split('\n')
  }
  if (/\.jsonl(\.gz)?$/.test(file)) return read().map((line) => (JSON.parse(line) as { text: string }).text)
  if (file.endsWith('.txt')) return read()
  if (file.endsWith('.csv')) {
    const fields = read().slice(1).flatMap((line) => line.split(','))
    return fields.filter((field) => /\p{L}/u.test(field))
  }
  return []
}

const words = 20_000
const koreanShare = 0.1

/** Prose whose words are as common as in a language: the nth has a share that goes down with n (Zipf's law). */
function makeUp(count: number): string[] {
  const random = createRandom(1)
  const english = Array.from({ length: words }, () => makeWord(random, 2 + random.below(7), 97, 26))
  const korean = Array.from({ length: words }, () => makeWord(random, 1 + random.below(4), 0xac00, 2_350))
  const pick = zipf(random, words, 1)
  return Array.from({ length: count }, () => {
    const vocabulary = random.chance(koreanShare) ? korean : english
    const length = 1 + Math.floor(24 * random.next() ** 2)
    return Array.from({ length }, () => vocabulary[pick()]!).join(' ')
  })
}

const makeWord = (random: Random, length: number, first: number, letters: number) =>
  String.fromCodePoint(...Array.from({ length }, () => first + random.below(letters)))

/** Draws numbers from 0 to `count` - 1, the nth with a weight of 1 / (n + 1) ** `exponent`. */
export function zipf(random: Random, count: number, exponent: number): () => number {
  const sums = new Float64Array(count)
  let sum = 0
  for (let nth = 0; nth < count; nth++) sums[nth] = sum += 1 / (nth + 1) ** exponent
  return () => {
    const wanted = random.next() * sum
    let [low, high] = [0, count - 1]
    while (low < high) {
      const middle = (low + high) >> 1
      if (sums[middle]! < wanted) low = middle + 1
      else high = middle
    }
    return low
  }
}
