import { createWriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { ZipFile } from 'yazl'

export type ZipWriter = {
  /** Adds a file and waits until all of it is read. What is packed already is kept as it is. */
  add(path: string, body: Readable | AsyncIterable<string> | string, options?: { isPacked?: boolean }): Promise<void>
  /** Ends the archive; when this resolves all of it is on the disk. */
  end(): Promise<void>
  /** Gives up. */
  abort(): Promise<void>
}

/** Writes an archive to a path, entry by entry: no more is in memory than what is just on its way to the disk. */
export function createZipWriter(path: string, signal: AbortSignal): ZipWriter {
  const zip = new ZipFile()
  const giveUp = new AbortController()
  const output = zip.outputStream as Readable
  const written = pipeline(output, createWriteStream(path), { signal: AbortSignal.any([signal, giveUp.signal]) })
  const broken = new Promise<never>((_, reject) => {
    written.catch(reject)
    zip.on('error', reject)
  })
  // Whoever waits is told; nobody need.
  broken.catch(() => {})

  return {
    async add(entryPath, body, { isPacked = false } = {}) {
      const source = body instanceof Readable ? body : Readable.from(typeof body === 'string' ? [body] : body, { objectMode: false })
      const read = new Promise<void>((resolve, reject) => {
        source.once('error', reject)
        source.once('end', resolve)
        source.once('close', () => reject(new Error('A file ended before its end')))
      })
      zip.addReadStreamLazy(entryPath, { compress: !isPacked }, (begin) => begin(null, source))
      await Promise.race([read, broken]).finally(() => source.destroy())
    },

    async end() {
      zip.end()
      await Promise.race([written, broken])
    },

    async abort() {
      giveUp.abort()
      await written.catch(() => {})
    },
  }
}
