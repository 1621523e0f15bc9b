import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { launchServer } from '../lib/embedded-postgres-server.ts'
import { type Binaries, chooseAccount, run } from '../lib/embedded-postgres-setup.ts'

/*
 * Runs a command with TEST_DATABASE_URL set to a Postgres that Debian has installed, in place of the embedded one:
 *
 *     node server/testing/on-system-postgres.ts npx vitest run schema
 *
 * The role in the address owns its database and nothing else: no superuser, no CREATEDB, as at a hosting company. Where
 * the machine has no such Postgres nothing is run, which is said.
 */

const oldestMajor = 15

/** Where Debian and its relatives put Postgres, a folder for each major version. */
const installations = '/usr/lib/postgresql'

const password = 'only for the length of a test'

async function findNewest(): Promise<Binaries | null> {
  const majors = await readdir(installations).catch(() => [])
  const newest = Math.max(...majors.map(Number).filter((major) => major >= oldestMajor))
  if (!Number.isFinite(newest)) return null
  const bin = join(installations, String(newest), 'bin')
  return { initdb: join(bin, 'initdb'), postgres: join(bin, 'postgres'), major: String(newest) }
}

async function runOn(binaries: Binaries, command: readonly string[]): Promise<number> {
  const dataDir = await mkdtemp(join(tmpdir(), 'maru-system-postgres-'))
  const folder = await mkdtemp(join(dataDir, 'postgres-'))
  const account = await chooseAccount(folder)
  // Where it runs as another user, that one must be able to enter.
  await chmod(dataDir, 0o755)
  if (account.uid !== undefined) await chown(folder, account.uid, account.gid!)
  const options = ['--pgdata', folder, '--username', 'postgres', '--auth', 'trust']
  await run(binaries.initdb, [...options, '--encoding', 'UTF8', '--locale', 'C.UTF-8'], { account, cwd: folder })
  const server = await launchServer({ dataDir, folder, binaries, account, maxConnections: 300, log: console.error })
  try {
    const admin = postgres({ host: '127.0.0.1', port: server.port, user: 'postgres', database: 'postgres', max: 1 })
    await admin.unsafe(`create role owner login password '${password}' nosuperuser nocreatedb nocreaterole`)
    await admin`create database maru owner owner`
    await admin.end()
    const url = `postgres://owner:${encodeURIComponent(password)}@127.0.0.1:${server.port}/maru`
    console.log(`On Postgres ${binaries.major} of this machine, as the owner of a database and nothing else:`)
    const [program, ...args] = command as [string, ...string[]]
    const child = spawn(program, args, { stdio: 'inherit', env: { ...process.env, TEST_DATABASE_URL: url } })
    const [code] = (await once(child, 'exit')) as [number | null]
    return code ?? 1
  } finally {
    await server.stop()
    await rm(dataDir, { recursive: true, force: true })
  }
}

const binaries = await findNewest()
if (binaries === null) console.log(`No Postgres ${oldestMajor} or newer under ${installations}: its tests are not run.`)
else process.exitCode = await runOn(binaries, process.argv.slice(2))
