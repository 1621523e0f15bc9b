import type { Database } from '../drizzle/connection.ts'
import type { Config } from '../server/config.ts'
import { compact } from '../server/message-store/compact.ts'
import type { OnExpiredAttachments } from '../server/message-store/expired-attachments.ts'
import { ensureBuckets } from '../server/message-store/partitions.ts'
import { cleanAllPendingLists, cleanPendingLists } from '../server/message-store/pending-list.ts'
import { reindex } from '../server/message-store/reindex.ts'
import { retain } from '../server/message-store/retention.ts'
import type { Log } from '../server/observability/log.ts'

/** How long an ended session is remembered, so that a copied refresh token is still known for what it is. */
const sessionsKeptDays = 30

/** What is done every second, so that little gathers. Returns how much there was. */
export const tidy = (database: Database): Promise<number> => cleanPendingLists(database)

/**
 * What is due every ten minutes and takes no time: partitions for the months to come, sessions and leases of the past,
 * lists beside old indexes. Where a part fails the other is done all the same; then it throws.
 */
export const keepUp = (database: Database, log: Log): Promise<void> =>
  eachOf([() => tidyUp(database, log), () => cleanAllPendingLists(database)])

/**
 * Removes what nobody needs any more and keeps the message store in shape, which may take hours. Any number of processes
 * may do it: running twice at once does no harm, and only one of them does it. Where a part fails the others are done
 * all the same; then it throws. `onAttachments` is told of files whose messages retention is about to remove.
 */
export const maintain = (
  database: Database,
  log: Log,
  settings: Config['maintenance'],
  onAttachments?: OnExpiredAttachments,
): Promise<void> =>
  eachOf([
    async () => tell(log, 'retention', await retain(database, { days: settings.retentionDays, onAttachments })),
    () => reindex(database, (progress) => log.info(progress, 'terms of stored messages')),
    () => compact(database, { afterMonths: settings.compactAfterMonths }, (done) => log.info(done, 'compacted')),
  ])

async function eachOf(parts: readonly (() => Promise<unknown>)[]): Promise<void> {
  const failures: unknown[] = []
  for (const part of parts) await part().catch((error: unknown) => failures.push(error))
  if (failures.length > 0) throw failures[0]
}

/** Removes sessions and leases of the past, and makes the buckets of the time to come. */
async function tidyUp(database: Database, log: Log): Promise<void> {
  const made = await ensureBuckets(database)
  const sessions = await database.run(
    `delete from sessions
     where expires_at < now() - interval '${sessionsKeptDays} days'
     returning id`,
    [],
  )
  const leases = await database.run(
    `delete from worker_leases where expires_at < now() - interval '1 day' returning worker`,
    [],
  )
  log.debug({ sessions: sessions.length, leases: leases.length, buckets: made.length }, 'maintenance')
}

function tell(log: Log, name: string, done: Awaited<ReturnType<typeof retain>>): void {
  if (done === null) return
  const isWorthTelling = done.channels > 0 || done.messages > 0 || done.buckets.length > 0 || done.isUnfinished
  log[isWorthTelling ? 'info' : 'debug']({ ...done, buckets: done.buckets.length }, name)
}
