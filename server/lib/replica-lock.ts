import type { Database } from '../../drizzle/connection.ts'

/** The letters "ma": the other half of the key is the schema, so that deployments may share a database. */
const replicaLock = 0x6d61

export type ReplicaLock = { release(): void }

/**
 * Makes sure that a replica which hears nobody else is alone. Replicas with a common bus share the lock; one without
 * takes it for itself. Throws where that cannot be. The lock is the database session's, so that it is gone with the
 * process however it ends.
 */
export async function lockReplica(database: Database, hasBus: boolean): Promise<ReplicaLock> {
  const session = await database.reserve()
  const [row] = await session.run<{ locked: boolean }>(
    `select ${hasBus ? 'pg_try_advisory_lock_shared' : 'pg_try_advisory_lock'}($1, hashtext(current_schema())) as locked`,
    [replicaLock],
  )
  if (row?.locked === true) return session
  session.release()
  throw new Error(
    hasBus
      ? 'A replica without REDIS_URL is running on this database. Stop it, or start it with the same REDIS_URL.'
      : 'Another replica is running on this database. Replicas hear of each other through Redis: set the same ' +
          'REDIS_URL for all of them, or stop the other one.',
  )
}
