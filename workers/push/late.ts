import type { Database } from '../../drizzle/connection.ts'
import { devicesOf } from '../../server/domain/devices.ts'
import { readMessages } from '../../server/message-store/pages.ts'
import type { MessageRow } from '../../server/message-store/rows.ts'
import type { Recipient } from './recipients.ts'

/** How far somebody has read a channel. */
export type Read = { userId: string; seq: number }

const keysOf = (messages: readonly MessageRow[]) => {
  const keys = new Map(messages.map(({ channelId, id }) => [id, { channelId, messageId: id }]))
  return [...keys.values()]
}

/** Those of these messages that have been deleted by now, or are gone. */
export async function findDeleted(database: Database, messages: readonly MessageRow[]): Promise<Set<string>> {
  const now = await readMessages(database, keysOf(messages))
  const there = new Set(now.filter((message) => message.deletedAt === null).map(({ id }) => id))
  return new Set(messages.map(({ id }) => id).filter((id) => !there.has(id)))
}

/** How far these members have read a channel by now; who has left is not among them. */
export async function findReads(
  database: Pick<Database, 'run'>,
  channelId: string,
  userIds: readonly string[],
): Promise<Read[]> {
  if (userIds.length === 0) return []
  const rows = await database.run<{ user_id: string; last_read_seq: number }>(
    `/* push reads */ select user_id, last_read_seq from members
     where channel_id = $1 and user_id = any ($2::bigint[]) and left_at is null`,
    [channelId, [...new Set(userIds)]],
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
     where user_id = any ($1::bigint[]) and channel_id = $2 and status in ('SENT', 'SUMMARISED') group by user_id`,
    [reads.map((read) => read.userId), channelId],
  )
  const first = new Map(rows.map((row) => [row.user_id, row.first]))
  return reads.filter(({ userId, seq }) => (first.get(userId) ?? Number.POSITIVE_INFINITY) <= seq)
}

/**
 * Recipients of a channel as they are now: what took its time may have been read or deleted since they were found, and
 * their devices may be somebody else's. Those whose device is gone are left out.
 */
export async function refresh(database: Database, channelId: string, some: readonly Recipient[]): Promise<Recipient[]> {
  const userIds = [...new Set(some.map(({ device }) => device.userId))]
  const [devices, reads, deleted] = await Promise.all([
    devicesOf(database, userIds),
    findReads(database, channelId, userIds),
    findDeleted(database, some.map(({ message }) => message)),
  ])
  const readSeqs = new Map(reads.map(({ userId, seq }) => [userId, seq]))
  return some.flatMap((recipient) => {
    const { message, skip } = recipient
    const device = devices.get(recipient.device.userId)?.find(({ id }) => id === recipient.device.id)
    if (device === undefined) return []
    const readSeq = readSeqs.get(device.userId)
    const late =
      readSeq === undefined ? 'LEFT'
      : deleted.has(message.id) ? 'DELETED'
      : readSeq >= message.seq ? 'READ'
      : null
    return { ...recipient, device, skip: skip ?? late }
  })
}
