import { boxAt, boxesIn, type Range } from './iso-boxes.ts'
import { childOf, isShown } from './strip-iso-movie.ts'

/*
 * Where a film's pictures and sounds stand in the file: ISO/IEC 14496-12, sections 8.7.3 to 8.7.5. Samples stand in
 * chunks, one behind the other.
 */

/** Samples of one track on end. `length` is null where it is not said, but for where the next chunk begins. */
export type Chunk = { start: number; length: number | null; isShown: boolean }

/** The chunks of all tracks, from a `moov` box. Throws where its tables do not agree. */
export const chunksIn = (moov: Buffer): Chunk[] =>
  [...boxesIn(moov, boxAt(moov, 0, moov.length).data)]
    .filter(({ type }) => type === 'trak')
    .flatMap(({ at, end }) => chunksOf(moov.subarray(at, end)))

/** Where the samples of those tracks stand that are shown. `size` is that of the file. */
export function rangesOf(chunks: readonly Chunk[], size: number): Range[] {
  const starts = [...new Set(chunks.map(({ start }) => start))].toSorted((a, b) => a - b)
  const next = new Map(starts.map((start, nth) => [start, starts[nth + 1] ?? size]))
  return chunks
    .filter((chunk) => chunk.isShown)
    .map(({ start, length }) => ({ start, end: length === null ? next.get(start)! : start + length }))
}

function chunksOf(trak: Buffer): Chunk[] {
  const table = (name: string) => childOf(trak, 'mdia', 'minf', 'stbl', name)
  const places = placesOf(table('stco'), table('co64'))
  const isTrackShown = isShown(trak)
  const toChunk = (start: number, length: number | null): Chunk => ({ start, length, isShown: isTrackShown })
  if (places.length === 0) return []
  const sizes = sizesOf(table('stsz'), table('stz2'))
  // QuickTime calls each channel's each sample of plain sound one byte, whatever it takes.
  if (sizes === null) return places.map((start) => toChunk(start, null))
  const runs = table('stsc')
  if (runs === null) throw new Error('a track without chunks')
  const runCount = runs.readUInt32BE(4)
  let sample = 0
  let run = -1
  return places.map((start, nth) => {
    // Runs begin with the chunk they name, counted from one.
    while (run + 1 < runCount && runs.readUInt32BE(8 + 12 * (run + 1)) <= nth + 1) run++
    if (run < 0) throw new Error('a chunk before the first')
    let length = 0
    for (let left = runs.readUInt32BE(12 + 12 * run); left > 0 && sample < sizes.length; left--) length += sizes[sample++]!
    return toChunk(start, length)
  })
}

function placesOf(narrow: Buffer | null, wide: Buffer | null): number[] {
  if (wide !== null) return Array.from({ length: countOf(wide, 4, 8) }, (_, nth) => Number(wide.readBigUInt64BE(8 + 8 * nth)))
  if (narrow === null) return []
  return Array.from({ length: countOf(narrow, 4, 4) }, (_, nth) => narrow.readUInt32BE(8 + 4 * nth))
}

/** The size of each sample; null where all have the same. */
function sizesOf(plain: Buffer | null, compact: Buffer | null): number[] | null {
  if (plain !== null) {
    if (plain.readUInt32BE(4) !== 0) return null
    return Array.from({ length: countOf(plain, 8, 4) }, (_, nth) => plain.readUInt32BE(12 + 4 * nth))
  }
  if (compact === null) throw new Error('a track without sizes')
  const bits = compact.readUInt8(7)
  const count = countOf(compact, 8, bits / 8)
  if (bits === 4) return Array.from({ length: count }, (_, nth) => (compact[12 + (nth >> 1)]! >> (nth % 2 === 0 ? 4 : 0)) & 15)
  if (bits === 8 || bits === 16) {
    return Array.from({ length: count }, (_, nth) => compact.readUIntBE(12 + (nth * bits) / 8, bits / 8))
  }
  throw new Error(`sizes of ${bits} bits`)
}

/** How many entries a table has, by the number at `at`; throws where there is no room for as many. */
function countOf(table: Buffer, at: number, entryBytes: number): number {
  const count = table.readUInt32BE(at)
  if (at + 4 + count * entryBytes > table.length) throw new Error('a table that ends too soon')
  return count
}
