import type { Database } from '../../drizzle/connection.ts'
import { rangeOf } from './bucket-time.ts'
import { compareSnowflakes } from './snowflake.ts'

/** A part of a channel's history: which seqs, both ends included. */
export type Span = { from: number; to: number }

/**
 * Ranges that one statement names. A page that is spread over more buckets reads through the smallest gaps between
 * them, which costs a look into each partition there and finds nothing.
 */
export const maxRanges = 4

/** The buckets that hold messages of each span, oldest first, in one statement. */
export async function bucketsOf(
  database: Database,
  spans: readonly { channelId: string; span: Span }[],
): Promise<number[][]> {
  const rows = await database.run<{ nth: number; bucket: number }>(
    `/* buckets */ select w.nth::int, b.bucket
     from unnest($1::bigint[], $2::int[], $3::int[]) with ordinality as w (channel_id, low, high, nth)
     join channel_buckets b on b.channel_id = w.channel_id and b.first_seq <= w.high
     where b.channel_id = any ($1::bigint[]) and not exists (
       select from channel_buckets later
       where later.channel_id = b.channel_id and later.channel_id = any ($1::bigint[])
         and later.first_seq > b.first_seq and later.first_seq <= w.low
     )
     order by w.nth, b.first_seq`,
    [spans.map((each) => each.channelId), spans.map(({ span }) => span.from), spans.map(({ span }) => span.to)],
  )
  const found = spans.map((): number[] => [])
  for (const row of rows) found[row.nth - 1]!.push(row.bucket)
  return found
}

/** Ids of these buckets, which come oldest first, in at most `maxRanges` ranges; neighbours become one. */
export function rangesOf(buckets: readonly number[]): { low: string; high: string }[] {
  const runs: { first: number; last: number }[] = []
  for (const bucket of buckets) {
    const run = runs.at(-1)
    if (run !== undefined && bucket <= run.last + 1) run.last = bucket
    else runs.push({ first: bucket, last: bucket })
  }
  while (runs.length > maxRanges) {
    let smallest = 1
    const gap = (nth: number) => runs[nth]!.first - runs[nth - 1]!.last
    for (let nth = 2; nth < runs.length; nth++) if (gap(nth) < gap(smallest)) smallest = nth
    runs[smallest - 1]!.last = runs[smallest]!.last
    runs.splice(smallest, 1)
  }
  return runs.map(({ first, last }) => ({ low: rangeOf(first).low, high: rangeOf(last).high }))
}

/**
 * The condition that an id of `m` lies in one of so many ranges, whose ends are parameters from `$first` on: two for
 * each. The planner finds the partitions by it before it runs.
 */
export function inRanges(count: number, first: number): string {
  const range = (nth: number) => `m.id >= $${first + 2 * nth}::bigint and m.id < $${first + 2 * nth + 1}::bigint`
  return `(${Array.from({ length: count }, (_, nth) => `(${range(nth)})`).join(' or ')})`
}

/** The range from the least to the greatest of some ids, which are at least one. */
export function spanOfIds(ids: readonly string[]): [low: string, high: string] {
  let [low, high] = [ids[0]!, ids[0]!]
  for (const id of ids) {
    if (compareSnowflakes(id, low) < 0) low = id
    if (compareSnowflakes(id, high) > 0) high = id
  }
  return [low, high]
}
