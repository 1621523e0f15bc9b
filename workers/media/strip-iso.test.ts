import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { boxAt, boxesIn, gapsIn } from './iso-boxes.ts'
import { strip } from './strip.ts'
import { findOrInstall } from './testing/ffmpeg.ts'
import { drawing, look, phonePicture, secret, upright } from './testing/pictures.ts'
import { ready, reasonOf, testProcessor } from './testing/processors.ts'

// The first run may have to install programs.
vi.setConfig({ hookTimeout: 300_000, testTimeout: 60_000 })

const ffmpeg = findOrInstall('ffmpeg')
const alone = testProcessor({ ffmpeg: null, heifConvert: null })
afterAll(() => alone.end())

const place = '+37.5519+126.9918/'
const told = Buffer.from(place + secret)
const file = (name: string) => join(alone.folder, name)

/** A box of that type. */
function box(type: string, ...data: Buffer[]): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt32BE(8 + Buffer.concat(data).length)
  head.write(type, 4, 'latin1')
  return Buffer.concat([head, ...data])
}

let still: Buffer
let film: Buffer
beforeAll(async () => {
  mkdirSync(alone.folder, { recursive: true })
  still = await phonePicture(60, 80, (picture) => picture.avif({ effort: 0 }))
  await drawing(64, 48).removeAlpha().png().toFile(file('frame.png'))
  const picture = ['-loop', '1', '-framerate', '10', '-t', '1', '-i', file('frame.png')]
  const sound = ['-f', 'lavfi', '-i', 'sine=duration=1']
  const codes = ['-c:v', 'libx264', '-pix_fmt', 'yuv420p', '-c:a', 'aac']
  const tells = ['-metadata', 'creation_time=2024-05-06T07:08:09Z', '-metadata:s:v', `handler_name=${secret}`]
  execFileSync(ffmpeg, ['-v', 'error', ...picture, ...sound, ...codes, ...tells, '-y', file('film.mp4')])
  film = readFileSync(file('film.mp4'))
})

/** What is served of an upload. */
async function served(upload: Buffer, contentType: string): Promise<Buffer> {
  const { original } = ready(await alone.read(upload, contentType))
  return original === null ? upload : readFileSync(original.path)
}

test.each([
  // Android's "motion photo": the film of the seconds before, with a place of its own.
  ['mpvd', box('mpvd', box('moov', box('udta', box('\u00a9xyz', told))))],
  ['Exif', box('Exif', told)],
  ['gps ', box('gps ', told)],
  ['free', box('free', told)],
  ['mdat', box('mdat', told)],
])('what follows an AVIF in a box %s goes', async (_, extra) => {
  const shown = await served(Buffer.concat([still, extra]), 'image/avif')
  expect(shown.includes(place) || shown.includes(secret)).toBe(false)
  expect(await look(shown)).toEqual(upright)
  // Nothing was encoded anew.
  expect(shown.length).toBe(still.length + extra.length)
})

/** An AVIF with more in the box that tells of it; what is listed there moves as far. */
function withMore(avif: Buffer, extra: Buffer, inside: readonly string[], renamed?: [from: string, to: string]): Buffer {
  const bytes = Buffer.from(avif)
  if (renamed !== undefined) bytes.write(renamed[1], bytes.indexOf(renamed[0]), 'latin1')
  let end = bytes.length
  let from = 0
  for (const [nth, name] of inside.entries()) {
    const found = boxesIn(bytes.subarray(0, end), from).find(({ type }) => type === name)!
    bytes.writeUInt32BE(found.end - found.at + extra.length, found.at)
    end = found.end
    from = found.data + (nth === 0 ? 4 : 0)
  }
  const iloc = bytes.indexOf('iloc') + 4
  // Sharp writes version 0, with offsets of four bytes and an extent for each item.
  const count = bytes.readUInt16BE(iloc + 6)
  const sizes = bytes.readUInt16BE(iloc + 4)
  expect([bytes[iloc], sizes]).toEqual([0, 0x4440])
  for (let item = 0; item < count; item++) {
    const base = iloc + 8 + item * 18 + 4
    bytes.writeUInt32BE(bytes.readUInt32BE(base) + extra.length, base)
  }
  return Buffer.concat([bytes.subarray(0, end), extra, bytes.subarray(end)])
}

test('user data within what tells of an AVIF goes', async () => {
  const upload = withMore(still, box('udta', told), ['meta'])
  expect(await look(upload)).toEqual(upright)
  const shown = await served(upload, 'image/avif')
  expect(shown.includes(place) || shown.includes(secret)).toBe(false)
  expect(shown.length).toBe(upload.length)
})

test.each([
  ['a property that describes it', (avif: Buffer) => withMore(avif, box('udes', told), ['meta', 'iprp', 'ipco'])],
  ['an item of a kind that nobody knows', (avif: Buffer) => withMore(avif, Buffer.alloc(0), [], ['Exif', 'vndr'])],
])('an AVIF with %s is encoded anew', async (_, change) => {
  const upload = change(still)
  expect(upload.includes(secret)).toBe(true)
  const shown = await served(upload, 'image/avif')
  expect(shown.includes(place) || shown.includes(secret)).toBe(false)
  expect(await look(shown)).toEqual(upright)
  expect((await sharp(shown).metadata()).exif).toBe(undefined)
})

test('an AVIF with tiles, something to see through, and a thumbnail keeps what is shown', async () => {
  await drawing(700, 500).png().toFile(file('large.png'))
  await drawing(640, 480).composite([{ input: file('frame.png'), blend: 'xor' }]).png().toFile(file('holes.png'))
  for (const source of ['large.png', 'holes.png']) {
    execFileSync(findOrInstall('heif-enc'), ['-A', '-t', '128', file(source), '-o', file('enc.avif')], { stdio: 'ignore' })
    const upload = readFileSync(file('enc.avif'))
    expect(await strip('avif', file('enc.avif'), file('clean.avif'))).toBe(true)
    const pixels = (bytes: Buffer) => sharp(bytes).raw().toBuffer()
    expect((await pixels(readFileSync(file('clean.avif')))).equals(await pixels(upload))).toBe(true)
    expect(await strip('avif', file('clean.avif'), file('again.avif'))).toBe(false)
  }
})

test('an AVIF that moves goes on moving', async () => {
  const codes = ['-c:v', 'libaom-av1', '-cpu-used', '8', '-pix_fmt', 'yuv420p']
  execFileSync(ffmpeg, ['-v', 'error', '-i', file('film.mp4'), '-an', ...codes, '-y', file('moves.avif')])
  const upload = Buffer.concat([readFileSync(file('moves.avif')), box('mpvd', told)])
  writeFileSync(file('moves.avif'), upload)
  expect(await strip('avif', file('moves.avif'), file('moved.avif'))).toBe(true)
  const shown = readFileSync(file('moved.avif'))
  expect(shown.includes(place)).toBe(false)
  expect(shown.length).toBe(upload.length)
  expect(played('moved.avif')).toBe(played('moves.avif'))
})

const played = (name: string) => String(execFileSync(ffmpeg, ['-v', 'error', '-i', file(name), '-f', 'md5', '-']))

test('without ffmpeg, boxes of whoever go from a film wherever they stand, as does when it was made', async () => {
  const moov = film.indexOf('moov') - 4
  const end = moov + film.readUInt32BE(moov)
  // Behind the sound and the picture, so that these stay where they are.
  expect(moov).toBeGreaterThan(film.indexOf('mdat'))
  const dashcam = Buffer.concat([film.subarray(moov, end), box('gps ', told)])
  dashcam.writeUInt32BE(dashcam.length)
  const upload = Buffer.concat([film.subarray(0, moov), dashcam, film.subarray(end), box('gpsd', told), box('mdat', told)])
  expect(upload.includes(secret)).toBe(true)
  const shown = await served(upload, 'video/mp4')
  expect(shown.includes(place) || shown.includes(secret)).toBe(false)
  for (const head of ['mvhd', 'tkhd', 'mdhd']) {
    const at = shown.indexOf(head) + 8
    expect(upload.subarray(at, at + 8).equals(Buffer.alloc(8))).toBe(false)
    expect(shown.subarray(at, at + 8).equals(Buffer.alloc(8))).toBe(true)
  }
  writeFileSync(file('upload.mp4'), upload)
  writeFileSync(file('shown.mp4'), shown)
  expect(played('shown.mp4')).toBe(played('upload.mp4'))
})

test('without ffmpeg, the samples of a track that nobody sees go, too', async () => {
  writeFileSync(file('words.srt'), `1\n00:00:00,000 --> 00:00:01,000\n${place}\n`)
  const tracks = ['-map', '0', '-map', '1', '-c', 'copy', '-c:s', 'mov_text']
  execFileSync(ffmpeg, ['-v', 'error', '-i', file('film.mp4'), '-i', file('words.srt'), ...tracks, '-y', file('text.mp4')])
  const upload = readFileSync(file('text.mp4'))
  expect(upload.includes(place)).toBe(true)
  const shown = await served(upload, 'video/mp4')
  expect(shown.includes(place)).toBe(false)
  writeFileSync(file('shown.mp4'), shown)
  expect(played('shown.mp4')).toBe(played('film.mp4'))
  // In pieces, nobody here knows which of them are of which track.
  const pieces = ['-movflags', 'frag_keyframe+empty_moov']
  execFileSync(ffmpeg, ['-v', 'error', '-i', file('text.mp4'), '-map', '0', '-c', 'copy', ...pieces, '-y', file('pieces.mp4')])
  expect(reasonOf(await alone.read({ path: file('pieces.mp4') }, 'video/mp4'))).toBe('UNSUPPORTED')
  execFileSync(ffmpeg, ['-v', 'error', '-i', file('film.mp4'), '-c', 'copy', ...pieces, '-y', file('pieces.mp4')])
  writeFileSync(file('shown.mp4'), await served(readFileSync(file('pieces.mp4')), 'video/mp4'))
  expect(played('shown.mp4')).toBe(played('pieces.mp4'))
})

test.each([
  ['plain.mov', ['-c:a', 'pcm_s16le', '-c:v', 'copy'], 'video/quicktime'],
  ['plain24.mov', ['-c:a', 'pcm_s24be', '-ac', '2', '-c:v', 'copy'], 'video/quicktime'],
  ['lossless.m4a', ['-c:a', 'alac', '-vn'], 'audio/mp4'],
  ['first.mp4', ['-c', 'copy', '-movflags', 'faststart'], 'video/mp4'],
])('without ffmpeg, %s plays as before', async (name, codes, contentType) => {
  execFileSync(ffmpeg, ['-v', 'error', '-i', file('film.mp4'), ...codes, '-y', file(name)])
  const shown = await served(readFileSync(file(name)), contentType)
  writeFileSync(file(`shown.${name}`), shown)
  expect(played(`shown.${name}`)).toBe(played(name))
  expect(shown.includes(secret)).toBe(false)
})

test('what is between what is kept', () => {
  const range = (start: number, end: number) => ({ start, end })
  expect(gapsIn([range(10, 20), range(30, 40)], [range(12, 14), range(13, 15), range(18, 35)])).toEqual([
    range(10, 12),
    range(15, 18),
    range(35, 40),
  ])
  expect(gapsIn([range(0, 50), range(60, 90)], [range(0, 100), range(10, 20)])).toEqual([])
  expect(gapsIn([range(5, 9)], [])).toEqual([range(5, 9)])
  expect(boxAt(box('free', told), 0, told.length + 8)).toEqual({ type: 'free', data: 8, end: told.length + 8 })
})
