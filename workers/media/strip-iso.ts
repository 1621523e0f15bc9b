import type { FileHandle } from 'node:fs/promises'
import { type Blank, boxAt, type Box, freed, gapsIn, isBlank, type Range, read } from './iso-boxes.ts'
import { readItems } from './strip-iso-items.ts'
import { blanksInMovie, hasHiddenTracks, isRoom } from './strip-iso-movie.ts'
import { type Chunk, chunksIn, rangesOf } from './strip-iso-samples.ts'
import { Unfit } from './unfit.ts'

/*
 * The box format of MP4, QuickTime and AVIF: ISO/IEC 14496-12, section 4 and 8. Boxes are looked at where they stand,
 * and never moved. What is known to be played or shown is kept, wherever it stands; all else is written over.
 */

/** Where all that tells of a film stands; a day of video has 50 MB of it. */
const maxMovieBytes = 64 * 1024 * 1024
/** A file has a few boxes at the top, one for each fragment of a recording. */
const maxBoxes = 100_000

/** What a film is of, at the top. */
const ofFilm = new Set(['ftyp', 'styp', 'moov', 'moof', 'mfra', 'mdat', 'sidx', 'ssix', 'pdin'])
/** The same of a picture; one that moves is a film beside that. */
const ofPicture = new Set(['ftyp', 'meta', 'mdat'])
const ofMovingPicture = new Set([...ofPicture, 'moov'])

type TopBox = Box & { at: number }

/**
 * Tells what has to be written over in an `mp4` (or QuickTime) or an `avif` so that no metadata is left. Rejects where
 * boxes overrun the file, and where something is found that nobody can say of whether it belongs to the picture.
 */
export async function blanksInIso(file: FileHandle, format: 'mp4' | 'avif'): Promise<Blank[]> {
  const { size } = await file.stat()
  const boxes = await topBoxes(file, size)
  const known = format === 'mp4' ? ofFilm : (await isMoving(file, boxes)) ? ofMovingPicture : ofPicture
  const media: Range[] = boxes.filter(({ type }) => type === 'mdat').map(({ data, end }) => ({ start: data, end }))
  const kept: Range[] = []
  const chunks: Chunk[] = []
  const blanks: Blank[] = []
  if (format === 'mp4' && !boxes.some(({ type }) => type === 'moov')) throw new Error('a film without a table of contents')
  let hasFragments = false
  let hasHidden = false
  let hasItems = false
  for (const { type, at, data, end } of boxes) {
    if (isRoom(type)) blanks.push({ start: data, end, becomes: null })
    else if (!known.has(type)) blanks.push(...freed(at, end, data))
    else if (type === 'moov' || type === 'moof' || type === 'mfra') {
      const bytes = await load(file, at, end)
      blanks.push(...blanksInMovie(bytes, at))
      if (type === 'moov') {
        chunks.push(...chunksIn(bytes))
        hasHidden ||= hasHiddenTracks(bytes)
      }
      hasFragments ||= type === 'moof'
    } else if (type === 'meta') {
      if (hasItems) throw new Error('two lists of what is in a picture')
      hasItems = true
      const items = readItems(await load(file, at, end), at)
      blanks.push(...items.blanks)
      kept.push(...items.kept)
      media.push(...items.data)
    }
  }
  if (kept.some((piece) => !media.some(({ start, end }) => start <= piece.start && piece.end <= end))) {
    throw new Error('an item where nothing is kept')
  }
  kept.push(...rangesOf(chunks, size))
  // What stands between, and what tracks of text and data point to, is played by nobody.
  if (!hasFragments) blanks.push(...gapsIn(media, kept).map((gap) => ({ ...gap, becomes: null })))
  else if (hasHidden) throw new Unfit('UNSUPPORTED', 'a film in pieces with tracks of data')
  const needed: Blank[] = []
  for (const blank of blanks) {
    if (blank.becomes !== null || !(await isBlank(file, blank.start, blank.end))) needed.push(blank)
  }
  return needed
}

async function topBoxes(file: FileHandle, size: number): Promise<TopBox[]> {
  const boxes: TopBox[] = []
  let at = 0
  while (at + 8 <= size) {
    if (boxes.length > maxBoxes) throw new Error('too many boxes')
    const { type, data, end } = boxAt(await read(file, at, Math.min(16, size - at)), 0, size - at)
    boxes.push({ type, at, data: at + data, end: at + end })
    at += end
  }
  if (at !== size) throw new Error('a box that ends too soon')
  return boxes
}

/** Whether an AVIF calls itself a sequence of pictures. */
async function isMoving(file: FileHandle, boxes: readonly TopBox[]): Promise<boolean> {
  const [first] = boxes
  if (first?.type !== 'ftyp') throw new Error('a file without a type')
  const brands = await read(file, first.data, Math.min(first.end - first.data, 1_024))
  for (let at = 0; at + 4 <= brands.length; at += 4) if (brands.toString('latin1', at, at + 4) === 'avis') return true
  return false
}

async function load(file: FileHandle, start: number, end: number): Promise<Buffer> {
  if (end - start > maxMovieBytes) throw new Error('more about a film than fits into memory')
  return read(file, start, end - start)
}
