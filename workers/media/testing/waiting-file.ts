import { execFileSync } from 'node:child_process'
import { closeSync, constants, openSync, renameSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * A file at `path` that never says what it holds: whoever opens it waits, as for a decoder that never comes to an end.
 */
export function makeWaitingFile(path: string) {
  execFileSync('mkfifo', [path])
  let kept: number | null = null
  const close = () => {
    if (kept !== null) closeSync(kept)
    kept = null
  }
  return {
    path,
    /** Resolves once somebody has opened it, and waits. Ask again for the next one. */
    async isOpened(): Promise<void> {
      close()
      while (kept === null) {
        try {
          // Opens only where there is a reader.
          kept = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ENXIO') throw error
          await sleep(5)
        }
      }
    },
    /** Puts an ordinary file in its place, for whoever comes next. */
    replace(bytes: Uint8Array) {
      writeFileSync(`${path}.new`, bytes)
      renameSync(`${path}.new`, path)
    },
    close,
  }
}
