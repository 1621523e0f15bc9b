/* GIF 89a, sections 17 to 27. */

const extension = 0x21
const image = 0x2c
const trailer = 0x3b
const graphicControl = 0xf9
const application = 0xff

/** They say how often the animation runs. */
const looping = new Set(['NETSCAPE2.0', 'ANIMEXTS1.0'])

/**
 * The GIF as it is, less comments, plain text and the data of applications, such as XMP. Throws where it does not end;
 * a missing trailer alone is put right, as many programs leave it out.
 */
export function withoutGifMetadata(bytes: Buffer): Buffer {
  const kept: Buffer[] = []
  // Signature and screen, and the colours of all frames where there are such.
  let at = 13 + colourBytes(bytes[10]!)
  kept.push(bytes.subarray(0, at))
  while (at < bytes.length && bytes[at] !== trailer) {
    const start = at
    if (bytes[at] === image) {
      at = endOfBlocks(bytes, at + 10 + colourBytes(bytes.readUInt8(at + 9)) + 1)
      kept.push(bytes.subarray(start, at))
    } else if (bytes[at] === extension) {
      const label = bytes.readUInt8(at + 1)
      at = endOfBlocks(bytes, at + 2)
      const loops = label === application && looping.has(bytes.toString('latin1', start + 3, start + 14))
      // Such an extension is 19 bytes; a longer one tells more than a number.
      if (label === graphicControl || (loops && at - start === 19)) kept.push(bytes.subarray(start, at))
    } else throw new Error('no GIF block where one belongs')
  }
  kept.push(Buffer.from([trailer]))
  return Buffer.concat(kept)
}

/** How long a colour table is, by the flags before it. */
const colourBytes = (flags: number) => ((flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 7) + 1))

/** Where the blocks that begin at `from`, each behind its length, come to their end: a block of none. */
function endOfBlocks(bytes: Buffer, from: number): number {
  let at = from
  for (let length = bytes.readUInt8(at); length !== 0; length = bytes.readUInt8(at)) at += length + 1
  return at + 1
}
