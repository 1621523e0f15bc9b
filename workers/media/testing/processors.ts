import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createMediaProcessor, type MediaProcessorOptions, type MediaResult } from '../media.ts'

/** A processor in a folder of its own, and what is handy with it. `end` closes it and removes everything. */
export function testProcessor(options: Partial<MediaProcessorOptions> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'maru-test-media-'))
  const tempDir = join(folder, 'temp')
  const processor = createMediaProcessor({ tempDir, ...options })
  let count = 0

  /** Writes bytes to a file whose name says nothing. */
  function save(bytes: Uint8Array | string): string {
    const path = join(folder, `upload-${++count}`)
    writeFileSync(path, bytes)
    return path
  }

  function makeOutDir(): string {
    const outDir = join(folder, `made-${++count}`)
    mkdirSync(outDir)
    return outDir
  }

  return {
    ...processor,
    folder,
    tempDir,
    save,
    makeOutDir,
    /** What becomes of these bytes, or of the file at this path, declared as that type. */
    read(upload: Uint8Array | { path: string }, contentType: string): Promise<MediaResult> {
      const path = 'path' in upload ? upload.path : save(upload)
      return processor.process({ path, contentType, outDir: makeOutDir() })
    },
    async end() {
      await processor.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** The result, where it has come to one; fails the test where not. */
export function ready(result: MediaResult): Extract<MediaResult, { kind: 'ready' }> {
  if (result.kind === 'failed') throw new Error(`It failed: ${result.reason}, ${result.detail}`)
  return result
}

/** Why it failed; null where it has not. */
export const reasonOf = (result: MediaResult) => (result.kind === 'failed' ? result.reason : null)
