import type { Database } from '../../drizzle/connection.ts'
import type { Change } from './changes.ts'
import { type MessageKind, type MessageRow, type RawMessage, toMessageRow } from './rows.ts'
import { snowflakeEpoch } from './snowflake.ts'

/** A message on its way into the store. */
export type Send = {
  authorId: string
  /** Unique for its author within the channel. */
  key: string
  /** Hash of what was asked for, in hex: the same key with another body is a mistake of the client. */
  bodyHash: string
  kind: MessageKind
  content: string
  replyToId: string | null
  mentionIds: string[]
}

/** What became of one send: stored now, stored before under the same key, or the key belongs to another body. */
export type SendOutcome = { outcome: 'sent' | 'repeated'; message: MessageRow } | { outcome: 'conflict' }

export type BatchResult =
  /** Who may do what has moved since the writer looked: nothing was written, look again. */
  { moved: true } | { moved: false; outcomes: SendOutcome[]; changes: Change[] }

/** How far a proposed id may be from the store's own clock, in milliseconds, before it is pulled back to it. */
export const clockSlackMs = 5_000

/**
 * The batch as one statement, so that it is one round trip, one commit, all or nothing. In this order, and each step
 * is there because a form without it broke under contention:
 *
 * 1. `channel` locks the channel's row, unless who may do what here has moved since the writer looked.
 * 2. `batch` gives out ids, greater than the newest and near the store's clock, whatever the writer's clock says.
 * 3. `keys` records the idempotency keys; those that came back are the ones that are new.
 * 4. `winners` numbers them without holes; `stored` writes them.
 * 5. `roots`, `touched`, `followed`: the messages that were answered count their replies, which is a change of theirs.
 * 6. `head` moves the channel on by exactly what was written; `positions` moves its authors' read positions.
 */
const sendStatement = `/* send */
  with channel as materialized (
    select id, last_seq, last_change, last_id,
           (extract(epoch from clock_timestamp()) * 1000)::bigint - ${snowflakeEpoch} as clock
    from channels where id = $1 and membership_version = $2
    for no key update
  ), batch as (
    select b.*, n::int as place,
           greatest(
             least(greatest($3::bigint, (clock - ${clockSlackMs}) << 22), (clock + ${clockSlackMs}) << 22),
             last_id + 1
           ) + n - 1 as id
    from channel, rows from (json_to_recordset($4::text::json) as (
      author_id bigint, key text, body_hash text, kind text, content text, reply_to_id bigint, mention_ids bigint[]
    )) with ordinality as b (author_id, key, body_hash, kind, content, reply_to_id, mention_ids, n)
  ), keys as (
    insert into send_keys (channel_id, author_id, key, message_id, body_hash)
    select $1, author_id, key, id, decode(body_hash, 'hex') from batch order by place
    on conflict do nothing
    returning message_id
  ), winners as (
    select batch.*, row_number() over (order by place)::int as nth
    from batch join keys on keys.message_id = batch.id
  ), roots as (
    select reply_to_id as id, count(*)::int as replies, row_number() over (order by reply_to_id)::int as nth
    from winners where reply_to_id is not null group by reply_to_id
  ), written as (
    select (select count(*) from winners)::int as messages,
           (select count(*) from roots)::int as roots,
           (select max(id) from winners) as last_id
  ), stored as (
    insert into messages (channel_id, id, seq, change, version, kind, author_id, content, reply_to_id, mention_ids)
    select $1, w.id, last_seq + nth, last_change + nth, last_change + nth, kind, author_id, content, reply_to_id,
           mention_ids
    from winners w, channel
    returning *
  ), touched as (
    update messages m
    set reply_count = m.reply_count + roots.replies, version = channel.last_change + written.messages + roots.nth
    from roots, channel, written
    where m.channel_id = $1 and m.id = roots.id
    returning m.*
  ), touched_changes as (
    insert into message_changes (channel_id, message_id, change, kind)
    select $1, id, version, 'ENRICHED' from touched
    on conflict (channel_id, message_id) do update set change = excluded.change, kind = excluded.kind
  ), followed as (
    insert into threads (channel_id, message_id, user_id, last_read_seq)
    select $1, message_id, user_id, max(seq) from (
      select id as message_id, author_id as user_id, seq from touched
      union all select reply_to_id, author_id, seq from stored where reply_to_id is not null
    ) follower group by message_id, user_id
    on conflict (channel_id, message_id, user_id)
    do update set last_read_seq = greatest(threads.last_read_seq, excluded.last_read_seq)
  ), mentioned as (
    insert into mentions (channel_id, user_id, seq, message_id)
    select $1, user_id, seq, id from stored, unnest(mention_ids) as user_id
  ), positions as (
    update members set last_read_seq = greatest(members.last_read_seq, own.seq)
    from (select author_id, max(seq) as seq from stored group by author_id) own
    where members.channel_id = $1 and members.user_id = own.author_id
  ), head as (
    update channels c
    set last_seq = c.last_seq + written.messages,
        last_change = c.last_change + written.messages + written.roots,
        last_id = written.last_id,
        first_seq = case when c.first_seq = 0 then c.last_seq + 1 else c.first_seq end
    from written
    where c.id = $1 and written.messages > 0 and exists (select from channel)
  )
  select w.place, channel.last_seq + written.messages as head_seq, m.*
  from channel
  cross join written
  left join (select * from stored union all select * from touched) m on true
  left join winners w on w.id = m.id
  order by m.version`

type RawSent = RawMessage & { place: number | null; head_seq: number; id: string | null }

/**
 * Writes a batch of sends to one channel. `proposedId` is where the writer's clock would begin; the store has the last
 * word. Outcomes come in the order of the sends; the changes are those that this batch made, in order, to be announced.
 */
export async function sendBatch(
  database: Database,
  channelId: string,
  membershipVersion: number,
  proposedId: string,
  sends: readonly Send[],
): Promise<BatchResult> {
  const batch = sends.map((send) => ({
    author_id: send.authorId,
    key: send.key,
    body_hash: send.bodyHash,
    kind: send.kind,
    content: send.content,
    reply_to_id: send.replyToId,
    mention_ids: send.mentionIds,
  }))
  const rows = await database.run<RawSent>(sendStatement, [
    channelId,
    membershipVersion,
    proposedId,
    JSON.stringify(batch),
  ])
  if (rows.length === 0) return { moved: true }

  const outcomes: (SendOutcome | undefined)[] = sends.map(() => undefined)
  const changes: Change[] = []
  for (const row of rows) {
    if (row.id === null) continue
    const message = toMessageRow(row)
    const created = row.place !== null
    if (created) outcomes[row.place! - 1] = { outcome: 'sent', message }
    changes.push({
      channelId,
      change: message.version,
      seq: created ? message.seq : row.head_seq,
      type: 'message',
      kind: created ? 'CREATED' : 'ENRICHED',
      message,
    })
  }
  if (outcomes.includes(undefined)) await fillRepeated(database, channelId, sends, outcomes)
  return { moved: false, outcomes: outcomes as SendOutcome[], changes }
}

/** Looks up what stands under the keys that were taken already. */
async function fillRepeated(
  database: Database,
  channelId: string,
  sends: readonly Send[],
  outcomes: (SendOutcome | undefined)[],
): Promise<void> {
  const missing = sends.filter((_, place) => outcomes[place] === undefined)
  const rows = await database.run<RawMessage & { key: string; body_hash: string }>(
    `/* sent before */ select k.key, encode(k.body_hash, 'hex') as body_hash, m.*
     from unnest($2::bigint[], $3::text[]) as wanted (author_id, key)
     join send_keys k on k.channel_id = $1 and k.author_id = wanted.author_id and k.key = wanted.key
     join messages m on m.channel_id = $1 and m.id = k.message_id`,
    [channelId, missing.map((send) => send.authorId), missing.map((send) => send.key)],
  )
  const byKey = new Map(rows.map((row) => [`${row.author_id} ${row.key}`, row]))
  sends.forEach((send, place) => {
    if (outcomes[place] !== undefined) return
    const row = byKey.get(`${send.authorId} ${send.key}`)
    if (row === undefined) throw new Error('A taken key has no message')
    outcomes[place] =
      row.body_hash === send.bodyHash ? { outcome: 'repeated', message: toMessageRow(row) } : { outcome: 'conflict' }
  })
}
