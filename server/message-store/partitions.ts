import type { Database, Transaction } from '../../drizzle/connection.ts'
import { termsVersion } from '../lib/search-terms.ts'
import { bucketAt, rangeOf, tableOf } from './bucket-time.ts'

/** Buckets made ahead of the present one: the workers may be away for two months before anybody notices. */
const bucketsAhead = 2

/** Any number that nothing else on the database locks: the letters "maru" and 2. */
const partitionLock = 0x6d617275_02

/**
 * Makes the partitions of the buckets from `first` to `last`, by default of what is written now and for some time to
 * come. What exists is left alone, and several processes may do it at once. Readers and writers of other buckets go on
 * meanwhile. Returns the buckets that were made.
 */
export async function ensureBuckets(
  database: Database,
  first = bucketAt(Date.now()) - 1,
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
  // The planner must know more of it than of other columns, to tell a rare word from a common one.
  await tx.run(`alter table ${table} alter column terms set statistics 1000`, [])
  await tx.run(`alter table messages attach partition ${table} for values from (${low}) to (${high})`, [])
}
