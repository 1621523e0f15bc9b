import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { unavailable } from '../errors.ts'
import { startEmbeddedPostgres } from '../lib/embedded-postgres.ts'
import { ensureBuckets } from '../message-store/partitions.ts'

/** A message store without a server: an embedded Postgres, migrated. */
export type BenchStore = {
  url: string
  /** Patient: for what prepares a measurement. */
  admin: Database
  /** Opens a pool as a server has it, of another size. It is closed with the store. */
  open(poolSize: number): Database
  stop(): Promise<void>
}

const patienceMs = 3_600_000

/** Starts a store in `folder`, or in a folder of its own that goes when it is stopped. */
export async function startBenchStore(folder: string | null = null): Promise<BenchStore> {
  const dataDir = folder ?? (await mkdtemp(join(tmpdir(), 'maru-bench-')))
  await mkdir(dataDir, { recursive: true })
  const postgres = await startEmbeddedPostgres({ dataDir, maxConnections: 300 })
  const pools: Database[] = []
  const open = (poolSize: number, deadlineMs?: number) => {
    const database = openDatabase({ url: postgres.url, poolSize, unavailable, ...(deadlineMs && { deadlineMs }) })
    pools.push(database)
    return database
  }
  const admin = open(2, patienceMs)
  await migrate(admin)
  await ensureBuckets(admin)
  return {
    url: postgres.url,
    admin,
    open: (poolSize) => open(poolSize),
    async stop() {
      for (const pool of pools) await pool.close()
      await postgres.stop()
      if (folder === null) await rm(dataDir, { recursive: true, force: true })
    },
  }
}
