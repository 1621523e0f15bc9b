import type { Database } from '../../drizzle/connection.ts'
import { type DeviceRow, devicesOf } from '../../server/domain/devices.ts'
import type { JobContext, JobData } from '../../server/jobs/jobs.ts'
import { readMessage } from '../../server/message-store/pages.ts'
import type { MessageRow } from '../../server/message-store/rows.ts'
import { findBadges } from './badges.ts'
import type { DeliveryKey } from './deliveries.ts'
import { type Delivering, throwIfLeft } from './delivering.ts'
import type { Notices } from './notices.ts'

export type WithdrawalsOptions = { database: Database; delivering: Delivering; notices: Notices }

type Context = Pick<JobContext, 'retries'>

type Shown = DeliveryKey & { seq: number; status: string }

type RawShown = {
  user_id: string
  device_id: string
  channel_id: string
  subject_id: string
  seq: number
  status: string
}

const toShown = (row: RawShown): Shown => ({
  userId: row.user_id,
  deviceId: row.device_id,
  channelId: row.channel_id,
  subjectId: row.subject_id,
  seq: row.seq,
  status: row.status,
})

/** Retries after which a notice stays on a screen: half an hour, by the queue's pauses, before it would lay the job aside. */
const lastRetry = 11

/** Members that are asked about at once. */
const membersAtOnce = 2_000

/** What one channel's members show of it. */
const columns = 'user_id, device_id, channel_id, subject_id, seq, status'

/**
 * Takes notices off screens: of a message that was deleted, and of what was read on another device. Each is tried until
 * the provider has taken it; what a platform cannot take back stays, as `server/push/README.md` says.
 */
export function createWithdrawals({ database, delivering, notices }: WithdrawalsOptions) {
  async function devicesBy(userIds: readonly string[]): Promise<Map<string, DeviceRow>> {
    const found = await devicesOf(database, [...new Set(userIds)])
    return new Map([...found.values()].flat().map((device) => [device.id, device]))
  }

  /** Where a device is gone, there is nothing to take back. */
  async function forget(gone: readonly Shown[]): Promise<void> {
    if (gone.length === 0) return
    await database.run(
      `/* push gone */ update push_deliveries set status = 'WITHDRAWN', reason = 'NO_DEVICE'
       where user_id = any ($1::bigint[]) and device_id = any ($2::bigint[]) and channel_id = $3 and status = 'SENT'`,
      [[...new Set(gone.map((row) => row.userId))], [...new Set(gone.map((row) => row.deviceId))], gone[0]!.channelId],
    )
  }

  /** What was held back for a summary is not part of it any more. */
  async function skipHeld(message: MessageRow, held: readonly Shown[]): Promise<void> {
    if (held.length === 0) return
    await database.run(
      `/* push skip */ update push_deliveries set status = 'SKIPPED', reason = 'DELETED'
       where user_id = any ($1::bigint[]) and channel_id = $2 and subject_id = $3 and status = 'HELD'`,
      [held.map((row) => row.userId), message.channelId, message.id],
    )
  }

  async function withdrawDeleted(message: MessageRow, retries: number, userIds: readonly string[]): Promise<DeliveryKey[]> {
    const shown = (
      await database.run<RawShown>(
        `/* push shown */ select ${columns} from push_deliveries
         where user_id = any ($1::bigint[]) and channel_id = $2 and subject_id = $3
           and seq = $4 and status in ('SENT', 'PENDING', 'HELD')`,
        [userIds, message.channelId, message.id, message.seq],
      )
    ).map(toShown)
    await skipHeld(message, shown.filter((row) => row.status === 'HELD'))
    const sent = shown.filter((row) => row.status === 'SENT')
    const devices = await devicesBy(sent.map((row) => row.userId))
    const badges = await findBadges(database, sent.map((row) => row.userId))
    const say = await notices.ofDeleted(message, sent.map((row) => row.userId))
    await forget(sent.filter((row) => !devices.has(row.deviceId)))
    const left = await delivering.deliverAll(
      sent.flatMap((key) => {
        const device = devices.get(key.deviceId)
        if (device === undefined) return []
        const notice = say(device, badges.get(key.userId) ?? 0)
        return { key, isLast: retries >= lastRetry, device, notice, since: null, becomes: 'WITHDRAWN' as const, stays: 'SENT' as const }
      }),
    )
    // Somebody may be sending it just now, not knowing yet.
    return [...left, ...shown.filter((row) => row.status === 'PENDING')]
  }

  return {
    async deleted({ channelId, messageId }: JobData['push-withdraw'], { retries }: Context): Promise<void> {
      const message = await readMessage(database, { channelId, messageId })
      if (message === null) return
      const left: DeliveryKey[] = []
      for (let after = '0'; ; ) {
        const rows = await database.run<{ user_id: string }>(
          `/* members after */ select user_id from members where channel_id = $1 and user_id > $2::bigint
           order by user_id limit ${membersAtOnce}`,
          [channelId, after],
        )
        left.push(...(await withdrawDeleted(message, retries, rows.map((row) => row.user_id))))
        if (rows.length < membersAtOnce) break
        after = rows.at(-1)!.user_id
      }
      throwIfLeft(left)
    },

    /** One notice for each device takes back all that it shows of the channel up to there. */
    async read({ userId, channelId, seq }: JobData['push-read'], { retries }: Context): Promise<void> {
      const shown = (
        await database.run<RawShown>(
          `/* push shown to */ select ${columns} from push_deliveries
           where user_id = $1 and channel_id = $2 and seq <= $3 and status = 'SENT'`,
          [userId, channelId, seq],
        )
      ).map(toShown)
      const devices = await devicesBy([userId])
      const badge = (await findBadges(database, [userId])).get(userId) ?? 0
      const byDevice = Map.groupBy(shown, (row) => row.deviceId)
      const left = await Promise.all(
        [...byDevice].map(async ([deviceId, rows]) => {
          const device = devices.get(deviceId)
          const newest = rows.toSorted((a, b) => b.seq - a.seq)[0]!
          if (device === undefined) return forget(rows).then(() => [])
          const notice = notices.ofRead(newest, badge)
          const left = await delivering.deliverAll([{ key: newest, isLast: retries >= lastRetry, device, notice, since: null, becomes: 'WITHDRAWN', stays: 'SENT' }])
          if (left.length > 0) return left
          await withdrawAll(rows)
          // What wakes the app in the background may come late there, or never; the number on the icon need not wait.
          if (device.platform === 'APNS') await delivering.tell(device, notices.ofBadge(channelId, seq, badge))
          return left
        }),
      )
      throwIfLeft(left.flat())
    },
  }

  /** Notes that these are off the screen of their one device. */
  async function withdrawAll(rows: readonly Shown[]): Promise<void> {
    const [{ userId, deviceId, channelId }] = rows as [Shown]
    await database.run(
      `/* push withdrawn */ update push_deliveries set status = 'WITHDRAWN'
       where user_id = $1 and device_id = $2 and channel_id = $3 and subject_id = any ($4::bigint[]) and status = 'SENT'`,
      [userId, deviceId, channelId, rows.map((row) => row.subjectId)],
    )
  }
}
