import type { Database } from '../../drizzle/connection.ts'

/** Rows of one statement. */
const atOnce = 10_000

/** What was not sent within a day is no news any more; whoever was to be told has left, or has no device now. */
const pendingHours = 25

/** Removes what is older from the log of pushes, and closes what nobody will send. Returns how many rows went. */
export async function sweepPushes(database: Database, days: number): Promise<number> {
  await database.run(
    `/* push expire */ update push_deliveries set status = 'REFUSED', reason = coalesce(reason, 'EXPIRED')
     where created_at < now() - interval '${pendingHours} hours' and status in ('PENDING', 'HELD')`,
    [],
  )
  let removed = 0
  for (let last = atOnce; last === atOnce; removed += last) {
    const rows = await database.run(
      `/* push sweep */ delete from push_deliveries where (user_id, device_id, channel_id, subject_id) in (
         select user_id, device_id, channel_id, subject_id from push_deliveries
         where created_at < now() - $1::int * interval '1 day' limit ${atOnce}
       ) returning user_id`,
      [days],
    )
    last = rows.length
  }
  return removed
}
