import { setPriority } from 'node:os'
import type { MediaResult } from './media.ts'
import { makeSmallPicture, prepareSharp } from './pictures.ts'
import { processFile } from './process-file.ts'

/*
 * What runs in the child: one piece of work at a time, given and answered over the channel to its parent. It trusts
 * nothing that it reads, and may be killed at any moment.
 */

export type FileWork = {
  kind: 'file'
  path: string
  contentType: string
  outDir: string
  maxPixels: number
  ffmpeg: string | null
  heifConvert: string | null
}

export type PictureWork = { kind: 'picture'; bytes: Uint8Array; width: number; height: number; maxPixels: number }

export type Work = FileWork | PictureWork

export type Answer =
  | { kind: 'file'; result: MediaResult }
  | { kind: 'picture'; picture: { data: Uint8Array; width: number; height: number; contentType: string } | null }
  /** The machine's fault, not the file's. */
  | { kind: 'fault'; message: string; code: string | undefined }

export type ToParent = { kind: 'ready' } | { kind: 'answer'; answer: Answer; residentBytes: number }

async function answer(work: Work): Promise<Answer> {
  try {
    if (work.kind === 'file') return { kind: 'file', result: await processFile(work) }
    return { kind: 'picture', picture: await makeSmallPicture(work) }
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException
    return { kind: 'fault', message, code }
  }
}

/** Goes at once, and takes along the programs it has started. */
function die() {
  try {
    process.kill(-process.pid, 'SIGKILL')
  } catch {
    process.kill(process.pid, 'SIGKILL')
  }
}

const tell = (message: ToParent) => process.send?.(message)

// Imported by a test for its types, say, it does nothing.
if (process.send !== undefined && import.meta.main) {
  // Whoever waits for a message comes before whoever waits for a thumbnail.
  setPriority(10)
  prepareSharp()
  process.on('disconnect', die)
  process.on('message', (work: Work) => {
    void answer(work).then((given) => tell({ kind: 'answer', answer: given, residentBytes: process.memoryUsage.rss() }))
  })
  tell({ kind: 'ready' })
}
