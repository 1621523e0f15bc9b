/** WebSocket frames (RFC 6455, section 5), as far as a client needs them that only counts. */

export const opcodes = { text: 0x1, close: 0x8, ping: 0x9, pong: 0xa } as const

/** A whole frame; its payload stands between two places of the bytes that were read. */
export type OnFrame = (opcode: number, data: Buffer, start: number, end: number) => void

/** Hands out every whole frame of `data`, and returns where the first that is not whole begins. */
export function readFrames(data: Buffer, onFrame: OnFrame): number {
  let at = 0
  for (;;) {
    if (data.length - at < 2) return at
    const short = data[at + 1]! & 0x7f
    let start = at + 2
    let length = short
    if (short === 126) {
      if (data.length - at < 4) return at
      length = data.readUInt16BE(at + 2)
      start = at + 4
    } else if (short === 127) {
      if (data.length - at < 10) return at
      length = Number(data.readBigUInt64BE(at + 2))
      start = at + 10
    }
    if (start + length > data.length) return at
    onFrame(data[at]! & 0x0f, data, start, start + length)
    at = start + length
  }
}

/** A frame from a client, which must be masked; a mask of zeros is one. */
export function maskedFrame(opcode: number, payload: Buffer): Buffer {
  const { length } = payload
  const header =
    length < 126 ? [0x80 | opcode, 0x80 | length] : [0x80 | opcode, 0x80 | 126, length >> 8, length & 0xff]
  if (length > 0xffff) throw new RangeError('A client of the benchmarks says nothing so long.')
  return Buffer.concat([Buffer.from([...header, 0, 0, 0, 0]), payload])
}
