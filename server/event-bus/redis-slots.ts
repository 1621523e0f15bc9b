import type { RedisAddress } from '../lib/redis-url.ts'

/** A Redis Cluster divides all names among its nodes by so many slots. */
export const slotCount = 16_384

/**
 * The slot of a key or channel: CRC16 (XMODEM: polynomial 0x1021, initial value 0) of its UTF-8 bytes, or of what
 * stands between its first `{` and the next `}` where that is anything.
 * https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#key-distribution-model
 */
export function slotOf(name: string): number {
  const open = name.indexOf('{')
  const close = open < 0 ? -1 : name.indexOf('}', open + 1)
  const hashed = close > open + 1 ? name.slice(open + 1, close) : name
  let crc = 0
  for (let place = 0; place < hashed.length; place++) {
    const code = hashed.charCodeAt(place)
    if (code > 127) return crcOf(Buffer.from(hashed)) % slotCount
    crc = ((crc << 8) & 0xffff) ^ crcTable[(crc >> 8) ^ code]!
  }
  return crc % slotCount
}

const crcTable = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8
  for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)
  return crc & 0xffff
})

const crcOf = (bytes: Uint8Array) =>
  bytes.reduce((crc, byte) => ((crc << 8) & 0xffff) ^ crcTable[(crc >> 8) ^ byte]!, 0)

/** Slots from `first` to `last`, both included, and the master that has them. */
export type SlotRange = { first: number; last: number; host: string; port: number }

/** Reads the answer to `CLUSTER SLOTS`. A node that does not know its own name is at the address that was asked. */
export function readSlots(answer: unknown, asked: Pick<RedisAddress, 'host'>): SlotRange[] {
  return (answer as [number, number, [string | null, number]][]).map(([first, last, [host, port]]) => ({
    first,
    last,
    host: host === null || host === '' || host === '?' ? asked.host : host,
    port,
  }))
}
