import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp, { type Sharp, type SharpInput } from 'sharp'
import { rgbaToThumbHash } from 'thumbhash'
import type { FileWork, PictureWork } from './child.ts'
import { type Format, sniff } from './formats.ts'
import type { MediaFile, MediaResult } from './media.ts'
import { strip } from './strip.ts'
import { Unfit } from './unfit.ts'

/** Long sides, in pixels: a list, a message on a phone, a message on a large screen. */
const longSides = [160, 320, 1280]
/** An avatar, as large as any client shows it. */
const squareSide = 256
/** What a ThumbHash can be made of at most. */
const hashSide = 100
/**
 * Effort 2 of 6 takes a third of the time of sharp's 4, for files of the same size. AVIF at its effort 2 makes them an
 * eighth smaller in five times the time of WebP: not worth it while somebody waits for the picture.
 */
const webp = { quality: 78, effort: 2 }
const jpeg = { quality: 80 }
/** For an original that has to be encoded anew: nobody sees a difference. */
const recodings: Partial<Record<Format, (picture: Sharp) => Sharp>> = {
  jpeg: (picture) => picture.jpeg({ quality: 92, chromaSubsampling: '4:4:4' }),
  png: (picture) => picture.png(),
  webp: (picture) => picture.webp({ quality: 92, effort: 2 }),
  gif: (picture) => picture.gif(),
  avif: (picture) => picture.avif({ quality: 80, effort: 2 }),
}

/**
 * Readers other than these do not exist for us, whatever a file looks like: no SVG, no TIFF, no libvips' own format.
 */
const loaders = ['Jpeg', 'Png', 'Webp', 'Nsgif', 'Heif'].map((name) => `VipsForeignLoad${name}`)

/** One thread, nothing kept from one picture to the next, and no readers but those of the formats that are taken. */
export function prepareSharp(): void {
  sharp.concurrency(1)
  sharp.cache(false)
  sharp.block({ operation: ['VipsForeignLoad'] })
  // What has been decoded already is handed on as raw pixels.
  sharp.unblock({ operation: loaders })
}

/**
 * `error` takes what decoders can mend (a superfluous byte, a wrong checksum of a text) and refuses what ends before
 * its last row: a picture that is half grey is BROKEN. Frames after the first are not decoded.
 */
const openPicture = (input: SharpInput, maxPixels: number): Sharp =>
  sharp(input, { failOn: 'error', limitInputPixels: maxPixels, pages: 1 })

/** Makes thumbnails, a ThumbHash and a version without metadata of a picture. */
export async function readPicture(work: FileWork, format: Format, contentType: string): Promise<MediaResult> {
  const facts = await describe(work.path, work.maxPixels, work.outDir)
  const path = join(work.outDir, 'original')
  const isStripped = await strip(format, work.path, path).catch(async (error: NodeJS.ErrnoException) => {
    if (error.syscall !== undefined) throw error
    // It can be decoded, and yet is not built as it should be.
    await recode(work, format, path)
    return true
  })
  const original = isStripped ? { path, contentType } : null
  return { kind: 'ready', contentType, ...facts, durationMs: null, waveform: null, original }
}

async function recode(work: FileWork, format: Format, path: string): Promise<void> {
  const isAnimated = format === 'gif' || format === 'webp'
  const options = { failOn: 'error', limitInputPixels: work.maxPixels, animated: isAnimated } as const
  const picture = sharp(work.path, options).autoOrient()
  await writeFile(path, await recodings[format]!(picture).toBuffer())
}

export type PictureFacts = { width: number; height: number; placeholder: string; thumbnails: MediaFile[] }

/**
 * Decodes a picture, writes its thumbnails into `outDir` and says what it looks like, upright. Rejects with Unfit
 * (TOO_LARGE) or with whatever the decoder says.
 */
export async function describe(input: string, maxPixels: number, outDir: string): Promise<PictureFacts> {
  const { width, height } = await measure(openPicture(input, maxPixels), maxPixels)
  const most = Math.max(...longSides)
  // Everything is made of this one: the picture is decoded once.
  const base = await decode(openPicture(input, maxPixels).autoOrient().resize(fitting(most)))
  const thumbnails: MediaFile[] = []
  for (const side of longSides) {
    thumbnails.push(...(await write(base.open().resize(fitting(side)), join(outDir, `fit-${side}`))))
    if (side >= Math.max(width, height)) break
  }
  const side = Math.min(squareSide, width, height)
  // Of something very long and thin too little is left in the small version.
  const isEnough = Math.min(base.width, base.height) >= side
  const whole = isEnough ? base.open() : openPicture(input, maxPixels).autoOrient()
  thumbnails.push(...(await write(whole.resize(side, side, { fit: 'cover' }), join(outDir, `square-${side}`))))
  return { width, height, placeholder: await hash(base), thumbnails }
}

const fitting = (side: number) => ({ width: side, height: side, fit: 'inside', withoutEnlargement: true }) as const

async function measure(picture: Sharp, maxPixels: number): Promise<{ width: number; height: number }> {
  const { autoOrient } = await picture.metadata()
  const { width, height } = autoOrient
  if (width * height > maxPixels) throw new Unfit('TOO_LARGE', `${width} × ${height} pixels`)
  return { width, height }
}

type Decoded = { width: number; height: number; open(): Sharp }

/** The pixels, 8 bits each; sharp takes them to sRGB. */
async function decode(picture: Sharp): Promise<Decoded> {
  const pixels = picture.raw({ depth: 'uchar' })
  const { data, info } = await pixels.toBuffer({ resolveWithObject: true })
  const { width, height, channels } = info
  return { width, height, open: () => sharp(data, { raw: { width, height, channels } }) }
}

async function write(picture: Sharp, name: string): Promise<MediaFile[]> {
  const small = await decode(picture)
  // What is see-through lies on white, as most people's screens are.
  const onWhite = small.open().flatten({ background: '#fff' })
  const files = [
    { path: `${name}.webp`, contentType: 'image/webp', data: await small.open().webp(webp).toBuffer() },
    { path: `${name}.jpg`, contentType: 'image/jpeg', data: await onWhite.jpeg(jpeg).toBuffer() },
  ]
  for (const { path, data } of files) await writeFile(path, data)
  return files.map(({ path, contentType }) => ({ path, contentType, width: small.width, height: small.height }))
}

async function hash(base: Decoded): Promise<string> {
  const tiny = base.open().resize(fitting(hashSide)).toColourspace('srgb').ensureAlpha()
  const { data, info } = await tiny.raw().toBuffer({ resolveWithObject: true })
  return Buffer.from(rgbaToThumbHash(info.width, info.height, rgba(data, info.channels))).toString('base64')
}

/** Grey pixels as coloured ones. */
function rgba(data: Buffer, channels: number): Uint8Array {
  if (channels === 4) return data
  const pixels = new Uint8Array(data.length * 2)
  for (let from = 0, to = 0; from < data.length; from += 2, to += 4) {
    pixels.fill(data[from]!, to, to + 3)
    pixels[to + 3] = data[from + 1]!
  }
  return pixels
}

/** A picture that fits into a size, upright and without metadata, as WebP; null where it cannot be read. */
export async function makeSmallPicture({ bytes, width, height, maxPixels }: PictureWork) {
  try {
    const sniffed = await sniff(bytes)
    if (sniffed === null || !(sniffed.format in recodings)) return null
    await measure(openPicture(bytes, maxPixels), maxPixels)
    const small = openPicture(bytes, maxPixels)
      .autoOrient()
      .resize({ width, height, fit: 'inside', withoutEnlargement: true })
      .webp(webp)
    const { data, info } = await small.toBuffer({ resolveWithObject: true })
    return { data, width: info.width, height: info.height, contentType: 'image/webp' }
  } catch {
    // Nothing is written here, so it can only be the picture.
    return null
  }
}
