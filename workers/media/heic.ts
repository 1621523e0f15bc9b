import { copyFile, open, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import type { FileWork } from './child.ts'
import { boxAt, read } from './iso-boxes.ts'
import type { MediaResult } from './media.ts'
import { describe } from './pictures.ts'
import { runProgram } from './programs.ts'
import { placesOfOthers } from './strip-iso-items.ts'
import { withoutJpegMetadata } from './strip-jpeg.ts'
import { Unfit } from './unfit.ts'

/** It is what everybody is shown, so nobody should see that it was another format. */
const quality = '92'

/**
 * Reads a HEIC by heif-convert, of libheif's examples. Few browsers show HEIC, so what is served is a JPEG, upright and
 * without metadata, and not the upload. UNSUPPORTED where the program is not installed.
 *
 * Which way is up a HEIC says in its own boxes, which the program has heeded; EXIF says it once more, for whoever takes
 * the pixels as they are (ISO/IEC 23008-12, A.2.4). To heed both turns an iPhone's pictures twice.
 */
export async function readHeic(work: FileWork): Promise<MediaResult> {
  const program = work.heifConvert
  if (program === null) throw new Unfit('UNSUPPORTED', 'HEIC without heif-convert')
  const source = join(work.outDir, 'shown.heic')
  const decoded = join(work.outDir, 'decoded.jpg')
  await copyWithOnePicture(work.path, source)
  // libvips knows its size, if not its pixels.
  const { width, height } = await sharp(source, { limitInputPixels: false }).metadata()
  if (width * height > work.maxPixels) throw new Unfit('TOO_LARGE', `${width} × ${height} pixels`)
  await runProgram(program, ['--quiet', '-q', quality, source, decoded])
  const original = { path: join(work.outDir, 'original'), contentType: 'image/jpeg' }
  await writeFile(original.path, withoutJpegMetadata(await readFile(decoded), { isUpright: true }))
  await Promise.all([rm(source), rm(decoded)])
  const facts = await describe(original.path, work.maxPixels, work.outDir)
  return { kind: 'ready', contentType: 'image/jpeg', ...facts, durationMs: null, waveform: null, original }
}

/** As much as tells of the pictures in a file; a burst of a hundred takes some kilobytes. */
const maxListBytes = 16 * 1024 * 1024

/**
 * Copies a HEIC and hides all pictures but the one that phones show. The program decodes whatever is not hidden, and a
 * burst has a hundred pictures, of which the first is not by itself the one.
 */
async function copyWithOnePicture(from: string, to: string): Promise<void> {
  await copyFile(from, to)
  const file = await open(to, 'r+')
  try {
    const { size } = await file.stat()
    for (let at = 0; at + 8 <= size; ) {
      const box = boxAt(await read(file, at, Math.min(16, size - at)), 0, size - at)
      if (box.type === 'meta') {
        if (box.end > maxListBytes) throw new Error('more pictures than anybody takes')
        for (const { place, flags } of placesOfOthers(await read(file, at, box.end))) {
          await file.write(Buffer.from([flags]), 0, 1, at + place)
        }
        return
      }
      at += box.end
    }
    throw new Error('a HEIC without a list of its pictures')
  } finally {
    await file.close()
  }
}
