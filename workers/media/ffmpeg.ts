import { dirname, join } from 'node:path'
import type { Format } from './formats.ts'
import { runProgram } from './programs.ts'

/** What ffmpeg calls the formats when it reads them: told, it does not guess, and never takes a file for a playlist. */
const readers: Partial<Record<Format, string>> = {
  mp4: 'mov',
  matroska: 'matroska',
  ogg: 'ogg',
  mp3: 'mp3',
  aac: 'aac',
  wav: 'wav',
  flac: 'flac',
}

/**
 * Decoders that people's phones, browsers and cameras need. The other four hundred are what nobody has looked at for
 * twenty years.
 */
const decoders = [
  'h264,hevc,vp8,vp9,libdav1d,libaom-av1,av1,mpeg4,h263,theora,prores,mjpeg',
  'aac,mp3,mp3float,opus,vorbis,flac,alac,amrnb,amrwb,ac3,eac3',
  'pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_u8,pcm_f32le,pcm_mulaw,pcm_alaw',
].join(',')

/** Arguments that open a file, and only this file, as what it was found to be. */
export const inputOf = (path: string, format: Format): string[] => [
  '-protocol_whitelist',
  'file,pipe',
  '-codec_whitelist',
  decoders,
  '-f',
  readers[format]!,
  '-i',
  `file:${path}`,
]

const general = ['-nostdin', '-hide_banner', '-v', 'error', '-threads', '1']

export type Recording = {
  /** Null where the file does not say; browsers record so. */
  durationMs: number | null
  /** Upright, as it is seen; null where there is no picture. The cover of a song is none. */
  picture: { width: number; height: number } | null
  hasSound: boolean
}

/** What a file is, by ffprobe, which stands beside ffmpeg. Rejects with a ProgramError where it cannot be read. */
export async function probe(ffmpeg: string, path: string, format: Format): Promise<Recording> {
  const wanted = 'format=duration:stream=codec_type,width,height,duration,sample_aspect_ratio:stream_side_data=rotation'
  const show = ['-print_format', 'json', '-show_entries', `${wanted}:stream_disposition=attached_pic`]
  const ffprobe = join(dirname(ffmpeg), 'ffprobe')
  const answer = await runProgram(ffprobe, ['-v', 'error', '-threads', '1', ...show, ...inputOf(path, format)])
  const { streams = [], format: whole = {} } = JSON.parse(answer) as Probed
  const video = streams.find(({ codec_type: type, disposition }) => type === 'video' && !disposition?.attached_pic)
  const seconds = Number(whole.duration ?? streams.map(({ duration }) => duration).find(Boolean))
  return {
    durationMs: Number.isFinite(seconds) && seconds > 0 ? Math.round(seconds * 1_000) : null,
    picture: video === undefined ? null : uprightSize(video),
    hasSound: streams.some(({ codec_type: type }) => type === 'audio'),
  }
}

type ProbedStream = {
  codec_type?: string
  width?: number
  height?: number
  duration?: string
  sample_aspect_ratio?: string
  disposition?: { attached_pic?: number }
  side_data_list?: { rotation?: number }[]
}

type Probed = { streams?: ProbedStream[]; format?: { duration?: string } }

function uprightSize({ width, height, sample_aspect_ratio: ratio, side_data_list: sides }: ProbedStream) {
  if (!width || !height) return null
  const [across, down] = (ratio ?? '1:1').split(':').map(Number)
  const wide = across && down ? Math.max(1, Math.round((width * across) / down)) : width
  const turn = sides?.find(({ rotation }) => rotation !== undefined)?.rotation ?? 0
  return Math.abs(turn) % 180 === 90 ? { width: height, height: wide } : { width: wide, height }
}

/**
 * Writes the frame at `seconds`, upright and no larger than `side`, as PNG to `to`. Frames of more than `maxPixels` are
 * not decoded. Writes nothing where the film is over by then.
 */
export async function writePoster(
  ffmpeg: string,
  source: { path: string; format: Format },
  options: { seconds: number; side: number; maxPixels: number; to: string },
): Promise<void> {
  const { seconds, side, maxPixels, to } = options
  // Pixels that are not square are made so first.
  const fit = `scale='min(${side},iw)':'min(${side},ih)':force_original_aspect_ratio=decrease`
  const scale = `scale=trunc(iw*sar):ih,${fit},setsar=1`
  const limits = ['-max_pixels', String(maxPixels), '-ss', String(seconds)]
  const output = ['-map', '0:V:0', '-frames:v', '1', '-vf', scale, '-pix_fmt', 'rgb24', '-map_metadata', '-1']
  const input = inputOf(source.path, source.format)
  const png = ['-c:v', 'png', '-f', 'image2', '-update', '1', '-y', to]
  await runProgram(ffmpeg, [...general, ...limits, ...input, ...output, ...png])
}

/**
 * Copies picture and sound as they are into a new file of the type, without metadata, covers, chapters, and tracks of
 * text or data, which may say where the camera was. MP4 begins with its table of contents, so that it plays at once.
 */
export async function copyWithoutMetadata(
  ffmpeg: string,
  source: { path: string; format: Format },
  contentType: string,
  to: string,
): Promise<void> {
  const tracks = ['-map', '0:V?', '-map', '0:a?', '-c', 'copy', '-map_metadata', '-1', '-map_chapters', '-1']
  const plain = ['-fflags', '+bitexact', '-flags:v', '+bitexact', '-flags:a', '+bitexact']
  const writer = ['-f', writers[contentType] ?? readers[source.format]!]
  const front = source.format === 'mp4' ? ['-movflags', '+faststart', '-strict', '-2'] : []
  const bare = source.format === 'mp3' ? ['-id3v2_version', '0', '-write_id3v1', '0'] : []
  const input = inputOf(source.path, source.format)
  await runProgram(ffmpeg, [...general, ...input, ...tracks, ...plain, ...front, ...bare, ...writer, '-y', to])
}

const writers: Record<string, string> = {
  'video/mp4': 'mp4',
  'audio/mp4': 'ipod',
  'video/x-m4v': 'mp4',
  'video/quicktime': 'mov',
  'video/3gpp': '3gp',
  'video/3gpp2': '3g2',
  'video/webm': 'webm',
  'audio/webm': 'webm',
  'audio/aac': 'adts',
}

/** Samples a second of what peaks are looked for in: enough for them, and little to look at. */
const sampleRate = 8_000

/** Hands on the sound as signed 16-bit samples, one channel, 8,000 a second. */
export async function readSound(
  ffmpeg: string,
  source: { path: string; format: Format },
  onSamples: (samples: Buffer) => void,
): Promise<void> {
  const output = ['-map', '0:a:0', '-ac', '1', '-ar', String(sampleRate), '-c:a', 'pcm_s16le', '-f', 's16le', 'pipe:1']
  await runProgram(ffmpeg, [...general, ...inputOf(source.path, source.format), ...output], onSamples)
}
