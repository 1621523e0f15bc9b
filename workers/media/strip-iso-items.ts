import type { FileHandle } from 'node:fs/promises'
import { type Blank, boxAt, isBlank } from './iso-boxes.ts'

/*
 * The items of an AVIF: ISO/IEC 14496-12, sections 8.11.3 (iloc) and 8.11.6 (iinf). Pictures and metadata are items
 * alike, listed in one box and located by another.
 */

const metadataTypes = new Set(['Exif', 'mime', 'uri '])
/** A tiled picture has an item for each tile. */
const maxItems = 100_000

/** Where a file's metadata items stand, but for those that are blank already. `meta` is the whole box. */
export async function locateItems(meta: Buffer, file: FileHandle, size: number): Promise<Blank[]> {
  const boxes = new Map<string, Buffer>()
  const start = boxAt(meta, 0, meta.length).data + 4
  for (let at = start; at + 8 <= meta.length; ) {
    const box = boxAt(meta, at, meta.length - at)
    boxes.set(box.type, meta.subarray(at + box.data, at + box.end))
    at += box.end
  }
  const info = boxes.get('iinf')
  const location = boxes.get('iloc')
  if (info === undefined || location === undefined) return []
  const ids = metadataIds(info)
  const blanks: Blank[] = []
  for (const extent of extentsOf(location, ids)) {
    // Within this box, or all of the file: seldom written, and not worth going after.
    if (extent.method !== 0 || extent.length === 0) throw new Error('an item that is not in the file itself')
    const end = extent.start + extent.length
    if (end > size) throw new Error('an item beyond the end')
    if (!(await isBlank(file, extent.start, end))) blanks.push({ start: extent.start, end, becomes: null })
  }
  return blanks
}

function metadataIds(info: Buffer): Set<number> {
  const version = info[0]!
  const ids = new Set<number>()
  for (let at = version === 0 ? 6 : 8; at + 8 <= info.length; ) {
    const box = boxAt(info, at, info.length - at)
    const entry = info.subarray(at + box.data, at + box.end)
    const entryVersion = entry.readUInt8(0)
    // Versions 0 and 1 are of files without types, in which there are no pictures.
    if (box.type !== 'infe' || entryVersion < 2) throw new Error('an item without a type')
    const isWide = entryVersion > 2
    const id = isWide ? entry.readUInt32BE(4) : entry.readUInt16BE(4)
    const type = entry.toString('latin1', isWide ? 10 : 8, isWide ? 14 : 12)
    if (metadataTypes.has(type)) ids.add(id)
    at += box.end
  }
  return ids
}

function* extentsOf(location: Buffer, ids: ReadonlySet<number>) {
  const version = location.readUInt8(0)
  let at = 4
  const take = (bytes: number) => {
    // At most 8 bytes, and no file has more than 2^53.
    const value = bytes === 0 ? 0 : bytes === 8 ? Number(location.readBigUInt64BE(at)) : location.readUIntBE(at, bytes)
    at += bytes
    return value
  }
  const sizes = take(2)
  const [offsetSize, lengthSize, baseSize] = [sizes >> 12, (sizes >> 8) & 15, (sizes >> 4) & 15] as const
  const indexSize = version === 0 ? 0 : sizes & 15
  const count = take(version === 2 ? 4 : 2)
  if (count > maxItems) throw new Error('too many items')
  for (let item = 0; item < count; item++) {
    const id = take(version === 2 ? 4 : 2)
    const method = version === 0 ? 0 : take(2) & 15
    take(2)
    const base = take(baseSize)
    const extents = take(2)
    for (let extent = 0; extent < extents; extent++) {
      take(indexSize)
      const start = base + take(offsetSize)
      const length = take(lengthSize)
      if (ids.has(id)) yield { method, start, length }
    }
  }
}
