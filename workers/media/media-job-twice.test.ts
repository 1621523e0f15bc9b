import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { AttachmentDocument } from '../../client-sdk/index.ts'
import { keyOf, upload } from '../../schema/testing/uploads.ts'
import { type Person, startTestApp, type TestApp } from '../../server/testing/test-app.ts'
import { createMediaJob } from './media-job.ts'
import { findOrInstall } from './testing/ffmpeg.ts'
import { phonePicture } from './testing/pictures.ts'
import { testProcessor } from './testing/processors.ts'

// The first run may have to install programs.
vi.setConfig({ hookTimeout: 300_000, testTimeout: 60_000 })

const ffmpeg = findOrInstall('ffmpeg')
const full = testProcessor({ ffmpeg, heifConvert: null })
const bare = testProcessor({ ffmpeg: null, heifConvert: null })
let app: TestApp
let alice: Person
beforeAll(async () => {
  app = await startTestApp()
  alice = await app.signUp('alice')
})
afterAll(() => Promise.all([app.stop(), full.end(), bare.end()]))

/** Has two workers do the same job side by side: the second has done its work when the first says that it is done. */
async function both(id: string, processors: readonly [first: typeof full, second: typeof full]) {
  const { files, log, services } = { ...app.app, log: { warn() {}, info() {} } as never }
  const { userId, id: attachmentId } = keyOf(id)
  let isWaiting = () => {}
  let goOn = () => {}
  const waits = new Promise<void>((resolve) => (isWaiting = resolve))
  const goesOn = new Promise<void>((resolve) => (goOn = resolve))
  const late: typeof services.attachments = {
    ...services.attachments,
    async finish(...args) {
      isWaiting()
      await goesOn
      return services.attachments.finish(...args)
    },
  }
  const jobOf = (processor: typeof full, attachments: typeof late) =>
    createMediaJob({ attachments, files, processor, tempDir: join(processor.folder, 'jobs'), log })
  const second = jobOf(processors[1], late)({ userId, attachmentId })
  await waits
  await jobOf(processors[0], services.attachments)({ userId, attachmentId })
  const shown = await find(id)
  goOn()
  await second
  expect(await find(id)).toEqual(shown)
  const { url, thumbnails } = shown
  for (const address of [url!, ...thumbnails.map((thumbnail) => thumbnail.url)]) {
    expect((await fetch(address)).status).toBe(200)
  }
  return shown
}

async function find(id: string) {
  const { node } = await alice.client.request(AttachmentDocument, { id })
  if (node?.__typename !== 'Attachment') throw new Error('It is gone.')
  return node
}

test('two that do not make the same of a file leave what is shown, whoever is first', async () => {
  const path = join(full.folder, 'sound.mp3')
  execFileSync(ffmpeg, ['-v', 'error', '-f', 'lavfi', '-i', 'sine=duration=1', '-metadata', 'title=x', path])
  for (const processors of [[bare, full], [full, bare]] as const) {
    const { id } = await upload(alice, readFileSync(path), 'audio/mpeg')
    expect(await both(id, processors)).toMatchObject({ status: 'READY' })
  }
})

test('two that make the same leave it, too', async () => {
  const { id } = await upload(alice, await phonePicture(60, 80, (picture) => picture.jpeg()), 'image/jpeg')
  expect((await both(id, [full, bare])).thumbnails.length).toBeGreaterThan(0)
})
