import type { FileHandle } from 'node:fs/promises'

/* Boxes, of which MP4, QuickTime and AVIF are made: ISO/IEC 14496-12, section 4.2. */

/** Bytes to write over with zeros; the four bytes before them are the box's type, and become another. */
export type Blank = { start: number; end: number; becomes: string | null }

export type Box = { type: string; data: number; end: number }

/** The box at `at`, with where its data begin and it ends, counted from there; `left` is how much there is. */
export function boxAt(bytes: Buffer, at: number, left: number): Box {
  const type = bytes.toString('latin1', at + 4, at + 8)
  const size = bytes.readUInt32BE(at)
  const [data, end] =
    size === 0 ? [8, left] : size === 1 ? [16, Number(bytes.readBigUInt64BE(at + 8))] : [8, size]
  if (end < data || end > left) throw new Error(`a ${type} box beyond the end`)
  return { type, data, end }
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
