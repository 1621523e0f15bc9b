import type { Database } from '../../drizzle/connection.ts'
import { pagesOf } from '../lib/sql.ts'
import { bucketOf, tableOf } from './bucket-time.ts'
import { bucketsOf, type Span, spanOfIds } from './buckets.ts'
import { messageColumns, messageColumnsOfMany, type MessageRow, type RawMessage, toMessageRow } from './rows.ts'

export type { Span } from './buckets.ts'

/** Bytes of content in one page, beyond which it is cut short: two of the largest messages still fit. */
const maxPageBytes = 1_000_000

/** Where a page that must be cut short keeps what it has: at its start, at its end, or around one seq. */
export type Anchor = 'start' | 'end' | number

/** A span of seqs. They have no holes, so a span is as many messages as it is long. */
export type SpanRequest = { channelId: string; span: Span; anchor: Anchor }

/** A message is known by where it is and which it is. */
export type MessageKey = { channelId: string; messageId: string }

/**
 * The messages of a span in order, fewer where they would be too many bytes, but at least one. It looks into one index of
 * each bucket that holds some of them, wherever in the channel it lies.
 */
export async function readSpan(
  database: Database,
  channelId: string,
  span: Span,
  anchor: Anchor,
): Promise<MessageRow[]> {
  const { messages } = await readOn(database, database, { channelId, span, anchor })
  return messages
}

/**
 * The same, with the messages themselves read on a read replica. Null where that has not seen the channel come to
 * `change`, so that it may lack something.
 */
export async function readSpanOnReplica(
  { primary, replica }: { primary: Database; replica: Database },
  request: SpanRequest,
  change: number,
): Promise<MessageRow[] | null> {
  const { messages, reached } = await readOn(primary, replica, request)
  return reached < change ? null : messages
}

/** Finds the buckets on one and reads on the other; `reached` is the change that the channel had come to there. */
const readOn = (primary: Database, reader: Database, { channelId, span, anchor }: SpanRequest) =>
  unlessDropped(async (): Promise<{ messages: MessageRow[]; reached: number }> => {
    const [buckets] = span.to < span.from ? [[]] : await bucketsOf(primary, [{ channelId, span }])
    if (buckets!.length === 0) return { messages: [], reached: 0 }
    const found = inEach(buckets!, (table) => `select * from ${table} where channel_id = $1 and seq between $2 and $3`)
    const rows = await reader.run<RawMessage & { reached: number }>(
      `/* page */ select ${messageColumns}, (select c.last_change from channels c where c.id = $1) as reached from (
         select *, sum(octet_length(content)) over nearest as bytes, row_number() over nearest as place
         from (${found}) found
         window nearest as (order by abs(seq - $4::int), seq)
       ) m
       where bytes <= ${maxPageBytes} or place = 1
       order by seq`,
      [channelId, span.from, span.to, centreOf(span, anchor)],
    )
    return { messages: rows.map(toMessageRow), reached: rows[0]?.reached ?? 0 }
  })

/** Months that a statement names one by one. A page that is spread over more looks into all that there are. */
const maxNamed = 24

/**
 * One `select` for each of these months, all together. Named, they are all that the planner looks at and locks; and it
 * has no range of ids, as which the months could be told too, to take for the better way in.
 */
const inEach = (buckets: readonly number[], select: (table: string) => string): string =>
  (buckets.length > maxNamed ? ['messages'] : buckets.map(tableOf)).map(select).join('\nunion all ')

/** What Postgres says of a table that is not there. */
const undefinedTable = '42P01'

/** Reads once more, from the directory on, where retention has dropped a month in between. */
async function unlessDropped<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (error) {
    if ((error as { code?: unknown }).code !== undefinedTable) throw error
    return read()
  }
}

/** The seqs of a span, one by one: joined to messages, a range of them would not tell the planner which index to take. */
const seqsOf = ({ from, to }: Span) => Array.from({ length: to - from + 1 }, (_, nth) => from + nth)

const centreOf = (span: Span, anchor: Anchor) => (anchor === 'start' ? span.from : anchor === 'end' ? span.to : anchor)

/**
 * The same for spans of several channels in one statement, as lists of channels need it; one page for each. They share
 * the bytes of one page.
 */
export const readSpans = (database: Database, requests: readonly SpanRequest[]): Promise<MessageRow[][]> =>
  unlessDropped(async () => {
    const buckets = [...new Set((await bucketsOf(database, requests)).flat())].toSorted((one, other) => one - other)
    if (buckets.length === 0) return requests.map(() => [])
    const wanted = requests.flatMap(({ channelId, span, anchor }, place) =>
      seqsOf(span).map((seq) => ({ channelId, seq, nth: place + 1, distance: Math.abs(seq - centreOf(span, anchor)) })),
    )
    const found = inEach(
      buckets,
      (table) => `select m.*, w.nth, w.distance
         from unnest($1::bigint[], $2::int[], $3::int[], $4::int[]) as w (channel_id, seq, nth, distance)
         join ${table} m on m.channel_id = w.channel_id and m.seq = w.seq`,
    )
    const rows = await database.run<RawMessage & { nth: number }>(
      `/* pages */ select nth::int, ${messageColumnsOfMany} from (
         select *, sum(octet_length(content)) over nearest as bytes, row_number() over nearest as place
         from (${found}) found
         window nearest as (partition by channel_id, nth order by distance, seq)
       ) m
       where bytes <= $5::int or place = 1
       order by nth, seq`,
      [
        wanted.map((each) => each.channelId),
        wanted.map((each) => each.seq),
        wanted.map((each) => each.nth),
        wanted.map((each) => each.distance),
        Math.floor(maxPageBytes / requests.length),
      ],
    )
    return pagesOf(requests, rows, toMessageRow)
  })

/** These messages, in no order; those that do not exist, or not any more, are left out. */
export async function readMessages(
  database: Pick<Database, 'run'>,
  keys: readonly MessageKey[],
): Promise<MessageRow[]> {
  if (keys.length === 0) return []
  const rows = await database.run<RawMessage>(
    `/* messages by id */ select ${messageColumnsOfMany}
     from unnest($1::bigint[], $2::bigint[]) as w (channel_id, message_id)
     join messages m on m.channel_id = w.channel_id and m.id = w.message_id
     where m.id between $3 and $4 and m.seq >= (
       select c.first_seq from channels c where c.id = m.channel_id and c.id = any ($1::bigint[])
     )`,
    [...messageArrays(keys), ...spanOfIds(keys.map((key) => key.messageId))],
  )
  return rows.map(toMessageRow)
}

/** One message; null where there is none. */
export async function readMessage(
  database: Pick<Database, 'run'>,
  { channelId, messageId }: MessageKey,
): Promise<MessageRow | null> {
  const [row] = await database.run<RawMessage>(
    `/* message */ select ${messageColumns} from messages m
     where m.channel_id = $1 and m.id = $2 and m.seq >= (select c.first_seq from channels c where c.id = $1)`,
    [channelId, messageId],
  )
  return row === undefined ? null : toMessageRow(row)
}

/** Keys as the first two parameters of a statement. */
export const messageArrays = (keys: readonly MessageKey[]): [string[], string[]] => [
  keys.map((key) => key.channelId),
  keys.map((key) => key.messageId),
]

/**
 * The seq of the first message at or after a moment (as the lowest Snowflake of it); null where there is none. It looks
 * into one bucket.
 */
export async function seqAt(database: Database, channelId: string, snowflake: string): Promise<number | null> {
  const bucket = bucketOf(snowflake)
  const [first, second] = await database.run<{ bucket: number; first_seq: number }>(
    `/* buckets from */ select bucket, first_seq from channel_buckets
     where channel_id = $1 and bucket >= $2 order by first_seq limit 2`,
    [channelId, bucket],
  )
  if (first === undefined || first.bucket > bucket) return first?.first_seq ?? null
  const [row] = await database.run<{ seq: number }>(
    // Of the month itself, whose key has the order that is wanted.
    `/* seq at */ select seq from ${tableOf(bucket)} where channel_id = $1 and id >= $2 order by id limit 1`,
    [channelId, snowflake],
  )
  return row?.seq ?? second?.first_seq ?? null
}
