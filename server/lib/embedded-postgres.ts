import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, fstatSync, openSync, readFileSync, renameSync, statSync } from 'node:fs'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { lockDataDir } from './data-dir-lock.ts'
import { stopLeftovers } from './embedded-postgres-leftovers.ts'
import {
  type Account,
  type Binaries,
  chooseAccount,
  exists,
  findBinaries,
  folderAsSeenBy,
  initialise,
  postgresEnvironment,
  removeHalfMade,
  writeSecret,
} from './embedded-postgres-setup.ts'

export type EmbeddedPostgres = {
  /** For any Postgres client on this machine. The port is another after each start; the password stays. */
  url: string
  /** Shuts Postgres down, ending open sessions, and then gives DATA_DIR free. */
  stop(): Promise<void>
  /** `listener` is called, at most once, when Postgres ends without having been asked to; also if it did already. */
  onExit(listener: (reason: string) => void): void
}

export type EmbeddedPostgresOptions = {
  /** Made if it is not there. One process at a time may use it. */
  dataDir: string
  /** Told what was done that is out of the ordinary. Postgres's own log is `postgres.log` in the folder. */
  log?: (line: string) => void
  maxConnections?: number
}

/** One old log is kept beside the new one. */
const LOG_ROTATION_BYTES = 10 * 1024 * 1024
/** A fast shutdown that takes longer becomes an immediate one: nothing is lost, the next start replays the log. */
const STOP_PATIENCE_MS = 10_000
/** Another program may take the free port between our finding it and Postgres's; three times is no accident. */
const PORT_ATTEMPTS = 3
/** After a crash Postgres replays its log first, as long as that takes; then people are told why they wait. */
const RECOVERY_NOTICE_MS = 5_000

/**
 * Starts the Postgres that lives under `dataDir`, and sets it up there when it is the first time:
 *
 *     postgres/            the cluster
 *     postgres.password    of its only user, maru
 *     postgres.url         to connect with psql or pg_dump, while it runs
 *     postgres.log         what it had to say
 *     maru.lock, maru.pid  held by the process that uses the folder
 *
 * Resolves when Postgres takes connections, on 127.0.0.1 only. Throws when another process uses the folder, or when
 * Postgres cannot run here, in words that say what to do.
 *
 * If this process is killed, Postgres runs on, and the next call stops it. A normal exit takes it along. Signals are
 * left alone: whoever handles SIGTERM calls `stop()` when it is done, and Ctrl-C in a terminal does not reach Postgres.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { log = () => {}, maxConnections = 100 } = options
  const dataDir = resolve(options.dataDir)
  const folder = join(dataDir, 'postgres')
  await mkdir(dataDir, { recursive: true, mode: 0o700 })

  const lock = lockDataDir(dataDir)
  try {
    const account = await chooseAccount(folder)
    const binaries = await findBinaries(account, log)
    await removeHalfMade(dataDir)
    const password = (await exists(folder))
      ? await readPassword(dataDir)
      : await setUp(dataDir, folder, binaries, account, log)
    await refuseOtherVersion(folder, binaries)
    await stopLeftovers(folder, account, log)

    const server = await launch({ dataDir, folder, binaries, account, maxConnections, log })
    const url = `postgres://maru:${password}@127.0.0.1:${server.port}/postgres`
    const urlFile = join(dataDir, 'postgres.url')
    await writeSecret(urlFile, `${url}\n`).catch(async (error: unknown) => {
      await server.stop()
      throw error
    })
    return {
      url,
      onExit: server.onExit,
      async stop() {
        await server.stop()
        await rm(urlFile, { force: true })
        lock.release()
      },
    }
  } catch (error) {
    lock.release()
    throw error
  }
}

const passwordFileIn = (dataDir: string) => join(dataDir, 'postgres.password')

async function readPassword(dataDir: string): Promise<string> {
  try {
    return (await readFile(passwordFileIn(dataDir), 'utf8')).trim()
  } catch (cause) {
    throw new Error(
      `There is a database in ${dataDir}, but its password cannot be read from ${passwordFileIn(dataDir)}. ` +
        'Put the file back, or restore the whole of DATA_DIR from a backup.',
      { cause },
    )
  }
}

/** The password is on disk before the cluster is: a kill at any moment leaves both, or no cluster. */
async function setUp(
  dataDir: string,
  folder: string,
  binaries: Binaries,
  account: Account,
  log: (line: string) => void,
): Promise<string> {
  const start = Date.now()
  const password = randomBytes(24).toString('hex')
  await writeSecret(passwordFileIn(dataDir), password)
  await initialise(folder, password, binaries, account)
  const runsAs = account.uid === undefined ? '' : `, to run as user id ${account.uid}, since Postgres refuses to be root`
  log(`set up Postgres ${binaries.major} in ${folder} in ${Date.now() - start} ms${runsAs}`)
  return password
}

async function refuseOtherVersion(folder: string, { major }: Binaries): Promise<void> {
  const version = await readFile(join(folder, 'PG_VERSION'), 'utf8').catch((cause: NodeJS.ErrnoException) => {
    const why = cause.code === 'EACCES' ? 'belongs to another user: start Maru as that one, or as root' : 'holds no database'
    throw new Error(`${folder} ${why} (${cause.message}).`, { cause })
  })
  if (version.trim() === major) return
  throw new Error(
    `${folder} was written by Postgres ${version.trim()}, and this version of Maru comes with Postgres ${major}, which ` +
      'cannot read it. Start the version of Maru that you had, save its data with ' +
      'pg_dump --format=custom --file=maru.dump "$(cat postgres.url)" (the file is in DATA_DIR), ' +
      'start this version with an empty DATA_DIR, and load it there with pg_restore.',
  )
}

type LaunchOptions = {
  dataDir: string
  folder: string
  binaries: Binaries
  account: Account
  maxConnections: number
  log: (line: string) => void
}

/** Starts a Postgres server and waits until it takes connections. */
async function launch(options: LaunchOptions) {
  for (let attempt = 1; ; attempt++) {
    const port = await findFreePort()
    const server = spawnServer(options, port)
    if (await server.isReady()) return { port, ...server }
    const said = server.readLog()
    if (attempt < PORT_ATTEMPTS && said.includes('Address already in use')) continue
    throw new Error(`The embedded Postgres did not start: ${server.exitReason()}\n${said}`)
  }
}

function spawnServer({ dataDir, folder, binaries, account, maxConnections, log }: LaunchOptions, port: number) {
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
    timezone: 'UTC',
    log_timezone: 'UTC',
    // Acknowledged means on disk.
    fsync: 'on',
    full_page_writes: 'on',
    synchronous_commit: 'on',
  }
  const child = spawn(
    binaries.postgres,
    ['-D', folderAsSeenBy(account, folder), ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    {
      ...account,
      cwd: folder,
      env: postgresEnvironment,
      stdio: ['ignore', logHandle, logHandle],
      // A process group of its own: a terminal sends Ctrl-C to the whole of ours, before we have drained.
      detached: true,
    },
  )
  closeSync(logHandle)
  child.unref()
  const exit = watchExit(child)

  return {
    exitReason: () => exit.reason,
    readLog: () => readFileSync(logFile).subarray(logStart).toString().trim().split('\n').slice(-20).join('\n'),

    /** False when the server ended instead. */
    async isReady(): Promise<boolean> {
      const start = Date.now()
      let noticed = false
      while (exit.reason === undefined) {
        if (saysReady(folder, child.pid)) return true
        if (!noticed && Date.now() - start > RECOVERY_NOTICE_MS) {
          log('Postgres is still starting; after a crash it first replays its log')
          noticed = true
        }
        await sleep(10)
      }
      return false
    },

    onExit: exit.listen,

    async stop(): Promise<void> {
      exit.expect()
      // Referenced again, or a process that has nothing else to do would end before Postgres has.
      child.ref()
      for (const [signal, patience] of [['SIGINT', STOP_PATIENCE_MS], ['SIGQUIT', STOP_PATIENCE_MS / 2]] as const) {
        child.kill(signal)
        if (await Promise.race([exit.done.then(() => true), sleep(patience, false, { ref: false })])) return
        log(`Postgres did not stop within ${patience} ms of a ${signal}`)
      }
      child.kill('SIGKILL')
      await exit.done
    },
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
    ([code, signal]) => (signal === null ? `Postgres ended with exit code ${code}.` : `Postgres was ended by ${signal}.`),
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
