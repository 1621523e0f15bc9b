import type { Database } from '../../drizzle/connection.ts'
import { isDistributed } from '../../drizzle/distribution.ts'
import { bucketAt, tableOf } from './bucket-time.ts'

/** The buckets that sends, and edits of what was just sent, go to. */
const newestBuckets = (now: number): number[] => [-1, 0, 1].map((months) => bucketAt(now) + months)

/**
 * Works what sends have put on the lists of the term indexes into these indexes, by default of the newest buckets;
 * buckets that do not exist are passed over. A search reads such a list from end to end, and a send that finds it full
 * would have to do this itself. Several workers may do it at once: they wait for each other. Returns how many pages of
 * lists were worked off.
 */
export async function cleanPendingLists(database: Database, buckets = newestBuckets(Date.now())): Promise<number> {
  const clean = (await isDistributed(database)) ? cleanShards : cleanTable
  let pages = 0
  // One statement for each, so that none is long.
  for (const bucket of buckets) pages += await clean(database, tableOf(bucket))
  return pages
}

/** The same for all buckets that there are. */
export async function cleanAllPendingLists(database: Database): Promise<number> {
  const rows = await database.run<{ bucket: number }>('select bucket from buckets order by bucket desc', [])
  return cleanPendingLists(database, rows.map((row) => row.bucket))
}

/** Cleans the GIN indexes of the table that an expression of SQL gives. */
const cleanSql = (table: string) => `
  select coalesce(sum(gin_clean_pending_list(i.indexrelid)), 0)::int as pages
  from pg_index i join pg_class c on c.oid = i.indexrelid join pg_am a on a.oid = c.relam
  where i.indrelid = ${table} and a.amname = 'gin'`

async function cleanTable(database: Database, table: string): Promise<number> {
  const [row] = await database.run<{ pages: number }>(`/* clean pending list */ ${cleanSql('to_regclass($1)')}`, [table])
  return row!.pages
}

async function cleanShards(database: Database, table: string): Promise<number> {
  const rows = await database.run<{ success: boolean; result: string }>(
    `/* clean pending lists */ select success, result from pg_class
     cross join lateral run_command_on_shards(pg_class.oid::regclass, $2)
     where pg_class.oid = to_regclass($1)`,
    [table, cleanSql(`'%s'::regclass`)],
  )
  const failed = rows.find((row) => !row.success)
  if (failed !== undefined) throw new Error(`A pending list was not cleaned: ${failed.result}`)
  return rows.reduce((pages, row) => pages + Number(row.result), 0)
}
