import { availableParallelism } from 'node:os'
import type { Answer, Work } from './child.ts'
import { type Death, type MediaChild, startMediaChild } from './media-child.ts'
import { findProgram } from './programs.ts'
import { createTempFolders } from './temp-folders.ts'

/** A file that was made, in the folder it was asked to be in. */
export type MediaFile = { path: string; contentType: string; width: number; height: number }

export type MediaFailure = 'UNSUPPORTED' | 'DISGUISED' | 'BROKEN' | 'TOO_LARGE' | 'TIMED_OUT'

export type MediaResult =
  | {
      kind: 'ready'
      /** Of what is to be served: of `original` where there is one, else of the upload. */
      contentType: string
      /** As it is seen: upright. Null where there is nothing to see, or no ffmpeg to look at a video. */
      width: number | null
      height: number | null
      /** A ThumbHash, base64. */
      placeholder: string | null
      durationMs: number | null
      /** 64 peaks of the sound, one byte each, base64; the loudest is 255. */
      waveform: string | null
      /** What is served instead of the upload, as that one held metadata; null where the upload can stay. */
      original: { path: string; contentType: string } | null
      /** Smallest first, each as WebP and JPEG; those of 256 × 256, or as much as there is, are cut square. */
      thumbnails: MediaFile[]
    }
  | {
      kind: 'failed'
      reason: MediaFailure
      /** For the log: what the decoder said. Never shown. */
      detail?: string
    }

/** A small picture made of somebody else's. */
export type SmallPicture = { data: Buffer; width: number; height: number; contentType: string }

export type MediaProcessor = {
  /**
   * Reads the file at `path`, writes what it makes into `outDir`. Never throws for what the file holds; throws for what
   * is wrong with the machine (disk full, child cannot start): the job is tried again. Nothing goes on once `signal`
   * fires; it rejects with its reason.
   */
  process(input: { path: string; contentType: string; outDir: string; signal?: AbortSignal }): Promise<MediaResult>
  /**
   * A small picture of somebody else's (link previews): fits into width × height, upright, metadata stripped; null
   * where it cannot be read, or there is no time for it, as people's own files go first. Throws as `process` does.
   */
  makePicture(input: Uint8Array, size: { width: number; height: number }): Promise<SmallPicture | null>
  /** The programs that help where they are installed; null where they are not. */
  programs: { ffmpeg: string | null; heifConvert: string | null }
  /** Kills what is under way, which rejects, and takes nothing more. */
  close(): Promise<void>
}

export type MediaProcessorOptions = {
  /** Where children keep what does not fit into memory; made where it is not there. */
  tempDir: string
  /** Larger pictures are TOO_LARGE, before anything is decoded. 100 megapixels unless said otherwise. */
  maxPixels?: number
  /** How long a file may take, in milliseconds; two minutes unless said otherwise. */
  timeoutMs?: number
  /** How long a picture of a link may take, waiting included, in milliseconds; ten seconds unless said otherwise. */
  pictureMs?: number
  /** What a child and the programs it runs may hold in memory together; 1 GiB unless said otherwise. */
  maxMemoryBytes?: number
  /** How many files are worked on side by side; one unless there are four cores or more, then two. */
  processes?: number
  /** The program; null for none, undefined for the one on the PATH. ffprobe is looked for beside it. */
  ffmpeg?: string | null
  /** The program; null for none, undefined for the one on the PATH. */
  heifConvert?: string | null
}

/** A phone's largest today has 200 megapixels and is saved with 12 or 50 unless somebody insists. */
const defaultMaxPixels = 100_000_000
/** Two hours of video are copied in half of it on a slow disk. */
const defaultTimeoutMs = 120_000
/** 100 megapixels whole, 16 bits deep, with what is made of them. */
const defaultMaxMemoryBytes = 1024 ** 3
/** A file is given to a fresh child once more, as the first may have been killed for nothing that the file did. */
const attempts = 2
/** Idle children hold some 80 MB each, which a small machine has other uses for. */
const idleMs = 5 * 60_000

/** A link goes without its picture rather than wait for it. Milliseconds. */
const defaultPictureMs = 10_000
/** Pictures that wait their turn, each of several megabytes. */
const maxPicturesWaiting = 8

const reasons: Record<Death, MediaFailure> = { TIMED_OUT: 'TIMED_OUT', TOO_LARGE: 'TOO_LARGE', CRASHED: 'BROKEN' }

/**
 * Reads pictures, video and audio of whoever, in children that are limited in memory and time: what kills a child harms
 * nothing else. A file that does so twice is failed. Children are started when there is work.
 */
export function createMediaProcessor(options: MediaProcessorOptions): MediaProcessor {
  const programs = {
    ffmpeg: options.ffmpeg === undefined ? findProgram('ffmpeg') : options.ffmpeg,
    heifConvert: options.heifConvert === undefined ? findProgram('heif-convert', 'heif-dec') : options.heifConvert,
  }
  const maxMemoryBytes = options.maxMemoryBytes ?? defaultMaxMemoryBytes
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs
  const maxPixels = options.maxPixels ?? defaultMaxPixels
  let free = options.processes ?? (availableParallelism() >= 4 ? 2 : 1)
  const folders = createTempFolders(options.tempDir)
  const waiting = { files: [] as (() => void)[], pictures: [] as (() => void)[] }
  const idle: { child: MediaChild; timer: NodeJS.Timeout }[] = []
  const busy = new Set<MediaChild>()
  const underWay = new Set<Promise<unknown>>()
  let isClosed = false

  const refuseIfClosed = () => {
    if (isClosed) throw new Error('The media processor is closed.')
  }

  async function takePlace(line: (() => void)[], signal: AbortSignal | undefined): Promise<void> {
    refuseIfClosed()
    signal?.throwIfAborted()
    if (free > 0) {
      free--
      return
    }
    await new Promise<void>((resolve, reject) => {
      const start = () => {
        signal?.removeEventListener('abort', leave)
        resolve()
      }
      const leave = () => {
        line.splice(line.indexOf(start), 1)
        reject(signal!.reason as Error)
      }
      line.push(start)
      signal?.addEventListener('abort', leave, { once: true })
    })
  }

  function leavePlace() {
    const next = waiting.files.shift() ?? waiting.pictures.shift()
    if (next === undefined) free++
    else next()
  }

  async function takeChild(): Promise<MediaChild> {
    const kept = idle.pop()
    if (kept !== undefined) clearTimeout(kept.timer)
    if (kept?.child.isFit()) return kept.child
    return startMediaChild({ folders, maxMemoryBytes })
  }

  async function giveBack(child: MediaChild): Promise<void> {
    busy.delete(child)
    if (isClosed || !child.isFit()) return child.end()
    const place = {
      child,
      timer: setTimeout(() => {
        idle.splice(idle.indexOf(place), 1)
        void child.end()
      }, idleMs).unref(),
    }
    idle.push(place)
  }

  /** Has one child after another try, and tells what the last one died of where none came through. */
  function ask(work: Work, signal?: AbortSignal): Promise<Answer | { kind: 'died'; of: Death }> {
    const asked = askInTurn(work, signal)
    const settled = asked.then(
      () => {},
      () => {},
    )
    underWay.add(settled)
    void settled.then(() => underWay.delete(settled))
    return asked
  }

  async function askInTurn(work: Work, signal?: AbortSignal): Promise<Answer | { kind: 'died'; of: Death }> {
    await takePlace(work.kind === 'file' ? waiting.files : waiting.pictures, signal)
    try {
      let last: Death = 'CRASHED'
      for (let attempt = 0; attempt < attempts; attempt++) {
        refuseIfClosed()
        signal?.throwIfAborted()
        const child = await takeChild()
        busy.add(child)
        // It may have been closed while the child was starting.
        if (isClosed) await giveBack(child)
        refuseIfClosed()
        const outcome = await child.ask(work, timeoutMs, signal).finally(() => giveBack(child))
        refuseIfClosed()
        signal?.throwIfAborted()
        if (outcome.kind !== 'died') return outcome
        last = outcome.of
      }
      return { kind: 'died', of: last }
    } finally {
      leavePlace()
    }
  }

  return {
    programs,
    async process({ path, contentType, outDir, signal }) {
      const answer = await ask({ kind: 'file', path, contentType, outDir, maxPixels, ...programs }, signal)
      if (answer.kind === 'died') return { kind: 'failed', reason: reasons[answer.of], detail: `child ${answer.of}` }
      if (answer.kind === 'file') return answer.result
      throw faultOf(answer)
    },
    async makePicture(input, size) {
      if (waiting.pictures.length >= maxPicturesWaiting) return null
      const tooLong = AbortSignal.timeout(options.pictureMs ?? defaultPictureMs)
      const answer = await ask({ kind: 'picture', bytes: input, ...size, maxPixels }, tooLong).catch((error: unknown) => {
        if (error === tooLong.reason) return null
        throw error
      })
      if (answer === null || answer.kind === 'died') return null
      if (answer.kind !== 'picture') throw faultOf(answer)
      return answer.picture === null ? null : { ...answer.picture, data: Buffer.from(answer.picture.data) }
    },
    async close() {
      isClosed = true
      for (const start of [...waiting.files.splice(0), ...waiting.pictures.splice(0)]) start()
      const children = [...idle.splice(0).map((place) => (clearTimeout(place.timer), place.child)), ...busy]
      await Promise.all(children.map((child) => child.end()))
      await Promise.all(underWay)
    },
  }
}

/** What is wrong with the machine, as the child met it. */
const faultOf = (answer: Answer) =>
  answer.kind === 'fault'
    ? Object.assign(new Error(`media: ${answer.message}`), { code: answer.code })
    : new Error(`The media child answered with ${answer.kind}.`)
