import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, existsSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** A Redis that a test may break: it is the test's own, keeps nothing on disk, and comes back at the same address. */
export type RedisServer = {
  url: string
  /** Kills it, as a crash would. */
  kill(): Promise<void>
  /** Starts it again after `kill`. Resolves once it answers. */
  start(): Promise<void>
  /** Stops it from running, connections and all, without ending it; `thaw` lets it go on. */
  freeze(): void
  thaw(): void
  /** Ends it for good. */
  stop(): Promise<void>
}

const installation = 'apt-get install --yes redis-server'

/**
 * A Redis for tests that only use one: the one at TEST_REDIS_URL, or else one of their own. `stop` ends only the latter.
 */
export async function findRedis(): Promise<{ url: string; stop(): Promise<void> }> {
  const given = process.env.TEST_REDIS_URL
  return given === undefined || given === '' ? startRedis() : { url: given, stop: async () => {} }
}

/**
 * Starts a Redis on a free port of this machine. Its program is the one on the machine; on Debian the package is
 * installed where there is none and this user may. Throws with the line that installs it where there is no way.
 */
export async function startRedis(): Promise<RedisServer> {
  const program = findProgram() ?? install()
  const port = await findFreePort()
  let child: ChildProcess | null = null

  async function kill() {
    if (child === null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
    child = null
  }

  async function start() {
    const flags = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
    child = spawn(program, flags, { stdio: 'ignore' })
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
    kill,
    start,
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
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

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Whether a Redis on this port answers to a ping. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'))
    const settle = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('data', (data) => settle(data.toString().startsWith('+PONG')))
    socket.once('error', () => settle(false))
    socket.setTimeout(1_000, () => settle(false))
  })
}
