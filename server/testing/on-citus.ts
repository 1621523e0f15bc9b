import postgres from 'postgres'
import {
  findNewest, installations, oldestMajor, ownerStatements, ownerUrl, runWith, withServers,
} from './system-postgres.ts'

/*
 * Runs a command with TEST_DATABASE_URL set to a small Citus of three servers, a coordinator and two workers, which is
 * made for it and gone afterwards:
 *
 *     node server/testing/on-citus.ts npx vitest run schema
 *
 * The role in the address owns its database and nothing else, as at a hosting company. Where the machine has no Postgres
 * with Citus nothing is run, which is said.
 */

/** The servers, the coordinator first. It holds no shards, so that each statement has to travel. */
const names = ['coordinator', 'worker-1', 'worker-2']

const settings = [
  `shared_preload_libraries = 'citus'`,
  // Loopback, and else each server would make itself a certificate.
  `citus.node_conninfo = 'sslmode=disable'`,
  // Two shards of each table for each worker: the fewest with which neighbours differ and strangers still meet.
  'citus.shard_count = 4',
  // What one statement opens to one worker. Many tests run at once, and each of their connections has its own.
  'citus.max_adaptive_executor_pool_size = 2',
  // Every shard and every partition of it is a table that a migration locks, all in one transaction.
  'max_locks_per_transaction = 4096',
  // Compiling a plan costs more than running it over as few rows as a test has, and each shard has its own plan.
  'jit = off',
  // Each test's schema is some hundred tables, many times over, which are dropped before a checkpoint needs them.
  'checkpoint_timeout = 30min',
  'max_wal_size = 4GB',
]

const binaries = await findNewest('citus')
if (binaries === null) {
  console.log(`No Postgres ${oldestMajor} or newer with Citus under ${installations}: its tests are not run.`)
} else {
  process.exitCode = await withServers(binaries, names, settings, async (servers) => {
    const ports = servers.map((server) => server.port)
    await Promise.all(ports.map(makeDatabase))
    const version = await connectNodes(ports)
    console.log(`On Citus ${version} and Postgres ${binaries.major} of this machine, a coordinator and two workers:`)
    return runWith(ownerUrl(ports[0]!), process.argv.slice(2))
  })
}

function asSuperuser(port: number, database: string) {
  return postgres({ host: '127.0.0.1', port, user: 'postgres', database, max: 1, onnotice: () => {} })
}

/** Makes the role and its database on one server. Each has its own: Citus distributes tables, and not databases. */
async function makeDatabase(port: number): Promise<void> {
  const admin = asSuperuser(port, 'postgres')
  for (const statement of ownerStatements) await admin.unsafe(statement)
  await admin.end()
  const maru = asSuperuser(port, 'maru')
  await maru`create extension citus`
  await maru.end()
}

/** Makes one cluster of the servers, the first of which becomes its coordinator. Returns the version of Citus. */
async function connectNodes([coordinator, ...workers]: readonly number[]): Promise<string> {
  const sql = asSuperuser(coordinator!, 'maru')
  await sql`select citus_set_coordinator_host('127.0.0.1', ${coordinator!})`
  for (const port of workers) await sql`select citus_add_node('127.0.0.1', ${port})`
  const [citus] = await sql<{ version: string }[]>`
    select extversion as version from pg_extension where extname = 'citus'`
  await sql.end()
  return citus!.version
}
