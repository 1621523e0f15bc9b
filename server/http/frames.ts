import type { Answer, Frames } from '../fanout/live/group.ts'

/** Payloads up to this size are copied into each socket's own buffer; larger ones are shared by all. Bytes. */
const copiedUpTo = 16 * 1024

/** A final frame of text, as servers send it: RFC 6455, section 5.2. */
const textFrame = 0x81

const closingBrace = 0x7d

/** Where frames are made that are written at once: memory that is new for each of them costs more than to write them. */
const deskBytes = 64 * 1024
let desk = Buffer.allocUnsafeSlow(deskBytes)
/** Whose frames lie there. */
let onDesk: Frames | null = null

/** Lets frames stay as they are for longer: a socket has not taken all of them. */
export function keepFrames(pieces: readonly Buffer[]): void {
  if (pieces[0]?.buffer === desk.buffer) desk = Buffer.allocUnsafeSlow(deskBytes)
}

/**
 * The `next` messages of some answers as WebSocket frames, for whichever subscription wants them. The answers are
 * serialised already; all that differs between two sockets is the id in front. Those with the same id get the same
 * bytes.
 */
export function nextFrames(answers: readonly Answer[]): Frames {
  let lastId: string | null = null
  let isLastPassing = false
  let last: readonly Buffer[] = []
  const frames: Frames = {
    for(id, isPassing = false) {
      const isThere = id === lastId && (!isLastPassing || (isPassing && onDesk === frames))
      if (isThere) return last
      last = encode(`{"id":${JSON.stringify(id)},"type":"next","payload":`, answers, isPassing)
      lastId = id
      isLastPassing = last[0]!.buffer === desk.buffer
      if (isLastPassing) onDesk = frames
      return last
    },
  }
  return frames
}

/** The frames of these payloads, one after the other, in as few pieces as may be. */
function encode(prefix: string, payloads: readonly Answer[], isPassing: boolean): readonly Buffer[] {
  const prefixBytes = Buffer.byteLength(prefix)
  let size = 0
  for (const payload of payloads) {
    const length = prefixBytes + payload.length + 1
    size += headerBytes(length) + prefixBytes + 1 + (payload.length > copiedUpTo ? 0 : payload.length)
  }
  const bytes = isPassing && size <= deskBytes ? desk : Buffer.allocUnsafe(size)
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
