import type { Database } from '../../drizzle/connection.ts'
import { devicesOf } from '../../server/domain/devices.ts'
import type { JobData } from '../../server/jobs/jobs.ts'
import type { SnowflakeSource } from '../../server/message-store/snowflake.ts'
import { findBadges } from './badges.ts'
import { claim, findPending, type Wanted } from './deliveries.ts'
import { type Delivering, maxAttempts, throwIfLeft } from './delivering.ts'
import type { Notices } from './notices.ts'

export type PushSummaryOptions = {
  database: Database
  snowflakes: SnowflakeSource
  delivering: Delivering
  notices: Notices
}

/** What was held back for a device: how many messages of which channel, up to which seq. */
export type Held = { channelId: string; count: number; lastSeq: number }

/**
 * Sends what was held back for a device as one. What has been read meanwhile is left out; what is held back is taken up
 * and the summary noted in one transaction, so that a repeated run sends that summary, and not another.
 */
export function createPushSummary({ database, snowflakes, delivering, notices }: PushSummaryOptions) {
  /** Takes up what is held back. Returns the summary's id, or null where there is nothing to sum up. */
  async function gather(userId: string, deviceId: string): Promise<void> {
    const id = snowflakes.next()
    await database.transaction(async (tx) => {
      const held = await tx.run<{ channel_id: string; seq: number }>(
        `/* push held */ select channel_id, seq from push_deliveries
         where user_id = $1 and device_id = $2 and status = 'HELD' for update`,
        [userId, deviceId],
      )
      if (held.length === 0) return
      await tx.run(
        `/* push sum up */ update push_deliveries set status = 'SUMMARISED', reason = $3
         where user_id = $1 and device_id = $2 and status = 'HELD'`,
        [userId, deviceId, id],
      )
      await tx.run(
        `/* push summary */ insert into push_deliveries
           (user_id, device_id, channel_id, subject_id, kind, seq, status, attempts, created_at)
         values ($1, $2, 0, $3, 'SUMMARY', $4, 'PENDING', 0, $5::timestamptz)`,
        [userId, deviceId, id, held.length, new Date().toISOString()],
      )
    })
  }

  /** What a summary is about, without what its user has read by now. */
  async function contentOf(userId: string, deviceId: string, summaryId: string): Promise<Held[]> {
    const held = await database.run<{ channel_id: string; seq: number }>(
      `/* push summed up */ select channel_id, seq from push_deliveries
       where user_id = $1 and device_id = $2 and status = 'SUMMARISED' and reason = $3`,
      [userId, deviceId, summaryId],
    )
    const channelIds = [...new Set(held.map((each) => each.channel_id))]
    const read = await database.run<{ channel_id: string; last_read_seq: number }>(
      `/* push read */ select channel_id, last_read_seq from members
       where channel_id = any ($1::bigint[]) and user_id = $2 and left_at is null`,
      [channelIds, userId],
    )
    const reads = new Map(read.map((row) => [row.channel_id, row.last_read_seq]))
    return channelIds.flatMap((channelId) => {
      const seqs = held.flatMap((each) => (each.channel_id === channelId ? each.seq : []))
      const unread = seqs.filter((seq) => seq > (reads.get(channelId) ?? Number.POSITIVE_INFINITY))
      return unread.length === 0 ? [] : { channelId, count: unread.length, lastSeq: Math.max(...unread) }
    })
  }

  return async ({ userId, deviceId }: JobData['push-summary']): Promise<void> => {
    await gather(userId, deviceId)
    const open = await database.run<{ subject_id: string; seq: number }>(
      `/* push summaries */ select subject_id, seq from push_deliveries
       where user_id = $1 and device_id = $2 and channel_id = 0 and kind = 'SUMMARY' and status = 'PENDING'`,
      [userId, deviceId],
    )
    const device = (await devicesOf(database, [userId])).get(userId)?.find((each) => each.id === deviceId)
    if (device === undefined) return
    const badge = (await findBadges(database, [userId])).get(userId) ?? 0
    for (const { subject_id: subjectId, seq } of open) {
      const content = await contentOf(userId, deviceId, subjectId)
      const skip = content.length === 0 ? 'READ' : null
      const wanted: Wanted = { userId, deviceId, channelId: '0', subjectId, kind: 'SUMMARY', seq, skip }
      const [key] = await claim(database, [wanted])
      if (key === undefined) {
        if (skip === null) throwIfLeft(await findPending(database, [wanted]))
        continue
      }
      const notice = await notices.ofSummary(device, content, badge)
      throwIfLeft(await delivering.deliverAll([{ key, isLast: key.attempts >= maxAttempts, device, notice, since: null }]))
    }
  }
}
