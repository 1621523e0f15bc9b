import { readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import type { FileWork } from './child.ts'
import type { MediaResult } from './media.ts'
import { describe } from './pictures.ts'
import { runProgram } from './programs.ts'
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
  // libvips knows its size, if not its pixels.
  const { width, height } = await sharp(work.path, { limitInputPixels: false }).metadata()
  if (width * height > work.maxPixels) throw new Unfit('TOO_LARGE', `${width} × ${height} pixels`)
  await runProgram(program, ['--quiet', '-q', quality, work.path, join(work.outDir, 'decoded.jpg')])
  // Of several pictures, such as a burst, each has its number.
  const names = (await readdir(work.outDir)).filter((name) => /^decoded(-\d+)?\.jpg$/.test(name))
  const first = names.toSorted((a, b) => a.length - b.length || (a < b ? -1 : 1))[0]
  if (first === undefined) throw new Unfit('BROKEN', 'nothing decoded')
  const original = { path: join(work.outDir, 'original'), contentType: 'image/jpeg' }
  await writeFile(original.path, withoutJpegMetadata(await readFile(join(work.outDir, first)), { isUpright: true }))
  for (const name of names) await rm(join(work.outDir, name))
  const facts = await describe(original.path, work.maxPixels, work.outDir)
  return { kind: 'ready', contentType: 'image/jpeg', ...facts, durationMs: null, waveform: null, original }
}
