import type { Database } from '../../drizzle/connection.ts'
import { type CatchUp, createCatchUp } from './catch-up.ts'
import { type MemberRow, type MessageRow, type RawMember, type RawMessage, toMemberRow, toMessageRow } from './rows.ts'

export type MessageChangeKind = 'CREATED' | 'EDITED' | 'DELETED' | 'REACTIONS_CHANGED' | 'PINS_CHANGED' | 'ENRICHED'

/**
 * Something that happened in a channel and lasts. `change` is its number; `seq` is the channel's newest seq by then, so
 * that the two together are where a reader stands after it.
 */
export type Change = { channelId: string; change: number; seq: number } & (
  /** `touched` is what happened last to a message that is CREATED to this reader, and not as it was created. */
  | { type: 'message'; kind: MessageChangeKind; message: MessageRow; touched?: MessageChangeKind }
  | { type: 'member'; member: MemberRow }
  | { type: 'channel' }
)

/** Where a reader of a channel stands: all changes up to `change` are seen; no message up to `seq` is new any more. */
export type Position = { change: number; seq: number }

/** Where a channel stands. */
export type Head = Position & { channelId: string; membershipVersion: number }

export type ChangePage = {
  changes: Change[]
  /** Where the reader stands after them. */
  position: Position
  /** Whether that was all, at the moment of reading. */
  complete: boolean
  /** Whether `userId` was a member at the moment of reading. */
  member: boolean
}

/** Bytes of content in one page, beyond which it is cut short: somebody may hold it who does not read on. */
const maxPageBytes = 250_000

/**
 * One snapshot of all that changed after $2. New messages that nothing has touched since come from the range of seqs,
 * everything else from the small tables of what was touched, so that old history is never looked at: at most as many
 * messages are new as there were changes, whatever seq a cursor holds.
 */
const changesSinceStatement = `/* changes since */
  with head as (
    select last_change, last_seq, info_change,
           exists (select from members where channel_id = $1 and user_id = $5 and left_at is null) as member
    from channels where id = $1
  ), created as (
    select m.change as at, 'CREATED' as kind, m.id as message_id
    from messages m
    where m.channel_id = $1 and m.change > $2 and m.version = m.change
      -- A value, and not a join with head: that would be a filter on the whole channel.
      and m.seq > (select greatest($3, last_seq - (last_change - $2)) from head)
    order by m.seq limit $4 + 1
  ), touched as (
    select c.change as at, c.kind, c.message_id
    from message_changes c
    where c.channel_id = $1 and c.change > $2
    order by c.change limit $4 + 1
  ), members_changed as (
    select p.change as at, p.user_id
    from members p
    where p.channel_id = $1 and p.change > $2
    order by p.change limit $4 + 1
  ), merged as (
    select at, kind, message_id, null::bigint as user_id from created
    union all select at, kind, message_id, null from touched
    union all select at, 'MEMBER', null, user_id from members_changed
    union all select info_change, 'CHANNEL', null, null from head where info_change > $2
    order by at limit $4 + 1
  ), sized as (
    select merged.at, merged.kind as change_kind, merged.user_id, to_jsonb(p.*) as member_row, m.*,
           count(*) over () as found, row_number() over in_order as place,
           sum(octet_length(m.content)) over in_order as bytes
    from merged
    left join lateral (select * from messages where channel_id = $1 and id = merged.message_id offset 0) m on true
    left join lateral (select * from members where channel_id = $1 and user_id = merged.user_id offset 0) p on true
    window in_order as (order by merged.at)
  )
  select head.last_change, head.last_seq, head.member, sized.*
  from head left join sized on place = 1 or coalesce(bytes, 0) <= ${maxPageBytes}
  order by sized.at`

type RawChange = {
  last_change: number
  last_seq: number
  member: boolean
  at: number | null
  /** How many there are, up to one more than asked for, however many of them fit on the page. */
  found: string
  change_kind: MessageChangeKind | 'MEMBER' | 'CHANNEL'
  /** Beside `member_row`, in which JSON would have rounded it. */
  user_id: string | null
  member_row: (Omit<RawMember, 'joined_at' | 'left_at' | 'muted_until'> & Record<'joined_at' | 'left_at' | 'muted_until', string>) | null
} & RawMessage

/**
 * Everything that changed in a channel after `after`, each thing once and in its latest state, in the order of the
 * changes, at most `limit` at a time. Null where there is no such channel. Who reads on hands in the same `catchUp` for
 * each page: then a message is CREATED when it is told for the first time, whatever happened to it in between.
 */
export async function changesSince(
  database: Database,
  channelId: string,
  after: Position,
  limit: number,
  userId: string,
  catchUp: CatchUp = createCatchUp(after.change),
): Promise<ChangePage | null> {
  const rows = await database.run<RawChange>(changesSinceStatement, [
    channelId,
    after.change,
    after.seq,
    limit,
    userId,
  ])
  const [first] = rows
  if (first === undefined) return null
  const complete = rows.length <= limit && (first.at === null || rows.length === Number(first.found))
  const changes: Change[] = []
  let seq = after.seq
  for (const row of rows.slice(0, limit)) {
    if (row.at === null) continue
    // A touched message may be one that this reader has not passed yet: only what was created moves the seq.
    if (row.change_kind === 'CREATED') seq = Math.max(seq, row.seq)
    changes.push(toChange(channelId, row, row.at, seq, catchUp))
  }
  const last = changes.at(-1)
  const position = complete
    ? { change: Math.max(after.change, first.last_change), seq: Math.max(seq, first.last_seq) }
    : { change: last?.change ?? after.change, seq }
  catchUp.turn(position.change, first.last_change)
  return { changes, position, complete, member: first.member }
}

function toChange(channelId: string, row: RawChange, change: number, seq: number, catchUp: CatchUp): Change {
  const base = { channelId, change, seq }
  if (row.change_kind === 'CHANNEL') return { ...base, type: 'channel' }
  if (row.change_kind === 'MEMBER') {
    const raw = row.member_row!
    return {
      ...base,
      type: 'member',
      member: toMemberRow({
        ...raw,
        channel_id: channelId,
        user_id: row.user_id!,
        joined_at: new Date(raw.joined_at),
        left_at: raw.left_at === null ? null : new Date(raw.left_at),
        muted_until: raw.muted_until === null ? null : new Date(raw.muted_until),
      }),
    }
  }
  const message = toMessageRow(row)
  const last = message.deletedAt === null ? row.change_kind : 'DELETED'
  if (!catchUp.isNew(message)) return { ...base, type: 'message', kind: last, message }
  // What the reader has never seen is new to it, whatever happened since.
  const touched = message.version > message.change ? { touched: last } : {}
  return { ...base, type: 'message', kind: 'CREATED', message, ...touched }
}

/** Where each of these channels stands, in one query. Channels that do not exist are left out. */
export async function heads(database: Database, channelIds: readonly string[]): Promise<Head[]> {
  if (channelIds.length === 0) return []
  const rows = await database.run<{ id: string; last_change: number; last_seq: number; membership_version: number }>(
    '/* heads */ select id, last_change, last_seq, membership_version from channels where id = any ($1::bigint[])',
    [`{${channelIds.join(',')}}`],
  )
  return rows.map((row) => ({
    channelId: row.id,
    change: row.last_change,
    seq: row.last_seq,
    membershipVersion: row.membership_version,
  }))
}
