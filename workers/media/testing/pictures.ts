import { deflateSync, crc32 } from 'node:zlib'
import sharp, { type Sharp } from 'sharp'

/** What is looked for in what comes out: the latitude as EXIF writes it, 37/1 33/1 7/1, in either byte order. */
export const latitudes = [littleEndian([37, 1, 33, 1, 7, 1]), bigEndian([37, 1, 33, 1, 7, 1])]

/** A word that is hidden wherever a format has room for words. */
export const secret = 'Gangnam-daero 396'

const exif = {
  IFD0: { Make: 'Phone', Model: secret, Copyright: secret },
  IFD3: { GPSLatitudeRef: 'N', GPSLatitude: '37/1 33/1 7/1', GPSLongitudeRef: 'E', GPSLongitude: '126/1 58/1 0/1' },
}

const xmp = `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
  xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
  xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="${secret}"/></rdf:RDF></x:xmpmeta>`

/** Upright, a picture has red along its top, and blue at the left below. */
export function drawing(width: number, height: number) {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">
    <rect width="100%" height="100%" fill="#fff"/>
    <rect width="100%" height="25%" fill="#f00"/>
    <rect y="25%" width="25%" height="75%" fill="#00f"/></svg>`
  return sharp(Buffer.from(svg), { limitInputPixels: false })
}

/** The drawing as a phone takes it that is held upright: on its side, with the orientation and the place in EXIF. */
export async function phonePicture(width: number, height: number, encode: (picture: Sharp) => Sharp) {
  const upright = await drawing(width, height).removeAlpha().raw().toBuffer({ resolveWithObject: true })
  const raw = { width: upright.info.width, height: upright.info.height, channels: 3 } as const
  const onItsSide = sharp(upright.data, { raw, limitInputPixels: false }).rotate(270)
  return encode(onItsSide).withMetadata({ orientation: 6 }).withExifMerge(exif).withXmp(xmp).toBuffer()
}

type Colour = 'red' | 'blue' | 'white' | string

/** Which colours are at the top, at the left and in the rest of a picture, as whoever heeds orientation sees it. */
export async function look(input: string | Buffer): Promise<{ top: Colour; left: Colour; rest: Colour }> {
  const picture = sharp(input).autoOrient().flatten({ background: '#888' }).toColourspace('srgb')
  const { data, info } = await picture.raw().toBuffer({ resolveWithObject: true })
  const at = (x: number, y: number) => {
    const pixel = (Math.floor(y * info.height) * info.width + Math.floor(x * info.width)) * info.channels
    return nameOf([...data.subarray(pixel, pixel + 3)])
  }
  return { top: at(0.5, 0.1), left: at(0.1, 0.6), rest: at(0.7, 0.7) }
}

function nameOf(pixel: number[]): Colour {
  const named: Record<string, number[]> = { red: [255, 0, 0], blue: [0, 0, 255], white: [255, 255, 255] }
  // Printing colours and a film's are not quite those of the screen.
  const isNear = (colour: number[]) => Math.hypot(...colour.map((value, nth) => value - pixel[nth]!)) < 150
  return Object.keys(named).find((name) => isNear(named[name]!)) ?? pixel.join(' ')
}

/** As `look` says it of the drawing. */
export const upright = { top: 'red', left: 'blue', rest: 'white' }

/** A PNG that says it has so many pixels, all of them black: a megabyte for a thousand megapixels. */
export function bomb(width: number, height: number): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  // 8 bits of grey.
  header.set([8, 0, 0, 0, 0], 8)
  const rows = Buffer.alloc((width + 1) * height)
  const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')
  const pixels = deflateSync(rows, { level: 1 })
  const chunks = [chunk('IHDR', header), chunk('IDAT', pixels), chunk('IEND', Buffer.alloc(0))]
  return Buffer.concat([signature, ...chunks])
}

/** A chunk of a PNG. */
export function chunk(type: string, data: Buffer): Buffer {
  const bytes = Buffer.alloc(data.length + 12)
  bytes.writeUInt32BE(data.length, 0)
  bytes.write(type, 4, 'latin1')
  data.copy(bytes, 8)
  bytes.writeUInt32BE(crc32(bytes.subarray(4, 8 + data.length)), 8 + data.length)
  return bytes
}

/** A GIF of three frames, which runs for ever. */
export async function animation(width: number, height: number): Promise<Buffer> {
  const frames = ['#f00', '#0f0', '#00f'].map((background) =>
    sharp({ create: { width, height, channels: 3, background } }).png().toBuffer(),
  )
  const film = sharp(await Promise.all(frames), { join: { animated: true } })
  return film.gif({ delay: [100, 200, 300], loop: 0 }).toBuffer()
}

function littleEndian(numbers: number[]): Buffer {
  const bytes = Buffer.alloc(numbers.length * 4)
  for (const [nth, number] of numbers.entries()) bytes.writeUInt32LE(number, nth * 4)
  return bytes
}

function bigEndian(numbers: number[]): Buffer {
  return littleEndian(numbers).swap32().subarray(0, numbers.length * 4)
}
