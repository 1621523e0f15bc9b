import type { Database } from '../../drizzle/connection.ts'

/** The letters "mt": the other half of the key is the schema, so that deployments may share a database. */
const maintenanceLock = 0x6d74

/** The letters "me": messages disappear while maintenance, which may take hours, is under way. */
export const messageExpiryLock = 0x6d65

/** A connection of one's own, on which `set` stays for as long as it is held. */
export type Session = Pick<Database, 'run'>

/**
 * Runs work that only one process should do at a time, and is given a session that holds a lock meanwhile. Null, with
 * nothing done, where somebody else is at it. The lock is gone with the session, however that ends.
 */
export async function alone<T>(
  database: Pick<Database, 'reserve'>,
  work: (session: Session) => Promise<T>,
  lock = maintenanceLock,
): Promise<T | null> {
  const session = await database.reserve()
  try {
    const [row] = await session.run<{ locked: boolean }>(
      'select pg_try_advisory_lock($1, hashtext(current_schema())) as locked',
      [lock],
    )
    if (!row!.locked) return null
    const result = await work(session)
    // At once: a connection that is given back is cleaned when it comes to it.
    await session.run('select pg_advisory_unlock($1, hashtext(current_schema()))', [lock])
    return result
  } finally {
    session.release()
  }
}
