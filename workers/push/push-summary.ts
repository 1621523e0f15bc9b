import { inArray } from 'drizzle-orm'
import type { Database } from '../../drizzle/connection.ts'
import { channels } from '../../drizzle/tables/index.ts'
import { type DeviceRow, devicesOf } from '../../server/domain/devices.ts'
import type { JobData } from '../../server/jobs/jobs.ts'
import { readMessages } from '../../server/message-store/pages.ts'
import type { SnowflakeSource } from '../../server/message-store/snowflake.ts'
import { findBadges } from './badges.ts'
import { claim, findPending, type Wanted } from './deliveries.ts'
import { type Delivering, throwIfLeft } from './delivering.ts'
import type { Held, Notices } from './notices.ts'
import { findRecipients } from './recipients.ts'

export type PushSummaryOptions = {
  database: Database
  snowflakes: SnowflakeSource
  delivering: Delivering
  notices: Notices
}

/**
 * Takes up what is held back for a device, and notes its summary, in one transaction: a run that is repeated sends that
 * summary, and not another.
 */
async function gather(database: Database, snowflakes: SnowflakeSource, { userId, deviceId }: JobData['push-summary']) {
  const id = snowflakes.next()
  await database.transaction(async (tx) => {
    const held = await tx.run(
      `/* push held */ select from push_deliveries
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

/** What a summary is about, as far as its user is still to be told of it. */
export async function findSummed(database: Database, device: DeviceRow, summaryId: string): Promise<Held[]> {
  const summed = await database.run<{ channel_id: string; subject_id: string }>(
    `/* push summed up */ select channel_id, subject_id from push_deliveries
     where user_id = $1 and device_id = $2 and status = 'SUMMARISED' and reason = $3`,
    [device.userId, device.id, summaryId],
  )
  const messages = await readMessages(
    database,
    summed.map((row) => ({ channelId: row.channel_id, messageId: row.subject_id })),
  )
  const byChannel = Map.groupBy(messages, (message) => message.channelId)
  const found = byChannel.size === 0 ? [] : await database.orm.select().from(channels).where(inArray(channels.id, [...byChannel.keys()]))
  const held = await Promise.all(
    found.map(async (channel): Promise<Held[]> => {
      // What has been muted meanwhile, read, deleted or put on the screen is none of it any more.
      const to = { userIds: [device.userId] }
      const { recipients } = await findRecipients(database, channel, byChannel.get(channel.id)!, to)
      const seqs = recipients.flatMap(({ device: { id }, message, skip }) => (id === device.id && skip === null ? message.seq : []))
      return seqs.length === 0 ? [] : [{ channelId: channel.id, count: seqs.length, lastSeq: Math.max(...seqs) }]
    }),
  )
  return held.flat()
}

/** Sends what was held back for a device as one. */
export function createPushSummary({ database, snowflakes, delivering, notices }: PushSummaryOptions) {
  return async (data: JobData['push-summary']): Promise<void> => {
    const { userId, deviceId } = data
    await gather(database, snowflakes, data)
    const open = await database.run<{ subject_id: string; seq: number }>(
      `/* push summaries */ select subject_id, seq from push_deliveries
       where user_id = $1 and device_id = $2 and channel_id = 0 and kind = 'SUMMARY' and status = 'PENDING'`,
      [userId, deviceId],
    )
    const device = (await devicesOf(database, [userId])).get(userId)?.find((each) => each.id === deviceId)
    if (device === undefined) return
    for (const { subject_id: subjectId, seq } of open) {
      const held = await findSummed(database, device, subjectId)
      const skip = held.length === 0 ? 'READ' : null
      const wanted: Wanted = { userId, deviceId, channelId: '0', subjectId, kind: 'SUMMARY', seq, skip }
      const [key] = await claim(database, [wanted])
      if (key === undefined) {
        if (skip === null) throwIfLeft(await findPending(database, [wanted]))
        continue
      }
      const badge = (await findBadges(database, [userId])).get(userId) ?? 0
      const notice = await notices.ofSummary(device, held, badge)
      throwIfLeft(await delivering.deliverAll([{ key, attempts: key.attempts, device, notice, since: null }]))
    }
  }
}
