import { readFileSync } from 'node:fs'
import sharp, { type Sharp } from 'sharp'
import { thumbHashToApproximateAspectRatio, thumbHashToAverageRGBA } from 'thumbhash'
import { afterAll, expect, test, vi } from 'vitest'
import { animation, drawing, latitudes, look, phonePicture, secret, upright } from './testing/pictures.ts'
import { ready, testProcessor } from './testing/processors.ts'

// Encoding large pictures to begin with takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000 })

const media = testProcessor()
afterAll(media.end)

const sizesOf = (thumbnails: { width: number; height: number; contentType: string }[]) =>
  thumbnails.map(({ width, height, contentType }) => `${width} × ${height} ${contentType.slice(6)}`)

/** Nothing of where it was taken, and by what. */
function expectNothingTold(path: string) {
  const bytes = readFileSync(path)
  for (const hidden of [...latitudes, Buffer.from(secret)]) expect(bytes.includes(hidden)).toBe(false)
}

const hasSamePixels = async (one: string, other: Buffer) =>
  (await sharp(one).raw().toBuffer()).equals(await sharp(other).raw().toBuffer())

test('a phone’s picture comes out upright, in all sizes, and without the place', async () => {
  const upload = await phonePicture(3000, 4000, (picture) => picture.jpeg())
  expect(upload.includes(secret) && latitudes.some((bytes) => upload.includes(bytes))).toBe(true)
  const result = ready(await media.read(upload, 'image/jpeg'))
  const facts = { contentType: 'image/jpeg', width: 3000, height: 4000, durationMs: null, waveform: null }
  expect(result).toMatchObject(facts)
  expect(sizesOf(result.thumbnails)).toEqual([
    '120 × 160 webp',
    '120 × 160 jpeg',
    '240 × 320 webp',
    '240 × 320 jpeg',
    '960 × 1280 webp',
    '960 × 1280 jpeg',
    '256 × 256 webp',
    '256 × 256 jpeg',
  ])
  for (const { path, width, height, contentType } of result.thumbnails) {
    const facts = await sharp(path).metadata()
    expect(facts).toMatchObject({ width, height, format: contentType.slice(6), space: 'srgb', hasAlpha: false })
    expect([facts.exif, facts.xmp, facts.iptc, facts.orientation]).toEqual([undefined, undefined, undefined, undefined])
    expect(await look(path)).toEqual(upright)
    expectNothingTold(path)
  }
  const { original } = result
  expect(original!.contentType).toBe('image/jpeg')
  expect((await sharp(original!.path).metadata()).orientation).toBe(6)
  expect(await look(original!.path)).toEqual(upright)
  expectNothingTold(original!.path)
  // Not encoded anew.
  expect(await hasSamePixels(original!.path, upload)).toBe(true)

  const hash = Buffer.from(result.placeholder!, 'base64')
  expect(thumbHashToApproximateAspectRatio(hash)).toBeCloseTo(3 / 4, 0)
  const { r, b } = thumbHashToAverageRGBA(hash)
  expect(r).toBeGreaterThan(0.6)
  expect(b).toBeGreaterThan(0.6)

  const again = ready(await media.read(readFileSync(original!.path), 'image/jpg'))
  expect(again).toMatchObject({ width: 3000, height: 4000, original: null, placeholder: result.placeholder })
})

test.each([
  ['png', (picture: Sharp) => picture.png()],
  ['webp', (picture: Sharp) => picture.webp()],
  ['webp', (picture: Sharp) => picture.webp({ lossless: true })],
  ['avif', (picture: Sharp) => picture.avif({ effort: 0 })],
  ['jpeg', (picture: Sharp) => picture.jpeg({ progressive: true })],
])('%s is stripped, too, and stays upright', async (format, encode) => {
  const upload = await phonePicture(300, 400, encode)
  expect(upload.includes(secret)).toBe(true)
  const result = ready(await media.read(upload, `image/${format}`))
  expect(result).toMatchObject({ contentType: `image/${format}`, width: 300, height: 400 })
  const largest = ['300 × 400 webp', '300 × 400 jpeg', '256 × 256 webp', '256 × 256 jpeg']
  expect(sizesOf(result.thumbnails).slice(-4)).toEqual(largest)
  for (const { path } of result.thumbnails) expect(await look(path)).toEqual(upright)
  expectNothingTold(result.original!.path)
  expect(await look(result.original!.path)).toEqual(upright)
  expect(await hasSamePixels(result.original!.path, upload)).toBe(true)
  const stripped = readFileSync(result.original!.path)
  expect(ready(await media.read(stripped, `image/${format}`)).original).toBe(null)
})

test('20 megapixels are nothing special', async () => {
  const upload = await drawing(5472, 3648).jpeg().toBuffer()
  const result = ready(await media.read(upload, 'image/jpeg'))
  expect(result).toMatchObject({ width: 5472, height: 3648, original: null })
  expect(result.thumbnails).toHaveLength(8)
})

test('an animation’s first frame is what is shown small; the animation goes on', async () => {
  const gif = await animation(400, 200)
  const upload = Buffer.concat([gif.subarray(0, -1), gifComment(secret), gif.subarray(-1)])
  const result = ready(await media.read(upload, 'image/gif'))
  expect(result).toMatchObject({ contentType: 'image/gif', width: 400, height: 200 })
  for (const { path } of result.thumbnails) {
    expect((await sharp(path).metadata()).pages ?? 1).toBe(1)
    expect(await look(path)).toEqual({ top: 'red', left: 'red', rest: 'red' })
  }
  expectNothingTold(result.original!.path)
  expect(await sharp(result.original!.path, { animated: true }).metadata()).toMatchObject({
    pages: 3,
    delay: [100, 200, 300],
    loop: 0,
  })
  expect(ready(await media.read(gif, 'image/gif')).original).toBe(null)

  const webp = await sharp(gif, { animated: true }).webp({ lossless: true }).withXmp(`<x>${secret}</x>`).toBuffer()
  const stripped = ready(await media.read(webp, 'image/webp')).original!
  expectNothingTold(stripped.path)
  expect(await sharp(stripped.path, { animated: true }).metadata()).toMatchObject({ pages: 3, delay: [100, 200, 300] })
})

function gifComment(text: string): Buffer {
  return Buffer.concat([Buffer.from([0x21, 0xfe, text.length]), Buffer.from(text), Buffer.from([0])])
}

test.each([
  ['a JPEG for printing', 'jpeg', () => drawing(600, 400).toColourspace('cmyk').jpeg({ quality: 95 })],
  ['a PNG of 16 bits', 'png', () => drawing(600, 400).toColourspace('rgb16').png()],
  ['a PNG with a palette', 'png', () => drawing(600, 400).png({ palette: true })],
  ['an interlaced PNG', 'png', () => drawing(600, 400).png({ progressive: true })],
  ['a picture in another colour space', 'jpeg', () => drawing(600, 400).withIccProfile('p3').jpeg({ quality: 95 })],
])('%s has the right colours', async (_, format, make) => {
  const result = ready(await media.read(await make().toBuffer(), `image/${format}`))
  expect(result).toMatchObject({ width: 600, height: 400, original: null })
  for (const { path } of result.thumbnails) {
    expect(await sharp(path).metadata()).toMatchObject({ space: 'srgb', depth: 'uchar' })
    expect(await look(path)).toEqual(upright)
  }
})

test.each([1, 2, 16])('grey pictures are grey, %i', async (kind) => {
  const grey = drawing(500, 300).toColourspace(kind === 16 ? 'grey16' : 'b-w')
  const upload = await (kind === 2 ? grey.ensureAlpha() : grey.removeAlpha()).png().toBuffer()
  const result = ready(await media.read(upload, 'image/png'))
  for (const { path } of result.thumbnails) expect((await look(path)).rest).toBe('white')
  const { r, g, b } = thumbHashToAverageRGBA(Buffer.from(result.placeholder!, 'base64'))
  expect(Math.max(r, g, b) - Math.min(r, g, b)).toBeLessThan(0.05)
})

test('what is see-through stays so in WebP, and lies on white in JPEG', async () => {
  const clear = { create: { width: 500, height: 500, channels: 4, background: '#0000' } } as const
  const result = ready(await media.read(await sharp(clear).png().toBuffer(), 'image/png'))
  for (const { path, contentType } of result.thumbnails) {
    if (contentType === 'image/jpeg') expect((await look(path)).rest).toBe('white')
    else expect((await look(path)).rest).toBe('136 136 136')
  }
})

test('nothing is enlarged, however small, long or thin', async () => {
  const sizes = async (width: number, height: number) => {
    const result = ready(await media.read(await drawing(width, height).png().toBuffer(), 'image/png'))
    return new Set(result.thumbnails.map((thumbnail) => `${thumbnail.width} × ${thumbnail.height}`))
  }
  expect(await sizes(1, 1)).toEqual(new Set(['1 × 1']))
  expect(await sizes(200, 100)).toEqual(new Set(['160 × 80', '200 × 100', '100 × 100']))
  expect(await sizes(6000, 300)).toEqual(new Set(['160 × 8', '320 × 16', '1280 × 64', '256 × 256']))
  expect(await sizes(1, 4000)).toEqual(new Set(['1 × 160', '1 × 320', '1 × 1280', '1 × 1']))
})

test('the square of a panorama is cut out of the whole, not out of its strip', async () => {
  // The edge is in the middle, and stays one.
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="6000" height="300"><rect width="3000" height="300"/>
    <rect x="3000" width="3000" height="300" fill="#fff"/></svg>`
  const result = ready(await media.read(await sharp(Buffer.from(svg)).png().toBuffer(), 'image/png'))
  const square = result.thumbnails.find(({ width, contentType }) => width === 256 && contentType === 'image/webp')!
  const { data, info } = await sharp(square.path).raw().toBuffer({ resolveWithObject: true })
  const redAt = (x: number) => data[(128 * info.width + x) * info.channels]!
  expect(redAt(127)).toBeLessThan(35)
  expect(redAt(128)).toBeGreaterThan(220)
})

test('a small picture of somebody else’s', async () => {
  const upload = await phonePicture(900, 1200, (picture) => picture.jpeg())
  const picture = (await media.makePicture(upload, { width: 400, height: 300 }))!
  expect(picture).toMatchObject({ width: 225, height: 300, contentType: 'image/webp' })
  expect(await look(picture.data)).toEqual(upright)
  expect(await sharp(picture.data).metadata()).toMatchObject({ width: 225, height: 300, format: 'webp' })
  expect((await sharp(picture.data).metadata()).exif).toBe(undefined)

  const small = (await media.makePicture(await drawing(30, 20).png().toBuffer(), { width: 400, height: 300 }))!
  expect(small).toMatchObject({ width: 30, height: 20 })
  const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
  const none = [Buffer.alloc(0), svg, upload.subarray(0, upload.length * 0.8)]
  for (const bytes of none) expect(await media.makePicture(bytes, { width: 400, height: 300 })).toBe(null)
})
