import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
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
  /**
   * All keys of the attachment then: others where another run was done before, none where it has gone meanwhile, so that
   * nobody will ever ask for what was made. What was uploaded is removed by it where something takes its place.
   */
  finish(userId: string, attachmentId: string, media: FinishedMedia): Promise<readonly string[]>
  /** Does nothing to one that is finished. */
  fail(userId: string, attachmentId: string, reason: MediaFailure): Promise<unknown>
}

export type MediaUpload = { key: string; contentType: string; byteSize: number; filename: string }

type Ready = Extract<MediaResult, { kind: 'ready' }>

export type MediaJob = (
  data: { userId: string; attachmentId: string },
  /** Its `signal` ends the work: another run may begin then. */
  context?: { signal: AbortSignal },
) => Promise<void>

/**
 * The job that makes of an upload what is shown of it. It may run any number of times, also side by side, and on workers
 * that do not make the same of it: what it uploads is called after what it holds, and the attachment says whether there
 * is anything left to do. Rejects where the job should be tried again; what is wrong with the file is told to the
 * attachment.
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

  return async ({ userId, attachmentId }, { signal } = { signal: new AbortController().signal }) => {
    const upload = await attachments.begin(userId, attachmentId)
    if (upload === null) return
    await folders.use(async (folder) => {
      const path = join(folder, 'upload')
      await pipeline(await files.read(upload.key), createWriteStream(path))
      const outDir = join(folder, 'made')
      await mkdir(outDir)
      const result = await processor.process({ path, contentType: upload.contentType, outDir, signal })
      if (result.kind === 'failed') {
        log.info({ attachmentId, reason: result.reason, detail: result.detail }, 'an upload cannot be shown')
        await attachments.fail(userId, attachmentId, result.reason)
        return
      }
      const media = await store(upload.key, path, result)
      const kept = new Set(await attachments.finish(userId, attachmentId, media))
      const made = [media.key, ...media.thumbnails.map(({ key }) => key)]
      // What was uploaded may be what another run has found to be without metadata, and is shown.
      await files.remove(made.filter((key) => key !== upload.key && !kept.has(key)))
    })
  }

  /** Stores a file beside the upload. Its name tells of its bytes, so that nothing is ever put in the place of another. */
  async function put(upload: string, path: string, contentType: string): Promise<string> {
    const hash = createHash('sha256')
    for await (const piece of createReadStream(path)) hash.update(piece as Buffer)
    const key = `${upload}.${hash.digest('base64url').slice(0, 16)}.${basename(path)}`
    await files.write(key, { path }, contentType)
    return key
  }

  async function store(key: string, upload: string, result: Ready): Promise<FinishedMedia> {
    const { kind: _kind, original, thumbnails: made, ...facts } = result
    const thumbnails: FinishedMedia['thumbnails'] = []
    for (const { path, ...thumbnail } of made) {
      thumbnails.push({ key: await put(key, path, thumbnail.contentType), ...thumbnail })
    }
    const shown = original === null ? key : await put(key, original.path, original.contentType)
    const { size } = await stat(original?.path ?? upload)
    return { ...facts, key: shown, byteSize: size, thumbnails }
  }
}
