import type { Database, Transaction } from '../../drizzle/connection.ts'
import { isDistributed } from '../../drizzle/distribution.ts'

/** Messages of one channel that were sent together, both ends included. */
export type Sent = { channelId: string; firstSeq: number; lastSeq: number }

/** Makes of sent messages whatever is to be made of them, in the transaction that takes them out of the outbox. */
export type Handler = (sent: readonly Sent[], tx: Transaction) => Promise<void>

type RawSent = { channel_id: string; first_seq: number; last_seq: number }

/**
 * Hands over up to `limit` entries of the outbox, each channel's in their order, and takes them out as `handle`
 * succeeds: where it throws, or dies, they stay and are handed over again, so that each is handled at least once. Several
 * workers may do it at once, and get different ones. Returns how many were handled; where that is less than `limit`,
 * nobody else's are left.
 */
export async function takeOutbox(database: Database, limit: number, handle: Handler): Promise<number> {
  if (!(await isDistributed(database))) return takeSome(database, limit, handle, null)
  // Rows that somebody else holds can be passed over only on one machine: channel by channel.
  const channels = await database.run<{ channel_id: string }>(
    '/* outbox channels */ select channel_id from outbox group by channel_id order by random() limit $1',
    [limit],
  )
  let taken = 0
  for (const { channel_id } of channels) {
    if (taken < limit) taken += await takeSome(database, limit - taken, handle, channel_id)
  }
  return taken
}

/** Takes entries of all channels, or of one. */
function takeSome(database: Database, limit: number, handle: Handler, channelId: string | null): Promise<number> {
  const ofOne = channelId === null ? '' : 'where channel_id = $2'
  return database.transaction(async (tx) => {
    const rows = await tx.run<RawSent>(
      `/* outbox */ select channel_id, first_seq, last_seq from outbox ${ofOne}
       order by channel_id, first_seq limit $1 for update skip locked`,
      [limit, ...(channelId === null ? [] : [channelId])],
    )
    if (rows.length === 0) return 0
    await handle(rows.map((row) => ({ channelId: row.channel_id, firstSeq: row.first_seq, lastSeq: row.last_seq })), tx)
    // Held by this transaction, which nobody passes.
    await tx.run(
      `/* out of the outbox */ delete from outbox o using unnest($1::bigint[], $2::int[]) as w (channel_id, first_seq)
       where o.channel_id = w.channel_id and o.first_seq = w.first_seq and o.channel_id = any ($1::bigint[])`,
      [rows.map((row) => row.channel_id), rows.map((row) => row.first_seq)],
    )
    return rows.length
  })
}
