import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startEmbeddedPostgres } from '../lib/embedded-postgres.ts'

/** A process of ours as an operator has it: started by a command, told by signals, judged by what it prints. */
export type ServerProcess = {
  pid: number
  /** Resolves when it has said that it is ready; rejects with what it said instead. */
  ready: Promise<Ready>
  /** Its exit code, or the signal that ended it. */
  exit: Promise<number | NodeJS.Signals>
  /** Everything that it has printed so far, to both outputs. */
  output(): string
  /** The lines of its log that tell of something wrong. */
  complaints(): Complaint[]
  /** Sends a signal, and waits for the end. */
  end(signal?: NodeJS.Signals): Promise<number | NodeJS.Signals>
}

export type Complaint = { level: number; msg: string; err?: unknown }

export type Ready = {
  /** Of the API, as it was printed. Null for a process that serves nobody. */
  url: string | null
  /** Of the whole server. */
  origin: string
  /** From the command to the line, in milliseconds. */
  afterMs: number
}

const project = fileURLToPath(new URL('../../', import.meta.url))

/** The Node that npm scripts run on, and not whatever else the machine has. */
export const node = join(project, 'node_modules/.bin/node')

export const serverScript = join(project, 'server/main.ts')

const children = new Set<ChildProcess>()
process.once('exit', killAll)

/** Kills every process that was started here and lives. */
export function killAll(): void {
  for (const child of children) child.kill('SIGKILL')
  children.clear()
}

/**
 * Starts a command in the project's folder, without rate limits unless asked for. Nothing of our own environment reaches
 * it, but for where programs are.
 */
export function startProcess(command: string, args: string[], env: Record<string, string> = {}): ServerProcess {
  const started = performance.now()
  const { HOME = '', PATH = '' } = process.env
  const path = [join(project, 'node_modules/.bin'), PATH].join(delimiter)
  const child = spawn(command, args, {
    cwd: project,
    env: { HOME, PATH: path, HOST: '127.0.0.1', PORT: '0', LOG_FORMAT: 'json', RATE_LIMITS: 'off', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.add(child)
  let output = ''
  const { promise: ready, resolve, reject } = Promise.withResolvers<Ready>()
  const hear = (chunk: Buffer) => {
    output += chunk
    const line = /Maru is ready\. GraphiQL: (http\S+?)"|Maru’s workers are ready/.exec(output)
    if (line === null) return
    const url = line[1] ?? null
    resolve({ url, origin: url?.replace(/\/graphql$/, '') ?? '', afterMs: performance.now() - started })
  }
  child.stdout.on('data', hear)
  child.stderr.on('data', hear)
  const exit = once(child, 'close').then(([code, signal]) => {
    children.delete(child)
    reject(new Error(`The process ended before it was ready:\n${output}`))
    return (signal ?? code) as number | NodeJS.Signals
  })
  // Whoever waits for the end has no interest in this.
  ready.catch(() => {})
  return {
    pid: child.pid!,
    ready,
    exit,
    output: () => output,
    complaints: () => complaintsIn(output),
    end(signal = 'SIGTERM') {
      child.kill(signal)
      return exit
    },
  }
}

/** Levels above this one say that something is wrong. */
const infoLevel = 30

const complaintsIn = (output: string): Complaint[] =>
  output
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Complaint)
    .filter((line) => line.level > infoLevel)

/** Starts `node server/main.ts`, as `npm start` does. */
export const startServer = (env: Record<string, string> = {}, ...args: string[]): ServerProcess =>
  startProcess(node, [serverScript, ...args], env)

/** An empty folder for a process to keep its things in. */
export const makeDataDir = (): Promise<string> => mkdtemp(join(tmpdir(), 'maru-data-'))

/** Removes a folder of `makeDataDir`, and ends the Postgres that a killed process has left there. */
export async function discardDataDir(dataDir: string): Promise<void> {
  if (postgresPid(dataDir) !== null) {
    await startEmbeddedPostgres({ dataDir }).then((postgres) => postgres.stop(), () => {})
  }
  await rm(dataDir, { recursive: true, force: true })
}

/** The pid of the Postgres that runs on a folder, or ran when it was killed; null where it was stopped. */
export function postgresPid(dataDir: string): number | null {
  const file = join(dataDir, 'postgres', 'postmaster.pid')
  return existsSync(file) ? Number.parseInt(readFileSync(file, 'utf8')) : null
}

/** Whether a process runs. One that has ended, and that nobody has taken notice of yet, does not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return process.platform !== 'linux' || !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')
  } catch {
    return false
  }
}
