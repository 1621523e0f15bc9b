import type { Database, Transaction } from '../../drizzle/connection.ts'
import { termsVersion } from '../lib/search-terms.ts'
import { bucketAt, bucketOf, rangeOf, tableOf } from './bucket-time.ts'

/** Buckets made ahead of the present one: the workers may be away for two months before a write has to make its own. */
const bucketsAhead = 2

/** What is written may be older than now by some seconds; a day is beyond what any clock is wrong by. Milliseconds. */
const dayMs = 86_400_000

/** Any number that nothing else on the database locks: the letters "maru" and 2. */
const partitionLock = 0x6d617275_02

/** What Postgres says of a row that has no partition to go to; no table here has another rule of this kind. */
const noPartition = '23514'

/**
 * Makes the partitions of the buckets from `first` to `last`, by default of what is written now and for some time to
 * come. What exists is left alone, and several processes may do it at once. Readers and writers of other buckets go on
 * meanwhile. Returns the buckets that were made.
 */
export async function ensureBuckets(
  database: Database,
  first = bucketAt(Date.now() - dayMs),
  last = bucketAt(Date.now()) + bucketsAhead,
): Promise<number[]> {
  const wanted = Array.from({ length: Math.max(0, last - first + 1) }, (_, nth) => first + nth)
  if (await existsAll(database, wanted)) return []
  const made: number[] = []
  for (const bucket of wanted) if (await ensureBucket(database, bucket)) made.push(bucket)
  return made
}

async function existsAll(database: Database, wanted: readonly number[]): Promise<boolean> {
  const [row] = await database.run<{ missing: boolean }>(
    'select exists (select from unnest($1::int[]) w where not exists (select from buckets where bucket = w)) as missing',
    [wanted],
  )
  return !row!.missing
}

/** One transaction for each, so that the lock on the whole table is short. */
function ensureBucket(database: Database, bucket: number): Promise<boolean> {
  return database.transaction(async (tx) => {
    await tx.run('select pg_advisory_xact_lock($1)', [partitionLock])
    const [known] = await tx.run('select from buckets where bucket = $1', [bucket])
    if (known !== undefined) return false
    const { low, high } = rangeOf(bucket)
    await createPartition(tx, tableOf(bucket), low, high)
    await tx.run('insert into buckets (bucket, terms_version) values ($1, $2)', [bucket, termsVersion])
    return true
  })
}

/**
 * Made beside the others and attached then, for which those who read and write need not stop; making it in its place
 * would wait for all of them and hold up everybody else meanwhile.
 */
async function createPartition(tx: Transaction, table: string, low: string, high: string): Promise<void> {
  await tx.run(`create table ${table} (like messages including defaults including constraints)`, [])
  await tx.run(plannerHints(table), [])
  await tx.run(`alter table messages attach partition ${table} for values from (${low}) to (${high})`, [])
}

/**
 * Writes to the end of a channel, in a transaction that begins and ends within `write`. Where no partition takes what
 * it writes, as the workers have been away for months, that is made and `write` called once more.
 */
export async function withBucket<T>(database: Database, channelId: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write()
  } catch (error) {
    if (!isWithoutPartition(error)) throw error
    await ensureBucketOfNext(database, channelId)
    return write()
  }
}

/** Drizzle wraps what the store rejects with. */
function isWithoutPartition(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ((cause as { code?: unknown }).code === noPartition) return true
  }
  return false
}

/** The next message is of now, by the store's clock, or comes right after the channel's newest. */
async function ensureBucketOfNext(database: Database, channelId: string): Promise<void> {
  const [row] = await database.run<{ now: Date; last_id: string }>(
    'select clock_timestamp() as now, last_id from channels where id = $1',
    [channelId],
  )
  if (row === undefined) return
  const now = bucketAt(+row.now)
  const after = bucketOf(row.last_id)
  await ensureBuckets(database, bucketAt(+row.now - dayMs), now + bucketsAhead)
  if (after >= now) await ensureBuckets(database, after, after + 1)
}

/**
 * Tells the planner of a partition what its figures do not: of terms it must know more than of other columns, to tell a
 * rare word from a common one; and a channel is to count as large, as one plan serves them all, and the average channel
 * is so small that the planner would not mind reading the whole of it. (With a tenth as many channels it would begin to
 * find ids by skipping through them.)
 */
export const plannerHints = (table: string) =>
  `alter table ${table} alter column terms set statistics 1000, alter column channel_id set (n_distinct = 1000)`
