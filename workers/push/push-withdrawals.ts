import type { Database } from '../../drizzle/connection.ts'
import { type DeviceRow, devicesOf } from '../../server/domain/devices.ts'
import type { JobContext, JobData } from '../../server/jobs/jobs.ts'
import { readMessages } from '../../server/message-store/pages.ts'
import type { MessageRow } from '../../server/message-store/rows.ts'
import { findBadges } from './badges.ts'
import type { DeliveryKey } from './deliveries.ts'
import { type Delivering, hasIcon, throwIfLeft } from './delivering.ts'
import { findReads } from './late.ts'
import type { Notices } from './notices.ts'
import { findSummed } from './push-summary.ts'

export type WithdrawalsOptions = { database: Database; delivering: Delivering; notices: Notices }

type Context = Pick<JobContext, 'retries'>

type Shown = DeliveryKey & { seq: number; status: string; isUnderWay: boolean }

type RawShown = {
  user_id: string
  device_id: string
  channel_id: string
  subject_id: string
  seq: number
  status: string
  under_way: boolean
}

/** Members that are asked about at once. */
const membersAtOnce = 1_000

/** Retries after which a notice stays where it is: what cannot be taken back for hours is no reason to lay the job aside. */
const lastRetry = 30

/**
 * Takes notices off screens: of messages that were deleted, and of what was read on another device. Each is tried until
 * the provider has taken it; what a platform cannot take back stays, as `server/push/README.md` says.
 */
export function createWithdrawals({ database, delivering, notices }: WithdrawalsOptions) {
  /** What is noted under a condition on parameters from $3 on, of some users in a channel. */
  async function findRows(userIds: readonly string[], channelId: string, condition: string, parameters: unknown[]): Promise<Shown[]> {
    const rows = await database.run<RawShown>(
      `/* push shown */ select user_id, device_id, channel_id, subject_id, seq, status,
         status = 'PENDING' and claimed_until > now() as under_way
       from push_deliveries where user_id = any ($1::bigint[]) and channel_id = $2 and ${condition}`,
      [userIds, channelId, ...parameters],
    )
    return rows.map((row) => ({
      userId: row.user_id,
      deviceId: row.device_id,
      channelId: row.channel_id,
      subjectId: row.subject_id,
      seq: row.seq,
      status: row.status,
      isUnderWay: row.under_way,
    }))
  }

  async function devicesBy(userIds: readonly string[]): Promise<Map<string, DeviceRow>> {
    const found = await devicesOf(database, [...new Set(userIds)])
    return new Map([...found.values()].flat().map((device) => [device.id, device]))
  }

  /** Notes of rows of one channel, or of none, what they are from now on. */
  async function note(rows: readonly Shown[], status: 'WITHDRAWN' | 'SKIPPED', reason: string | null): Promise<void> {
    if (rows.length === 0) return
    await database.run(
      `/* push note */ update push_deliveries d set status = $5, reason = coalesce($6, d.reason)
       from unnest($1::bigint[], $2::bigint[], $3::bigint[], $7::text[]) as w (user_id, device_id, subject_id, old_status)
       where d.user_id = w.user_id and d.device_id = w.device_id and d.subject_id = w.subject_id
         and d.channel_id = $4 and d.user_id = any ($1::bigint[]) and d.status = w.old_status`,
      [
        rows.map((row) => row.userId),
        rows.map((row) => row.deviceId),
        rows.map((row) => row.subjectId),
        rows[0]!.channelId,
        status,
        reason,
        rows.map((row) => row.status),
      ],
    )
  }

  async function withdrawDeleted(message: MessageRow, userIds: readonly string[], isExpired: boolean, { retries }: Context): Promise<DeliveryKey[]> {
    const rows = await findRows(
      userIds,
      message.channelId,
      `subject_id = $3 and seq = $4 and status in ('SENT', 'PENDING', 'HELD', 'SUMMARISED')`,
      [message.id, message.seq],
    )
    const ofSummaries = rows.filter(({ status }) => status === 'HELD' || status === 'SUMMARISED')
    await note(ofSummaries, 'SKIPPED', 'DELETED')
    const sent = rows.filter(({ status }) => status === 'SENT')
    const devices = await devicesBy(sent.map((row) => row.userId))
    const badges = await findBadges(database, sent.map((row) => row.userId))
    const say = await notices.ofDeleted(message, sent.map((row) => row.userId), isExpired)
    await note(sent.filter((row) => !devices.has(row.deviceId)), 'WITHDRAWN', 'NO_DEVICE')
    const left = await delivering.deliverAll(
      sent.flatMap((key) => {
        const device = devices.get(key.deviceId)
        if (device === undefined) return []
        const notice = say(device, badges.get(key.userId) ?? 0)
        return { key, attempts: retries + 1, device, notice, since: null, becomes: 'WITHDRAWN' as const, from: 'SENT' as const }
      }),
    )
    // Somebody may be sending it just now, not knowing yet.
    return [...left, ...rows.filter((row) => row.isUnderWay)]
  }

  /** Takes back what one device shows of a channel: by one notice, which names the newest. */
  async function withdrawRead(device: DeviceRow, rows: readonly Shown[], badge: number, { retries }: Context): Promise<DeliveryKey[]> {
    const newest = rows.toSorted((a, b) => b.seq - a.seq)[0]!
    const notice = notices.ofRead(newest, badge)
    const left = await delivering.deliverAll([
      { key: newest, attempts: retries + 1, device, notice, since: null, becomes: 'WITHDRAWN', from: 'SENT' },
    ])
    if (left.length === 0) await note(rows, 'WITHDRAWN', null)
    return left
  }

  /** Takes back a summary of which nothing is unread any more. */
  async function withdrawSummaries(userId: string, devices: Map<string, DeviceRow>, badge: number, { retries }: Context) {
    const summaries = await findRows([userId], '0', `kind = 'SUMMARY' and status = 'SENT'`, [])
    const left = await Promise.all(
      summaries.map(async (key) => {
        const device = devices.get(key.deviceId)
        if (device !== undefined && (await findSummed(database, device, key.subjectId)).length > 0) return []
        if (device === undefined) return note([key], 'WITHDRAWN', 'NO_DEVICE').then(() => [])
        const notice = notices.ofSummaryRead(badge)
        return delivering.deliverAll([
          { key, attempts: retries + 1, device, notice, since: null, becomes: 'WITHDRAWN' as const, from: 'SENT' as const },
        ])
      }),
    )
    return left.flat()
  }

  /** Tells devices with an icon a number that is another than what they were told last. */
  async function correctBadges(devices: Iterable<DeviceRow>, badge: number): Promise<void> {
    const wrong = [...devices].filter((device) => hasIcon(device) && device.badge !== badge)
    await Promise.all(wrong.map((device) => delivering.tellBadge(device, notices.ofBadge(badge))))
  }

  return {
    async deleted({ channelId, messageIds, areExpired = false }: JobData['push-withdraw'], context: Context): Promise<void> {
      const messages = await readMessages(database, messageIds.map((messageId) => ({ channelId, messageId })))
      const left: DeliveryKey[] = []
      for (let after = '0'; ; ) {
        const rows = await database.run<{ user_id: string }>(
          `/* members after */ select user_id from members where channel_id = $1 and user_id > $2::bigint
           order by user_id limit ${membersAtOnce}`,
          [channelId, after],
        )
        const userIds = rows.map((row) => row.user_id)
        for (const message of messages) left.push(...(await withdrawDeleted(message, userIds, areExpired, context)))
        if (rows.length < membersAtOnce) break
        after = userIds.at(-1)!
      }
      if (context.retries < lastRetry) throwIfLeft(left)
    },

    async read({ userId, channelId, seq: asked }: JobData['push-read'], context: Context): Promise<void> {
      const [now] = await findReads(database, channelId, [userId])
      const seq = Math.max(asked, now?.seq ?? 0)
      const rows = await findRows([userId], channelId, `seq <= $3 and status in ('SENT', 'PENDING', 'SUMMARISED')`, [seq])
      const [devices, badges] = await Promise.all([devicesBy([userId]), findBadges(database, [userId])])
      const badge = badges.get(userId) ?? 0
      const sent = rows.filter(({ status }) => status === 'SENT')
      await note(rows.filter(({ status }) => status === 'SUMMARISED'), 'WITHDRAWN', null)
      await note(sent.filter((row) => !devices.has(row.deviceId)), 'WITHDRAWN', 'NO_DEVICE')
      const byDevice = [...Map.groupBy(sent, (row) => row.deviceId)]
      const left = await Promise.all([
        ...byDevice.map(([deviceId, some]) => {
          const device = devices.get(deviceId)
          return device === undefined ? [] : withdrawRead(device, some, badge, context)
        }),
        withdrawSummaries(userId, devices, badge, context),
      ])
      // What wakes the app in the background may come late, or never; the number on the icon need not wait for it.
      await correctBadges([...devices.values()].filter(({ platform }) => platform === 'APNS'), badge)
      const underWay = rows.filter((row) => row.isUnderWay)
      if (context.retries < lastRetry) throwIfLeft([...left.flat(), ...underWay])
    },

    /** Something has been read of which nothing was shown: the number on the icon is another all the same. */
    async badge({ userId }: JobData['push-badge']): Promise<void> {
      const [devices, badges] = await Promise.all([devicesBy([userId]), findBadges(database, [userId])])
      await correctBadges(devices.values(), badges.get(userId) ?? 0)
    },
  }
}
