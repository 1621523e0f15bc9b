import type { Database } from '../../drizzle/connection.ts'
import { type MessageRow, type RawMessage, toMessageRow } from './rows.ts'

/** Bytes of content in one page, beyond which it is cut short: two of the largest messages still fit. */
const maxPageBytes = 1_000_000

/** A span of seqs, both ends included. Seqs have no holes, so a span is as many messages as it is long. */
export type Span = { from: number; to: number }

/** Where a page that must be cut short keeps what it has: at its start, at its end, or around one seq. */
export type Anchor = 'start' | 'end' | number

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
  const centre = anchor === 'start' ? span.from : anchor === 'end' ? span.to : anchor
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
    [channelId, span.from, span.to, centre],
  )
  return rows.map(toMessageRow)
}

/** The seq of the first message at or after a moment (as the lowest Snowflake of it); null where there is none. */
export async function seqAt(database: Database, channelId: string, snowflake: string): Promise<number | null> {
  const [row] = await database.run<{ seq: number }>(
    'select seq from messages where channel_id = $1 and id >= $2 order by id limit 1',
    [channelId, snowflake],
  )
  return row?.seq ?? null
}
