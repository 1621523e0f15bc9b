import { type Blank, boxAt, boxesIn, freed, type InnerBox } from './iso-boxes.ts'

/* What tells of a film: ISO/IEC 14496-12, section 8, and Apple's QuickTime File Format. */

const words = (text: string): ReadonlySet<string> => new Set(text.split(' '))

/** What is needed to play a film, by what it stands in. User data, tags and whatever vendors add are not. */
const needed: Record<string, ReadonlySet<string>> = {
  moov: words('mvhd trak mvex'),
  trak: words('tkhd tapt edts tref mdia'),
  tapt: words('clef prof enof'),
  edts: words('elst'),
  mdia: words('mdhd hdlr elng minf'),
  minf: words('vmhd smhd nmhd hdlr dinf stbl'),
  dinf: words('dref'),
  stbl: words('stsd stts ctts cslg stss stps sdtp stsc stsz stz2 stco co64 sgpd sbgp subs saiz saio padb stdp stsh'),
  mvex: words('mehd trex leva'),
  moof: words('mfhd traf'),
  traf: words('tfhd tfdt trun sdtp sgpd sbgp subs saiz saio'),
  mfra: words('tfra mfro'),
}

/** Boxes for what may once be there, or has been: nobody looks at what they hold, so anything can be left in them. */
const rooms = words('free skip wide')
/** Tracks that are seen and heard. Others are timed text and timed metadata: where the camera was, second by second. */
const shownTracks = words('vide soun auxv pict')

export const isRoom = (type: string): boolean => rooms.has(type)

/** What has to be written over within a box of these, which stands at `offset` in the file. */
export function blanksInMovie(bytes: Buffer, offset: number): Blank[] {
  const outer = boxAt(bytes, 0, bytes.length)
  const inside = needed[outer.type]!
  const boxes = [...boxesIn(bytes, outer.data)]
  // Another form of it, such as a compressed one.
  if (outer.type === 'moov' && !boxes.some(({ type }) => type === 'mvhd')) throw new Error('a film without a head')
  return boxes.flatMap((box) => {
    const { type, at, data, end } = box
    if (isRoom(type)) return [{ start: offset + data, end: offset + end, becomes: null }]
    const isNeeded = inside.has(type) && (type !== 'trak' || isShown(bytes.subarray(at, end)))
    if (!isNeeded) return freed(offset + at, offset + end, offset + data)
    if (Object.hasOwn(needed, type)) return blanksInMovie(bytes.subarray(at, end), offset + at)
    return toldIn(bytes, box).map(({ start, end }) => ({ start: offset + start, end: offset + end, becomes: null }))
  })
}

/** What boxes that are needed tell besides: when a film was made, by which program, and from which file. */
function toldIn(bytes: Buffer, { type, data, end }: InnerBox): { start: number; end: number }[] {
  switch (type) {
    case 'mvhd':
    case 'tkhd':
    case 'mdhd': {
      // Behind the version: created and changed, each in four bytes or, in version 1, eight.
      const told = { start: data + 4, end: data + (bytes[data] === 0 ? 12 : 20) }
      if (told.end > end) throw new Error(`a ${type} box that ends too soon`)
      return [told]
    }
    case 'hdlr':
      return [{ start: Math.min(data + 24, end), end }]
    case 'dref':
      // Behind version and count: where the file is that holds the samples, of which this one is the only one.
      return [...boxesIn(bytes.subarray(0, end), data + 8)].map((entry) => ({
        start: Math.min(entry.data + 4, entry.end),
        end: entry.end,
      }))
    default:
      return []
  }
}

/** Whether a track is for the eye or the ear, by its handler. */
export function isShown(trak: Buffer): boolean {
  const handler = childOf(trak, 'mdia', 'hdlr')
  // Version and flags, and a type of QuickTime's come first.
  return handler !== null && shownTracks.has(handler.toString('latin1', 8, 12))
}

/** Whether a film has tracks that are neither. */
export const hasHiddenTracks = (moov: Buffer): boolean =>
  boxesIn(moov, boxAt(moov, 0, moov.length).data).some(
    ({ type, at, end }) => type === 'trak' && !isShown(moov.subarray(at, end)),
  )

/** What the box holds that is found in a box by these names, one within the other; null where there is none. */
export function childOf(bytes: Buffer, ...names: readonly string[]): Buffer | null {
  let inside = bytes
  for (const name of names) {
    const box = boxesIn(inside, boxAt(inside, 0, inside.length).data).find(({ type }) => type === name)
    if (box === undefined) return null
    inside = inside.subarray(box.at, box.end)
  }
  return inside.subarray(boxAt(inside, 0, inside.length).data)
}
