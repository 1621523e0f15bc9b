import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Answer, ToParent, Work } from './child.ts'
import { residentBytes } from './memory.ts'
import type { TempFolders } from './temp-folders.ts'

/** Why a child is no more: it took too long, too much memory, or came to an end by itself. */
export type Death = 'TIMED_OUT' | 'TOO_LARGE' | 'CRASHED'

export type MediaChild = {
  pid: number
  /** Gives it work, one at a time; it is killed when `signal` fires. Rejects where the child could not even begin. */
  ask(work: Work, timeoutMs: number, signal?: AbortSignal): Promise<Answer | { kind: 'died'; of: Death }>
  /** Whether it may have more work: false once it is dead, has done its share, or has grown. */
  isFit(): boolean
  /** Kills it, with all that it has started, and removes what it kept on disk. */
  end(): Promise<void>
}

/** What leaks in a decoder goes with the child. Starting one costs 0.2 s. */
const worksOfChild = 100
/** How often memory is looked at: at 2 GB/s, as fast as memory is touched, 100 MB slip through. */
const memoryMs = 50
/** A machine that has not started a Node in this time has other worries. */
const startMs = 30_000
/** JavaScript holds little: what is large is in libvips' hands. */
const heapMegabytes = 256
/**
 * The kernel's wall stands this much further out than the limit that is watched: it counts what is reserved to be
 * written, not what is used, and a Node that does nothing has 600 MB of that (24.21, x86-64).
 */
const wallBytes = 1024 ** 3
/** Seconds of processor time, for a child that nobody is left to kill: a hundred files take a few minutes. */
const processorSeconds = 3_600

const entry = fileURLToPath(new URL('child.ts', import.meta.url))

/** `exec` leaves no shell behind; a system that knows a limit no better goes without. */
const limited = 'ulimit -d "$1" 2>/dev/null; ulimit -t "$2" 2>/dev/null; ulimit -c 0 2>/dev/null; shift 2; exec "$@"'

/**
 * Starts a child in a process group of its own, without any of this process's settings in its environment. Resolves
 * once it is ready; rejects where it cannot start. What it writes beside its work goes into a folder that ends with it.
 */
export async function startMediaChild(options: { folders: TempFolders; maxMemoryBytes: number }): Promise<MediaChild> {
  const folder = await options.folders.make()
  const child = launch(folder, options.maxMemoryBytes)
  let isDead = false
  const gone = new Promise<void>((resolve) => {
    const bury = () => {
      isDead = true
      rm(folder, { recursive: true, force: true }).then(resolve, () => resolve())
    }
    child.once('exit', bury)
    child.once('error', () => child.pid === undefined && bury())
  })
  const kill = () => {
    if (child.pid === undefined || isDead) return
    try {
      process.kill(-child.pid, 'SIGKILL')
    } catch {
      child.kill('SIGKILL')
    }
  }

  let works = 0
  let hasGrown = false

  const started = new AbortController()
  const timer = setTimeout(kill, startMs)
  try {
    const failed = gone.then(() => {
      throw new Error(`The media child did not start: code ${child.exitCode}, signal ${child.signalCode}.`)
    })
    failed.catch(() => {})
    await Promise.race([once(child, 'message', { signal: started.signal }), failed])
  } finally {
    clearTimeout(timer)
    started.abort()
  }
  // Idle children do not keep this process from ending; while there is work, its timer does.
  child.unref()
  child.channel?.unref()

  function ask(work: Work, timeoutMs: number, signal?: AbortSignal): ReturnType<MediaChild['ask']> {
    return new Promise((resolve, reject) => {
      let cause: Death | null = null
      let peak = 0
      const killFor = (death: Death) => {
        cause ??= death
        kill()
      }
      const giveUp = () => killFor('TIMED_OUT')
      const timer = setTimeout(giveUp, timeoutMs)
      signal?.addEventListener('abort', giveUp, { once: true })
      const watch = setInterval(() => {
        peak = Math.max(peak, residentBytes(child.pid!))
        if (peak > options.maxMemoryBytes) killFor('TOO_LARGE')
      }, memoryMs)
      const settle = (finish: () => void) => {
        clearTimeout(timer)
        clearInterval(watch)
        signal?.removeEventListener('abort', giveUp)
        child.off('message', onMessage)
        child.off('exit', onExit)
        finish()
      }
      const onMessage = (message: ToParent) => {
        if (message.kind === 'ready') return
        works++
        hasGrown = message.residentBytes > options.maxMemoryBytes / 2
        settle(() => resolve(message.answer))
      }
      const onExit = () => {
        // At the kernel's wall allocations fail, and most libraries then abort.
        const of = cause ?? (peak > options.maxMemoryBytes * 0.75 ? 'TOO_LARGE' : 'CRASHED')
        settle(() => resolve({ kind: 'died', of }))
      }
      child.on('message', onMessage)
      child.once('exit', onExit)
      if (isDead) return onExit()
      child.send(work, (error) => {
        // A child that has just died tells so itself, by its exit.
        if (error !== null && child.connected) settle(() => reject(error))
      })
    })
  }

  return {
    pid: child.pid!,
    ask,
    isFit: () => !isDead && child.connected && works < worksOfChild && !hasGrown,
    async end() {
      // Until it is gone somebody waits for it again.
      child.ref()
      kill()
      await gone
    },
  }
}

function launch(folder: string, maxMemoryBytes: number): ChildProcess {
  const command = [process.execPath, `--max-old-space-size=${heapMegabytes}`, entry]
  const limits = [Math.ceil((maxMemoryBytes + wallBytes) / 1024), processorSeconds].map(String)
  const [program, ...args] =
    process.platform === 'linux' ? ['/bin/sh', '-c', limited, 'media', ...limits, ...command] : command
  const options: SpawnOptions = {
    // Decoders' complaints about other people's files are nobody's log.
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    serialization: 'advanced',
    detached: true,
    cwd: folder,
    env: {
      PATH: '/usr/local/bin:/usr/bin:/bin',
      LANG: 'C.UTF-8',
      TMPDIR: folder,
      HOME: folder,
      VIPS_CONCURRENCY: '1',
      // One for the picture, one for files: each thread keeps memory of its own.
      UV_THREADPOOL_SIZE: '2',
      MALLOC_ARENA_MAX: '2',
    },
  }
  return spawn(program!, args, options)
}
