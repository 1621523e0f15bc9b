import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, fstatSync, openSync, readFileSync, renameSync, statSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Account, type Binaries, folderAsSeenBy, postgresEnvironment } from './embedded-postgres-setup.ts'

export type ServerOptions = {
  dataDir: string
  folder: string
  binaries: Binaries
  account: Account
  maxConnections: number
  log: (line: string) => void
}

export type Server = {
  port: number
  onExit(listener: (reason: string) => void): void
  stop(): Promise<void>
}

/** One old log is kept beside the new one. */
const LOG_ROTATION_BYTES = 10 * 1024 * 1024
/**
 * What to send, and how long to wait for the end. A fast shutdown that takes so long becomes an immediate one: nothing
 * is lost, the next start replays the log.
 */
const STOP_STEPS = [['SIGINT', 10_000], ['SIGQUIT', 5_000]] as const
/** Another program may take the free port between our finding it and Postgres's; three times is no accident. */
const PORT_ATTEMPTS = 3
/** After a crash Postgres replays its log first, as long as that takes; then people are told why they wait. */
const RECOVERY_NOTICE_MS = 5_000

/** Starts a Postgres server on a free port and resolves when it takes connections. */
export async function launchServer(options: ServerOptions): Promise<Server> {
  for (let attempt = 1; ; attempt++) {
    const port = await findFreePort()
    const { server, whenReady, readLog } = spawnServer(options, port)
    const failure = await whenReady()
    if (failure === undefined) return server
    const said = readLog()
    if (attempt < PORT_ATTEMPTS && said.includes('Address already in use')) continue
    throw new Error(`The embedded Postgres did not start. ${failure}\n${said}`)
  }
}

function spawnServer({ dataDir, folder, binaries, account, maxConnections, log }: ServerOptions, port: number) {
  // A file and not a pipe: it goes on working when this process is gone, and blocks nobody.
  const logFile = join(dataDir, 'postgres.log')
  if (sizeOf(logFile) > LOG_ROTATION_BYTES) renameSync(logFile, `${logFile}.1`)
  const logHandle = openSync(logFile, 'a', 0o600)
  const logStart = fstatSync(logHandle).size

  // Given here and not in postgresql.conf, as the rest of Maru relies on them.
  const settings = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: '',
    max_connections: maxConnections,
    // A statement about messages locks every month and its indexes; a connection runs one at a time. About 30 MB.
    max_locks_per_transaction: 1_024,
    timezone: 'UTC',
    log_timezone: 'UTC',
    // Acknowledged means on disk.
    fsync: 'on',
    full_page_writes: 'on',
    synchronous_commit: 'on',
  }
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const child = spawn(binaries.postgres, ['-D', folderAsSeenBy(account, folder), ...flags], {
    ...account,
    cwd: folder,
    env: postgresEnvironment,
    stdio: ['ignore', logHandle, logHandle],
    // A process group of its own: a terminal sends Ctrl-C to the whole of ours, before we have drained.
    detached: true,
  })
  closeSync(logHandle)
  child.unref()
  const exit = watchExit(child)

  return {
    readLog: () => readFileSync(logFile).subarray(logStart).toString().trim().split('\n').slice(-20).join('\n'),

    /** Gives the reason when the server has ended instead. */
    async whenReady(): Promise<string | undefined> {
      const start = Date.now()
      let noticed = false
      while (exit.reason === undefined && !saysReady(folder, child.pid)) {
        if (!noticed && Date.now() - start > RECOVERY_NOTICE_MS) {
          log('Postgres is still starting; after a crash it first replays its log')
          noticed = true
        }
        await sleep(10)
      }
      return exit.reason
    },

    server: {
      port,
      onExit: exit.listen,
      async stop() {
        exit.expect()
        // Referenced again, or a process that has nothing else to do would end before Postgres has.
        child.ref()
        for (const [signal, patience] of STOP_STEPS) {
          child.kill(signal)
          if (await Promise.race([exit.done.then(() => true), sleep(patience, false, { ref: false })])) return
          log(`Postgres did not stop within ${patience / 1_000} s of a ${signal}`)
        }
        child.kill('SIGKILL')
        await exit.done
      },
    } satisfies Server,
  }
}

/** Knows when and why `child` ended, and takes it along when this process exits without having stopped it. */
function watchExit(child: ChildProcess) {
  let reason: string | undefined
  let expected = false
  let listener: ((reason: string) => void) | undefined
  const takeAlong = () => child.kill('SIGINT')
  process.once('exit', takeAlong)

  const ended = once(child, 'exit').then(
    ([code, signal]) =>
      signal === null ? `Postgres ended with exit code ${code}.` : `Postgres was ended by ${signal}.`,
    (error: Error) => `Postgres could not be run: ${error.message}.`,
  )
  const done = ended.then((why) => {
    reason = why
    process.off('exit', takeAlong)
    if (!expected) listener?.(reason)
  })
  return {
    done,
    get reason() {
      return reason
    },
    expect() {
      expected = true
    },
    listen(newListener: (reason: string) => void) {
      listener = newListener
      if (reason !== undefined && !expected) newListener(reason)
    },
  }
}

/** Postgres tells its state in the eighth line of this file, as pg_ctl reads it. */
function saysReady(folder: string, pid: number | undefined): boolean {
  try {
    const lines = readFileSync(join(folder, 'postmaster.pid'), 'utf8').split('\n')
    return Number(lines[0]) === pid && lines[7]?.trim() === 'ready'
  } catch {
    return false
  }
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0
}
