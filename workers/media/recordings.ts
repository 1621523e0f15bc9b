import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { parseFile } from 'music-metadata'
import type { FileWork } from './child.ts'
import { copyWithoutMetadata, probe, readSound, writePoster } from './ffmpeg.ts'
import type { Format } from './formats.ts'
import type { MediaResult } from './media.ts'
import { describe, type PictureFacts } from './pictures.ts'
import { ProgramError } from './programs.ts'
import { strip } from './strip.ts'
import { Unfit } from './unfit.ts'
import { createWaveform } from './waveform.ts'

/** The first frame is often black, or the floor. */
const posterSeconds = 1
/** As large as the largest thumbnail. */
const posterSide = 1_280

type Ready = Extract<MediaResult, { kind: 'ready' }>

/** Makes of video or sound what there is to make, with ffmpeg or as far as it goes without. */
export function readRecording(work: FileWork, format: Format, contentType: string): Promise<Ready> {
  return work.ffmpeg === null ? readAlone(work, format, contentType) : readBy(work.ffmpeg, work, format, contentType)
}

async function readBy(ffmpeg: string, work: FileWork, format: Format, sniffedType: string): Promise<Ready> {
  const source = { path: work.path, format }
  const { durationMs, picture, hasSound } = await probe(ffmpeg, work.path, format)
  if (picture === null && !hasSound) throw new Unfit('BROKEN', 'neither picture nor sound')
  const contentType = picture === null ? asSound(sniffedType) : sniffedType
  const original = { path: join(work.outDir, 'original'), contentType }
  await copyWithoutMetadata(ffmpeg, source, contentType, original.path)
  // What a browser has recorded says how long it is only once it has been copied.
  const duration = durationMs ?? (await probe(ffmpeg, original.path, format)).durationMs
  const poster = picture === null ? null : await readPoster(ffmpeg, source, duration, work)
  return {
    kind: 'ready',
    contentType,
    width: picture?.width ?? null,
    height: picture?.height ?? null,
    placeholder: poster?.placeholder ?? null,
    durationMs: duration,
    waveform: picture === null ? await readWaveform(ffmpeg, source) : null,
    original,
    thumbnails: poster?.thumbnails ?? [],
  }
}

/** A frame's thumbnails; null where no frame can be decoded, which is no reason to refuse a film. */
async function readPoster(
  ffmpeg: string,
  source: { path: string; format: Format },
  durationMs: number | null,
  work: FileWork,
): Promise<PictureFacts | null> {
  const to = join(work.outDir, 'poster.png')
  const early = Math.min(posterSeconds, (durationMs ?? 0) / 4_000)
  for (const seconds of new Set([early, 0])) {
    try {
      await writePoster(ffmpeg, source, { seconds, side: posterSide, maxPixels: work.maxPixels, to })
    } catch (error) {
      if (!(error instanceof ProgramError)) throw error
    }
    if (!(await exists(to))) continue
    const facts = await describe(to, work.maxPixels, work.outDir)
    await rm(to)
    return facts
  }
  return null
}

const exists = (path: string) =>
  stat(path).then(
    ({ size }) => size > 0,
    () => false,
  )

async function readWaveform(ffmpeg: string, source: { path: string; format: Format }): Promise<string | null> {
  const waveform = createWaveform()
  try {
    await readSound(ffmpeg, source, waveform.add)
  } catch (error) {
    if (!(error instanceof ProgramError)) throw error
    return null
  }
  return waveform.finish()
}

/** Without ffmpeg: how long it is, and of the formats that are understood here, a version without metadata. */
async function readAlone(work: FileWork, format: Format, sniffedType: string): Promise<Ready> {
  const { format: facts } = await parseFile(work.path, { duration: true, skipCovers: true })
  const contentType = facts.hasVideo ? sniffedType : asSound(sniffedType)
  const path = join(work.outDir, 'original')
  const isStripped = format === 'mp4' && (await strip(format, work.path, path))
  // Of QuickTime each track says how long it is.
  const seconds = facts.duration ?? Math.max(...facts.trackInfo.map(({ duration }) => duration ?? 0))
  return {
    kind: 'ready',
    contentType,
    width: null,
    height: null,
    placeholder: null,
    durationMs: Number.isFinite(seconds) && seconds > 0 ? Math.round(seconds * 1_000) : null,
    waveform: null,
    original: isStripped ? { path, contentType } : null,
    thumbnails: [],
  }
}

/** What a file is called in which there is only sound. */
const asSound = (type: string) => sounds[type] ?? type

const sounds: Record<string, string> = {
  'video/mp4': 'audio/mp4',
  'video/quicktime': 'audio/mp4',
  'video/x-m4v': 'audio/mp4',
  'video/3gpp': 'audio/mp4',
  'video/webm': 'audio/webm',
  'video/ogg': 'audio/ogg',
}
