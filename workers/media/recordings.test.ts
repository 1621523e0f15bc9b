import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseFile } from 'music-metadata'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { findOrInstall } from './testing/ffmpeg.ts'
import { drawing, latitudes, look, phonePicture, secret, upright } from './testing/pictures.ts'
import { ready, reasonOf, testProcessor } from './testing/processors.ts'

// The first run may have to install programs.
vi.setConfig({ hookTimeout: 300_000, testTimeout: 60_000 })

const ffmpeg = findOrInstall('ffmpeg')
const media = testProcessor({ ffmpeg, heifConvert: findOrInstall('heif-convert') })
const alone = testProcessor({ ffmpeg: null, heifConvert: null })
afterAll(() => Promise.all([media.end(), alone.end()]))

const place = '+37.5519+126.9918/'
const told = [`title=${secret}`, `location=${place}`, `com.apple.quicktime.location.ISO6709=${place}`]
const tags = told.flatMap((tag) => ['-metadata', tag])

const run = (...args: string[]) => execFileSync(ffmpeg, ['-v', 'error', '-y', ...args])
const file = (name: string) => join(media.folder, name)

beforeAll(async () => {
  // As a phone takes it that is held upright: on its side, and a matrix that says so.
  await drawing(240, 320).rotate(270).removeAlpha().png().toFile(file('frame.png'))
  const still = ['-loop', '1', '-framerate', '10', '-t', '3', '-i', file('frame.png')]
  const tone = ['-f', 'lavfi', '-i', 'sine=frequency=440:duration=3']
  const film = ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-c:a', 'aac', '-shortest']
  run(...still, ...tone, ...film, file('flat.mp4'))
  writeFileSync(file('turned.mp4'), turnedRight(readFileSync(file('flat.mp4')), 240))
  const turned = ['-i', file('turned.mp4'), '-c', 'copy', '-movflags', 'use_metadata_tags', ...tags]
  run(...turned, file('phone.mp4'))
  run(...turned, '-f', 'mov', file('phone.mov'))
  run('-i', file('flat.mp4'), '-c:v', 'libvpx', '-b:v', '500k', '-c:a', 'libvorbis', ...tags, file('film.webm'))
  // Quiet for two seconds, then loud for one.
  const swell = ['-f', 'lavfi', '-i', "sine=frequency=440:duration=3,volume='if(lt(t,2),0.1,1)':eval=frame", ...tags]
  for (const kind of ['mp3', 'm4a', 'ogg', 'wav', 'flac', 'webm']) run(...swell, file(`sound.${kind}`))
})

/**
 * A film with the matrix that turns it to the right, as ISO/IEC 14496-12 has it in 8.3.2: in the first track's head.
 */
function turnedRight(film: Buffer, height: number): Buffer {
  const matrix = film.indexOf('tkhd') + 44
  const turn = [0, 1 << 16, 0, -1 << 16, 0, 0, height << 16, 0, 1 << 30]
  for (const [nth, value] of turn.entries()) film.writeInt32BE(value, matrix + nth * 4)
  return film
}

test.each([
  ['phone.mp4', 'video/mp4'],
  ['phone.mov', 'video/quicktime'],
])('a phone’s %s comes out upright, with a poster, and without the place', async (name, contentType) => {
  const upload = readFileSync(file(name))
  expect(upload.includes(place) && upload.includes(secret)).toBe(true)
  const result = ready(await media.read({ path: file(name) }, contentType))
  expect(result).toMatchObject({ contentType, width: 240, height: 320, waveform: null, original: { contentType } })
  expect(result.durationMs! / 1_000).toBeCloseTo(3, 0)
  expect(result.thumbnails.map(({ width, height }) => `${width} × ${height}`)).toContain('240 × 320')
  for (const { path } of result.thumbnails) expect(await look(path)).toEqual(upright)
  expect(result.placeholder).toEqual(expect.any(String))
  const shown = readFileSync(result.original!.path)
  expect(shown.includes(place) || shown.includes(secret) || shown.includes('37.5519')).toBe(false)
  // It still says which way is up, and its table of contents comes first.
  expect(ready(await media.read(shown, contentType))).toMatchObject({ width: 240, height: 320 })
  expect(shown.indexOf('moov')).toBeLessThan(shown.indexOf('mdat'))
})

test('a WebM', async () => {
  const result = ready(await media.read({ path: file('film.webm') }, 'video/webm'))
  expect(result).toMatchObject({ contentType: 'video/webm', width: 320, height: 240 })
  expect(result.thumbnails.length).toBeGreaterThan(0)
  expect(readFileSync(result.original!.path).includes(secret)).toBe(false)
})

test.each([
  ['sound.mp3', 'audio/mpeg', 'audio/mpeg'],
  ['sound.m4a', 'audio/mp4', 'audio/mp4'],
  ['sound.ogg', 'audio/ogg', 'audio/ogg'],
  ['sound.wav', 'audio/wav', 'audio/wav'],
  ['sound.flac', 'audio/flac', 'audio/flac'],
  ['sound.webm', 'audio/webm', 'audio/webm'],
  // As a browser calls it that does not look whether there is a picture.
  ['sound.webm', 'video/webm', 'audio/webm'],
])('%s said to be %s has a length and a waveform', async (name, declared, contentType) => {
  const upload = readFileSync(file(name))
  expect(upload.includes(secret)).toBe(true)
  const result = ready(await media.read({ path: file(name) }, declared))
  expect(result).toMatchObject({ contentType, width: null, height: null, placeholder: null, thumbnails: [] })
  expect(result.durationMs! / 1_000).toBeCloseTo(3, 0)
  const peaks = [...Buffer.from(result.waveform!, 'base64')]
  expect(peaks).toHaveLength(64)
  expect(Math.max(...peaks)).toBe(255)
  expect(Math.max(...peaks.slice(5, 35))).toBeLessThan(60)
  expect(Math.min(...peaks.slice(48, 60))).toBeGreaterThan(120)
  const shown = readFileSync(result.original!.path)
  expect(shown.includes(secret)).toBe(false)
  expect((await parseFile(result.original!.path)).format.duration).toBeCloseTo(3, 0)
})

test('a recording that a browser has not finished has a length all the same', async () => {
  const asItComes = ['-c', 'copy', '-f', 'webm', '-live', '1', 'pipe:1']
  const live = execFileSync(ffmpeg, ['-v', 'error', '-i', file('sound.webm'), ...asItComes])
  const result = ready(await media.read(live, 'audio/webm'))
  expect(result.durationMs! / 1_000).toBeCloseTo(3, 0)
})

test('without ffmpeg there is no picture of a film, and a phone’s place goes all the same', async () => {
  for (const [name, contentType] of [
    ['phone.mp4', 'video/mp4'],
    ['phone.mov', 'video/quicktime'],
  ] as const) {
    const result = ready(await alone.read({ path: file(name) }, contentType))
    expect(result).toMatchObject({ contentType, width: null, height: null, placeholder: null, thumbnails: [] })
    expect(result.durationMs! / 1_000).toBeCloseTo(3, 0)
    const shown = readFileSync(result.original!.path)
    expect(shown.length).toBe(readFileSync(file(name)).length)
    expect(shown.includes(place) || shown.includes(secret) || shown.includes('37.5519')).toBe(false)
    // Nothing that is played has moved.
    const played = (path: string) => String(execFileSync(ffmpeg, ['-v', 'error', '-i', path, '-f', 'md5', '-']))
    expect(played(result.original!.path)).toBe(played(file(name)))
    expect(ready(await alone.read(shown, contentType)).original).toBe(null)
  }
  expect(ready(await alone.read({ path: file('sound.webm') }, 'video/webm')).contentType).toBe('audio/webm')
  const song = ready(await alone.read({ path: file('sound.mp3') }, 'audio/mpeg'))
  expect(song).toMatchObject({ contentType: 'audio/mpeg', waveform: null, original: null })
  expect(song.durationMs! / 1_000).toBeCloseTo(3, 0)
})

test('films that are none', async () => {
  const film = readFileSync(file('flat.mp4'))
  // Its table of contents is at the end.
  expect(reasonOf(await media.read(film.subarray(0, film.length / 2), 'video/mp4'))).toBe('BROKEN')
  expect(reasonOf(await alone.read(film.subarray(0, film.length / 2), 'video/mp4'))).toBe('BROKEN')
  expect(reasonOf(await media.read(film, 'video/webm'))).toBe('DISGUISED')
  expect(reasonOf(await media.read(film, 'image/png'))).toBe('DISGUISED')
  // What begins like a film and goes on as a list of other files.
  const playlist = Buffer.concat([film.subarray(0, 32), Buffer.from('#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n')])
  expect(reasonOf(await media.read(playlist, 'video/mp4'))).toBe('BROKEN')
})

test('a song’s cover is no film, and goes', async () => {
  writeFileSync(file('cover.jpg'), await phonePicture(64, 64, (picture) => picture.jpeg()))
  const cover = ['-i', file('cover.jpg'), '-map', '0:a', '-map', '1:v', '-c', 'copy', '-disposition:v', 'attached_pic']
  run('-i', file('sound.mp3'), ...cover, file('song.mp3'))
  expect(readFileSync(file('song.mp3')).includes(latitudes[0]!)).toBe(true)
  const result = ready(await media.read({ path: file('song.mp3') }, 'audio/mpeg'))
  expect(result).toMatchObject({ contentType: 'audio/mpeg', width: null, thumbnails: [] })
  expect(readFileSync(result.original!.path).includes(latitudes[0]!)).toBe(false)
})

test('a HEIC becomes a JPEG, turned as its boxes say and not once more', async () => {
  const upload = file('phone.jpg')
  writeFileSync(upload, await phonePicture(300, 400, (picture) => picture.jpeg({ quality: 95 })))
  execFileSync(findOrInstall('heif-enc'), [upload, '-o', file('phone.heic')])
  const heic = readFileSync(file('phone.heic'))
  expect(heic.includes(secret)).toBe(true)
  const result = ready(await media.read({ path: file('phone.heic') }, 'image/heic'))
  expect(result).toMatchObject({ contentType: 'image/jpeg', original: { contentType: 'image/jpeg' } })
  const shown = readFileSync(result.original!.path)
  expect(shown.includes(secret) || latitudes.some((bytes) => shown.includes(bytes))).toBe(false)
  const { orientation, width, height } = await sharp(shown).metadata()
  // Newer versions of heif-enc write the turn into the boxes, older ones leave it to EXIF, which HEIC does not heed.
  expect(orientation).toBe(undefined)
  expect([width, height]).toEqual([result.width, result.height])
  if (result.width === 300) expect(await look(shown)).toEqual(upright)
  else expect(await look(shown)).toEqual(await look(await sharp(readFileSync(upload)).toBuffer()))
})

test('of a HEIC of many pictures the one that is shown is read, and no other', async () => {
  const names = ['#f00', '#00f', '#fff'].map((background, nth) => ({ background, path: file(`burst-${nth}.png`) }))
  for (const { background, path } of names) {
    await sharp({ create: { width: 64, height: 48, channels: 3, background } }).png().toFile(path)
  }
  const pictures = Array.from({ length: 20 }, (_, nth) => names[nth % 3]!.path)
  execFileSync(findOrInstall('heif-enc'), [...pictures, '-o', file('burst.heic')], { stdio: 'ignore' })
  const burst = readFileSync(file('burst.heic'))
  // The second one, by the number that stands behind version and flags; each has one tile besides.
  const primary = burst.indexOf('pitm') + 8
  burst.writeUInt16BE(burst.readUInt16BE(primary) + 2, primary)
  const outDir = media.makeOutDir()
  const result = ready(await media.process({ path: media.save(burst), contentType: 'image/heic', outDir }))
  expect(await look(result.original!.path)).toEqual({ top: 'blue', left: 'blue', rest: 'blue' })
  const made = [result.original!.path, ...result.thumbnails.map(({ path }) => path)]
  expect(readdirSync(outDir).length).toBe(made.length)
})

test('a HEIC that says twice which way is up, as an iPhone’s does, is turned once', async () => {
  // The boxes are the same whatever codes the pixels, so that AV1 serves as well.
  const avif = await phonePicture(300, 400, (picture) => picture.avif({ effort: 0 }))
  expect(avif.toString('latin1', 8, 12)).toBe('avif')
  const heic = Buffer.from(avif)
  heic.write('heic', 8, 'latin1')
  heic.write('heic', heic.indexOf('avif', 12), 'latin1')
  const result = ready(await media.read(heic, 'image/heic'))
  expect(result).toMatchObject({ width: 300, height: 400 })
  expect(await look(result.original!.path)).toEqual(upright)
  for (const { path } of result.thumbnails) expect(await look(path)).toEqual(upright)
})
