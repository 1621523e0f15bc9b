import type { Database, Transaction } from '../../drizzle/connection.ts'
import { isDistributed } from '../../drizzle/distribution.ts'
import { isLockTimeout } from './brief-lock.ts'
import { rangeOf, tableOf } from './bucket-time.ts'
import type { Session } from './maintenance-lock.ts'

/** How long a lock is waited for, behind which nobody but maintenance waits. Milliseconds. */
const patienceMs = 5_000

/** The same for a lock on all messages, which everybody would wait behind: on Citus there is no other way. */
const briefMs = 500

type Outcome = 'dropped' | 'kept' | 'waiting'

type State = 'attached' | 'detaching' | 'detached' | 'gone'

/**
 * Takes away the partition of a bucket in which no channel has anything any more. Those who read and write meanwhile go
 * on, and those who began before keep what they see: the partition leaves the table first, which waits for them and
 * holds nobody up, and is dropped when it is nobody's. A run that is cut off is gone on with by the next; so is one in
 * which somebody takes too long ('waiting'). A bucket that is in use after all stays, or comes back ('kept').
 */
export async function dropBucket(database: Database, session: Session, bucket: number): Promise<Outcome> {
  try {
    if (await isDistributed(session)) return await dropAtOnce(database, bucket)
    await session.run(`set lock_timeout = ${patienceMs}`, [])
    await finishDetaching(session)
    const state = await stateOf(session, tableOf(bucket))
    if (state === 'attached') await session.run(`alter table messages detach partition ${tableOf(bucket)} concurrently`, [])
    return await database.transaction((tx) => dropDetached(tx, bucket, patienceMs))
  } catch (error) {
    if (isLockTimeout(error)) return 'waiting'
    throw error
  }
}

/** Buckets whose partitions have left the table, or are about to, as a run was cut off: they go, or come back. */
export async function looseBuckets({ run }: Session): Promise<number[]> {
  const rows = await run<{ bucket: number; attached: string[] }>(
    `select bucket, array(
       select c.relname::text from pg_inherits i join pg_class c on c.oid = i.inhrelid
       where i.inhparent = 'messages'::regclass and not i.inhdetachpending
     ) as attached from buckets order by bucket`,
    [],
  )
  return rows.filter((row) => !row.attached.includes(tableOf(row.bucket))).map((row) => row.bucket)
}

/** Where a run was cut off while it waited for others, its partition is half outside; no other can leave before it. */
async function finishDetaching(session: Session): Promise<void> {
  const rows = await session.run<{ name: string }>(
    `select inhrelid::regclass::text as name from pg_inherits
     where inhparent = 'messages'::regclass and inhdetachpending`,
    [],
  )
  for (const { name } of rows) await session.run(`alter table messages detach partition ${name} finalize`, [])
}

async function stateOf({ run }: Session, table: string): Promise<State> {
  const [row] = await run<{ there: boolean; attached: boolean | null; detaching: boolean | null }>(
    `select c.oid is not null as there, i.inhrelid is not null as attached, i.inhdetachpending as detaching
     from (select to_regclass($1)::oid as oid) c
     left join pg_inherits i on i.inhrelid = c.oid and i.inhparent = 'messages'::regclass`,
    [table],
  )
  if (!row!.there) return 'gone'
  if (row!.detaching === true) return 'detaching'
  return row!.attached === true ? 'attached' : 'detached'
}

/** Nobody can write there any more; but an import may have done so before it left. Then it comes back. */
async function dropDetached(tx: Transaction, bucket: number, waitMs: number): Promise<Outcome> {
  const table = tableOf(bucket)
  await tx.run(`set local lock_timeout = ${waitMs}`, [])
  const [used] = await tx.run('select from channel_buckets where bucket = $1 limit 1', [bucket])
  if (used !== undefined) {
    const { low, high } = rangeOf(bucket)
    await tx.run(`alter table messages attach partition ${table} for values from (${low}) to (${high})`, [])
    return 'kept'
  }
  await tx.run(`drop table if exists ${table}`, [])
  await tx.run('delete from buckets where bucket = $1', [bucket])
  return 'dropped'
}

/** In one transaction, with everybody waiting for its moment. */
async function dropAtOnce(database: Database, bucket: number): Promise<Outcome> {
  return database.transaction(async (tx) => {
    await tx.run(`set local lock_timeout = ${briefMs}`, [])
    // The machines that hold the shards know nothing of it.
    await tx.run(`set local statement_timeout = ${patienceMs}`, [])
    if ((await stateOf(tx, tableOf(bucket))) === 'attached') {
      await tx.run(`alter table messages detach partition ${tableOf(bucket)}`, [])
    }
    return dropDetached(tx, bucket, briefMs)
  })
}
