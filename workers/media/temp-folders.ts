import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'

const prefix = 'maru-media-'
/** This run of the process: in a container every run has the same pid. */
const run = randomUUID().slice(0, 8)
/**
 * Of another machine, or container, that shares the folder nobody here knows who still lives; no file takes so long.
 */
const strangersMs = 24 * 60 * 60_000

const host = hostname().replaceAll(/[^\w.]/g, '_')
const own = `${prefix}${host}-${process.pid}-${run}-`

export type TempFolders = {
  /** Makes a folder, which whoever asked for it removes. */
  make(): Promise<string>
  /** Gives `work` a folder and removes it when that is over. */
  use<Result>(work: (folder: string) => Promise<Result>): Promise<Result>
}

/**
 * Makes folders for what lasts as long as a job, under `tempDir`, which is made where it is not there. What a killed
 * process left behind is removed before the first.
 */
export function createTempFolders(tempDir: string): TempFolders {
  let swept: Promise<void> | null = null

  async function make(): Promise<string> {
    await mkdir(tempDir, { recursive: true })
    await (swept ??= sweep(tempDir))
    return mkdtemp(join(tempDir, own))
  }

  return {
    make,
    async use(work) {
      const folder = await make()
      try {
        return await work(folder)
      } finally {
        await rm(folder, { recursive: true, force: true })
      }
    },
  }
}

async function sweep(tempDir: string): Promise<void> {
  for (const name of await readdir(tempDir)) {
    if (!name.startsWith(prefix)) continue
    const folder = join(tempDir, name)
    if (await isLeftBehind(name, folder)) await rm(folder, { recursive: true, force: true }).catch(() => {})
  }
}

async function isLeftBehind(name: string, folder: string): Promise<boolean> {
  const [, owner, pid, ofRun] = /^maru-media-(.+)-(\d+)-([0-9a-f]{8})-/.exec(name) ?? []
  if (owner === host) return Number(pid) === process.pid ? ofRun !== run : !isAlive(Number(pid))
  const { mtimeMs } = await stat(folder).catch(() => ({ mtimeMs: Date.now() }))
  return Date.now() - mtimeMs > strangersMs
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
