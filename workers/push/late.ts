import type { Database } from '../../drizzle/connection.ts'

/** How far somebody has read a channel. */
export type Read = { userId: string; seq: number }

/** How far these members have read a channel by now. */
export async function findReads(
  database: Pick<Database, 'run'>,
  channelId: string,
  userIds: readonly string[],
): Promise<Read[]> {
  if (userIds.length === 0) return []
  const rows = await database.run<{ user_id: string; last_read_seq: number }>(
    `/* push reads */ select user_id, last_read_seq from members
     where channel_id = $1 and user_id = any ($2::bigint[]) and last_read_seq > 0`,
    [channelId, userIds],
  )
  return rows.map((row) => ({ userId: row.user_id, seq: row.last_read_seq }))
}

/** Those of them who have a device that shows something of the channel which they have read. */
export async function findShown(
  database: Pick<Database, 'run'>,
  channelId: string,
  reads: readonly Read[],
): Promise<Read[]> {
  if (reads.length === 0) return []
  const rows = await database.run<{ user_id: string; first: number }>(
    `/* push shown unread */ select user_id, min(seq) as first from push_deliveries
     where user_id = any ($1::bigint[]) and channel_id = $2 and status = 'SENT' group by user_id`,
    [reads.map((read) => read.userId), channelId],
  )
  const first = new Map(rows.map((row) => [row.user_id, row.first]))
  return reads.filter(({ userId, seq }) => (first.get(userId) ?? Number.POSITIVE_INFINITY) <= seq)
}
