import type { Database } from '../../drizzle/connection.ts'
import { bucketOf, rangeOf } from './bucket-time.ts'

/** Rows that one statement removes, about. */
const rowsAtOnce = 500

/** Keys that one statement looks through. */
const keysAtOnce = 5_000

/** How long a channel is waited for that somebody is writing to. Milliseconds. */
const patienceMs = 5_000

const noHash = '00000000-0000-0000-0000-000000000000'

/**
 * Lets a channel's history begin with the bucket `firstKept`: from then on nobody is shown anything older, and whoever
 * holds a cursor that has not passed all of it cannot read on. What is older is noted for removal, which is
 * `clearExpired`. All of it in one transaction, as a send does, so that no reader sees half of it. Returns whether
 * there was anything older.
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
    await run('select from channels where id = $1 for no key update', [channelId])
    const gone = await run<{ bucket: number }>(
      'delete from channel_buckets where channel_id = $1 and bucket < $2 returning bucket',
      [channelId, firstKept],
    )
    if (gone.length === 0) return false
    const newest = rangeOf(Math.max(...gone.map((row) => row.bucket)))
    const [last] = await run<{ change: number }>(
      'select change from messages where channel_id = $1 and id >= $2 and id < $3 order by id desc limit 1',
      [channelId, newest.low, newest.high],
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
      `insert into expirations as e (channel_id, first_seq, first_id) values ($1, $2, $3)
       on conflict (channel_id) do update
       set first_seq = greatest(e.first_seq, excluded.first_seq), first_id = greatest(e.first_id, excluded.first_id)`,
      [channelId, channel!.first_seq, firstId],
    )
    return true
  })
}

export type Expiration = { channelId: string; firstSeq: number; firstId: string }

/** Channels with something to remove, by their ids after `after`; at most `limit`. */
export async function expirationsAfter(database: Database, after: string, limit: number): Promise<Expiration[]> {
  const rows = await database.run<{ channel_id: string; first_seq: number; first_id: string }>(
    'select channel_id, first_seq, first_id from expirations where channel_id > $1 order by channel_id limit $2',
    [after, limit],
  )
  return rows.map((row) => ({ channelId: row.channel_id, firstSeq: row.first_seq, firstId: row.first_id }))
}

/**
 * Removes a channel's expired messages of one bucket, the oldest first, so that nobody who still reads there finds a
 * hole. Returns how many there were.
 */
export async function clearBucket(database: Database, { channelId, firstId }: Expiration, bucket: number): Promise<number> {
  if (bucket >= bucketOf(firstId)) return 0
  const { low, high } = rangeOf(bucket)
  return repeat(() =>
    database.run(
      `/* clear expired messages */ delete from messages
       where channel_id = $1 and id >= $2 and id < $3 and id = any (array(
         select id from messages where channel_id = $1 and id >= $2 and id < $3 order by id limit ${rowsAtOnce}
       )) returning id`,
      [channelId, low, high],
    ),
  )
}

/** Removes whatever hangs on a channel's expired messages, which must be gone, and then the note of it. */
export async function clearBeside(database: Database, expiration: Expiration): Promise<void> {
  const { channelId, firstSeq, firstId } = expiration
  for (const [table, column, end] of [
    ['reactions', 'message_id', firstId],
    ['threads', 'message_id', firstId],
    ['replies', 'root_id', firstId],
    ['message_changes', 'message_id', firstId],
  ] as const) {
    await repeat(() =>
      database.run(
        `/* clear ${table} */ delete from ${table} where channel_id = $1 and ${column} = any (array(
           select distinct ${column} from ${table} where channel_id = $1 and ${column} < $2
           order by ${column} limit ${rowsAtOnce}
         )) returning channel_id`,
        [channelId, end],
      ),
    )
  }
  await repeat(() =>
    database.run(
      `/* clear outbox */ delete from outbox where channel_id = $1 and first_seq = any (array(
         select first_seq from outbox where channel_id = $1 and last_seq < $2 order by first_seq limit ${rowsAtOnce}
       )) returning channel_id`,
      [channelId, firstSeq],
    ),
  )
  await clearMentions(database, channelId, firstSeq)
  await clearKeys(database, channelId, firstId)
  await database.run('delete from expirations where channel_id = $1 and first_id = $2', [channelId, firstId])
}

/** Calls a statement that removes some of many rows until none are left. */
async function repeat(removeSome: () => Promise<unknown[]>): Promise<number> {
  let removed = 0
  for (let last = 1; last > 0; removed += last) last = (await removeSome()).length
  return removed
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
async function clearKeys(database: Database, channelId: string, firstId: string): Promise<void> {
  for (let after = noHash; ; ) {
    const keys = await database.run<{ key_hash: string; gone: boolean }>(
      `select key_hash::text, message_id < $3 as gone from send_keys
       where channel_id = $1 and key_hash > $2::text::uuid order by key_hash limit ${keysAtOnce}`,
      [channelId, after, firstId],
    )
    const gone = keys.filter((key) => key.gone).map((key) => key.key_hash)
    if (gone.length > 0) {
      await database.run(
        '/* clear keys */ delete from send_keys where channel_id = $1 and key_hash = any ($2::text[]::uuid[]) and message_id < $3',
        [channelId, gone, firstId],
      )
    }
    if (keys.length < keysAtOnce) return
    after = keys.at(-1)!.key_hash
  }
}
