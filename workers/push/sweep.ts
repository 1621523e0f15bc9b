import type { Database } from '../../drizzle/connection.ts'

/** How much of the log one statement removes, in milliseconds of the time that it is of. */
const sliceMs = 3_600_000

/** What was not sent within a day is no news any more; whoever was to be told has left, or has no device now. */
const pendingHours = 25

const dayMs = 24 * 3_600_000

/** Removes what is older from the log of pushes, and closes what nobody will send. */
export async function sweepPushes(database: Database, days: number): Promise<void> {
  await database.run(
    `/* push expire */ update push_deliveries set status = 'REFUSED', reason = coalesce(reason, 'EXPIRED')
     where created_at < now() - interval '${pendingHours} hours' and status in ('PENDING', 'HELD')`,
    [],
  )
  const end = Date.now() - days * dayMs
  for (;;) {
    const [row] = await database.run<{ first: Date | null }>(
      '/* push oldest */ select min(created_at) as first from push_deliveries',
      [],
    )
    const first = row?.first == null ? end : +row.first
    if (first >= end) return
    const until = new Date(Math.min(first + sliceMs, end)).toISOString()
    await database.run('/* push sweep */ delete from push_deliveries where created_at <= $1::timestamptz', [until])
  }
}
