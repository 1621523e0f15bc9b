import type { Database } from '../../drizzle/connection.ts'
import { bucketAt } from '../message-store/bucket-time.ts'
import { ensureBuckets } from '../message-store/partitions.ts'

/** Milliseconds between two messages of a filled channel. */
const apartMs = 1_000

/**
 * Puts `count` messages of one author into an empty channel, one a second up to an hour ago, as if they had been sent.
 * Ids, seqs and change numbers are as the send statement would have given them.
 */
export async function fillChannel(database: Database, channelId: string, authorId: string, count: number): Promise<void> {
  const now = Date.now()
  await ensureBuckets(database, bucketAt(now - 3_600_000 - count * apartMs), bucketAt(now))
  // In pieces, each well below the deadline of a statement.
  const piece = 50_000
  for (let from = 1; from <= count; from += piece) {
    await database.run(
      `insert into messages (channel_id, id, seq, change, kind, author_id, content)
       select $1::bigint, ((extract(epoch from now()) - 946684800 - 3600)::bigint * 1000 - ($3::bigint - n) * ${apartMs}) << 22,
              n, c.last_change + n, 'USER', $2::bigint, 'message ' || n || ' of a long conversation'
       from channels c, generate_series($4::int, $5::int) n where c.id = $1::bigint`,
      [channelId, authorId, count, from, Math.min(count, from + piece - 1)],
    )
  }
  await database.run(
    `insert into channel_buckets (channel_id, first_seq, first_change, bucket)
     select channel_id, min(seq), min(change), message_bucket(id) from messages where channel_id = $1
     group by channel_id, message_bucket(id)`,
    [channelId],
  )
  await database.run(
    `update channels c set first_seq = 1, last_seq = $2, last_change = last_change + $2,
       last_id = (select id from messages m where m.channel_id = c.id and m.seq = $2)
     where c.id = $1`,
    [channelId, count],
  )
}
