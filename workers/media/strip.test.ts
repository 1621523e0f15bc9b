import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createRandom } from '../../server/testing/random.ts'
import type { Format } from './formats.ts'
import { exifOf, orientationOf } from './orientation.ts'
import { strip } from './strip.ts'
import { animation, chunk, drawing, phonePicture, secret } from './testing/pictures.ts'

const folder = mkdtempSync(join(tmpdir(), 'maru-test-strip-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** The bytes without metadata; null where there was none. */
async function stripped(format: Format, bytes: Uint8Array): Promise<Buffer | null> {
  const [from, to] = [join(folder, 'from'), join(folder, 'to')]
  writeFileSync(from, bytes)
  return (await strip(format, from, to)) ? readFileSync(to) : null
}

let jpeg: Buffer
let png: Buffer
let webp: Buffer
let gif: Buffer
let avif: Buffer
beforeAll(async () => {
  jpeg = await drawing(64, 48).jpeg().toBuffer()
  png = await drawing(64, 48).png().toBuffer()
  webp = await drawing(64, 48).withExif({ IFD0: { Copyright: 'x' } }).webp().toBuffer()
  gif = await animation(64, 48)
  avif = await phonePicture(64, 48, (picture) => picture.avif({ effort: 0 }))
})

const told = Buffer.from(secret)

const segment = (marker: number, data: Buffer) =>
  Buffer.concat([Buffer.from([0xff, marker, (data.length + 2) >> 8, (data.length + 2) & 255]), data])

test.each<[string, number, string]>([
  ['a comment', 0xfe, ''],
  ['EXIF', 0xe1, 'Exif\0\0II*\0'],
  ['XMP', 0xe1, 'http://ns.adobe.com/xap/1.0/\0'],
  ['IPTC', 0xed, 'Photoshop 3.0\0'],
  ['a list of further pictures', 0xe2, 'MPF\0'],
  ['something of a vendor’s', 0xe7, 'Vendor\0'],
  ['what is reserved', 0xf5, ''],
])('%s goes from a JPEG', async (_, marker, name) => {
  const data = Buffer.concat([Buffer.from(name, 'latin1'), told])
  const upload = Buffer.concat([jpeg.subarray(0, 2), segment(marker, data), jpeg.subarray(2)])
  const clean = await stripped('jpeg', upload)
  expect(clean!.equals(jpeg)).toBe(true)
})

test('what is behind the end goes', async () => {
  const behind = (bytes: Buffer) => Buffer.concat([bytes, told])
  expect((await stripped('jpeg', behind(jpeg)))!.equals(jpeg)).toBe(true)
  expect((await stripped('png', behind(png)))!.equals(png)).toBe(true)
  expect((await stripped('gif', behind(gif)))!.equals(gif)).toBe(true)
  const clean = (await stripped('webp', webp))!
  expect((await stripped('webp', behind(clean)))!.equals(clean)).toBe(true)
})

test('what is not known goes from a PNG', async () => {
  for (const type of ['tEXt', 'zTXt', 'iTXt', 'tIME', 'eXIf', 'prVt', 'caBX']) {
    const upload = Buffer.concat([png.subarray(0, 33), chunk(type, told), png.subarray(33)])
    expect((await stripped('png', upload))!.equals(png)).toBe(true)
  }
})

test('a file without metadata is left alone', async () => {
  expect(await stripped('jpeg', jpeg)).toBe(null)
  expect(await stripped('png', png)).toBe(null)
  expect(await stripped('gif', gif)).toBe(null)
  expect(await stripped('webp', (await stripped('webp', webp))!)).toBe(null)
  const clean = (await stripped('avif', avif))!
  expect(clean.length).toBe(avif.length)
  expect(clean.includes(told)).toBe(false)
  expect(await stripped('avif', clean)).toBe(null)
})

test('all that is left of EXIF is which way is up', async () => {
  const upload = await phonePicture(64, 48, (picture) => picture.jpeg())
  const clean = (await stripped('jpeg', upload))!
  const { exif, icc } = await sharp(clean).metadata()
  expect(exif!.subarray(6).equals(exifOf(6))).toBe(true)
  // Colours are part of the picture.
  expect(icc).toEqual((await sharp(upload).metadata()).icc)
})

test('an orientation is found in either byte order, and nowhere else', () => {
  for (const orientation of [1, 3, 6, 8]) {
    expect(orientationOf(exifOf(orientation))).toBe(orientation)
    const little = Buffer.from(`49492a0008000000010012010300010000000${orientation}00000000000000`, 'hex')
    expect(orientationOf(little)).toBe(orientation)
  }
  const tooLarge = '4d4d002a00000008ffff0112000300000001000900000000'
  for (const hex of ['', '4d4d', '4d4d002a000000080001', '4d4d002affffffff', tooLarge]) {
    expect(orientationOf(Buffer.from(hex, 'hex'))).toBe(1)
  }
})

test('no bytes take for ever, or more than they should', async () => {
  const random = createRandom(7)
  const uploads: [Format, Buffer][] = [
    ['jpeg', await phonePicture(64, 48, (picture) => picture.jpeg({ progressive: true }))],
    ['png', await phonePicture(64, 48, (picture) => picture.png())],
    ['webp', webp],
    ['gif', gif],
    ['avif', avif],
  ]
  let refused = 0
  let taken = 0
  for (let nth = 0; nth < 1_500; nth++) {
    const [format, whole] = random.pick(uploads)
    const bytes = Buffer.from(whole.subarray(0, random.below(4) === 0 ? random.below(whole.length) : whole.length))
    for (let flip = random.below(4); flip >= 0; flip--) {
      if (bytes.length > 0) bytes[random.below(bytes.length)] = random.below(256)
    }
    try {
      const clean = await stripped(format, bytes)
      // An orientation and a missing end are all that may be added.
      if (clean !== null) expect(clean.length).toBeLessThanOrEqual(bytes.length + 64)
      taken++
    } catch (error) {
      expect(error).toBeInstanceOf(Error)
      refused++
    }
  }
  expect(refused).toBeGreaterThan(100)
  expect(taken).toBeGreaterThan(100)
})
