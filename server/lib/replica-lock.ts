import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../../drizzle/connection.ts'
import { StartError } from '../start-error.ts'

/** The letters "ma": the other half of the key is the schema, so that deployments may share a database. */
const replicaLock = 0x6d61

/** While the database is away, how often the lock is asked for again. Milliseconds. */
const retryMs = 1_000

export type ReplicaLock = { release(): void }

/**
 * Makes sure that a replica which hears nobody else is alone. Replicas with a common bus share the lock; one without
 * takes it for itself. Throws a StartError where that cannot be.
 *
 * The lock is the database session's, so that it is gone with the process however it ends. It is gone with the database
 * too: then it is taken again, and `onTaken` is called where somebody else was faster.
 */
export async function lockReplica(
  database: Database,
  hasBus: boolean,
  onTaken: (reason: string) => void,
): Promise<ReplicaLock> {
  const released = new AbortController()
  let session: Awaited<ReturnType<Database['reserve']>> | null = null
  session = await take()

  async function take() {
    const taken = await database.reserve(() => {
      if (taken === session) void takeAgain()
    })
    if (await tryLock(taken)) return taken
    throw new StartError(
      hasBus
        ? 'A replica without REDIS_URL is running on this database. Stop it, or start it with the same REDIS_URL.'
        : 'Another replica is running on this database. Replicas hear of each other through Redis: set the same ' +
            'REDIS_URL for all of them, or stop the other one.',
    )
  }

  /** Whether the session holds the lock now. It is given back where it does not. */
  async function tryLock(taken: Awaited<ReturnType<Database['reserve']>>): Promise<boolean> {
    let isLocked = false
    try {
      // A machine that vanishes says no goodbye: its session must not hold the lock for the hours that TCP would wait.
      const [row] = await taken.run<{ locked: boolean }>(
        `select set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),
                set_config('tcp_keepalives_count', '3', false),
                ${hasBus ? 'pg_try_advisory_lock_shared' : 'pg_try_advisory_lock'}($1, hashtext(current_schema())) as locked`,
        [replicaLock],
      )
      isLocked = row?.locked === true
      return isLocked
    } finally {
      if (!isLocked) taken.release()
    }
  }

  async function takeAgain(): Promise<void> {
    while (!released.signal.aborted) {
      try {
        session = await take()
        return
      } catch (error) {
        if (error instanceof StartError) return onTaken(error.message)
        await sleep(retryMs, undefined, { ref: false })
      }
    }
  }

  return {
    release() {
      released.abort()
      session?.release()
    },
  }
}
