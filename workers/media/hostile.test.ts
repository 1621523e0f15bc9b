import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { deflateSync } from 'node:zlib'
import sharp from 'sharp'
import { afterAll, afterEach, expect, test, vi } from 'vitest'
import { processesOf } from './memory.ts'
import { bomb, chunk, drawing, phonePicture } from './testing/pictures.ts'
import { ready, reasonOf, testProcessor } from './testing/processors.ts'
import { makeWaitingFile } from './testing/waiting-file.ts'

// Children are started anew in most of these.
vi.setConfig({ testTimeout: 60_000 })

const media = testProcessor({ heifConvert: null })
afterAll(media.end)

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

const start = (options: Parameters<typeof testProcessor>[0]) => {
  const started = testProcessor(options)
  ends.push(started.end)
  return started
}

const waitingFile = (folder: string) => {
  const file = makeWaitingFile(join(folder, 'waiting'))
  ends.push(file.close)
  return file
}

const picture = () => drawing(640, 480).jpeg().toBuffer()

const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>'
// An empty archive's only record.
const zip = Buffer.concat([Buffer.from('PK\x05\x06', 'latin1'), Buffer.alloc(18)])
const html = '<!DOCTYPE html><script>alert(1)</script>'

test.each<[string, string | Buffer, string, string]>([
  ['an SVG with a script named .png', svg, 'image/png', 'DISGUISED'],
  ['an SVG', svg, 'image/svg+xml', 'UNSUPPORTED'],
  ['a zip named .jpg', zip, 'image/jpeg', 'DISGUISED'],
  ['a page named .gif', html, 'image/gif', 'DISGUISED'],
  ['a page that begins like a GIF', `GIF89a${html}`, 'image/gif', 'BROKEN'],
  ['a JPEG’s first bytes', Buffer.from('ffd8ffe000104a46494600', 'hex'), 'image/jpeg', 'BROKEN'],
  ['nothing', '', 'image/png', 'DISGUISED'],
  ['a list of other files, to be played', '#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n', 'video/mp4', 'DISGUISED'],
  ['an archive', zip, 'application/zip', 'UNSUPPORTED'],
  ['a name that every object has', zip, 'constructor', 'UNSUPPORTED'],
])('%s', async (_, bytes, contentType, reason) => {
  expect(reasonOf(await media.read(Buffer.from(bytes), contentType))).toBe(reason)
})

test('a picture of another format than it is said to be', async () => {
  expect(reasonOf(await media.read(await drawing(9, 9).png().toBuffer(), 'image/jpeg'))).toBe('DISGUISED')
  expect(reasonOf(await media.read(await drawing(9, 9).tiff().toBuffer(), 'image/png'))).toBe('DISGUISED')
  expect(reasonOf(await media.read(await drawing(9, 9).tiff().toBuffer(), 'image/tiff'))).toBe('UNSUPPORTED')
})

test('a JPEG that ends too soon', async () => {
  const whole = await phonePicture(800, 600, (drawn) => drawn.jpeg())
  for (const length of [whole.length * 0.5, whole.length * 0.9, whole.length - 2]) {
    expect(reasonOf(await media.read(whole.subarray(0, length), 'image/jpeg'))).toBe('BROKEN')
  }
  const lossy = await drawing(800, 600).webp().toBuffer()
  const png = await drawing(800, 600).png().toBuffer()
  expect(reasonOf(await media.read(lossy.subarray(0, lossy.length * 0.8), 'image/webp'))).toBe('BROKEN')
  expect(reasonOf(await media.read(png.subarray(0, png.length * 0.8), 'image/png'))).toBe('BROKEN')
})

test('900 megapixels in a megabyte', async () => {
  const upload = bomb(30_000, 30_000)
  expect(upload.length).toBeLessThan(10_000_000)
  expect(reasonOf(await media.read(upload, 'image/png'))).toBe('TOO_LARGE')
  expect(await media.makePicture(upload, { width: 100, height: 100 })).toBe(null)
  const small = start({ maxPixels: 307_199 })
  expect(reasonOf(await small.read(await picture(), 'image/jpeg'))).toBe('TOO_LARGE')
})

test('a text in a PNG that unpacks to more than it should', async () => {
  const png = await drawing(64, 64).png().toBuffer()
  const packed = deflateSync(Buffer.alloc(50_000_000))
  const text = chunk('zTXt', Buffer.concat([Buffer.from('Comment\0\0', 'latin1'), packed]))
  const result = ready(await media.read(Buffer.concat([png.subarray(0, 33), text, png.subarray(33)]), 'image/png'))
  expect(readFileSync(result.original!.path).equals(png)).toBe(true)
})

test('a HEIC, without the program that reads it', async () => {
  const heic = Buffer.from('000000186674797068656963000000006d69663168656963', 'hex')
  expect(reasonOf(await media.read(heic, 'image/heic'))).toBe('UNSUPPORTED')
})

test('a child that is killed costs nobody anything', async () => {
  const processor = start({ processes: 1, timeoutMs: 50_000 })
  const file = waitingFile(processor.folder)
  const result = processor.read(file, 'image/jpeg')
  await file.isOpened()
  const pid = processesOf(process.pid).find((one) => isChildIn(one, processor.tempDir))
  file.replace(await picture())
  process.kill(pid!, 'SIGKILL')
  expect(ready(await result)).toMatchObject({ width: 640, height: 480 })
})

test('a file that kills its child twice is failed, and the next one is read', async () => {
  const processor = start({ processes: 1, timeoutMs: 50_000 })
  const file = waitingFile(processor.folder)
  const result = processor.read(file, 'image/jpeg')
  const next = processor.read(await picture(), 'image/jpeg')
  for (const _ of [1, 2]) {
    await file.isOpened()
    const pids = processesOf(process.pid).filter((one) => isChildIn(one, processor.tempDir))
    expect(pids).toHaveLength(1)
    process.kill(pids[0]!, 'SIGKILL')
    // Until then it still has the file open.
    await expect.poll(() => isAlive(pids[0]!)).toBe(false)
  }
  expect(reasonOf(await result)).toBe('BROKEN')
  expect(ready(await next)).toMatchObject({ width: 640 })
})

test('a file that is never done is given up, and the next one is read', async () => {
  const processor = start({ processes: 1, timeoutMs: 3_000 })
  const file = waitingFile(processor.folder)
  const result = processor.read(file, 'image/png')
  const next = processor.read(await picture(), 'image/jpeg')
  await file.isOpened()
  expect(reasonOf(await result)).toBe('TIMED_OUT')
  expect(ready(await next)).toMatchObject({ width: 640 })
})

test('a file that takes too much memory is given up, and the next one is read', async () => {
  // A child has some 90 MB to begin with; decoded, this takes hundreds.
  const processor = start({ processes: 1, maxMemoryBytes: 180_000_000 })
  const large = { create: { width: 6000, height: 5000, channels: 3, background: '#369' } } as const
  const upload = await sharp(large).avif({ effort: 0 }).toBuffer()
  expect(reasonOf(await processor.read(upload, 'image/avif'))).toBe('TOO_LARGE')
  expect(ready(await processor.read(await picture(), 'image/jpeg'))).toMatchObject({ width: 640 })
})

test('a child knows none of our secrets, and the kernel holds it to its limits', async () => {
  process.env.MEDIA_TEST_SECRET = 'do not tell'
  const processor = start({ processes: 1, maxMemoryBytes: 1024 ** 3 })
  const file = waitingFile(processor.folder)
  const result = processor.read(file, 'image/jpeg')
  await file.isOpened()
  const pid = processesOf(process.pid).find((one) => isChildIn(one, processor.tempDir))
  expect(readFileSync(`/proc/${pid}/environ`, 'latin1')).not.toContain('do not tell')
  const limits = readFileSync(`/proc/${pid}/limits`, 'latin1')
  expect(limits).toMatch(new RegExp(`Max data size +${2 * 1024 ** 3} `))
  expect(limits).toMatch(/Max cpu time +3600 /)
  delete process.env.MEDIA_TEST_SECRET
  file.replace(await picture())
  process.kill(pid!, 'SIGKILL')
  ready(await result)
})

test('what is wrong with the machine is thrown, not blamed on the file', async () => {
  const path = media.save(await picture())
  const outDir = join(media.folder, 'not there')
  await expect(media.process({ path, contentType: 'image/jpeg', outDir })).rejects.toMatchObject({ code: 'ENOENT' })
  const gone = { path: join(media.folder, 'gone'), contentType: 'image/jpeg', outDir: media.makeOutDir() }
  await expect(media.process(gone)).rejects.toMatchObject({ code: 'ENOENT' })
})

test('what nobody waits for any more is given up, whether it was begun or not', async () => {
  const processor = start({ processes: 1 })
  const file = waitingFile(processor.folder)
  const [begun, waiting] = [new AbortController(), new AbortController()]
  const outDir = processor.makeOutDir()
  const upload = { contentType: 'image/jpeg', outDir }
  const first = processor.process({ ...upload, path: file.path, signal: begun.signal }).catch(String)
  await file.isOpened()
  const pid = processesOf(process.pid).find((one) => isChildIn(one, processor.tempDir))
  const second = processor.process({ ...upload, path: file.path, signal: waiting.signal }).catch(String)
  waiting.abort(new Error('too late'))
  expect(await second).toBe('Error: too late')
  expect(isRunning(pid!)).toBe(true)
  begun.abort(new Error('too long'))
  expect(await first).toBe('Error: too long')
  expect(isRunning(pid!)).toBe(false)
  file.replace(await picture())
  ready(await processor.process({ ...upload, path: file.path }))
})

test('pictures of links wait behind files, few of them, and not for long', async () => {
  const processor = start({ processes: 1, pictureMs: 3_000 })
  const file = waitingFile(processor.folder)
  const size = { width: 10, height: 10 }
  const input = await picture()
  const film = processor.read(file, 'image/jpeg')
  await file.isOpened()
  const done: string[] = []
  const pictures = Array.from({ length: 8 }, () =>
    processor.makePicture(input, size).finally(() => done.push('picture')),
  )
  expect(await processor.makePicture(input, size)).toBeNull()
  const another = processor.read(input, 'image/jpeg').finally(() => done.push('file'))
  expect(await Promise.all(pictures)).toEqual(Array(8).fill(null))
  expect(done).toEqual(Array(8).fill('picture'))
  const next = processor.makePicture(input, size).finally(() => done.push('the last'))
  const pid = processesOf(process.pid).find((one) => isChildIn(one, processor.tempDir))
  file.replace(input)
  process.kill(pid!, 'SIGKILL')
  ready(await film)
  ready(await another)
  expect((await next)!.width).toBe(10)
  expect(done.slice(8)).toEqual(['file', 'the last'])
})

test('closing ends what is under way', async () => {
  const processor = start({ processes: 1 })
  const file = waitingFile(processor.folder)
  const results = [processor.read(file, 'image/jpeg'), processor.read(await picture(), 'image/jpeg')].map((result) =>
    result.then(
      () => 'done',
      (error: Error) => error.message,
    ),
  )
  await file.isOpened()
  await processor.close()
  expect(await Promise.all(results)).toEqual(['The media processor is closed.', 'The media processor is closed.'])
  expect(readdirSync(processor.tempDir)).toEqual([])
  await expect(processor.read(await picture(), 'image/jpeg')).rejects.toThrow('closed')
})

test('closing ends a child that is only starting', async () => {
  const processor = start({ processes: 1 })
  const refused = processor.read(await picture(), 'image/jpeg').catch((error: Error) => error.message)
  await expect.poll(() => processesOf(process.pid).some((one) => isChildIn(one, processor.tempDir))).toBe(true)
  await processor.close()
  expect(await refused).toBe('The media processor is closed.')
  expect(processesOf(process.pid).some((one) => isChildIn(one, processor.tempDir))).toBe(false)
  expect(readdirSync(processor.tempDir)).toEqual([])
})

test('a child does not outlive a worker that is killed, and the next worker tidies up', async () => {
  const processor = start({ processes: 1 })
  const file = waitingFile(processor.folder)
  const source = JSON.stringify(fileURLToPath(new URL('media.ts', import.meta.url)))
  const input = { path: file.path, contentType: 'image/jpeg', outDir: processor.makeOutDir() }
  const script = `import { createMediaProcessor } from ${source}
    const processor = createMediaProcessor({ tempDir: ${JSON.stringify(processor.tempDir)} })
    await processor.process(${JSON.stringify(input)})`
  const worker = spawn(process.execPath, ['--input-type=module-typescript', '--eval', script], { stdio: 'ignore' })
  await file.isOpened()
  const [pid] = processesOf(worker.pid!)
  expect(isChildIn(pid!, processor.tempDir)).toBe(true)
  worker.kill('SIGKILL')
  await expect.poll(() => isRunning(pid!)).toBe(false)
  expect(readdirSync(processor.tempDir)).toHaveLength(1)
  ready(await processor.read(await picture(), 'image/jpeg'))
  // The new child's own.
  expect(readdirSync(processor.tempDir)).toHaveLength(1)
  await processor.close()
  expect(readdirSync(processor.tempDir)).toEqual([])
})

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Not a process that has ended and that nobody has asked how, as may be for ever where its parent is dead. */
function isRunning(pid: number): boolean {
  return isAlive(pid) && !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'))
}

/** Whether a process works in a folder below this one: our children of other processors do elsewhere. */
function isChildIn(pid: number, tempDir: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`HOME=${tempDir}/`)
  } catch {
    return false
  }
}
