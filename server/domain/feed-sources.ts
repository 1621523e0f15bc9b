import type { Database } from '../../drizzle/connection.ts'
import { compareSnowflakes } from '../message-store/snowflake.ts'

/** A place among the messages of several channels, which are in the order of their ids and then of their channels. */
export type FeedPlace = { id: string; channelId: string }

/** Negative where the one comes before the other in a feed: it is newer. */
export const compareFeedPlaces = (one: FeedPlace, other: FeedPlace): number =>
  compareSnowflakes(other.id, one.id) || compareSnowflakes(other.channelId, one.channelId)

/** What is known of a message before it is read whole. */
export type Candidate = FeedPlace & {
  authorId: string
  /** Of its content. */
  bytes: number
}

/** A channel that somebody follows. */
export type Followed = {
  channelId: string
  /** The reader sees what comes after it. */
  afterSeq: number
  lastId: string
  /** The ids after the one, and up to the other, stand in `feed_entries`; null on both where none do. */
  writtenAfterId: string | null
  writtenUpToId: string | null
}

/** Ids of a channel that are to be read from it; the lower end is not part of it. */
type Span = { high: string; low: string }

/**
 * Where a feed comes from: what is written out; channels that are not, or not all of it; and all channels for what is
 * older than entries are kept, who they are being looked up when somebody comes so far. A source gives messages from the
 * newest to the oldest, some at a time.
 */
export type Source = {
  /** Whatever it gives next is here or further on; null where it has nothing more. */
  next: FeedPlace | null
} & (
  | { kind: 'written' | 'older' }
  | {
      kind: 'channel'
      channelId: string
      afterSeq: number
      /** The newer first. */
      spans: Span[]
    }
)

export type ChannelSource = Extract<Source, { kind: 'channel' }>

type RawFollowed = {
  channel_id: string
  after_seq: number
  last_id: string
  after_id: string | null
  up_to_id: string | null
}

const toFollowed = (row: RawFollowed): Followed => ({
  channelId: row.channel_id,
  afterSeq: row.after_seq,
  lastId: row.last_id,
  writtenAfterId: row.after_id,
  writtenUpToId: row.up_to_id,
})

/** What a reader `$1` sees of a channel `c` in which they are the member `m`; of level NONE they do not follow it. */
const afterSeq = 'greatest(m.joined_seq, c.first_seq - 1)'
const isFollowed = `m.user_id = $1 and m.left_at is null and m.notification_level <> 'NONE'`

/** All channels that somebody follows and that hold anything for them. */
export async function readFollowed({ run }: Pick<Database, 'run'>, viewerId: string): Promise<Followed[]> {
  const rows = await run<RawFollowed>(
    `/* followed */ select m.channel_id, ${afterSeq} as after_seq, c.last_id, null as after_id, null as up_to_id
     from members m join channels c on c.id = m.channel_id
     where ${isFollowed} and c.last_seq > m.joined_seq`,
    [viewerId],
  )
  return rows.map(toFollowed)
}

/**
 * Those of them of which not everything is written out. They are few, and are found by that: of everybody's channels
 * the ones that are too large, and in which something was said just now.
 */
export async function readFollowedMerged({ run }: Pick<Database, 'run'>, viewerId: string): Promise<Followed[]> {
  const rows = await run<RawFollowed>(
    `/* followed and merged */ select * from (
       select m.channel_id, ${afterSeq} as after_seq, c.last_id, f.after_id, f.up_to_id
       from feed_spans f join members m on m.channel_id = f.channel_id join channels c on c.id = f.channel_id
       where f.merged and ${isFollowed} and c.last_seq > m.joined_seq
       union
       select m.channel_id, ${afterSeq}, c.last_id, f.after_id, f.up_to_id
       from members m join channels c on c.id = m.channel_id left join feed_spans f on f.channel_id = m.channel_id
       where ${isFollowed} and c.last_seq > m.joined_seq
         and exists (select from outbox o where o.channel_id = m.channel_id)
     ) n`,
    [viewerId],
  )
  return rows.map(toFollowed)
}

/**
 * The sources of what comes after a place, or of all; each message is in one of them at least. `floor` is the id up to
 * which nothing that is written out counts.
 */
export function sourcesOf(merged: readonly Followed[], after: FeedPlace | null, floor: string): Source[] {
  const start = after === null ? newest : { id: after.id, channelId: previous(after.channelId) }
  const isOld = compareSnowflakes(start.id, floor) <= 0
  const older: Source = { kind: 'older', next: isOld ? start : { id: floor, channelId: newest.channelId } }
  if (isOld) return [older]
  return [{ kind: 'written', next: start }, ...channelSources(merged, after, floor), older]
}

/** Channels as sources of what is newer than `low`, after a place. */
export const channelSources = (followed: readonly Followed[], after: FeedPlace | null, low: string): ChannelSource[] =>
  followed.map((each) => channelSource(each, after, low)).filter(({ next }) => next !== null)

/** Above every id, and still with one above it, so that what it is the place of can be told by a cursor. */
const highest = ((1n << 63n) - 2n).toString()

/** Before it nothing comes. */
const newest: FeedPlace = { id: highest, channelId: highest }

export const previous = (id: string): string => (BigInt(id) - 1n).toString()
const least = (one: string, other: string): string => (compareSnowflakes(one, other) < 0 ? one : other)
const greatest = (one: string, other: string): string => (compareSnowflakes(one, other) > 0 ? one : other)

/** A channel's messages but those that are written out. */
function channelSource(followed: Followed, after: FeedPlace | null, low: string): ChannelSource {
  const { channelId, lastId, writtenAfterId, writtenUpToId } = followed
  // Messages of one id in several channels are told apart by these.
  const isPassed = after === null || compareSnowflakes(channelId, after.channelId) < 0
  const high = after === null ? lastId : least(lastId, isPassed ? after.id : previous(after.id))
  const spans: Span[] =
    writtenAfterId === null || writtenUpToId === null
      ? [{ high, low }]
      : [
          { high, low: greatest(writtenUpToId, low) },
          { high: least(high, writtenAfterId), low },
        ]
  const left = spans.filter((span) => compareSnowflakes(span.high, span.low) > 0)
  return settle({ kind: 'channel', channelId, afterSeq: followed.afterSeq, next: null, spans: left })
}

/** Says where a channel goes on. */
function settle(source: ChannelSource): ChannelSource {
  const { spans, channelId } = source
  source.next = spans.length === 0 ? null : { id: spans[0]!.high, channelId }
  return source
}

type RawCandidate = { channel_id: string; id: string; seq: number; author_id: string; is_there: boolean; bytes: number }

const candidateColumns = `m.channel_id, m.id, m.seq, m.author_id, octet_length(m.content) as bytes,
  m.deleted_at is null and m.kind in ('USER', 'ACTION') as is_there`

const toCandidate = (row: RawCandidate): Candidate => ({
  id: row.id,
  channelId: row.channel_id,
  authorId: row.author_id,
  bytes: row.bytes,
})

/**
 * Reads up to `limit` of what is written out for somebody, from ids above `floor`, and gives those that are messages
 * still, of channels that are followed still. Two statements, as one knows people and the other channels.
 */
export async function readWritten(
  { run }: Pick<Database, 'run'>,
  viewerId: string,
  source: Source,
  floor: string,
  limit: number,
): Promise<Candidate[]> {
  const rows = await run<{ message_id: string; channel_id: string }>(
    `/* feed */ select message_id, channel_id from feed_entries
     where user_id = $1 and (message_id, channel_id) <= ($2::bigint, $3::bigint) and message_id > $4
     order by message_id desc, channel_id desc limit $5`,
    [viewerId, source.next!.id, source.next!.channelId, floor, limit],
  )
  const last = rows.at(-1)
  source.next = rows.length < limit ? null : { id: last!.message_id, channelId: previous(last!.channel_id) }
  if (last === undefined) return []
  const found = await run<RawCandidate>(
    `/* feed candidates */ select t.* from unnest($2::bigint[], $3::bigint[]) as w (channel_id, id)
     join (select ${candidateColumns} from messages m where m.id between $4 and $5) t
       on t.channel_id = w.channel_id and t.id = w.id
     join members m on m.channel_id = w.channel_id join channels c on c.id = w.channel_id
     where ${isFollowed} and t.is_there and t.seq > ${afterSeq}`,
    [viewerId, rows.map((row) => row.channel_id), rows.map((row) => row.message_id), last.message_id, rows[0]!.message_id],
  )
  return found.map(toCandidate)
}

/** Reads the newest messages, up to `limit` of each, of what is left of some channels: one statement. */
export async function readChannels(
  { run }: Pick<Database, 'run'>,
  sources: readonly ChannelSource[],
  limit: number,
): Promise<Candidate[]> {
  const rows = await run<RawCandidate>(
    `/* feed of channels */ select m.* from channels c
     cross join lateral (
       select ${candidateColumns} from messages m
       where m.channel_id = c.id and m.channel_id = any ($1::bigint[])
         and m.id <= ($2::bigint[])[array_position($1::bigint[], c.id)]
         and m.id > ($3::bigint[])[array_position($1::bigint[], c.id)]
       order by m.id desc limit $4
     ) m
     where c.id = any ($1::bigint[])`,
    [
      sources.map((source) => source.channelId),
      sources.map((source) => source.spans[0]!.high),
      sources.map((source) => source.spans[0]!.low),
      limit,
    ],
  )
  const found = Map.groupBy(rows, (row) => row.channel_id)
  return sources.flatMap((source) => advance(source, found.get(source.channelId) ?? [], limit))
}

/** Takes in what was read of a channel, and gives what the reader may see of it. */
function advance(source: ChannelSource, rows: RawCandidate[], limit: number): Candidate[] {
  const { spans } = source
  const ordered = rows.toSorted((one, other) => compareSnowflakes(other.id, one.id))
  const last = ordered.at(-1)
  // What is older was said before the reader came, or is kept no longer.
  if (last !== undefined && last.seq <= source.afterSeq + 1) spans.length = 0
  else if (rows.length < limit) spans.shift()
  else spans[0] = { ...spans[0]!, high: previous(last!.id) }
  settle(source)
  return ordered.filter((row) => row.is_there && row.seq > source.afterSeq).map(toCandidate)
}
