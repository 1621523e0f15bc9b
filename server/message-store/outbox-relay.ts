import type { Database, Transaction } from '../../drizzle/connection.ts'
import { isDistributed } from '../../drizzle/distribution.ts'

/** Messages of one channel that were sent together, both ends included. */
export type Sent = { channelId: string; firstSeq: number; lastSeq: number }

/** Somebody has reacted to a message, or taken that back; `change` is the channel's, `at` when. */
export type Reacted = { channelId: string; messageId: string; change: number; userId: string; at: Date }

/** Makes of entries whatever is to be made of them, in the transaction that takes them out of their outbox. */
export type Handler<Entry> = (entries: readonly Entry[], tx: Transaction) => Promise<void>

/** Entries that wait to be made something of; `nth` tells those of one channel apart, and puts them in order. */
type Outbox<Row, Entry> = { table: string; nth: keyof Row & string; columns: string; toEntry: (row: Row) => Entry }

const sends: Outbox<{ channel_id: string; first_seq: number; last_seq: number }, Sent> = {
  table: 'outbox',
  nth: 'first_seq',
  columns: 'channel_id, first_seq, last_seq',
  toEntry: (row) => ({ channelId: row.channel_id, firstSeq: row.first_seq, lastSeq: row.last_seq }),
}

type RawReacted = { channel_id: string; message_id: string; change: number; user_id: string; at: Date }

const reactions: Outbox<RawReacted, Reacted> = {
  table: 'reaction_outbox',
  nth: 'change',
  columns: 'channel_id, message_id, change, user_id, at',
  toEntry: (row) => ({
    channelId: row.channel_id,
    messageId: row.message_id,
    change: row.change,
    userId: row.user_id,
    at: row.at,
  }),
}

/**
 * Hands over up to `limit` entries of the outbox, each channel's in their order, and takes them out as `handle`
 * succeeds: where it throws, or dies, they stay and are handed over again, so that each is handled at least once. Several
 * workers may do it at once, and get different ones. Returns how many were handled; where that is less than `limit`,
 * nobody else's are left.
 */
export const takeOutbox = (database: Database, limit: number, handle: Handler<Sent>): Promise<number> =>
  take(database, sends, limit, handle)

/** The same for what was reacted. */
export const takeReactions = (database: Database, limit: number, handle: Handler<Reacted>): Promise<number> =>
  take(database, reactions, limit, handle)

async function take<Row extends { channel_id: string }, Entry>(
  database: Database,
  outbox: Outbox<Row, Entry>,
  limit: number,
  handle: Handler<Entry>,
): Promise<number> {
  if (!(await isDistributed(database))) return takeSome(database, outbox, limit, handle, null)
  // Rows that somebody else holds can be passed over only on one machine: channel by channel.
  const channels = await database.run<{ channel_id: string }>(
    `/* ${outbox.table} channels */ select channel_id from ${outbox.table} group by channel_id order by random() limit $1`,
    [limit],
  )
  let taken = 0
  for (const { channel_id } of channels) {
    if (taken < limit) taken += await takeSome(database, outbox, limit - taken, handle, channel_id)
  }
  return taken
}

/** Takes entries of all channels, or of one. */
function takeSome<Row extends { channel_id: string }, Entry>(
  database: Database,
  { table, nth, columns, toEntry }: Outbox<Row, Entry>,
  limit: number,
  handle: Handler<Entry>,
  channelId: string | null,
): Promise<number> {
  const ofOne = channelId === null ? '' : 'where channel_id = $2'
  return database.transaction(async (tx) => {
    const rows = await tx.run<Row>(
      `/* ${table} */ select ${columns} from ${table} ${ofOne}
       order by channel_id, ${nth} limit $1 for update skip locked`,
      [limit, ...(channelId === null ? [] : [channelId])],
    )
    if (rows.length === 0) return 0
    await handle(rows.map(toEntry), tx)
    // Held by this transaction, which nobody passes.
    await tx.run(
      `/* out of the ${table} */ delete from ${table} o using unnest($1::bigint[], $2::int[]) as w (channel_id, nth)
       where o.channel_id = w.channel_id and o.${nth} = w.nth and o.channel_id = any ($1::bigint[])`,
      [rows.map((row) => row.channel_id), rows.map((row) => row[nth])],
    )
    return rows.length
  })
}
