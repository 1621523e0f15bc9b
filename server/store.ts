import { type Database, openDatabase } from '../drizzle/connection.ts'
import { migrate } from '../drizzle/migrate.ts'
import { checkRequirements, lockShortage } from '../drizzle/requirements.ts'
import type { Config } from './config.ts'
import { unavailable } from './errors.ts'
import { startEmbeddedPostgres } from './lib/embedded-postgres.ts'
import { loadSecrets } from './lib/secrets.ts'
import { ensureBuckets } from './message-store/partitions.ts'
import type { Log } from './observability/log.ts'
import type { Metrics } from './observability/metrics.ts'
import { measureStatements } from './observability/statements.ts'
import { explainStoreFailure } from './start-error.ts'

/** What every process stands on: the store, and what starts and stops with it. */
export type Store = {
  database: Database
  /** A read replica of it; null where there is none. */
  replica: Database | null
  /** The same for work that nobody waits for: few connections, on which a statement may take an hour. */
  maintenance: Database
  /** The same for jobs: what adds one may hold a connection of the others, and must not wait for a second of them. */
  jobs: Database
  secrets: { jwtSecret: string }
  close(): Promise<void>
}

type Surroundings = { config: Config; log: Log; metrics: Metrics }

/**
 * Opens the database that the configuration names, the embedded one where it names none, and brings it up to date.
 * `onLost` is called when the embedded one dies. Throws a StartError where its operator can do something about it.
 */
export async function openStore({ config, log, metrics }: Surroundings, onLost: (reason: string) => void): Promise<Store> {
  const embedded =
    config.database.url === null
      ? await startEmbeddedPostgres({ dataDir: config.dataDir, log: (line) => log.info(line) }).catch(rethrow)
      : null
  embedded?.onExit(onLost)
  const url = embedded?.url ?? config.database.url!
  const database = openDatabase({
    url,
    poolSize: config.database.poolSize,
    unavailable,
    around: measureStatements(metrics),
  })
  const replica = config.database.replicaUrl === null ? null : openReplica(config.database.replicaUrl, { config, metrics })
  const maintenance = openDatabase({
    url,
    poolSize: maintenancePoolSize,
    deadlineMs: maintenanceDeadlineMs,
    unavailable,
    around: measureStatements(metrics),
  })
  const jobs = openDatabase({
    url,
    poolSize: jobsPoolSize,
    deadlineMs: jobsDeadlineMs,
    unavailable,
    around: measureStatements(metrics),
  })
  const close = async () => {
    await jobs.close()
    await maintenance.close()
    await replica?.close()
    await database.close()
    await embedded?.stop()
  }
  try {
    const secrets = await loadSecrets(config.dataDir, { jwtSecret: config.auth.jwtSecret })
    const ran = await migrateAt(url)
    await ensureBuckets(database)
    if (ran.length > 0) log.info({ migrations: ran.length }, 'database migrated')
    const shortage = await lockShortage(database, config.database.poolSize)
    if (shortage !== null) log.warn(shortage)
    return { database, replica, maintenance, jobs, secrets, close }
  } catch (error) {
    await close()
    return rethrow(error)
  }
}

/**
 * Opened when they are needed. Maintenance, what disappears, suggestions and feeds each hold one as their lock and need
 * another to do anything: with no more than there are locks, all of them could wait for the others for ever.
 */
const maintenancePoolSize = 6

/** Workers take and finish jobs on these; a process without workers needs one now and then. */
const jobsPoolSize = 3

/** Finished jobs are removed by one statement, however many there are. */
const jobsDeadlineMs = 60_000

/** To write a month of messages anew may take its time. */
const maintenanceDeadlineMs = 3_600_000

/** A page that the replica does not give in this time is read on the primary. Milliseconds. */
const replicaDeadlineMs = 1_000

const openReplica = (url: string, { config, metrics }: Pick<Surroundings, 'config' | 'metrics'>) =>
  openDatabase({
    url,
    poolSize: config.database.poolSize,
    deadlineMs: replicaDeadlineMs,
    unavailable,
    around: measureStatements(metrics),
  })

function rethrow(error: unknown): never {
  throw explainStoreFailure(error)
}

/** A migration of a large store may take its time, and whoever starts meanwhile waits for it. */
const migrationDeadlineMs = 3_600_000

async function migrateAt(url: string): Promise<string[]> {
  const database = openDatabase({ url, poolSize: 1, deadlineMs: migrationDeadlineMs, unavailable })
  try {
    await checkRequirements(database)
    return await migrate(database)
  } finally {
    await database.close()
  }
}
