import { exifOf, orientationOf } from './orientation.ts'

/* JPEG, ITU-T T.81 annex B, and the segments of applications: JFIF, Exif, ICC profiles, Adobe. */

const startOfImage = 0xd8
const endOfImage = 0xd9
const startOfScan = 0xda
const app0 = 0xe0
const app1 = 0xe1
const app2 = 0xe2
const app14 = 0xee
const exifName = 'Exif\0\0'

/** Frames, tables and restart intervals: what a decoder works by. APPn, COM and whatever is reserved are not. */
const isOfDecoder = (marker: number) => (marker >= 0xc0 && marker <= 0xcf) || (marker >= 0xdb && marker <= 0xdf)

/**
 * The JPEG as it is, less what does not show: APPn segments but JFIF's density, colour profile, Adobe's transform and
 * the orientation; comments; whatever follows the end, such as further pictures, depth, or the video of a "motion
 * photo". Throws where its segments do not follow on each other. A JPEG whose pixels are known to be upright goes
 * without an orientation, whatever it says.
 */
export function withoutJpegMetadata(bytes: Buffer, { isUpright = false } = {}): Buffer {
  const kept: Buffer[] = [bytes.subarray(0, 2)]
  if (bytes.readUInt16BE(0) !== 0xff00 + startOfImage) throw new Error('no JPEG')
  let at = 2
  let orientation = 1
  // Which way is up comes after JFIF, which wants to be first.
  let orientationPlace = 1
  for (;;) {
    const { marker, start } = nextMarker(bytes, at)
    if (marker === endOfImage) {
      kept.push(bytes.subarray(start, start + 2))
      break
    }
    const end = start + 2 + bytes.readUInt16BE(start + 2)
    if (end > bytes.length || end < start + 4) throw new Error('a JPEG segment beyond the end')
    const segment = bytes.subarray(start, end)
    const name = (length: number) => segment.toString('latin1', 4, 4 + length)
    at = end
    if (marker === startOfScan) {
      at = endOfScan(bytes, end)
      kept.push(segment, bytes.subarray(end, at))
    } else if (marker === app0 && name(5) === 'JFIF\0' && segment.length >= 18 && kept.length === 1) {
      kept.push(withoutThumbnail(segment))
      orientationPlace = 2
    } else if (marker === app1 && name(6) === exifName && orientation === 1) {
      orientation = orientationOf(segment.subarray(10))
    } else if (isOfDecoder(marker) || (marker === app2 && name(12) === 'ICC_PROFILE\0')) {
      kept.push(segment)
    } else if (marker === app14 && name(5) === 'Adobe') {
      // Version, flags and transform; longer ones would hold something else.
      kept.push(segment.length === 16 ? segment : segmentOf(app14, segment.subarray(4, 16)))
    }
  }
  if (orientation !== 1 && !isUpright) {
    const exif = Buffer.concat([Buffer.from(exifName, 'latin1'), exifOf(orientation)])
    kept.splice(orientationPlace, 0, segmentOf(app1, exif))
  }
  return Buffer.concat(kept)
}

/** The marker at `at`, before which it may be padded with 0xff. */
function nextMarker(bytes: Buffer, at: number): { marker: number; start: number } {
  let start = at
  while (bytes[start] === 0xff && bytes[start + 1] === 0xff) start++
  const marker = bytes[start + 1]
  if (bytes[start] !== 0xff || marker === undefined || marker === 0) throw new Error('no JPEG marker where one belongs')
  return { marker, start }
}

/** Where a scan's coded pixels end: at the next marker that is neither an escaped 0xff nor a restart. */
function endOfScan(bytes: Buffer, from: number): number {
  for (let at = bytes.indexOf(0xff, from); at !== -1; at = bytes.indexOf(0xff, at + 1)) {
    const next = bytes[at + 1]
    if (next !== undefined && next !== 0 && next !== 0xff && !(next >= 0xd0 && next <= 0xd7)) return at
  }
  throw new Error('a JPEG scan without end')
}

function withoutThumbnail(jfif: Buffer): Buffer {
  if (jfif.length === 18 && jfif.readUInt16BE(16) === 0) return jfif
  return segmentOf(app0, Buffer.concat([jfif.subarray(4, 16), Buffer.alloc(2)]))
}

function segmentOf(marker: number, data: Buffer): Buffer {
  const head = Buffer.from([0xff, marker, 0, 0])
  head.writeUInt16BE(data.length + 2, 2)
  return Buffer.concat([head, data])
}
