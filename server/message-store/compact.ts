import type { Database, Transaction } from '../../drizzle/connection.ts'
import { isDistributed } from '../../drizzle/distribution.ts'
import { termsVersion } from '../lib/search-terms.ts'
import { briefly } from './brief-lock.ts'
import { bucketAt, rangeOf, tableOf } from './bucket-time.ts'
import { alone, type Session } from './maintenance-lock.ts'
import { plannerHints } from './partitions.ts'

/** Messages that were touched while their bucket was copied, in one transaction. */
const touchedAtOnce = 500

/** With fewer of them left the tables change places, during which everybody waits. */
const fewTouched = 50

export type CompactOptions = {
  /** How many whole months old a bucket must be; null for never. */
  afterMonths: number | null
  /** Now, in milliseconds since 1970. */
  now?: number
}

/** What became of a bucket, in bytes with its indexes. */
export type Compacted = { bucket: number; before: number; after: number; milliseconds: number }

/**
 * Writes the messages of old buckets anew into the least room: in the order of channels and ids, so that a page of
 * history lies together, with indexes that are built at once and are dense. Each is readable and can be written to all
 * the while: it is copied beside itself, what is touched meanwhile is noted by a trigger and copied again, and when little
 * of that is left the two tables change places. Null where another process is at it, else how many buckets were written
 * anew. On Citus none are, as there are no triggers.
 */
export function compact(
  database: Database,
  { afterMonths, now = Date.now() }: CompactOptions,
  onDone: (done: Compacted) => void = () => {},
): Promise<number | null> {
  return alone(database, async (session) => {
    if (await isDistributed(session)) return 0
    for (const table of await remains(session)) await discard(database, table)
    if (afterMonths === null) return 0
    const buckets = await session.run<{ bucket: number }>(
      `select bucket from buckets where bucket < $1 and compacted_at is null and terms_version >= $2
       order by bucket desc`,
      [bucketAt(now) - afterMonths, termsVersion],
    )
    let count = 0
    for (const { bucket } of buckets) {
      const done = await compactBucket(database, session, bucket)
      // What stands in the way of one stands in that of the others.
      if (done === null) break
      onDone(done)
      count++
    }
    return count
  })
}

async function compactBucket(database: Database, session: Session, bucket: number): Promise<Compacted | null> {
  const started = performance.now()
  const table = tableOf(bucket)
  const before = await sizeOf(session, table)
  try {
    if ((await briefly(database, (tx) => watch(tx, table))) === null) return null
    await copy(database, session, bucket)
    while ((await database.transaction((tx) => copyTouched(tx, table))) >= fewTouched);
    if ((await briefly(database, (tx) => swap(tx, bucket))) === null) return null
    return { bucket, before, after: await sizeOf(session, table), milliseconds: Math.round(performance.now() - started) }
  } finally {
    // Where it has come to its end nothing is left to discard.
    if ((await remains(session)).includes(table)) await discard(database, table)
  }
}

async function sizeOf({ run }: Session, table: string): Promise<number> {
  const [row] = await run<{ bytes: string }>('select pg_total_relation_size(to_regclass($1)) as bytes', [table])
  return Number(row!.bytes)
}

const freshOf = (table: string) => `${table}_new`
const logOf = (table: string) => `${table}_touched`

/** From here on it is noted which messages are touched. Writers are waited for, so that none goes unnoticed. */
async function watch({ run }: Transaction, table: string): Promise<true> {
  const [place] = await run<{ schema: string }>('select quote_ident(current_schema()) as schema', [])
  const log = `${place!.schema}.${logOf(table)}`
  // First, as it is what may fail.
  await run(`lock table ${table} in share row exclusive mode`, [])
  await run(`create unlogged table ${log} (channel_id bigint not null, id bigint not null)`, [])
  await run(
    `create function ${log}() returns trigger language plpgsql as $$
     begin
       if tg_op = 'DELETE' then insert into ${log} values (old.channel_id, old.id);
       else insert into ${log} values (new.channel_id, new.id);
       end if;
       return null;
     end $$`,
    [],
  )
  await run(
    `create trigger touched after insert or update or delete on ${table} for each row execute function ${log}()`,
    [],
  )
  // It would stand in the way at the end, for a table that is about to go.
  await run(`alter table ${table} set (autovacuum_enabled = false)`, [])
  return true
}

async function copy(database: Database, session: Session, bucket: number): Promise<void> {
  const table = tableOf(bucket)
  const fresh = freshOf(table)
  const { low, high } = rangeOf(bucket)
  await database.transaction(async ({ run }) => {
    await run(`create table ${fresh} (like ${table} including defaults including constraints including storage)`, [])
    await run(plannerHints(fresh), [])
    // Says of itself that it belongs there, so that nobody has to look when it does.
    await run(`alter table ${fresh} add constraint bounds check (id >= ${low} and id < ${high})`, [])
    await run(`/* compact */ insert into ${fresh} select * from ${table} order by channel_id, id`, [])
    for (const statement of await indexStatements(run, table, fresh)) await run(statement, [])
  })
  // For good: nothing has to look at these pages again for the sake of old transactions, and pages say what is visible.
  await session.run(`vacuum (freeze, analyze) ${fresh}`, [])
}

/** Makes indexes as another table has them, as dense as they can be, for rows that hardly change. */
async function indexStatements(run: Session['run'], table: string, fresh: string): Promise<string[]> {
  const indexes = await run<{ definition: string; is_primary: boolean }>(
    `select pg_get_indexdef(indexrelid) as definition, indisprimary as is_primary
     from pg_index where indrelid = to_regclass($1) order by indisprimary desc, indexrelid`,
    [table],
  )
  return indexes.map(({ definition, is_primary }) => {
    const [, method, rest] = / USING (\w+) (.*?)(?: WITH \(.*\))?$/.exec(definition)!
    if (is_primary) return `alter table ${fresh} add primary key ${rest} with (fillfactor = 100)`
    // Without a list of what is not yet worked in, on which every search would have to look.
    return `create index on ${fresh} using ${method} ${rest} with (${method === 'gin' ? 'fastupdate = off' : 'fillfactor = 100'})`
  })
}

/** Copies some of what was touched once more, as it is now. Returns how much was noted. */
async function copyTouched({ run }: Transaction, table: string, limit: number | null = touchedAtOnce): Promise<number> {
  const fresh = freshOf(table)
  const rows = await run<{ channel_id: string; id: string }>(
    `delete from ${logOf(table)} where ctid = any (array(select ctid from ${logOf(table)} limit $1)) returning channel_id, id`,
    [limit],
  )
  if (rows.length === 0) return 0
  const keys = [rows.map((row) => row.channel_id), rows.map((row) => row.id)]
  const touched = 'select distinct channel_id, id from unnest($1::bigint[], $2::bigint[]) as w (channel_id, id)'
  await run(`delete from ${fresh} m using (${touched}) w where m.channel_id = w.channel_id and m.id = w.id`, keys)
  await run(
    `insert into ${fresh} select m.* from ${table} m join (${touched}) w on m.channel_id = w.channel_id and m.id = w.id`,
    keys,
  )
  return rows.length
}

/**
 * Puts the new table in the place of the old. Everybody waits from the first lock to the end, and finds the new one:
 * a statement takes its snapshot after its locks.
 */
async function swap(tx: Transaction, bucket: number): Promise<true> {
  const { run } = tx
  const table = tableOf(bucket)
  const { low, high } = rangeOf(bucket)
  await run('lock table only messages in access exclusive mode', [])
  await run(`lock table ${table} in access exclusive mode`, [])
  await copyTouched(tx, table, null)
  await run(`alter table messages detach partition ${table}`, [])
  await run(`drop table ${table}`, [])
  await run(`drop function ${logOf(table)}()`, [])
  await run(`drop table ${logOf(table)}`, [])
  await run(`alter table ${freshOf(table)} rename to ${table}`, [])
  await run(`alter table messages attach partition ${table} for values from (${low}) to (${high})`, [])
  await run(`alter table ${table} drop constraint bounds`, [])
  await run('update buckets set compacted_at = now() where bucket = $1', [bucket])
  return true
}

/** Tables of which a run has left something behind that was cut off. */
async function remains({ run }: Session): Promise<string[]> {
  const rows = await run<{ name: string }>(
    `select distinct regexp_replace(relname, '_(new|touched)$', '') as name from pg_class
     where relnamespace = current_schema()::regnamespace and relkind = 'r' and relname ~ '^messages_\\d+_\\d+_(new|touched)$'`,
    [],
  )
  return rows.map((row) => row.name)
}

/** Leaves a table as it was before it was to be written anew. */
async function discard(database: Database, table: string): Promise<void> {
  await briefly(database, async ({ run }) => {
    await run(`drop table if exists ${freshOf(table)}`, [])
    await run(`drop function if exists ${logOf(table)}() cascade`, [])
    await run(`drop table if exists ${logOf(table)}`, [])
    await run(`alter table if exists ${table} reset (autovacuum_enabled)`, [])
    return true
  })
}
