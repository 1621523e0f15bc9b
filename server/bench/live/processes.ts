import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'

/*
 * What Linux says about processes, from outside: processor time, memory, and on which core they run. The benchmarks of
 * sockets need Linux for it.
 */

/** Who runs where: the servers that are measured on the last core, everything else on those before it. */
export type Place = 'server' | 'elsewhere'

const cores = availableParallelism()
/** Without taskset (util-linux), or with one core, everything runs everywhere. */
const canPin = cores > 1 && spawnSync('taskset', ['-V']).status === 0

const coresOf = (place: Place): string => (place === 'server' ? String(cores - 1) : cores === 2 ? '0' : `0-${cores - 2}`)

export type StartOptions = {
  /** Null is wherever this process runs. */
  place: Place | null
  env?: NodeJS.ProcessEnv
  cwd?: string
}

/** A program that was started here. */
export type Program = {
  /** What it prints can be read; what it complains of is shown. */
  child: ChildProcess
  pid: number
  /** Asks it to end, by a signal, and waits until it has. */
  end(signal: NodeJS.Signals): Promise<void>
}

/** Those that live, to be asked to end when this process does. */
const programs = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of programs) child.kill('SIGTERM')
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

/** Starts a program at a place. It is asked to end when this process does, if it has not been before. */
export function startProgram(program: string, args: readonly string[], { place, env, cwd }: StartOptions): Program {
  const pinned = place !== null && canPin
  const [command, all] = pinned ? ['taskset', ['-c', coresOf(place), program, ...args]] : [program, args]
  const child = spawn(command, all, { env, cwd, stdio: ['ignore', 'pipe', 'inherit'] })
  programs.add(child)
  child.once('exit', () => programs.delete(child))
  return {
    child,
    pid: child.pid!,
    async end(signal) {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill(signal)
      await once(child, 'exit')
    },
  }
}

/** Leaves the core of the servers to them, for this process and what it starts from now on; gives what takes it back. */
export function pinElsewhere(): () => void {
  const move = (list: string) => canPin && spawnSync('taskset', ['-acp', list, String(process.pid)])
  move(coresOf('elsewhere'))
  process.stderr.write(
    canPin
      ? `Servers run on core ${coresOf('server')}; clients, Postgres and Redis on ${coresOf('elsewhere')}.\n`
      : 'Servers and clients share all cores: there is one core, or no taskset (apt-get install --yes util-linux).\n',
  )
  return () => move(`0-${cores - 1}`)
}

/** Seconds of processor time that processes have used so far, over all of their threads, to the nanosecond. */
export function cpuSeconds(pids: readonly number[]): number {
  let nanoseconds = 0
  for (const pid of pids) {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      // The time on a core is the first of three figures: Documentation/scheduler/sched-stats.rst of Linux.
      nanoseconds += Number.parseInt(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1'), 10)
    }
  }
  return nanoseconds / 1e9
}

/** KB of memory that processes hold: `VmRSS` of /proc/PID/status. What the kernel holds for sockets is not in it. */
export function residentKb(pids: readonly number[]): number {
  let kb = 0
  for (const pid of pids) kb += Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1])
  return kb
}

/** The processes that a process has started and that live. */
export function childrenOf(pid: number): number[] {
  const listed = readdirSync(`/proc/${pid}/task`).map((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, 'latin1'),
  )
  return listed.join(' ').split(/\s+/).filter(Boolean).map(Number)
}

/** Files that a process has open besides its sockets: libraries, pipes, logs, connections to a store. */
const otherFiles = 200

/** Throws, with the remedy, where a process may not open so many sockets. */
export function requireSockets(sockets: number): void {
  const line = /^Max open files\s+\S+\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))![1]!
  const limit = line === 'unlimited' ? Infinity : Number(line)
  if (limit >= sockets + otherFiles) return
  throw new Error(
    `${sockets} sockets need a process that may open ${sockets + otherFiles} files; here it may open ${limit}. ` +
      `Raise it in this shell with: ulimit -n ${sockets + otherFiles}`,
  )
}

/** Milliseconds of a clock that all processes of the machine share and that never goes back. */
export function sharedClockMs(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1_000 + nanoseconds / 1e6
}
