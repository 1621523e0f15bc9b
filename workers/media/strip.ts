import { copyFile, open, readFile, writeFile } from 'node:fs/promises'
import type { Format } from './formats.ts'
import { blanksInIso } from './strip-iso.ts'
import { withoutGifMetadata } from './strip-gif.ts'
import { withoutJpegMetadata } from './strip-jpeg.ts'
import { withoutPngMetadata } from './strip-png.ts'
import { withoutWebpMetadata } from './strip-webp.ts'

/**
 * Each takes a file's bytes to those of the same picture without metadata, and throws where they are not well formed.
 */
const rewriters: Partial<Record<Format, (bytes: Buffer) => Buffer>> = {
  jpeg: (bytes) => withoutJpegMetadata(bytes),
  png: withoutPngMetadata,
  gif: withoutGifMetadata,
  webp: withoutWebpMetadata,
}

/**
 * Writes the file at `from` without its metadata to `to`, not one pixel changed, and tells whether there was any: where
 * there was none, nothing is written. What is kept is what is known to be needed to show it: pixels, colours, which way
 * is up, frames and their timing. All else goes, whatever it is called, and what follows the end. Rejects where the
 * file is not well formed.
 */
export async function strip(format: Format, from: string, to: string): Promise<boolean> {
  const rewrite = rewriters[format]
  if (rewrite === undefined) return blank(format === 'avif' ? 'avif' : 'mp4', from, to)
  const bytes = await readFile(from)
  const stripped = rewrite(bytes)
  if (stripped.equals(bytes)) return false
  await writeFile(to, stripped)
  return true
}

/** How much is written over at once. */
const pieceBytes = 1024 * 1024

/** In these formats offsets point across the whole file, so metadata is written over where it stands. */
async function blank(format: 'mp4' | 'avif', from: string, to: string): Promise<boolean> {
  const source = await open(from)
  const blanks = await blanksInIso(source, format).finally(() => source.close())
  if (blanks.length === 0) return false
  await copyFile(from, to)
  const target = await open(to, 'r+')
  try {
    for (const { start, end, becomes } of blanks) {
      if (becomes !== null) await target.write(Buffer.from(becomes, 'latin1'), 0, 4, start - 4)
      for (let at = start; at < end; at += pieceBytes) {
        const zeros = Buffer.alloc(Math.min(pieceBytes, end - at))
        await target.write(zeros, 0, zeros.length, at)
      }
    }
  } finally {
    await target.close()
  }
  return true
}
