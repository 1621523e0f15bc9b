import type { Answer, Frames } from '../fanout/group.ts'

/** Payloads up to this size are copied into each socket's own buffer; larger ones are shared by all. Bytes. */
const copiedUpTo = 16 * 1024

/** A final frame of text, as servers send it: RFC 6455, section 5.2. */
const textFrame = 0x81

const closingBrace = 0x7d

/**
 * The `next` messages of some answers as WebSocket frames, for whichever subscription wants them. The answers are
 * serialised already; all that differs between two sockets is the id in front. Those with the same id get the same
 * bytes.
 */
export function nextFrames(answers: readonly Answer[]): Frames {
  let lastId: string | null = null
  let last: readonly Buffer[] = []
  return {
    for(id) {
      if (id !== lastId) {
        last = encode(`{"id":${JSON.stringify(id)},"type":"next","payload":`, answers)
        lastId = id
      }
      return last
    },
  }
}

/** The frames of these payloads, one after the other, in as few pieces as may be. */
function encode(prefix: string, payloads: readonly Answer[]): readonly Buffer[] {
  const prefixBytes = Buffer.byteLength(prefix)
  let size = 0
  for (const payload of payloads) {
    const length = prefixBytes + payload.length + 1
    size += headerBytes(length) + prefixBytes + 1 + (payload.length > copiedUpTo ? 0 : payload.length)
  }
  const bytes = Buffer.allocUnsafe(size)
  const pieces: Buffer[] = []
  let at = 0
  let pieceFrom = 0
  for (const payload of payloads) {
    at = writeHeader(bytes, at, prefixBytes + payload.length + 1)
    at += bytes.write(prefix, at)
    if (payload.length <= copiedUpTo) at += payload.copy(bytes, at)
    else {
      pieces.push(bytes.subarray(pieceFrom, at), payload)
      pieceFrom = at
    }
    bytes[at++] = closingBrace
  }
  pieces.push(bytes.subarray(pieceFrom, at))
  return pieces
}

const headerBytes = (length: number) => (length < 126 ? 2 : length < 0x1_0000 ? 4 : 10)

/** Writes the header of an unmasked frame; returns where its payload begins. */
function writeHeader(bytes: Buffer, at: number, length: number): number {
  bytes[at] = textFrame
  if (length < 126) {
    bytes[at + 1] = length
    return at + 2
  }
  if (length < 0x1_0000) {
    bytes[at + 1] = 126
    return bytes.writeUInt16BE(length, at + 2)
  }
  bytes[at + 1] = 127
  bytes.writeUInt32BE(0, at + 2)
  return bytes.writeUInt32BE(length, at + 6)
}
