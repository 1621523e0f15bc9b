import { and, eq } from 'drizzle-orm'
import type { Database } from '../../drizzle/connection.ts'
import { reminders } from '../../drizzle/tables/index.ts'
import { devicesOf } from '../../server/domain/devices.ts'
import { findMember } from '../../server/domain/access.ts'
import type { JobData } from '../../server/jobs/jobs.ts'
import { readMessage } from '../../server/message-store/pages.ts'
import type { MessageRow } from '../../server/message-store/rows.ts'
import { findBadges } from './badges.ts'
import { claim, deliveryKey, findPending, type Wanted } from './deliveries.ts'
import { type Delivering, throwIfLeft } from './delivering.ts'
import type { Notices } from './notices.ts'

/** Tells all of a user's devices of what they wanted to be reminded of: now, whatever the hour, as they asked for it. */
export function createPushReminder(options: { database: Database; delivering: Delivering; notices: Notices }) {
  const { database, delivering, notices } = options

  /** The message, as far as the user may still read it. */
  async function messageOf(userId: string, channelId: string | null, messageId: string | null): Promise<MessageRow | null> {
    if (channelId === null || messageId === null) return null
    if ((await findMember(database.orm, channelId, userId)) === undefined) return null
    return readMessage(database, { channelId, messageId })
  }

  return async ({ userId, id }: JobData['push-reminder']): Promise<void> => {
    const [reminder] = await database.orm
      .select()
      .from(reminders)
      .where(and(eq(reminders.userId, userId), eq(reminders.id, id)))
    if (reminder === undefined) return
    const devices = (await devicesOf(database, [userId])).get(userId) ?? []
    const wanted = devices.map(
      (device): Wanted => ({ userId, deviceId: device.id, channelId: '0', subjectId: id, kind: 'REMINDER', seq: 0, skip: null }),
    )
    const claimed = await claim(database, wanted)
    const message = await messageOf(userId, reminder.channelId, reminder.messageId)
    const badge = (await findBadges(database, [userId])).get(userId) ?? 0
    const outgoing = await Promise.all(
      claimed.map(async (key) => {
        const device = devices.find((each) => each.id === key.deviceId)!
        const notice = await notices.ofReminder(device, { id, note: reminder.note, message }, badge)
        return { key, attempts: key.attempts, device, notice, since: null }
      }),
    )
    const mine = new Set(claimed.map(deliveryKey))
    const others = await findPending(database, wanted.filter((each) => !mine.has(deliveryKey(each))))
    throwIfLeft([...(await delivering.deliverAll(outgoing)), ...others])
  }
}
