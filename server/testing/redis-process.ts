import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, existsSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** A Redis that a test may break: it is the test's own, keeps no data on disk, and comes back at the same address. */
export type RedisServer = {
  url: string
  /** Kills it, as a crash would. */
  kill(): Promise<void>
  /** Starts it again after `kill`, empty. Resolves once it answers. */
  start(): Promise<void>
  /** Stops it from running, connections and all, without ending it; `thaw` lets it go on. */
  freeze(): void
  thaw(): void
  /** Neither killed nor frozen. */
  isRunning(): boolean
  /** Ends it for good. */
  stop(): Promise<void>
}

const installation = 'apt-get install --yes redis-server'

/**
 * Starts a Redis on a free port of this machine, with these flags besides. Its program is the one on the machine; on
 * Debian the package is installed where there is none and this user may. Throws with the line that installs it where
 * there is no way.
 */
export const startRedisProcess = (flags: readonly string[] = []): Promise<RedisServer & { port: number }> =>
  withFreePort((port) => startOn(port, flags))

/** How often it is tried anew. */
const maxAttempts = 3

/** Starts something on a port that was free a moment ago; where somebody was quicker, on another. */
export async function withFreePort<T>(start: (port: number) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await start(await findFreePort())
    } catch (error) {
      if (attempt === maxAttempts) throw error
    }
  }
}

async function startOn(port: number, flags: readonly string[]): Promise<RedisServer & { port: number }> {
  const program = findProgram() ?? install()
  let child: ChildProcess | null = null
  let isFrozen = false

  async function kill() {
    if (child === null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
    child = null
    isFrozen = false
  }

  async function start() {
    const own = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
    child = spawn(program, [...own, ...flags], { stdio: 'ignore' })
    child.unref()
    while (!(await answers(port))) {
      if (child.exitCode !== null) throw new Error(`redis-server ended with code ${child.exitCode}.`)
      await sleep(10)
    }
  }

  await start()
  const onExit = () => child?.kill('SIGKILL')
  process.once('exit', onExit)
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    kill,
    start,
    freeze() {
      isFrozen = true
      child?.kill('SIGSTOP')
    },
    thaw() {
      isFrozen = false
      child?.kill('SIGCONT')
    },
    isRunning: () => child !== null && !isFrozen,
    async stop() {
      process.off('exit', onExit)
      await kill()
    },
  }
}

/** Where the program is; null where it is not on the PATH. */
function findProgram(): string | null {
  const folders = (process.env.PATH ?? '').split(delimiter).concat('/usr/bin', '/usr/local/bin')
  for (const folder of folders) {
    const program = join(folder, 'redis-server')
    try {
      accessSync(program, constants.X_OK)
      return program
    } catch {
      // Not in this one.
    }
  }
  return null
}

function install(): string {
  const isDebian = existsSync('/etc/debian_version') && existsSync('/usr/bin/apt-get')
  if (isDebian && process.getuid?.() === 0) {
    console.error(`Tests need a Redis, and this machine has none: ${installation}`)
    // The package would start a server of its own, which nobody here has asked for.
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
    execFileSync('apt-get', ['update'], { stdio: ['ignore', 'ignore', 'inherit'], env })
    execFileSync('apt-get', installation.split(' ').slice(1), { stdio: ['ignore', 'ignore', 'inherit'], env })
    const program = findProgram()
    if (program !== null) return program
  }
  throw new Error(`Tests need a Redis. Install one (${installation}), or give the address of one in TEST_REDIS_URL.`)
}

/** A port of this machine that nobody listens on just now. */
export async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Whether a Redis on this port answers to a ping, be it that it wants a password first. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'))
    const settle = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('data', (data) => settle(/^(\+PONG|-NOAUTH)/.test(data.toString())))
    socket.once('error', () => settle(false))
    socket.setTimeout(1_000, () => settle(false))
  })
}
