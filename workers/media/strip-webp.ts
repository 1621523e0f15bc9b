import { exifOf, orientationOf } from './orientation.ts'

/* WebP's container, RFC 9649, section 2. */

const shown = new Set(['VP8 ', 'VP8L', 'VP8X', 'ALPH', 'ANIM', 'ANMF', 'ICCP'])
const shownInFrame = new Set(['VP8 ', 'VP8L', 'ALPH'])
const frameHeaderBytes = 16
const exifFlag = 0x08
const xmpFlag = 0x04

/**
 * The WebP as it is, less EXIF but for the orientation, XMP and unknown chunks. Throws where chunks overrun the end.
 */
export function withoutWebpMetadata(bytes: Buffer): Buffer {
  const size = bytes.readUInt32LE(4)
  const end = 8 + size
  if (end > bytes.length) throw new Error('a WebP that ends too soon')
  const kept: Buffer[] = []
  let orientation = 1
  for (const { type, chunk, data } of chunksOf(bytes.subarray(12, end))) {
    if (type === 'EXIF' && orientation === 1) orientation = orientationOf(withoutName(data))
    else if (type === 'ANMF') kept.push(frameOf(data))
    else if (shown.has(type)) kept.push(chunk)
  }
  const extended = kept.findIndex((chunk) => chunk.toString('latin1', 0, 4) === 'VP8X')
  if (extended !== -1) {
    const header = Buffer.from(kept[extended]!)
    header[8] = (header[8]! & ~(exifFlag | xmpFlag)) | (orientation === 1 ? 0 : exifFlag)
    kept[extended] = header
    if (orientation !== 1) kept.push(chunkOf('EXIF', exifOf(orientation)))
  }
  const body = Buffer.concat(kept)
  const head = Buffer.from(bytes.subarray(0, 12))
  head.writeUInt32LE(body.length + 4, 4)
  return Buffer.concat([head, body])
}

/** Some writers put JPEG's name before the data. */
const withoutName = (exif: Buffer) => (exif.toString('latin1', 0, 6) === 'Exif\0\0' ? exif.subarray(6) : exif)

function frameOf(data: Buffer): Buffer {
  const parts = [...chunksOf(data.subarray(frameHeaderBytes))].filter(({ type }) => shownInFrame.has(type))
  return chunkOf('ANMF', Buffer.concat([data.subarray(0, frameHeaderBytes), ...parts.map(({ chunk }) => chunk)]))
}

function* chunksOf(bytes: Buffer): Generator<{ type: string; chunk: Buffer; data: Buffer }> {
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32LE(at + 4)
    // Chunks begin at even bytes; the last one's padding is often left out.
    const end = at + 8 + length
    if (end > bytes.length) throw new Error('a WebP chunk beyond the end')
    const padded = end + (length % 2)
    const type = bytes.toString('latin1', at, at + 4)
    yield { type, chunk: bytes.subarray(at, padded), data: bytes.subarray(at + 8, end) }
    at = padded
  }
}

function chunkOf(type: string, data: Buffer): Buffer {
  const chunk = Buffer.alloc(8 + data.length + (data.length % 2))
  chunk.write(type, 'latin1')
  chunk.writeUInt32LE(data.length, 4)
  data.copy(chunk, 8)
  return chunk
}
