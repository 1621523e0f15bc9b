import { randomBytes } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { lockDataDir } from './data-dir-lock.ts'
import { stopLeftovers } from './embedded-postgres-leftovers.ts'
import { launchServer } from './embedded-postgres-server.ts'
import {
  type Account,
  type Binaries,
  chooseAccount,
  exists,
  findBinaries,
  initialise,
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

    const server = await launchServer({ dataDir, folder, binaries, account, maxConnections, log })
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
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
    throw new Error(
      `There is a database in ${dataDir}, but not its password, which belongs in ${passwordFileIn(dataDir)}. ` +
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
  const runAs = account.uid === undefined ? '' : `, to run as user id ${account.uid}, since Postgres refuses to be root`
  log(`set up Postgres ${binaries.major} in ${folder} in ${Date.now() - start} ms${runAs}`)
  return password
}

async function refuseOtherVersion(folder: string, { major }: Binaries): Promise<void> {
  const version = await readFile(join(folder, 'PG_VERSION'), 'utf8').catch((cause: NodeJS.ErrnoException) => {
    const isOthers = cause.code === 'EACCES'
    const why = isOthers ? 'belongs to another user: start Maru as that one, or as root' : 'holds no database'
    throw new Error(`${folder} ${why} (${cause.message}).`, { cause })
  })
  if (version.trim() === major) return
  throw new Error(
    `${folder} was written by Postgres ${version.trim()}, and this version of Maru comes with Postgres ${major}, ` +
      'which cannot read it. Start the version of Maru that you had, save its data with ' +
      'pg_dump --format=custom --file=maru.dump "$(cat postgres.url)" (the file is in DATA_DIR), ' +
      'start this version with an empty DATA_DIR, and load it there with pg_restore.',
  )
}
