import { createWriteStream } from 'node:fs'
import { mkdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Files } from '../../server/files/files.ts'
import type { Log } from '../../server/observability/log.ts'
import type { MediaFailure, MediaProcessor, MediaResult } from './media.ts'
import { createTempFolders } from './temp-folders.ts'

/** What a finished attachment is told: where it is served from now, and what there is to see. */
export type FinishedMedia = {
  key: string
  contentType: string
  byteSize: number
  width: number | null
  height: number | null
  placeholder: string | null
  durationMs: number | null
  waveform: string | null
  thumbnails: { key: string; width: number; height: number; contentType: string }[]
}

/** What the job needs of the attachments. */
export type MediaAttachments = {
  /** Takes the attachment in hand; null where there is nothing to do: it is gone, or done. May be called again. */
  begin(userId: string, attachmentId: string): Promise<MediaUpload | null>
  /** False where the attachment has gone meanwhile, so that nobody will ever ask for what was made. */
  finish(userId: string, attachmentId: string, media: FinishedMedia): Promise<boolean | void>
  /** Does nothing to one that is finished. */
  fail(userId: string, attachmentId: string, reason: MediaFailure): Promise<unknown>
}

export type MediaUpload = { key: string; contentType: string; byteSize: number; filename: string }

type Ready = Extract<MediaResult, { kind: 'ready' }>

export type MediaJob = (data: { userId: string; attachmentId: string }) => Promise<void>

/**
 * The job that makes of an upload what is shown of it. It may run any number of times, also side by side: what it
 * uploads has the same name each time, and the attachment says whether there is anything left to do. Rejects where the
 * job should be tried again; what is wrong with the file is told to the attachment.
 */
export function createMediaJob(options: {
  attachments: MediaAttachments
  files: Pick<Files, 'read' | 'write' | 'remove'>
  processor: MediaProcessor
  /** Holds uploads while they are worked on; what a killed worker left there is removed. */
  tempDir: string
  log: Log
}): MediaJob {
  const { attachments, files, processor, log } = options
  const folders = createTempFolders(options.tempDir)
  if (processor.programs.ffmpeg === null) {
    log.warn('There is no ffmpeg: videos get no poster, sounds no waveform, and many keep their tags: see workers/media.')
  }
  if (processor.programs.heifConvert === null) {
    log.info('There is no heif-convert: pictures in HEIC are refused.')
  }

  return async ({ userId, attachmentId }) => {
    const upload = await attachments.begin(userId, attachmentId)
    if (upload === null) return
    await folders.use(async (folder) => {
      const path = join(folder, 'upload')
      await pipeline(await files.read(upload.key), createWriteStream(path))
      const outDir = join(folder, 'made')
      await mkdir(outDir)
      const result = await processor.process({ path, contentType: upload.contentType, outDir })
      if (result.kind === 'failed') {
        log.info({ attachmentId, reason: result.reason, detail: result.detail }, 'an upload cannot be shown')
        await attachments.fail(userId, attachmentId, result.reason)
        return
      }
      const media = await store(upload.key, path, result)
      if ((await attachments.finish(userId, attachmentId, media)) === false) {
        await files.remove([upload.key, media.key, ...media.thumbnails.map(({ key }) => key)])
        return
      }
      // A job does it, too, should this process die here.
      if (media.key !== upload.key) await files.remove([upload.key])
    })
  }

  async function store(key: string, upload: string, result: Ready): Promise<FinishedMedia> {
    const { kind: _kind, original, thumbnails: made, ...facts } = result
    const thumbnails: FinishedMedia['thumbnails'] = []
    for (const { path, ...thumbnail } of made) {
      const stored = { key: `${key}.${basename(path)}`, ...thumbnail }
      await files.write(stored.key, { path }, stored.contentType)
      thumbnails.push(stored)
    }
    const shown = original === null ? key : `${key}.original`
    if (original !== null) await files.write(shown, { path: original.path }, original.contentType)
    const { size } = await stat(original?.path ?? upload)
    return { ...facts, key: shown, byteSize: size, thumbnails }
  }
}
