import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

export type DataDirLock = {
  /** Lets the next process have the folder. Harmless when called again. */
  release(): void
}

/**
 * Takes `dataDir`, which is made if it is not there, for this process alone, or throws at once with the pid of the one
 * that has it.
 *
 * The kernel holds the lock: it goes with the process however that ends, nothing stale is ever left to judge, and of
 * two that start together exactly one wins. Pids would not do, as each container calls its first process 1 and may
 * share the folder with another. Node has no call for a file lock, but its SQLite has: an open exclusive transaction
 * is one. Nothing is ever written to that file.
 */
export function lockDataDir(dataDir: string): DataDirLock {
  const holderFile = join(dataDir, 'maru.pid')
  const lock = openLocked(dataDir, holderFile)
  // Beside the lock and not in it, for the same reason: the file that SQLite has locked is not ours to open.
  writeFileSync(holderFile, `${process.pid} ${hostname()}\n`)

  return {
    release() {
      if (!lock.isOpen) return
      rmSync(holderFile, { force: true })
      lock.close()
    },
  }
}

function openLocked(dataDir: string, holderFile: string): DatabaseSync {
  let lock: DatabaseSync | undefined
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 })
    const lockFile = join(dataDir, 'maru.lock')
    // SQLite would open a file that it may not write to all the same, and fail in words that say less. Asked without
    // opening it: when this process has the lock already, closing any other descriptor of the file would drop it.
    if (existsSync(lockFile)) accessSync(lockFile, constants.W_OK)
    lock = new DatabaseSync(lockFile, { timeout: 0 })
    // With its journal on disk SQLite would put one beside the file, and a kill would leave it there.
    lock.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
    return lock
  } catch (cause) {
    lock?.close()
    throw new Error(
      isBusy(cause)
        ? `DATA_DIR ${dataDir} is in use by ${readHolder(holderFile)}; ` +
          'stop it, or give this one another DATA_DIR and PORT.'
        : `DATA_DIR ${dataDir} cannot be used: ${cause instanceof Error ? cause.message : cause}. ` +
          `It must be a folder that user id ${process.getuid?.()} may write to, with all that is in it.`,
      { cause },
    )
  }
}

const SQLITE_BUSY = 5

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY
}

/** Only to tell a person whom to stop; the lock does not rest on it. */
function readHolder(holderFile: string): string {
  let holder: string
  try {
    holder = readFileSync(holderFile, 'utf8')
  } catch {
    return 'another process'
  }
  const [pid, host] = holder.trim().split(' ')
  return host === hostname() ? `process ${pid}` : `process ${pid} on ${host}`
}
