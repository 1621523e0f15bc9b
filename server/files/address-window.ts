import { LRUCache } from 'lru-cache'
import type { Download, SignedDownload } from './files.ts'

/** For how long everybody gets the same address. Milliseconds. */
export const windowMs = 3_600_000

/** How long an address is good from the beginning of its window: for an hour at least, whenever it was handed out. */
export const goodForMs = 2 * windowMs

/** About 700 bytes each. */
const maxAddresses = 20_000

/** The hour that a moment is in. Files have hours of their own, so that not all pictures of a screen are due at once. */
export function windowStart(key: string, now: number): number {
  const phase = phaseOf(key)
  return Math.floor((now - phase) / windowMs) * windowMs + phase
}

/** Any number that the key alone determines: FNV-1a. */
function phaseOf(key: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < key.length; index++) hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193)
  return (hash >>> 0) % windowMs
}

/**
 * Remembers addresses for the hour in which they are the same: pictures and faces are shown over and over. `sign` makes
 * one that begins at `startsAt`.
 */
export function createAddresses(
  sign: (download: Download, startsAt: Date, expiresAt: Date) => Promise<string>,
  now: () => number,
): (download: Download) => Promise<SignedDownload> {
  const known = new LRUCache<string, { start: number; address: Promise<SignedDownload> }>({ max: maxAddresses })
  return (download) => {
    const name = `${download.key} ${download.contentType} ${download.filename ?? ''}`
    const start = windowStart(download.key, now())
    const remembered = known.get(name)
    if (remembered?.start === start) return remembered.address
    const expiresAt = new Date(start + goodForMs)
    const address = sign(download, new Date(start), expiresAt).then((url) => ({ url, expiresAt }))
    known.set(name, { start, address })
    address.catch(() => known.delete(name))
    return address
  }
}
