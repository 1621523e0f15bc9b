import type { FileHandle } from 'node:fs/promises'
import { type Blank, boxAt, isBlank, read } from './iso-boxes.ts'
import { locateItems } from './strip-iso-items.ts'

/*
 * The box format of MP4, QuickTime and AVIF: ISO/IEC 14496-12, section 4 and 8. Boxes are looked at where they stand,
 * and never moved.
 */

/** Where all that tells of a film stands; a day of video has 50 MB of it. */
const maxMovieBytes = 64 * 1024 * 1024
/** Boxes within boxes; the deepest that is looked for is at the fourth level. */
const maxDepth = 8
/** A file has a few boxes at the top, one for each fragment of a recording. */
const maxBoxes = 100_000

/** Boxes that hold boxes in which there may be metadata. */
const containers = new Set(['moov', 'trak', 'mdia', 'minf', 'moof', 'traf'])
/** User data, tags and whatever vendors add. */
const told = new Set(['udta', 'uuid', 'meta'])
/** Boxes for what may once be there, or has been: nobody looks at what they hold, so anything can be left in them. */
const rooms = new Set(['free', 'skip', 'wide'])
/** Tracks that are seen and heard. Others are timed text and timed metadata: where the camera was, second by second. */
const shownTracks = new Set(['vide', 'soun', 'auxv'])

/**
 * Tells what has to be written over in an `mp4` (or QuickTime) or an `avif` so that no metadata is left. Rejects where
 * boxes overrun the file.
 */
export async function blanksInIso(file: FileHandle, format: 'mp4' | 'avif'): Promise<Blank[]> {
  const { size } = await file.stat()
  const blanks: Blank[] = []
  let at = 0
  for (let count = 0; at + 8 <= size; count++) {
    if (count > maxBoxes) throw new Error('too many boxes')
    const box = boxAt(await read(file, at, Math.min(16, size - at)), 0, size - at)
    const [start, end] = [at + box.data, at + box.end]
    if (box.type === 'moov' || box.type === 'moof') blanks.push(...blanksIn(await load(file, at, end), at))
    else if (box.type === 'meta' && format === 'avif') {
      blanks.push(...(await locateItems(await load(file, at, end), file, size)))
    } else if (told.has(box.type) || (rooms.has(box.type) && !(await isBlank(file, start, end)))) {
      blanks.push({ start: at + 8, end: at + 8, becomes: 'free' }, { start, end, becomes: null })
    }
    at = end
  }
  if (at !== size) throw new Error('a box that ends too soon')
  return blanks
}

async function load(file: FileHandle, start: number, end: number): Promise<Buffer> {
  if (end - start > maxMovieBytes) throw new Error('more about a film than fits into memory')
  return read(file, start, end - start)
}

/** The same within a box that has been read, which stands at `offset` in the file. */
function blanksIn(bytes: Buffer, offset: number, depth = 0): Blank[] {
  const { data } = boxAt(bytes, 0, bytes.length)
  const blanks: Blank[] = []
  for (let at = data; at + 8 <= bytes.length; ) {
    const box = boxAt(bytes, at, bytes.length - at)
    const inner = bytes.subarray(at, at + box.end)
    const content = inner.subarray(box.data)
    const isEmptyRoom = rooms.has(box.type) && content.every((byte) => byte === 0)
    const isTold = told.has(box.type) || (rooms.has(box.type) && !isEmptyRoom)
    if (isTold || (box.type === 'trak' && !isShown(inner))) {
      const start = offset + at + box.data
      blanks.push({ start: offset + at + 8, end: offset + at + 8, becomes: 'free' })
      blanks.push({ start, end: offset + at + box.end, becomes: null })
    } else if (containers.has(box.type) && depth < maxDepth) blanks.push(...blanksIn(inner, offset + at, depth + 1))
    at += box.end
  }
  return blanks
}

/** Whether a track is for the eye or the ear, by its handler. */
function isShown(trak: Buffer): boolean {
  const media = childOf(trak, 'mdia')
  const handler = media === null ? null : childOf(media, 'hdlr')
  // Its box's head, version and flags, and a type of QuickTime's come first.
  return handler !== null && shownTracks.has(handler.toString('latin1', 16, 20))
}

function childOf(bytes: Buffer, type: string): Buffer | null {
  for (let at = boxAt(bytes, 0, bytes.length).data; at + 8 <= bytes.length; ) {
    const box = boxAt(bytes, at, bytes.length - at)
    if (box.type === type) return bytes.subarray(at, at + box.end)
    at += box.end
  }
  return null
}
