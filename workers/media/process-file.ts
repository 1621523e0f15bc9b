import { open, stat } from 'node:fs/promises'
import type { FileWork } from './child.ts'
import { type Format, formatOf, sniff, sniffedBytes } from './formats.ts'
import { readHeic } from './heic.ts'
import type { MediaResult } from './media.ts'
import { readPicture } from './pictures.ts'
import { readRecording } from './recordings.ts'
import { Unfit } from './unfit.ts'

/** Beyond this no picture of 100 megapixels goes, and it has to be held in memory to be stripped. */
const maxPictureBytes = 200 * 1024 * 1024

const pictures: ReadonlySet<Format> = new Set(['jpeg', 'png', 'webp', 'gif', 'avif'])

/**
 * Makes of a file what there is to make. Whatever is wrong with the file is an answer; rejects only with errors of the
 * system, which have a code such as ENOSPC.
 */
export async function processFile(work: FileWork): Promise<MediaResult> {
  try {
    const declared = formatOf(work.contentType)
    if (declared === null) throw new Unfit('UNSUPPORTED', `no reader for ${work.contentType}`)
    const { size } = await stat(work.path)
    const sniffed = await sniff(await head(work.path))
    if (sniffed === null) throw new Unfit('DISGUISED', `no ${declared}, nor anything known`)
    if (sniffed.format !== declared) throw new Unfit('DISGUISED', `${sniffed.format} as ${declared}`)
    const { format, contentType } = sniffed
    const isPicture = pictures.has(format)
    if ((isPicture || format === 'heic') && size > maxPictureBytes) throw new Unfit('TOO_LARGE', `${size} bytes`)
    if (isPicture) return await readPicture(work, format, contentType)
    if (format === 'heic') return await readHeic(work)
    return await readRecording(work, format, contentType)
  } catch (error) {
    return failureOf(error)
  }
}

async function head(path: string): Promise<Uint8Array> {
  const file = await open(path)
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(sniffedBytes))
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/** As much of what a decoder says as belongs into a log. */
const detailCharacters = 500

/** What an error says of the file. An error of the system says nothing of it, and is thrown on. */
function failureOf(error: unknown): MediaResult {
  if (error instanceof Unfit) return { kind: 'failed', reason: error.reason, detail: error.message }
  const { message, syscall, code } = error as NodeJS.ErrnoException
  if (syscall !== undefined || code === 'ENOSPC') throw error
  if (/no space left on device/i.test(message)) throw Object.assign(new Error(message), { code: 'ENOSPC' })
  const isTooLarge = /pixel limit|memory|exceeds .*limit|too (large|big)/i.test(message)
  return { kind: 'failed', reason: isTooLarge ? 'TOO_LARGE' : 'BROKEN', detail: message.slice(0, detailCharacters) }
}
