import { type Blank, boxesIn, boxAt, freed, type Range } from './iso-boxes.ts'
import { isRoom } from './strip-iso-movie.ts'

/*
 * The items of an AVIF: ISO/IEC 14496-12, sections 8.11.3 (iloc), 8.11.6 (iinf) and 8.11.12 (iref); ISO/IEC 23008-12,
 * sections 6 and 9. Pictures and metadata are items alike, listed in one box and located by another.
 */

const words = (text: string): ReadonlySet<string> => new Set(text.split(' '))

/** What lists items, and says how they belong together. */
const needed = words('hdlr pitm iloc iinf iref iprp idat grpl')
/** A picture, and what is put together of pictures: tiles, layers, one turned, one with a map of its brightest parts. */
const pictures = words('av01 grid iovl iden tmap')
const metadata = new Set(['Exif', 'mime', 'uri '])
/** Sizes, colours, brightness, which way is up, what is cut off, layers. */
const properties = words('ispe pixi colr av1C irot imir clap pasp auxC clli mdcv cclv amve rloc lsel a1op a1lx')
/** A tiled picture has an item for each tile. */
const maxItems = 100_000

type Items = {
  blanks: Blank[]
  /** Where the pictures' own bytes are. */
  kept: Range[]
  /** Where items stand that are within the box itself. */
  data: Range[]
}

/**
 * Reads the box `meta`, which stands at `offset` in the file. Kept is the picture that is shown, and whatever it is made
 * of. Throws where there is something of which nobody can say whether it is.
 */
export function readItems(meta: Buffer, offset: number): Items {
  const blanks: Blank[] = []
  const boxes = new Map<string, Buffer>()
  const data: Range[] = []
  for (const { type, at, data: start, end } of boxesIn(meta, boxAt(meta, 0, meta.length).data + 4)) {
    if (isRoom(type)) blanks.push({ start: offset + start, end: offset + end, becomes: null })
    else if (!needed.has(type)) blanks.push(...freed(offset + at, offset + end, offset + start))
    else {
      // Readers might choose differently.
      if (boxes.has(type)) throw new Error(`two ${type} boxes`)
      boxes.set(type, meta.subarray(start, end))
      if (type === 'idat') data.push({ start: offset + start, end: offset + end })
      if (type === 'hdlr') blanks.push({ start: offset + Math.min(start + 24, end), end: offset + end, becomes: null })
    }
  }
  const find = (name: string) => {
    const found = boxes.get(name)
    if (found === undefined) throw new Error(`a picture without ${name}`)
    return found
  }
  const place = (part: Buffer) => offset + part.byteOffset - meta.byteOffset
  blanks.push(...roomsIn(find('iprp'), place))
  const listed = listItems(find('iinf'))
  blanks.push(...listed.map(({ name }) => ({ start: place(name), end: place(name) + name.length, becomes: null })))
  const shown = shownItems(primaryOf(find('pitm')), listed, boxes.get('iref'))
  const kept = [...extentsOf(find('iloc'), shown)].map(({ method, start, length }) => {
    if (method > 1 || length === 0) throw new Error('an item that is not in the file itself')
    const from = method === 0 ? start : start + (data[0] ?? { start: Number.NaN }).start
    return { start: from, end: from + length }
  })
  return { blanks, kept, data }
}

/**
 * Where the last byte of the flags stands, in the box `meta`, of each item but the one that is shown; and what it is when
 * the item is hidden (ISO/IEC 23008-12, 6.4.2).
 */
export function placesOfOthers(meta: Buffer): { place: number; flags: number }[] {
  const boxes = [...boxesIn(meta, boxAt(meta, 0, meta.length).data + 4)]
  const contentOf = (name: string) => {
    const box = boxes.find(({ type }) => type === name)
    if (box === undefined) throw new Error(`a picture without ${name}`)
    return { start: box.data, content: meta.subarray(box.data, box.end) }
  }
  const primary = primaryOf(contentOf('pitm').content)
  const { start, content } = contentOf('iinf')
  return [...boxesIn(content, content[0] === 0 ? 6 : 8)].flatMap(({ data }) => {
    const id = content.readUInt8(data) > 2 ? content.readUInt32BE(data + 4) : content.readUInt16BE(data + 4)
    return id === primary ? [] : [{ place: start + data + 3, flags: content.readUInt8(data + 3) | 1 }]
  })
}

/** Properties are numbered, so that none can go; room among them is emptied. */
function roomsIn(iprp: Buffer, place: (part: Buffer) => number): Blank[] {
  const blanks: Blank[] = []
  for (const { type, data, end } of boxesIn(iprp)) {
    if (type === 'ipma') continue
    if (type !== 'ipco') throw new Error(`${type} among properties`)
    const all = iprp.subarray(data, end)
    for (const property of boxesIn(all)) {
      const content = all.subarray(property.data, property.end)
      if (isRoom(property.type)) blanks.push({ start: place(content), end: place(content) + content.length, becomes: null })
      else if (!properties.has(property.type)) throw new Error(`a property ${property.type}`)
    }
  }
  return blanks
}

type Item = { id: number; type: string; name: Buffer }

function listItems(info: Buffer): Item[] {
  const items = [...boxesIn(info, info[0] === 0 ? 6 : 8)].map(({ type: box, data, end }): Item => {
    const entry = info.subarray(data, end)
    const version = entry.readUInt8(0)
    // Versions 0 and 1 are of files without types, in which there are no pictures.
    if (box !== 'infe' || version < 2) throw new Error('an item without a type')
    const isWide = version > 2
    const id = isWide ? entry.readUInt32BE(4) : entry.readUInt16BE(4)
    const at = isWide ? 10 : 8
    const type = entry.toString('latin1', at, at + 4)
    if (!pictures.has(type) && !metadata.has(type)) throw new Error(`an item ${type}`)
    return { id, type, name: entry.subarray(at + 4) }
  })
  if (items.length > maxItems) throw new Error('too many items')
  return items
}

const primaryOf = (pitm: Buffer) => (pitm.readUInt8(0) === 0 ? pitm.readUInt16BE(4) : pitm.readUInt32BE(4))

/** The picture that is shown, those it is made of, and those that say what can be seen through, or how bright it is. */
function shownItems(primary: number, items: readonly Item[], iref: Buffer | undefined): ReadonlySet<number> {
  const types = new Map(items.map(({ id, type }) => [id, type]))
  const isPicture = (id: number) => pictures.has(types.get(id) ?? '')
  const leads = new Map<number, number[]>()
  const lead = (from: number, to: number) => {
    const others = leads.get(from)
    if (others === undefined) leads.set(from, [to])
    else others.push(to)
  }
  for (const { type, from, to } of iref === undefined ? [] : referencesOf(iref)) {
    for (const other of to) {
      if (type === 'dimg') lead(from, other)
      if (type === 'auxl' || (type === 'dimg' && types.get(from) === 'tmap')) lead(other, from)
    }
  }
  const shown = new Set<number>()
  const waiting = [primary]
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    if (shown.has(id) || !isPicture(id)) continue
    shown.add(id)
    for (const other of leads.get(id) ?? []) waiting.push(other)
  }
  if (!shown.has(primary)) throw new Error('a picture that is none')
  return shown
}

function* referencesOf(iref: Buffer) {
  const idBytes = iref.readUInt8(0) === 0 ? 2 : 4
  for (const { type, data } of boxesIn(iref, 4)) {
    const idAt = (nth: number) => iref.readUIntBE(data + 2 * Math.sign(nth) + nth * idBytes, idBytes)
    const count = iref.readUInt16BE(data + idBytes)
    yield { type, from: idAt(0), to: Array.from({ length: count }, (_, nth) => idAt(nth + 1)) }
  }
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
