import { randomBytes } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { buffer } from 'node:stream/consumers'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, afterEach, expect, test, vi } from 'vitest'
import { createDiskFiles } from '../../server/files/disk-files.ts'
import { createLog } from '../../server/observability/log.ts'
import { createMediaJob, type FinishedMedia, type MediaAttachments } from './media-job.ts'
import { drawing, look, phonePicture, secret, upright } from './testing/pictures.ts'
import { testProcessor } from './testing/processors.ts'

vi.setConfig({ testTimeout: 60_000 })

const media = testProcessor({ heifConvert: null, ffmpeg: null })
const files = createDiskFiles({
  folder: join(media.folder, 'files'),
  baseUrl: () => 'http://localhost',
  secret: randomBytes(32),
})
const lines: string[] = []
const log = createLog({ level: 'debug', format: 'json' }, { write: (line) => void lines.push(line) })
afterAll(async () => {
  await files.close()
  await media.end()
})
afterEach(() => {
  lines.length = 0
})

const alice = '1'

/** One attachment of alice's, in a file of its own, and what the job says of it. */
async function upload(bytes: Buffer, contentType: string) {
  const key = `uploads/${randomBytes(6).toString('hex')}`
  await files.write(key, bytes, contentType)
  const state: {
    finished: FinishedMedia | null
    failed: string | null
    isGone: boolean
    made: string[]
    onFinish: () => void
  } = { finished: null, failed: null, isGone: false, made: [], onFinish: () => {} }
  const attachments: MediaAttachments = {
    begin: async () =>
      state.finished || state.failed || state.isGone
        ? null
        : { key, contentType, byteSize: bytes.length, filename: 'picture.jpg' },
    async finish(_, __, finished) {
      state.made = [finished.key, ...finished.thumbnails.map((thumbnail) => thumbnail.key)]
      state.onFinish()
      if (state.isGone) return []
      state.finished ??= finished
      return [state.finished.key, ...state.finished.thumbnails.map((thumbnail) => thumbnail.key)]
    },
    async fail(_, __, reason) {
      state.failed = reason
    },
  }
  const run = createMediaJob({ attachments, files, processor: media, tempDir: join(media.folder, 'jobs'), log })
  return { key, state, run: () => run({ userId: alice, attachmentId: '7' }) }
}

const temporary = () => readdirSync(join(media.folder, 'jobs'))
const bytesAt = async (key: string) => buffer(await files.read(key))

test('thumbnails are beside the upload, and what takes its place does not know where it was taken', async () => {
  const { key, state, run } = await upload(await phonePicture(600, 800, (picture) => picture.jpeg()), 'image/jpeg')
  await run()
  const { thumbnails, ...facts } = state.finished!
  expect(facts).toMatchObject({ contentType: 'image/jpeg', width: 600, height: 800, durationMs: null, waveform: null })
  expect(facts).not.toHaveProperty('original')
  const shown = await bytesAt(facts.key)
  expect(shown.length).toBe(facts.byteSize)
  expect(shown.includes(secret)).toBe(false)
  expect(await look(shown)).toEqual(upright)
  expect(await files.head(facts.key)).toMatchObject({ contentType: 'image/jpeg' })
  expect(thumbnails).toHaveLength(8)
  for (const { key: thumbnail, width, height, contentType } of thumbnails) {
    expect(thumbnail.startsWith(`${key}.`)).toBe(true)
    expect(await files.head(thumbnail)).toMatchObject({ contentType })
    expect(await sharp(await bytesAt(thumbnail)).metadata()).toMatchObject({ width, height })
  }
  expect(temporary()).toEqual([])
  await run()
  expect(await files.head(facts.key)).not.toBe(null)
})

test('an upload without metadata stays where it is', async () => {
  const bytes = await drawing(300, 200).png().toBuffer()
  const { key, state, run } = await upload(bytes, 'image/png')
  await run()
  expect(state.finished).toMatchObject({ key, byteSize: bytes.length })
  expect((await bytesAt(key)).equals(bytes)).toBe(true)
})

test('what cannot be shown is failed, and the log knows why', async () => {
  const { state, run } = await upload(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'), 'image/png')
  await run()
  expect(state).toMatchObject({ failed: 'DISGUISED', finished: null })
  expect(lines.some((line) => line.includes('DISGUISED'))).toBe(true)
  expect(temporary()).toEqual([])
})

test('a job that was cut off at the end is done again, and comes to the same', async () => {
  const { key, state, run } = await upload(await phonePicture(60, 80, (picture) => picture.jpeg()), 'image/jpeg')
  state.onFinish = () => {
    state.onFinish = () => {}
    throw new Error('the store is away')
  }
  await expect(run()).rejects.toThrow('the store is away')
  expect(temporary()).toEqual([])
  expect(await files.head(key)).not.toBe(null)
  const cutOff = state.made
  await run()
  // Nothing is left that nobody knows of.
  expect(state.made).toEqual(cutOff)
  expect((await bytesAt(state.finished!.key)).length).toBe(state.finished!.byteSize)
})

test('two that do the same job at the same time', async () => {
  const { state, run } = await upload(await phonePicture(60, 80, (picture) => picture.jpeg()), 'image/jpeg')
  await Promise.allSettled([run(), run()])
  await run()
  const { key, thumbnails } = state.finished!
  const made = [key, ...thumbnails.map((thumbnail) => thumbnail.key)]
  for (const one of made) expect(await files.head(one)).not.toBe(null)
})

test('of an attachment that has gone meanwhile nothing is left', async () => {
  const { state, run } = await upload(await phonePicture(60, 80, (picture) => picture.jpeg()), 'image/jpeg')
  state.onFinish = () => {
    state.isGone = true
  }
  await run()
  expect(state.made.map((made) => made.replace(/^.*\.([^.]+\.\w+|original)$/, '$1'))).toContain('fit-160.jpg')
  for (const left of state.made) expect(await files.head(left)).toBe(null)
})

test('what is wrong with the machine is not blamed on the file', async () => {
  const { key, state, run } = await upload(await drawing(60, 80).png().toBuffer(), 'image/png')
  await files.remove([key])
  await expect(run()).rejects.toMatchObject({ code: 'NOT_FOUND' })
  expect(state.failed).toBe(null)
  expect(temporary()).toEqual([])
})

test('who runs it is told what is not installed', async () => {
  await upload(Buffer.alloc(1), 'image/png')
  expect(lines.filter((line) => line.includes('ffmpeg'))).toHaveLength(1)
  expect(lines.filter((line) => line.includes('heif-convert'))).toHaveLength(1)
})
