import type { Transaction } from '../../drizzle/connection.ts'
import { messageTerms } from '../lib/search-terms.ts'
import { nullIfEmpty } from '../lib/sql.ts'
import { bucketSql } from './bucket-time.ts'
import type { MessageRow } from './rows.ts'

/** A message that was said elsewhere, before now. It brings its id, which tells when. */
export type Append = Pick<MessageRow, 'id' | 'authorId' | 'content' | 'replyToId' | 'mentionIds' | 'deletedAt'> & {
  kind: Extract<MessageRow['kind'], 'USER' | 'ACTION'>
}

/** What the batch became: how far it brought the channel. */
export type Appended = { firstSeq: number; lastSeq: number; lastChange: number }

/**
 * Many messages at the end of one channel, as if they had been sent one by one, but for what happens within the batch: a
 * message that is answered in it is stored with its replies counted, for nobody has seen it without them. Those of
 * earlier batches count them as a change of theirs, after the changes of the new messages.
 *
 * The first step locks the channel's row, unless the channel holds a message as new as the first of the batch.
 */
const appendStatement = `/* append */
  with channel as materialized (
    select first_seq, last_seq, last_change, last_id from channels where id = $1 and last_id < $2::bigint for no key update
  ), batch as (
    select b.*, last_seq + n::int as seq, last_change + n::int as change, ${bucketSql('b.id')} as bucket
    from channel, rows from (json_to_recordset($3::text::json) as (
      id bigint, kind text, author_id bigint, content text, reply_to_id bigint, mention_ids bigint[], terms int[],
      deleted_at timestamptz
    )) with ordinality as b (id, kind, author_id, content, reply_to_id, mention_ids, terms, deleted_at, n)
  ), answered as (
    select reply_to_id as id, count(*)::int as replies from batch
    where reply_to_id is not null and deleted_at is null group by reply_to_id
  ), older as (
    select m.id, m.seq, m.author_id, a.replies, row_number() over (order by m.id)::int as nth
    from answered a join messages m on m.channel_id = $1 and m.id = a.id and m.id < $2::bigint
  ), roots as (
    select id, seq, author_id from older
    union all select b.id, b.seq, b.author_id from batch b join answered using (id)
  ), written as (
    select (select count(*) from batch)::int as messages, (select count(*) from older)::int as older,
           (select max(id) from batch) as last_id
  ), stored as (
    insert into messages (channel_id, id, seq, change, kind, author_id, content, reply_to_id, mention_ids, terms, deleted_at)
    select $1, id, seq, change, kind, author_id, content, reply_to_id, mention_ids, terms, deleted_at
    from batch order by seq
  ), counted as (
    insert into message_changes as t (channel_id, message_id, change, kind, reply_count)
    select $1, id, channel.last_change + written.messages + nth, 'ENRICHED', replies from older, channel, written
    union all
    select $1, b.id, b.change, 'CREATED', a.replies from batch b join answered a using (id)
    on conflict (channel_id, message_id)
    do update set change = excluded.change, kind = excluded.kind, reply_count = t.reply_count + excluded.reply_count
  ), replied as (
    insert into replies (channel_id, root_id, seq, message_id, deleted)
    select $1, reply_to_id, seq, id, deleted_at is not null from batch where reply_to_id is not null
  ), followed as (
    insert into threads (channel_id, message_id, user_id, last_read_seq)
    select $1, message_id, user_id, max(seq) from (
      select id as message_id, author_id as user_id, seq from roots
      union all select reply_to_id, author_id, seq from batch where reply_to_id is not null and deleted_at is null
    ) follower group by message_id, user_id
    on conflict (channel_id, message_id, user_id)
    do update set last_read_seq = greatest(threads.last_read_seq, excluded.last_read_seq)
  ), mentioned as (
    insert into mentions (channel_id, user_id, seq, message_id)
    select $1, user_id, seq, id from batch, unnest(mention_ids) as user_id
  ), begun as (
    insert into channel_buckets (channel_id, first_seq, first_change, bucket)
    select $1, min(seq), min(change), bucket from batch, channel
    where last_seq = 0 or last_seq < first_seq or bucket > ${bucketSql('last_id')}
    group by bucket
  ), positions as (
    update members set last_read_seq = greatest(members.last_read_seq, own.seq)
    from (select author_id, max(seq) as seq from batch group by author_id) own
    where members.channel_id = $1 and members.user_id = own.author_id
  )
  update channels c
  set last_seq = c.last_seq + written.messages,
      last_change = c.last_change + written.messages + written.older,
      last_id = written.last_id,
      first_seq = case when c.first_seq = 0 then c.last_seq + 1 else c.first_seq end
  from written, channel
  where c.id = $1
  returning channel.last_seq + 1 as first_seq, c.last_seq, c.last_change`

/**
 * Writes messages at the end of a channel, within a transaction. Their ids grow, and what they answer is in the channel
 * or earlier in the batch; the buckets that they fall in are there (
 * `ensureBuckets`). Null, with nothing written, where the channel holds a message that is as new as the first of
 * them: history is not changed afterwards. Nothing is announced: streams find it by the channel's head.
 */
export async function appendBatch(
  tx: Transaction,
  channelId: string,
  messages: readonly [Append, ...Append[]],
): Promise<Appended | null> {
  const batch = messages.map((message) => ({
    id: message.id,
    kind: message.kind,
    author_id: message.authorId,
    content: message.content,
    reply_to_id: message.replyToId,
    mention_ids: nullIfEmpty(message.mentionIds),
    terms: nullIfEmpty(messageTerms(channelId, message.content)),
    deleted_at: message.deletedAt,
  }))
  const [row] = await tx.run<{ first_seq: number; last_seq: number; last_change: number }>(appendStatement, [
    channelId,
    messages[0].id,
    JSON.stringify(batch),
  ])
  return row === undefined ? null : { firstSeq: row.first_seq, lastSeq: row.last_seq, lastChange: row.last_change }
}

const admitStatement = `/* admit */
  with channel as materialized (
    select last_seq, last_change from channels where id = $1 for no key update
  ), coming as (
    select c.*, row_number() over (order by n)::int as nth
    from rows from (json_to_recordset($2::text::json) as (user_id bigint, joined_at timestamptz)) with ordinality
         as c (user_id, joined_at, n)
    where not exists (select from members m where m.channel_id = $1 and m.user_id = c.user_id)
  ), admitted as (
    insert into members (channel_id, user_id, role, joined_at, change, joined_seq, joined_change, last_read_seq)
    select $1, user_id, 'MEMBER', joined_at, last_change + nth, last_seq, last_change + nth, last_seq
    from coming, channel
    returning user_id
  ), head as (
    update channels set last_change = last_change + count, member_count = member_count + count
    from (select count(*)::int as count from coming) came
    where id = $1 and count > 0
  )
  select user_id from admitted`

/**
 * Lets many people into a channel, within a transaction, with the read position at its end. Who is or was a member
 * stays as they are: somebody who has left is not brought back by what they once said. Returns who came in.
 */
export async function admitAll(
  tx: Transaction,
  channelId: string,
  people: readonly { userId: string; joinedAt: Date }[],
): Promise<string[]> {
  const coming = people.map(({ userId, joinedAt }) => ({ user_id: userId, joined_at: joinedAt }))
  const rows = await tx.run<{ user_id: string }>(admitStatement, [channelId, JSON.stringify(coming)])
  return rows.map((row) => row.user_id)
}
