import type { Database } from '../../drizzle/connection.ts'
import { bucketAt } from '../message-store/bucket-time.ts'
import { ensureBuckets } from '../message-store/partitions.ts'
import { snowflakeAt } from '../message-store/snowflake.ts'

/** Who reads: the user 1 follows `followedChannels` channels, whose ids go from 1. */
export const viewer = '1'
export const followedChannels = 1_000

/** As many others follow channels that the viewer does not know, so that rows of one do not lie side by side. */
const channels = 4 * followedChannels

/** In each channel, the viewer among them where they follow it. */
const membersEach = 20

/** Of all channels over the time, evenly in both: some months, of which the last days are written out. */
const days = 60

/** Fills a store with channels, members and messages, but with nothing of feeds. */
export async function fillFeedStore(admin: Database, messages: number): Promise<void> {
  const now = Date.now()
  const dayMs = 86_400_000
  await ensureBuckets(admin, bucketAt(now - days * dayMs), bucketAt(now) + 1)
  const shift = `${Math.ceil((days * dayMs) / messages)}::bigint << 22`
  await admin.run(
    `insert into channels (id, kind, created_at, member_count)
     select n, 'GROUP', now() - interval '${days} days', ${membersEach} from generate_series(1, ${channels}) n`,
    [],
  )
  // In the order in which people join, which is not that of channels.
  await admin.run(
    `insert into members (channel_id, user_id, role, joined_at, change)
     select n, case when k = 1 and n <= ${followedChannels} then 1 else 2 + (n * 7919 + k * 104729) % 1000000 end,
       'MEMBER', now() - interval '${days} days', 0
     from generate_series(1, ${channels}) n, generate_series(1, ${membersEach}) k order by md5(n || ' ' || k)
     on conflict do nothing`,
    [],
  )
  await admin.run('update channels c set member_count = (select count(*) from members m where m.channel_id = c.id)', [])
  await admin.run(
    `insert into messages (channel_id, id, author_id, seq, change, kind, content)
     select channel_id, id, author_id, seq, seq, 'USER', 'a line of some length, as people write them all day long ' || id
     from (
       select channel_id, id, 2 + (id >> 22) % 1000 as author_id,
         row_number() over (partition by channel_id order by id) as seq
       from (
         select 1 + (('x' || substr(md5(n::text), 1, 8))::bit(32)::bigint % ${channels}) as channel_id,
           ${snowflakeAt(now - days * dayMs)}::bigint + n * (${shift}) as id
         from generate_series(0, ${messages - 1}) n
       ) s
     ) m order by id`,
    [],
  )
  await admin.run(
    `insert into channel_buckets (channel_id, first_seq, first_change, bucket)
     select channel_id, min(seq), min(seq), date_part('year', t)::int * 12 + date_part('month', t)::int - 1 - 24000
     from (select channel_id, seq, timestamp '2000-01-01' + (id >> 22) * interval '1 millisecond' as t from messages) m
     group by channel_id, 4`,
    [],
  )
  await admin.run(
    `update channels c set first_seq = 1, last_seq = m.seq, last_change = m.seq, last_id = m.id
     from (select channel_id, max(seq) as seq, max(id) as id from messages group by channel_id) m where m.channel_id = c.id`,
    [],
  )
}

/** Writes out what channels hold since the beginning of what is kept, in one go: what workers would have done meanwhile. */
export async function writeOut(admin: Database, afterId: string): Promise<number> {
  const rows = await admin.run<{ count: number }>(
    `with written as (
       insert into feed_entries (user_id, message_id, channel_id)
       select u.user_id, m.id, m.channel_id from messages m join members u on u.channel_id = m.channel_id
       where m.id > $1 and u.user_id <> m.author_id order by m.id on conflict do nothing returning 1
     ) select count(*)::int as count from written`,
    [afterId],
  )
  await admin.run(
    `insert into feed_spans (channel_id, after_id, up_to_id, told_id)
     select id, 0, last_id, last_id from channels`,
    [],
  )
  await admin.run('vacuum (freeze, analyze)', [])
  return rows[0]!.count
}

/** Merges so many of the viewer's channels, evenly spread, and has the others written out. */
export async function setMerged(admin: Database, count: number, afterId: string): Promise<void> {
  await admin.run('update feed_spans set up_to_id = told_id where channel_id <= $1', [followedChannels])
  if (count > 0) {
    await admin.run('update feed_spans set up_to_id = $1 where channel_id <= $2 and channel_id % $3::int = 0', [
      afterId,
      followedChannels,
      followedChannels / count,
    ])
  }
  await admin.run('vacuum (analyze) feed_spans', [])
}
