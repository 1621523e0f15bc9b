import type { Database } from '../../drizzle/connection.ts'
import { rangeOf, tableOf } from './bucket-time.ts'
import { spanOfIds } from './buckets.ts'
import { type OnExpiredAttachments, tellAttachmentsBetween } from './expired-attachments.ts'

/** Rows that one statement removes, about. */
const rowsAtOnce = 500

/** Keys that one statement looks through. */
const keysAtOnce = 5_000

/** How long a channel is waited for that somebody is writing to. Milliseconds. */
const patienceMs = 5_000

/** What others wait for then must not take longer. On Citus it is all that ends the waiting, too. Milliseconds. */
const holdMs = 8_000

const noHash = '00000000-0000-0000-0000-000000000000'

/**
 * Lets a channel's history begin with the bucket `firstKept`: from then on nobody is shown anything older, and whoever
 * holds a cursor that has not passed all of it cannot read on. Which buckets it takes away is noted for their removal,
 * which is `clearBucket` and `clearBeside`. All of it in one transaction, as a send does, so that no reader sees half of
 * it. Returns whether there was anything older; rejects with Postgres's 55P03 or
 * UNAVAILABLE where the channel is busy for too long.
 */
export async function expire(database: Database, channelId: string, firstKept: number): Promise<boolean> {
  const { low: firstId } = rangeOf(firstKept)
  // Many may have been touched: they are looked through before the channel is locked, and then only what came since.
  const [seen] = await database.run<{ last_change: number; touched: number | null }>(
    `/* touched of what expires */ select last_change, (
       select max(change) from message_changes where channel_id = $1 and message_id < $2
     ) as touched from channels where id = $1`,
    [channelId, firstId],
  )
  if (seen === undefined) return false
  return database.transaction(async ({ run }) => {
    await run(`set local lock_timeout = ${patienceMs}`, [])
    await run(`set local statement_timeout = ${holdMs}`, [])
    await run('select from channels where id = $1 for no key update', [channelId])
    const gone = await run<{ bucket: number }>(
      'delete from channel_buckets where channel_id = $1 and bucket < $2 returning bucket',
      [channelId, firstKept],
    )
    if (gone.length === 0) return false
    const newest = Math.max(...gone.map((row) => row.bucket))
    // Of the month itself, whose key has the order that is wanted.
    const [last] = await run<{ change: number }>(
      `/* newest of what expires */ select change from ${tableOf(newest)} where channel_id = $1 order by id desc limit 1`,
      [channelId],
    )
    const [since] = await run<{ touched: number | null }>(
      'select max(change) as touched from message_changes where channel_id = $1 and change > $2 and message_id < $3',
      [channelId, seen.last_change, firstId],
    )
    const [kept] = await run<{ first_seq: number }>(
      'select first_seq from channel_buckets where channel_id = $1 order by first_seq limit 1',
      [channelId],
    )
    const [channel] = await run<{ first_seq: number }>(
      `update channels set first_seq = coalesce($2::int, last_seq + 1), expired_change = greatest(expired_change, $3::int)
       where id = $1 returning first_seq`,
      [channelId, kept?.first_seq ?? null, Math.max(last?.change ?? 0, seen.touched ?? 0, since!.touched ?? 0)],
    )
    await run(
      `insert into expirations as e (channel_id, bucket, first_seq)
       select $1::bigint, b, $3::int from unnest($2::int[]) as w (b)
       on conflict (channel_id, bucket) do update set first_seq = greatest(e.first_seq, excluded.first_seq)`,
      [channelId, [...new Set(gone.map((row) => row.bucket))], channel!.first_seq],
    )
    return true
  })
}

/** Something of a channel that is to be removed: what is older than a seq. */
export type Expiration = { channelId: string; firstSeq: number }

/** The buckets of which something is to be removed. */
export async function expiredBuckets(database: Database): Promise<number[]> {
  const rows = await database.run<{ bucket: number }>('select distinct bucket from expirations', [])
  return rows.map((row) => row.bucket)
}

/** Channels with something to remove from a bucket, by their ids after `after`; at most `limit`. */
export async function expirationsOf(
  database: Database,
  bucket: number,
  after: string,
  limit: number,
): Promise<Expiration[]> {
  const rows = await database.run<{ channel_id: string; first_seq: number }>(
    `/* expired of a bucket */ select channel_id, first_seq from expirations
     where bucket = $1 and channel_id > $2 order by channel_id limit $3`,
    [bucket, after, limit],
  )
  return rows.map((row) => ({ channelId: row.channel_id, firstSeq: row.first_seq }))
}

/** Channels with something to remove, each with the last of its buckets, by their ids after `after`; at most `limit`. */
export async function expirationsAfter(
  database: Database,
  after: string,
  limit: number,
): Promise<(Expiration & { bucket: number })[]> {
  const rows = await database.run<{ channel_id: string; first_seq: number; bucket: number }>(
    `/* expired */ select channel_id, max(first_seq) as first_seq, max(bucket) as bucket from expirations
     where channel_id > $1 group by channel_id order by channel_id limit $2`,
    [after, limit],
  )
  return rows.map((row) => ({ channelId: row.channel_id, firstSeq: row.first_seq, bucket: row.bucket }))
}

/**
 * Removes a channel's expired messages of one bucket, the oldest first, so that nobody who still reads there finds a
 * hole. They are gone through by their seqs, so that each step begins where the one before has ended. Returns how many
 * there were. `onAttachments` is told of what they have attached before they go.
 */
export async function clearBucket(
  database: Database,
  { channelId, firstSeq }: Expiration,
  bucket: number,
  onAttachments: OnExpiredAttachments = async () => {},
): Promise<number> {
  const table = tableOf(bucket)
  const [span] = await database.run<{ first: number | null; last: number }>(
    `/* expired messages */ select min(seq) as first, max(seq) as last from ${table} where channel_id = $1 and seq < $2`,
    [channelId, firstSeq],
  )
  const { first, last } = span!
  if (first === null) return 0
  let removed = 0
  for (let from = first; from <= last; from += rowsAtOnce) {
    const to = Math.min(last, from + rowsAtOnce - 1)
    await tellAttachmentsBetween(database, { channelId, bucket, from, to }, onAttachments)
    const rows = await database.run(
      `/* clear expired messages */ delete from ${table} where channel_id = $1 and seq between $2 and $3 returning seq`,
      [channelId, from, to],
    )
    removed += rows.length
  }
  return removed
}

/**
 * Removes whatever hangs on a channel's expired messages up to those of `bucket`, which must be gone, and then the notes
 * of them.
 */
export async function clearBeside(database: Database, expiration: Expiration, bucket: number): Promise<void> {
  const { channelId, firstSeq } = expiration
  const { high: end } = rangeOf(bucket)
  for (const [table, column] of [
    ['reactions', 'message_id'],
    ['threads', 'message_id'],
    ['replies', 'root_id'],
    ['message_changes', 'message_id'],
    ['link_previews', 'message_id'],
  ] as const) {
    await clearTable(database, { table, column, channelId, end })
  }
  await clearOutbox(database, channelId, firstSeq)
  await clearMentions(database, channelId, firstSeq)
  await clearKeys(database, channelId, end)
  await database.run('delete from expirations where channel_id = $1 and bucket <= $2', [channelId, bucket])
}

/** Removes what a table has of messages before `end`. Each step begins where the one before has ended. */
async function clearTable(
  database: Database,
  { table, column, channelId, end }: { table: string; column: string; channelId: string; end: string },
): Promise<void> {
  for (let after = '-1'; ; ) {
    const rows = await database.run<{ id: string }>(
      `/* clear ${table} */ delete from ${table}
       where channel_id = $1 and ${column} > $2 and ${column} < $3 and ${column} <= coalesce((
         select ${column} from ${table} where channel_id = $1 and ${column} > $2 and ${column} < $3
         order by ${column} offset ${rowsAtOnce - 1} limit 1
       ), $3) returning ${column} as id`,
      [channelId, after, end],
    )
    if (rows.length < rowsAtOnce) return
    after = spanOfIds(rows.map((row) => row.id))[1]
  }
}

/** What nobody has taken from there yet, which is little. */
async function clearOutbox(database: Database, channelId: string, firstSeq: number): Promise<void> {
  for (let last = rowsAtOnce; last >= rowsAtOnce; ) {
    const rows = await database.run(
      `/* clear outbox */ delete from outbox where channel_id = $1 and first_seq = any (array(
         select first_seq from outbox where channel_id = $1 and last_seq < $2 order by first_seq limit ${rowsAtOnce}
       )) returning channel_id`,
      [channelId, firstSeq],
    )
    last = rows.length
  }
}

/** They are found by whom they mention: one person after the other. */
async function clearMentions(database: Database, channelId: string, firstSeq: number): Promise<void> {
  for (let userId = '0'; ; ) {
    const [next] = await database.run<{ user_id: string }>(
      'select user_id from mentions where channel_id = $1 and user_id > $2 order by user_id limit 1',
      [channelId, userId],
    )
    if (next === undefined) return
    userId = next.user_id
    await database.run('/* clear mentions */ delete from mentions where channel_id = $1 and user_id = $2 and seq < $3', [
      channelId,
      userId,
      firstSeq,
    ])
  }
}

/** They are found by their hashes, so that all of the channel's are looked through. */
async function clearKeys(database: Database, channelId: string, end: string): Promise<void> {
  for (let after = noHash; ; ) {
    const keys = await database.run<{ key_hash: string; gone: boolean }>(
      `select key_hash::text, message_id < $3 as gone from send_keys
       where channel_id = $1 and key_hash > $2::text::uuid order by key_hash limit ${keysAtOnce}`,
      [channelId, after, end],
    )
    const gone = keys.filter((key) => key.gone).map((key) => key.key_hash)
    if (gone.length > 0) {
      await database.run(
        '/* clear keys */ delete from send_keys where channel_id = $1 and key_hash = any ($2::text[]::uuid[]) and message_id < $3',
        [channelId, gone, end],
      )
    }
    if (keys.length < keysAtOnce) return
    after = keys.at(-1)!.key_hash
  }
}
