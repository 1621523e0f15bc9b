import { readFileSync } from 'node:fs'

/**
 * What a process and all that it has started hold in memory, in bytes, by /proc. 0 for a process that is gone, and on
 * systems without /proc: there only the limits on time and on JavaScript's heap hold.
 */
export function residentBytes(pid: number): number {
  if (process.platform !== 'linux') return 0
  return own(pid) + processesOf(pid).reduce((sum, child) => sum + residentBytes(child), 0)
}

const own = (pid: number) => Number(/^VmRSS:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0) * 1024

/** The processes that a process has started and that still are. Node starts programs from its main thread. */
export const processesOf = (pid: number): number[] =>
  read(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number)

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
