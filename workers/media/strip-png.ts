import { crc32 } from 'node:zlib'
import { exifOf, orientationOf } from './orientation.ts'

/* PNG, third edition, sections 5 and 11. */

const signatureBytes = 8

/**
 * Pixels, colours, transparency, density and animation. Text, times, hints and whatever applications add are not here.
 */
const shown = new Set(
  'IHDR PLTE IDAT IEND tRNS bKGD pHYs cHRM gAMA iCCP sBIT sRGB cICP mDCV cLLI acTL fcTL fdAT'.split(' '),
)

/** The PNG as it is, less chunks that do not show; of EXIF the orientation stays. Throws where it does not end. */
export function withoutPngMetadata(bytes: Buffer): Buffer {
  const kept: Buffer[] = [bytes.subarray(0, signatureBytes)]
  let hasOrientation = false
  for (let at = signatureBytes; ; ) {
    const length = bytes.readUInt32BE(at)
    const type = bytes.toString('latin1', at + 4, at + 8)
    const end = at + 12 + length
    if (end > bytes.length) throw new Error('a PNG chunk beyond the end')
    if (shown.has(type)) kept.push(bytes.subarray(at, end))
    else if (type === 'eXIf' && !hasOrientation) {
      const orientation = orientationOf(bytes.subarray(at + 8, at + 8 + length))
      if (orientation !== 1) kept.push(chunkOf('eXIf', exifOf(orientation)))
      hasOrientation = true
    }
    if (type === 'IEND') return Buffer.concat(kept)
    at = end
  }
}

function chunkOf(type: string, data: Buffer): Buffer {
  const chunk = Buffer.alloc(data.length + 12)
  chunk.writeUInt32BE(data.length, 0)
  chunk.write(type, 4, 'latin1')
  data.copy(chunk, 8)
  chunk.writeUInt32BE(crc32(chunk.subarray(4, 8 + data.length)), 8 + data.length)
  return chunk
}
