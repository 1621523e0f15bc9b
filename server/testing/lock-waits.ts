import type { Database } from '../../drizzle/connection.ts'
import { isDistributed } from '../../drizzle/distribution.ts'

/** How many statements of this test wait for a lock, on whatever machine. */
export async function countLockWaits(database: Database): Promise<number> {
  const own = `select pid from pg_stat_activity where application_name = current_setting('application_name')`
  const [row] = await database.run<{ count: number }>(
    (await isDistributed(database))
      ? `select count(distinct global_pid)::int from citus_stat_activity where wait_event_type = 'Lock' and global_pid in (
           select citus_calculate_gpid(citus_nodeid_for_gpid(citus_backend_gpid()), pid) from (${own}) as own
         )`
      : `select count(*)::int from pg_stat_activity where wait_event_type = 'Lock' and pid in (${own})`,
    [],
  )
  return row!.count
}
