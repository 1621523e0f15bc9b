import { parseArgs } from 'node:util'
import { unavailable } from '../server/errors.ts'
import { UsageError } from '../server/lib/usage-error.ts'
import { ensureBuckets } from '../server/message-store/partitions.ts'
import { explainStoreFailure, StartError } from '../server/start-error.ts'
import { openDatabase } from './connection.ts'
import { whyNotDistribute } from './distribution.ts'
import { migrate } from './migrate.ts'
import { checkRequirements } from './requirements.ts'

const help = `Spreads Maru's tables over the machines of a Citus cluster.

  DATABASE_URL=postgres://user:password@coordinator/maru npm run distribute

The database may be empty or hold a store, which is moved; running it again does no harm. While it moves what is there,
servers on it wait, and say that they are not available. All about it: drizzle/README.md

  --help
`

/** What the process exits with. */
const exit = { failed: 1, usage: 2 }

/** A large store takes its time to move. Milliseconds. */
const deadlineMs = 24 * 3_600_000

async function distribute(url: string): Promise<void> {
  const database = openDatabase({ url, poolSize: 1, deadlineMs, unavailable })
  let count = 0
  try {
    await checkRequirements(database)
    const reason = await whyNotDistribute(database)
    if (reason !== null) throw new Error(reason)
    const onTable = (name: string) => {
      count++
      process.stdout.write(`${name} …\n`)
    }
    await migrate(database, { distribute: true, onTable })
    await ensureBuckets(database)
    process.stdout.write(
      count === 0 ? 'Everything is distributed already.\n' : `Distributed ${count} tables. Start Maru with the same DATABASE_URL.\n`,
    )
  } finally {
    await database.close()
  }
}

function wantsHelp(args: readonly string[]): boolean {
  try {
    return parseArgs({ args: [...args], options: { help: { type: 'boolean', short: 'h', default: false } } }).values.help
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

async function run(args: readonly string[], url: string | undefined): Promise<void> {
  if (wantsHelp(args)) return void process.stdout.write(help)
  if (url === undefined || url === '') {
    throw new UsageError('DATABASE_URL must name the database, on the coordinator of the cluster.')
  }
  await distribute(url).catch((error: unknown) => {
    throw explainStoreFailure(error)
  })
}

try {
  await run(process.argv.slice(2), process.env.DATABASE_URL)
} catch (error) {
  const isUsage = error instanceof UsageError
  const known = isUsage || error instanceof StartError
  const message = known ? (error as Error).message : String(error instanceof Error ? error.stack : error)
  process.stderr.write(isUsage ? `${message}\n--help tells how.\n` : `${message}\n`)
  process.exitCode = isUsage ? exit.usage : exit.failed
}
