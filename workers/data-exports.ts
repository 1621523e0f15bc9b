import { createReadStream } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Database } from '../drizzle/connection.ts'
import { type DataExportAttempt, type DataExportsService, exportRetries } from '../server/domain/data-exports.ts'
import { exportedTexts } from '../server/domain/data-exports-contents.ts'
import { exportedFiles, maxFileBytes } from '../server/domain/data-exports-files.ts'
import { expectedFailure } from '../server/errors.ts'
import type { Files } from '../server/files/files.ts'
import { type JobContext, type JobHandler, jobPolicies } from '../server/jobs/jobs.ts'
import { isMedia } from '../server/lib/file-types.ts'
import type { Log } from '../server/observability/log.ts'
import { createZipWriter, type ZipWriter } from './data-exports-zip.ts'
import { createTempFolders } from './media/temp-folders.ts'

export type DataExportJobOptions = {
  dataExports: DataExportsService
  /** Whose statements may take long. */
  database: Database
  files: Files
  /** Where the archive is made, before it goes to where files are kept. */
  tempDir: string
  log: Log
  /** Bytes of all files of one export. */
  maxBytes?: number
}

/**
 * Gathers what is somebody's own in an archive. It is made in a folder of this machine and put in its place as a whole; an
 * attempt that dies has shown nothing, and the next begins anew. A million messages of one's own took 100 s, a third of it
 * on the processor, and 23 MB.
 */
export function createDataExportJob(options: DataExportJobOptions): JobHandler<'data-export'> {
  const { dataExports, database, files, log } = options
  const folders = createTempFolders(options.tempDir)

  async function gather(userId: string, zip: ZipWriter, folder: string, signal: AbortSignal): Promise<void> {
    for await (const { path, text } of exportedTexts(database, userId)) {
      signal.throwIfAborted()
      await zip.add(path, text)
    }
    // The list grows beside the archive, which takes one file at a time.
    const listPath = join(folder, 'attachments.jsonl')
    const list = await open(listPath, 'w')
    try {
      await addFiles(userId, zip, (line) => list.writeFile(line), signal)
    } finally {
      await list.close()
    }
    await zip.add('attachments.jsonl', createReadStream(listPath))
  }

  /** Adds files for as long as there is room, and lists all of them. */
  async function addFiles(userId: string, zip: ZipWriter, note: (line: string) => Promise<void>, signal: AbortSignal) {
    let left = options.maxBytes ?? maxFileBytes
    for await (const { key, path, contentType, byteSize, about } of exportedFiles(database, userId)) {
      signal.throwIfAborted()
      // What has been deleted since it was listed is not there any more.
      const body = byteSize > left ? null : await files.read(key).catch(nullIfMissing)
      if (body !== null) {
        left -= byteSize
        await zip.add(path, body, { isPacked: isMedia(contentType) })
      }
      await note(`${JSON.stringify({ ...about, path: body === null ? null : path })}\n`)
    }
  }

  /**
   * Gives up what fails of itself, or takes too long, and has done so often enough; lets go of all else for another
   * attempt. Whatever it is, the last attempt is the last.
   */
  async function fail(attempt: DataExportAttempt, error: unknown, { signal, retries }: JobContext, tookMs: number) {
    const { retries: most, expireIn } = jobPolicies['data-export']
    const isStopping = signal.aborted && tookMs < expireIn * 900
    const isAway = expectedFailure(error)?.code === 'UNAVAILABLE'
    if (retries < (isStopping || isAway ? most : exportRetries)) {
      await dataExports.letGo(attempt).catch(() => {
        // The store may be what is away: then it is found out when the next attempt begins.
      })
      throw error
    }
    log.error({ err: error, userId: attempt.userId }, 'an export of data was given up')
    await dataExports.fail(attempt)
  }

  return async ({ userId, id }, context) => {
    const { signal, retries } = context
    const began = performance.now()
    const attempt = await dataExports.begin({ userId, id }, retries)
    if (attempt === null) return
    try {
      await folders.use(async (folder) => {
        const path = join(folder, 'export.zip')
        const zip = createZipWriter(path, signal)
        try {
          await gather(userId, zip, folder, signal)
          await zip.end()
        } catch (error) {
          await zip.abort()
          throw error
        }
        await files.write(attempt.key, { path }, 'application/zip')
        await dataExports.finish(attempt, (await stat(path)).size)
      })
    } catch (error) {
      await fail(attempt, error, context, performance.now() - began)
    }
  }
}

function nullIfMissing(error: unknown): null {
  if (expectedFailure(error)?.code === 'NOT_FOUND') return null
  throw error
}
