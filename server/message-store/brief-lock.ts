import { setTimeout as sleep } from 'node:timers/promises'
import type { Database, Transaction } from '../../drizzle/connection.ts'

/** How long a lock is waited for that others wait behind. Milliseconds. */
const waitMs = 400

/** What they wait for then must not take longer, statement by statement. Milliseconds. */
const holdMs = 3_000

/** After that the others have their turn for so long, in milliseconds, and it is tried again so many times. */
const pauseMs = 1_000
const attempts = 30

/** Whether a lock did not come in time. */
export const isLockTimeout = (error: unknown): boolean => (error as { code?: unknown } | null)?.code === '55P03'

/**
 * Runs a transaction that takes locks which readers or writers wait behind. It gives up each time that it would wait
 * for long itself, so that they never do; returns null where no moment was found.
 */
export async function briefly<T>(database: Database, work: (tx: Transaction) => Promise<T>): Promise<T | null> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    if (attempt > 0) await sleep(pauseMs)
    try {
      return await database.transaction(async (tx) => {
        await tx.run(`select set_config('lock_timeout', $1, true), set_config('statement_timeout', $2, true)`, [
          `${waitMs}ms`,
          `${holdMs}ms`,
        ])
        return work(tx)
      })
    } catch (error) {
      if (!isLockTimeout(error)) throw error
    }
  }
  return null
}
