import type { Database } from '../../drizzle/connection.ts'
import { pagesOf } from '../lib/sql.ts'
import { type MessageRow, type RawMessage, toMessageRow } from './rows.ts'

/** Bytes of content in one page, beyond which it is cut short: two of the largest messages still fit. */
const maxPageBytes = 1_000_000

/** A span of seqs, both ends included. Seqs have no holes, so a span is as many messages as it is long. */
export type Span = { from: number; to: number }

/** Where a page that must be cut short keeps what it has: at its start, at its end, or around one seq. */
export type Anchor = 'start' | 'end' | number

export type SpanRequest = { channelId: string; span: Span; anchor: Anchor }

/**
 * The messages of a span in order, fewer where they would be too many bytes, but at least one. It is one range of one
 * index, wherever in the channel it lies.
 */
export async function readSpan(
  database: Database,
  channelId: string,
  span: Span,
  anchor: Anchor,
): Promise<MessageRow[]> {
  if (span.to < span.from) return []
  const rows = await database.run<RawMessage>(
    `/* page */ select * from (
       select *,
              sum(octet_length(content)) over nearest as bytes,
              row_number() over nearest as place
       from messages where channel_id = $1 and seq between $2 and $3
       window nearest as (order by abs(seq - $4::int), seq)
     ) page
     where bytes <= ${maxPageBytes} or place = 1
     order by seq`,
    [channelId, span.from, span.to, centreOf(span, anchor)],
  )
  return rows.map(toMessageRow)
}

const centreOf = (span: Span, anchor: Anchor) => (anchor === 'start' ? span.from : anchor === 'end' ? span.to : anchor)

/**
 * The same for spans of several channels in one statement, as lists of channels need it; one page for each. They share
 * the bytes of one page.
 */
export async function readSpans(database: Database, requests: readonly SpanRequest[]): Promise<MessageRow[][]> {
  const rows = await database.run<RawMessage & { nth: number }>(
    `/* pages */ select wanted.nth::int, page.*
     from unnest($1::bigint[], $2::int[], $3::int[], $4::int[])
       with ordinality as wanted (channel_id, low, high, centre, nth)
     cross join lateral (
       select *,
              sum(octet_length(content)) over nearest as bytes,
              row_number() over nearest as place
       from messages where channel_id = wanted.channel_id and seq between wanted.low and wanted.high
       window nearest as (order by abs(seq - wanted.centre), seq)
     ) page
     where bytes <= $5::int or place = 1
     order by wanted.nth, seq`,
    [
      requests.map((request) => request.channelId),
      requests.map(({ span }) => span.from),
      requests.map(({ span }) => span.to),
      requests.map(({ span, anchor }) => centreOf(span, anchor)),
      Math.floor(maxPageBytes / requests.length),
    ],
  )
  return pagesOf(requests, rows, toMessageRow)
}

/** The seq of the first message at or after a moment (as the lowest Snowflake of it); null where there is none. */
export async function seqAt(database: Database, channelId: string, snowflake: string): Promise<number | null> {
  const [row] = await database.run<{ seq: number }>(
    'select seq from messages where channel_id = $1 and id >= $2 order by id limit 1',
    [channelId, snowflake],
  )
  return row?.seq ?? null
}
