import type { Database } from '../../drizzle/connection.ts'
import { cursorExpired } from '../errors.ts'
import { inRanges, rangesOf, type Span } from './buckets.ts'
import { type CatchUp, createCatchUp } from './catch-up.ts'
import {
  type MemberRow,
  messageColumns,
  type MessageRow,
  type RawMember,
  type RawMessage,
  toMemberRow,
  toMessageRow,
} from './rows.ts'

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
export type Head = Position & {
  channelId: string
  membershipVersion: number
  /** Who has not seen this change cannot read on: what it was has been removed. */
  expiredChange: number
}

export type ChangePage = {
  changes: Change[]
  /** Where the reader stands after them; further on, even where there are none, unless that was all. */
  position: Position
  /** Whether that was all, at the moment of reading. */
  complete: boolean
  /** Whether `userId` was a member at the moment of reading. */
  member: boolean
}

/** Bytes of content in one page, beyond which it is cut short: somebody may hold it who does not read on. */
const maxPageBytes = 250_000

/** The greatest id and the greatest seq that there can be: an end that is open. */
const noId = '9223372036854775807'
const noSeq = 0x7fff_ffff

/**
 * Where to look for what is new after a position: which seqs, and in which ids they lie. There are at most as many new
 * messages as there were changes, whatever seq a cursor holds, and none before the channel's beginning.
 */
type Window = { span: Span; ranges: { low: string; high: string }[]; isOpen: boolean }

/**
 * Finds the window of the next `limit` messages, and one more. It is open at its end where it reaches the newest: what
 * is sent before it is read has greater ids and belongs to it too. Null where there is no such channel. Throws
 * CURSOR_EXPIRED where retention has taken away what should be told.
 */
async function findWindow(database: Database, channelId: string, after: Position, limit: number): Promise<Window | null> {
  const rows = await database.run<{
    last_seq: number
    last_change: number
    last_id: string
    expired_change: number
    low: number
    bucket: number | null
  }>(
    `/* changes from */ with c as (
       select *, least(greatest($3, last_seq - (last_change - $2), first_seq - 1), last_seq) + 1 as low from channels where id = $1
     )
     select c.last_seq, c.last_change, c.last_id, c.expired_change, c.low, b.bucket
     from c left join channel_buckets b on b.channel_id = $1 and b.first_seq <= c.low + $4
       and b.first_seq >= coalesce((
         select max(first_seq) from channel_buckets where channel_id = $1 and first_seq <= c.low
       ), 0)
     order by b.first_seq`,
    [channelId, after.change, after.seq, limit],
  )
  const [channel] = rows
  if (channel === undefined) return null
  if (after.change < channel.expired_change) throw cursorExpired()
  const { low } = channel
  if (low > channel.last_seq) {
    // Nothing is new yet; what comes has greater ids than the newest.
    return { span: { from: low, to: noSeq }, ranges: [{ low: channel.last_id, high: noId }], isOpen: true }
  }
  const ranges = rangesOf(rows.flatMap((row) => row.bucket ?? []))
  const isOpen = low + limit >= channel.last_seq
  if (isOpen) ranges.at(-1)!.high = noId
  return { span: { from: low, to: isOpen ? noSeq : low + limit }, ranges, isOpen }
}

/**
 * One snapshot of all that changed after $2, up to the last message of the window where that is not open. New messages
 * that nothing has touched since come from the window, everything else from the small tables of what was touched, so
 * that old history is never looked at.
 */
const changesSinceStatement = (ranges: number) => `/* changes since */
  with head as (
    select last_change, last_seq, info_change, expired_change,
           -- Not by exists, for which the planner would begin to read the table, hoping to meet the row soon.
           coalesce((select left_at is null from members where channel_id = $1 and user_id = $4), false) as member
    from channels where id = $1
  ), ceiling as (
    -- A value, and not a join: that would be a filter on all that follows.
    select case when $7 then (select last_change from head) else (
      select m.change from messages m where m.channel_id = $1 and m.seq = $6 and ${inRanges(ranges, 8)}
    ) end as change
  ), created as (
    select m.change as at, 'CREATED' as kind, m.id as message_id
    from messages m
    where m.channel_id = $1 and m.change > $2 and m.seq between $5 and $6 and ${inRanges(ranges, 8)}
      and m.change >= coalesce((
        select t.change from message_changes t where t.channel_id = $1 and t.message_id = m.id
      ), 0)
    order by m.seq limit $3 + 1
  ), touched as (
    select c.change as at, c.kind, c.message_id
    from message_changes c
    where c.channel_id = $1 and c.change > $2 and c.change <= (select change from ceiling) and c.kind <> 'CREATED'
    order by c.change limit $3 + 1
  ), members_changed as (
    select p.change as at, p.user_id
    from members p
    where p.channel_id = $1 and p.change > $2 and p.change <= (select change from ceiling)
    order by p.change limit $3 + 1
  ), merged as (
    select at, kind, message_id, null::bigint as user_id from created
    union all select at, kind, message_id, null from touched
    union all select at, 'MEMBER', null, user_id from members_changed
    union all select info_change, 'CHANNEL', null, null from head, ceiling
              where info_change > $2 and info_change <= ceiling.change
    order by at limit $3 + 1
  ), sized as (
    select merged.at, merged.kind as change_kind, merged.user_id, to_jsonb(p.*) as member_row, m.*,
           count(*) over () as found, row_number() over in_order as place,
           sum(octet_length(m.content)) over in_order as bytes
    from merged
    left join lateral (
      select ${messageColumns} from messages m
      where m.channel_id = $1 and m.id = merged.message_id offset 0
    ) m on true
    left join lateral (select * from members where channel_id = $1 and user_id = merged.user_id offset 0) p on true
    window in_order as (order by merged.at)
  )
  select head.last_change, head.last_seq, head.expired_change, head.member, ceiling.change as ceiling, sized.*
  from head cross join ceiling left join sized on place = 1 or coalesce(bytes, 0) <= ${maxPageBytes}
  order by sized.at`

type RawChange = {
  last_change: number
  last_seq: number
  expired_change: number
  member: boolean
  /** The last change of the window; null where retention has taken its last message away meanwhile. */
  ceiling: number | null
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
 * changes, at most `limit` at a time. Null where there is no such channel. Throws CURSOR_EXPIRED where some of it was
 * removed by retention. Who reads on hands in the same `catchUp` for
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
  // Retention moves a channel's beginning once in a month.
  for (let attempt = 0; attempt < 3; attempt++) {
    const page = await readChanges(database, channelId, after, limit, userId, catchUp)
    if (page !== 'moved') return page
  }
  throw cursorExpired()
}

/** One attempt; 'moved' where what the window named was gone by then. */
async function readChanges(
  database: Database,
  channelId: string,
  after: Position,
  limit: number,
  userId: string,
  catchUp: CatchUp,
): Promise<ChangePage | 'moved' | null> {
  const window = await findWindow(database, channelId, after, limit)
  if (window === null) return null
  const { span, ranges, isOpen } = window
  const rows = await database.run<RawChange>(changesSinceStatement(ranges.length), [
    channelId,
    after.change,
    limit,
    userId,
    span.from,
    span.to,
    isOpen,
    ...ranges.flatMap(({ low, high }) => [low, high]),
  ])
  const [first] = rows
  if (first === undefined) return null
  if (first.expired_change > after.change) throw cursorExpired()
  if (first.ceiling === null) return 'moved'
  const isWhole = rows.length <= limit && (first.at === null || rows.length === Number(first.found))
  const changes: Change[] = []
  let seq = after.seq
  let reached = after.change
  for (const row of rows.slice(0, limit)) {
    if (row.at === null) continue
    reached = row.at
    // Touched, and gone since.
    if (row.id === null && row.member_row === null && row.change_kind !== 'CHANNEL') continue
    // A touched message may be one that this reader has not passed yet: only what was created moves the seq.
    if (row.change_kind === 'CREATED') seq = Math.max(seq, row.seq)
    changes.push(toChange(channelId, row, row.at, seq, catchUp))
  }
  const position = isWhole
    ? { change: Math.max(after.change, first.ceiling), seq: Math.max(seq, isOpen ? first.last_seq : span.to) }
    : { change: reached, seq }
  return { changes, position, complete: isWhole && isOpen, member: first.member }
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
  if (!catchUp.tellsFirst(message)) return { ...base, type: 'message', kind: last, message }
  // What the reader has never seen is new to it, whatever happened since.
  const touched = message.version > message.change ? { touched: last } : {}
  return { ...base, type: 'message', kind: 'CREATED', message, ...touched }
}

/** Where each of these channels stands, in one query. Channels that do not exist are left out. */
export async function heads(database: Database, channelIds: readonly string[]): Promise<Head[]> {
  if (channelIds.length === 0) return []
  const rows = await database.run<{
    id: string
    last_change: number
    last_seq: number
    membership_version: number
    expired_change: number
  }>(
    `/* heads */ select id, last_change, last_seq, membership_version, expired_change from channels
     where id = any ($1::bigint[])`,
    [`{${channelIds.join(',')}}`],
  )
  return rows.map((row) => ({
    channelId: row.id,
    change: row.last_change,
    seq: row.last_seq,
    membershipVersion: row.membership_version,
    expiredChange: row.expired_change,
  }))
}
