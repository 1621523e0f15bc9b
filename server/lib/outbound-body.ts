import { pipeline, Transform, type Duplex, type Readable } from 'node:stream'
import { constants, createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib'
import { OutboundError } from './outbound-addresses.ts'

/** What is asked for and understood. */
export const acceptEncoding = 'gzip, deflate, br, zstd'

/** Nobody has a reason to compress twice, let alone more often. */
const maxEncodings = 2

/** A body that is cut off is taken as far as it goes: the length says whether it was whole, where that is known. */
const decoders: Record<string, () => Duplex> = {
  gzip: () => createGunzip({ finishFlush: constants.Z_SYNC_FLUSH }),
  'x-gzip': () => createGunzip({ finishFlush: constants.Z_SYNC_FLUSH }),
  deflate: () => createInflate({ finishFlush: constants.Z_SYNC_FLUSH }),
  br: () => createBrotliDecompress({ finishFlush: constants.BROTLI_OPERATION_FLUSH }),
  zstd: () => createZstdDecompress({ finishFlush: constants.ZSTD_e_flush }),
}

export type BodyLimits = {
  /** Bytes, both as they come and after decompression. */
  maxBytes: number
  /** Keeps the first `maxBytes` of what is larger, rather than to fail. */
  cut?: boolean
  /** Asked with each piece, in order; true: no more is wanted, and the rest is not read. */
  enough?: (piece: Buffer) => boolean
}

/**
 * Reads a body to its end, decompressed as its headers say. Throws OutboundError: `too-large` beyond the limit, `failed`
 * for an encoding that is not known; and whatever the streams throw. The source is closed in any case.
 */
export async function readBody(source: Readable, headers: Headers, limits: BodyLimits): Promise<Buffer> {
  const pieces: Buffer[] = []
  let length = 0
  // Closing a body early is an error to it, which nobody else waits for.
  source.on('error', () => undefined)
  if (limits.cut !== true && Number(headers.get('content-length')) > limits.maxBytes) {
    source.destroy()
    throw tooLarge(limits.maxBytes)
  }
  // A break or a throw in here closes the whole line, to the socket.
  for await (const piece of decoded(source, headers.get('content-encoding') ?? '', limits.maxBytes)) {
    const room = limits.maxBytes - length
    if (piece.length > room && limits.cut !== true) throw tooLarge(limits.maxBytes)
    const kept = piece.subarray(0, room)
    pieces.push(kept)
    length += kept.length
    if (limits.enough?.(kept) === true || (limits.cut === true && length === limits.maxBytes)) break
  }
  return Buffer.concat(pieces, length)
}

function decoded(source: Readable, encodings: string, maxBytes: number): AsyncIterable<Buffer> {
  const names = encodings
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '' && name !== 'identity')
  if (names.length === 0) return source
  const steps = names.toReversed().map((name) => (Object.hasOwn(decoders, name) ? decoders[name] : undefined))
  if (names.length > maxEncodings || steps.includes(undefined)) {
    source.destroy()
    throw new OutboundError('failed', `The body is encoded as ${names.slice(0, maxEncodings + 1).join(', ')}.`)
  }
  // What comes is counted as well: a compressed body need not become anything, however long it is.
  let length = 0
  const counted = new Transform({
    transform(piece: Buffer, _, done) {
      length += piece.length
      done(length > maxBytes ? tooLarge(maxBytes) : null, piece)
    },
  })
  const streams = steps.map((make) => make!())
  // Who reads from the last one is told of every error.
  pipeline([source, counted, ...streams], () => undefined)
  return streams.at(-1)!
}

const tooLarge = (maxBytes: number) => new OutboundError('too-large', `The body is larger than ${maxBytes} bytes.`)
