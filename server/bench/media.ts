import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { createMediaProcessor } from '../../workers/media/media.ts'
import { residentBytes } from '../../workers/media/memory.ts'
import { inTurns, rateOf, report } from './measure.ts'
import type { BenchOptions } from './options.ts'

/** What is uploaded: a phone's pictures, and a screenshot's worth. */
const uploads = {
  'phone, 12 megapixels': { width: 4032, height: 3024 },
  'camera, 20 megapixels': { width: 5472, height: 3648 },
  'small, 640 × 480': { width: 640, height: 480 },
}

/** The sizes that the worker makes, and the square. */
const sizes = [160, 320, 1280, 256]

const base = 'sharp in this process, each from the upload'

/**
 * Pictures a second, from the file to eight thumbnails, a ThumbHash and a version without metadata, through one child
 * and two, beside what is often written first: sharp in the process, told eight times to make a thumbnail of the
 * upload, with neither ThumbHash nor version. Then the most memory that all children held together.
 */
export async function benchMedia(options: BenchOptions): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'maru-bench-media-'))
  const [rounds, seconds] = options.short ? [1, 2] : [5, 5]
  try {
    for (const [name, size] of Object.entries(uploads)) {
      const path = join(folder, `${size.width}.jpg`)
      await writeFile(path, await takePicture(size))
      const one = createChildren(folder, path, 1)
      const two = createChildren(folder, path, 2)
      const figures = await inTurns(rounds, {
        [base]: () => rateOf([path], seconds, thumbnailsInProcess),
        'one child': () => one.rate(seconds),
        'two children': () => two.rate(seconds),
      })
      report(name, 'pictures/s', figures, base)
      for (const children of [one, two]) {
        const megabytes = Math.round(children.peak() / 1024 ** 2)
        process.stdout.write(`  ${`memory, ${children.count}`.padEnd(44)} ${String(megabytes).padStart(10)} MB\n`)
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** A JPEG with as much detail as a camera's has, on its side, with the place in its EXIF. */
function takePicture({ width, height }: { width: number; height: number }): Promise<Buffer> {
  const noise = { type: 'gaussian', mean: 128, sigma: 20 } as const
  const grain = sharp({ create: { width, height, channels: 3, background: '#888', noise } })
  const place = { IFD3: { GPSLatitudeRef: 'N', GPSLatitude: '37/1 33/1 7/1' } }
  return grain.withMetadata({ orientation: 6 }).withExifMerge(place).jpeg({ quality: 90 }).toBuffer()
}

async function thumbnailsInProcess(path: string): Promise<void> {
  const made = sizes.flatMap((side) => {
    const fit = side === 256 ? 'cover' : 'inside'
    const small = () => sharp(path).autoOrient().resize(side, side, { fit })
    return [small().webp().toBuffer(), small().jpeg().toBuffer()]
  })
  await Promise.all(made)
}

function createChildren(folder: string, path: string, count: number) {
  let peak = 0
  let made = 0
  return {
    count: count === 1 ? 'one child' : 'two children',
    peak: () => peak,
    async rate(seconds: number): Promise<number> {
      // Anew for each turn, so that nobody else's children are counted.
      const processor = createMediaProcessor({ tempDir: join(folder, 'temp'), processes: count, ffmpeg: null })
      const own = process.memoryUsage.rss
      const watch = setInterval(() => {
        peak = Math.max(peak, residentBytes(process.pid) - own())
      }, 20)
      const work = async () => {
        const outDir = join(folder, `made-${count}-${++made}`)
        await mkdir(outDir)
        const result = await processor.process({ path, contentType: 'image/jpeg', outDir })
        if (result.kind === 'failed') throw new Error(`${result.reason}: ${result.detail}`)
        await rm(outDir, { recursive: true })
      }
      try {
        // The first ones start the children.
        await Promise.all(Array.from({ length: count }, work))
        return await rateOf(Array.from({ length: count }), seconds, work)
      } finally {
        clearInterval(watch)
        await processor.close()
      }
    },
  }
}
