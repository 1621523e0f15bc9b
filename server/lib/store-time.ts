import type { Database } from '../../drizzle/connection.ts'

/** What time it is by the store's clock, which is one for all processes; a machine's own may be years ahead. */
export async function storeTime({ run }: Pick<Database, 'run'>): Promise<Date> {
  const [clock] = await run<{ now: Date }>('/* store time */ select clock_timestamp() as now', [])
  return clock!.now
}
