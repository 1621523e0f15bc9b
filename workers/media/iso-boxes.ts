import type { FileHandle } from 'node:fs/promises'

/* Boxes, of which MP4, QuickTime and AVIF are made: ISO/IEC 14496-12, section 4.2. */

/** Bytes to write over with zeros; the four bytes before them are the box's type, and become another. */
export type Blank = { start: number; end: number; becomes: string | null }

/** A piece of a file: from `start` up to, and without, `end`. */
export type Range = { start: number; end: number }

export type Box = { type: string; data: number; end: number }

/** A box within another, with where it begins there. */
export type InnerBox = Box & { at: number }

/** The box at `at`, with where its data begin and it ends, counted from there; `left` is how much there is. */
export function boxAt(bytes: Buffer, at: number, left: number): Box {
  const type = bytes.toString('latin1', at + 4, at + 8)
  const size = bytes.readUInt32BE(at)
  const [data, end] =
    size === 0 ? [8, left] : size === 1 ? [16, Number(bytes.readBigUInt64BE(at + 8))] : [8, size]
  if (end < data || end > left) throw new Error(`a ${type} box beyond the end`)
  return { type, data, end }
}

/** The boxes that stand in these bytes one behind the other, from `from` on; all counted from the first byte. */
export function* boxesIn(bytes: Buffer, from = 0): Generator<InnerBox> {
  for (let at = from; at + 8 <= bytes.length; ) {
    const { type, data, end } = boxAt(bytes, at, bytes.length - at)
    yield { type, at, data: at + data, end: at + end }
    at += end
  }
}

/** What turns a box into room for nothing: its name goes as well as what it holds. */
export const freed = (start: number, end: number, data: number): Blank[] => [
  { start: start + 8, end: start + 8, becomes: 'free' },
  { start: data, end, becomes: null },
]

/** The pieces of `whole` that are in none of `kept`. */
export function gapsIn(whole: readonly Range[], kept: readonly Range[]): Range[] {
  const inOrder = kept.toSorted((a, b) => a.start - b.start)
  const gaps: Range[] = []
  let next = 0
  for (const { start, end } of whole.toSorted((a, b) => a.start - b.start)) {
    let at = start
    while (next < inOrder.length && inOrder[next]!.start < end) {
      const piece = inOrder[next]!
      if (piece.start > at) gaps.push({ start: at, end: piece.start })
      at = Math.max(at, piece.end)
      // It may reach into the next one.
      if (piece.end > end) break
      next++
    }
    if (at < end) gaps.push({ start: at, end })
  }
  return gaps
}

/** So many bytes of a file; rejects where there are not as many. */
export async function read(file: FileHandle, at: number, length: number): Promise<Buffer> {
  const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, at)
  if (bytesRead !== length) throw new Error('a file that ends too soon')
  return buffer
}

/** Whether there are only zeros. */
export async function isBlank(file: FileHandle, start: number, end: number): Promise<boolean> {
  for (let at = start; at < end; at += 65_536) {
    const piece = await read(file, at, Math.min(65_536, end - at))
    if (piece.some((byte) => byte !== 0)) return false
  }
  return true
}
