import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, chmod, chown, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { launchServer, type Server } from '../lib/embedded-postgres-server.ts'
import { type Binaries, chooseAccount, exists, run } from '../lib/embedded-postgres-setup.ts'

/** The oldest Postgres that the tests are run on. */
export const oldestMajor = 15

/** Where Debian and its relatives put Postgres, a folder for each major version. */
export const installations = '/usr/lib/postgresql'

const password = 'only for the length of a test'

/**
 * Makes the role that the tests have: it owns a database and nothing else, as at a hosting company. Both statements are
 * for the superuser, the second one outside of any transaction.
 */
export const ownerStatements = [
  `create role owner login password '${password}' nosuperuser nocreatedb nocreaterole`,
  'create database maru owner owner',
]

/** The address of that role's database on the server at `port`. */
export const ownerUrl = (port: number) => `postgres://owner:${encodeURIComponent(password)}@127.0.0.1:${port}/maru`

/** The newest Postgres of the machine, of those that have `library` if one is named; null where there is none. */
export async function findNewest(library?: string): Promise<Binaries | null> {
  const majors = (await readdir(installations).catch(() => [])).map(Number).filter((major) => major >= oldestMajor)
  for (const major of majors.toSorted((a, b) => b - a)) {
    const home = join(installations, String(major))
    if (library !== undefined && !(await exists(join(home, 'lib', `${library}.so`)))) continue
    return { initdb: join(home, 'bin', 'initdb'), postgres: join(home, 'bin', 'postgres'), major: String(major) }
  }
  return null
}

/**
 * Starts one server for each of `names` on empty data, side by side, lets `work` have them in that order, and stops and
 * removes them when it is done. Every role may enter without a password; the superuser is `postgres`. `settings` are
 * lines of postgresql.conf.
 */
export async function withServers<Result>(
  binaries: Binaries,
  names: readonly string[],
  settings: readonly string[],
  work: (servers: Server[]) => Promise<Result>,
): Promise<Result> {
  const root = await mkdtemp(join(tmpdir(), 'maru-system-postgres-'))
  // Where they run as another user, that one must be able to enter.
  await chmod(root, 0o755)
  const starts = await Promise.allSettled(names.map((name) => start(binaries, join(root, name), settings)))
  const servers = starts.flatMap((started) => (started.status === 'fulfilled' ? [started.value] : []))
  try {
    for (const started of starts) if (started.status === 'rejected') throw started.reason
    return await work(servers)
  } finally {
    await Promise.all(servers.map((server) => server.stop()))
    await rm(root, { recursive: true, force: true })
  }
}

async function start(binaries: Binaries, dataDir: string, settings: readonly string[]): Promise<Server> {
  await mkdir(dataDir)
  const folder = await mkdtemp(join(dataDir, 'postgres-'))
  const account = await chooseAccount(folder)
  if (account.uid !== undefined) await chown(folder, account.uid, account.gid!)
  const options = ['--pgdata', folder, '--username', 'postgres', '--auth', 'trust']
  await run(binaries.initdb, [...options, '--encoding', 'UTF8', '--locale', 'C.UTF-8'], { account, cwd: folder })
  await appendFile(join(folder, 'postgresql.conf'), settings.map((line) => `${line}\n`).join(''))
  return launchServer({ dataDir, folder, binaries, account, maxConnections: 300, log: console.error })
}

/**
 * Runs a command with TEST_DATABASE_URL set, and gives its exit code. Who wants to end this process ends the command,
 * so that the servers are stopped all the same.
 */
export async function runWith(url: string, command: readonly string[]): Promise<number> {
  const [program, ...args] = command as [string, ...string[]]
  const child = spawn(program, args, { stdio: 'inherit', env: { ...process.env, TEST_DATABASE_URL: url } })
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  // A terminal's Ctrl-C goes to the command by itself.
  process.on('SIGINT', () => {})
  const [code] = (await once(child, 'exit')) as [number | null]
  return code ?? 1
}
