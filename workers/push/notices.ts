import { and, eq, ne } from 'drizzle-orm'
import type { Database } from '../../drizzle/connection.ts'
import { attachments, channels, members, users } from '../../drizzle/tables/index.ts'
import type { DeviceRow } from '../../server/domain/devices.ts'
import { defaultLocale } from '../../server/domain/settings.ts'
import { channelGlobalId, messageGlobalId, reminderGlobalId } from '../../server/lib/global-id.ts'
import { isOneOf } from '../../server/lib/sql.ts'
import type { ChannelRow, MessageRow } from '../../server/message-store/rows.ts'
import { snowflakeTime } from '../../server/message-store/snowflake.ts'
import type { PushNotice } from '../../server/push/push-sender.ts'
import { type PushContent, pushText, type PushWhat } from '../../server/push/push-texts.ts'
import type { DeliveryKey } from './deliveries.ts'
import { findWishes, type Recipient, type Wishes } from './recipients.ts'

/** What was held back for a device: how many messages of which channel, up to which seq. */
export type Held = { channelId: string; count: number; lastSeq: number }

export type Notices = ReturnType<typeof createNotices>

/** How long a provider keeps a notice for a device that is off: a day, after which it is no news. Milliseconds. */
const keptMs = 24 * 3_600_000

/** A summary takes the place of the one before. */
const summaryId = 'summary'

const localeOf = (device: DeviceRow, wishes: Wishes | undefined) => device.locale ?? wishes?.locale ?? defaultLocale

const filesOf = (message: MessageRow): readonly string[] => message.attachmentIds ?? []

const collapseIdOf = ({ channelId, subjectId }: Pick<DeliveryKey, 'channelId' | 'subjectId'>) =>
  messageGlobalId(channelId, subjectId)

/** What pushes say, in the words of whoever gets them. */
export function createNotices(database: Database) {
  const { orm } = database

  async function namesOf(userIds: readonly string[]): Promise<Map<string, string>> {
    const rows = await orm
      .select({ id: users.id, displayName: users.displayName })
      .from(users)
      .where(isOneOf(users.id, [...new Set(userIds)]))
    return new Map(rows.map((row) => [row.id, row.displayName]))
  }

  /** How many files of each kind came with each message. */
  async function contentsOf(messages: readonly MessageRow[]): Promise<Map<string, PushContent>> {
    const withFiles = messages.filter((message) => filesOf(message).length > 0)
    const rows =
      withFiles.length === 0
        ? []
        : await orm
            .select({ id: attachments.id, contentType: attachments.contentType })
            .from(attachments)
            .where(
              and(
                isOneOf(attachments.userId, withFiles.map((message) => message.authorId)),
                isOneOf(attachments.id, withFiles.flatMap(filesOf)),
              ),
            )
    const types = new Map(rows.map((row) => [row.id, row.contentType]))
    return new Map(
      messages.map((message) => {
        const own = filesOf(message).map((id) => types.get(id) ?? '')
        const count = (kind: string) => own.filter((type) => type.startsWith(`${kind}/`)).length
        const [pictures, videos, sounds] = [count('image'), count('video'), count('audio')]
        const files = own.length - pictures - videos - sounds
        return [message.id, { text: message.content, pictures, videos, sounds, files }]
      }),
    )
  }

  /** A notice that is shown, with what all of them have in common. */
  const shown = (
    what: PushWhat,
    locale: string,
    rest: Pick<PushNotice, 'collapseId' | 'badge' | 'threadId' | 'data'> & Partial<PushNotice>,
  ): PushNotice => ({
    kind: 'show',
    ...pushText(locale, what),
    isUrgent: false,
    expiresAt: new Date(Date.now() + keptMs),
    ...rest,
  })

  const silent = (kind: 'withdraw' | 'badge', badge: number, rest: Partial<PushNotice>): PushNotice => ({
    kind,
    collapseId: kind,
    title: '',
    body: '',
    badge,
    threadId: kind,
    data: {},
    isUrgent: false,
    expiresAt: new Date(Date.now() + keptMs),
    ...rest,
  })

  return {
    /** Prepares to tell of messages of one channel; what it returns says one of them to one device. */
    async ofMessages(channel: ChannelRow, messages: readonly MessageRow[]) {
      const [names, contents] = await Promise.all([
        namesOf(messages.map((message) => message.authorId)),
        contentsOf(messages),
      ])
      const place = channel.kind === 'DIRECT' ? null : channel.name
      return ({ device, message, wishes, isMention }: Recipient, badge: number): PushNotice => {
        const sender = names.get(message.authorId) ?? ''
        const content = contents.get(message.id)!
        const isNamed = message.mentionIds.includes(device.userId)
        const what: PushWhat =
          !wishes.pushPreviews ? { kind: 'hidden', count: 1 }
          : message.kind === 'ACTION' ? { kind: 'action', sender, channel: place, text: message.content }
          : { kind: isNamed ? 'mention' : isMention ? 'reply' : 'message', sender, channel: place, content }
        return shown(what, localeOf(device, wishes), {
          collapseId: messageGlobalId(message.channelId, message.id),
          badge,
          threadId: channelGlobalId(channel.id),
          data: {
            channelId: channelGlobalId(channel.id),
            messageId: messageGlobalId(message.channelId, message.id),
            seq: String(message.seq),
          },
          isUrgent: channel.kind === 'DIRECT' || isMention,
          expiresAt: new Date(+snowflakeTime(message.id) + keptMs),
        })
      }
    },

    /** One notice instead of many. */
    async ofSummary(device: DeviceRow, held: readonly Held[], badge: number): Promise<PushNotice> {
      const wishes = (await findWishes(database, [device.userId])).get(device.userId)
      const count = held.reduce((sum, each) => sum + each.count, 0)
      const [only, ...others] = held as [Held, ...Held[]]
      const rest = {
        collapseId: summaryId,
        badge,
        threadId: channelGlobalId(only.channelId),
        data: {
          count: String(count),
          ...(others.length > 0 ? {} : { channelId: channelGlobalId(only.channelId), seq: String(only.lastSeq) }),
        },
      }
      if (wishes?.pushPreviews === false) return shown({ kind: 'hidden', count }, localeOf(device, wishes), rest)
      const what: PushWhat =
        others.length > 0
          ? { kind: 'summaryOfChannels', count, channels: held.length }
          : { kind: 'summary', count, ...(await placeOf(only.channelId, device.userId)) }
      return shown(what, localeOf(device, wishes), rest)
    },

    /**
     * Prepares to take a deleted message back; what it returns does so on one device. A browser must show something: it
     * says in the message's place that it is gone.
     */
    async ofDeleted(message: MessageRow, userIds: readonly string[], isExpired: boolean) {
      const [names, allWishes, place] = await Promise.all([
        namesOf([message.authorId]),
        findWishes(database, userIds),
        placeOf(message.channelId, message.authorId),
      ])
      const collapseId = messageGlobalId(message.channelId, message.id)
      return (device: DeviceRow, badge: number): PushNotice => {
        const data = { channelId: channelGlobalId(message.channelId), messageId: collapseId, seq: String(message.seq) }
        const threadId = channelGlobalId(message.channelId)
        const notice = silent('withdraw', badge, { collapseId, threadId, data: { ...data, reason: 'deleted' } })
        // Nobody has deleted what was to disappear; there is nothing to say in its place.
        if (device.platform !== 'WEB_PUSH' || isExpired) return notice
        const wishes = allWishes.get(device.userId)
        const what: PushWhat =
          wishes?.pushPreviews === false
            ? { kind: 'hidden', count: 1 }
            : { kind: 'deleted', sender: names.get(message.authorId) ?? '', channel: place.channel }
        return { ...notice, ...pushText(localeOf(device, wishes), what), kind: 'replace' }
      }
    },

    /** Takes back everything of a channel up to a seq. */
    ofRead: (key: DeliveryKey & { seq: number }, badge: number): PushNotice =>
      silent('withdraw', badge, {
        collapseId: collapseIdOf(key),
        threadId: channelGlobalId(key.channelId),
        data: { channelId: channelGlobalId(key.channelId), upToSeq: String(key.seq), reason: 'read' },
      }),

    /** Takes back a summary. */
    ofSummaryRead: (badge: number): PushNotice =>
      silent('withdraw', badge, { collapseId: summaryId, data: { reason: 'read' } }),

    /** The number alone. */
    ofBadge: (badge: number): PushNotice => silent('badge', badge, { data: { at: String(Date.now()) } }),

    /** What a user wanted to be reminded of. */
    async ofReminder(
      device: DeviceRow,
      reminder: { id: string; note: string | null; message: MessageRow | null },
      badge: number,
    ): Promise<PushNotice> {
      const { id, note, message } = reminder
      const wishes = (await findWishes(database, [device.userId])).get(device.userId)
      const place = message === null ? null : await placeOf(message.channelId, device.userId)
      const what: PushWhat =
        wishes?.pushPreviews === false
          ? { kind: 'hiddenReminder' }
          : { kind: 'reminder', text: note ?? message?.content ?? '', channel: place?.channel ?? null }
      return shown(what, localeOf(device, wishes), {
        collapseId: reminderGlobalId(id),
        badge,
        threadId: message === null ? 'reminders' : channelGlobalId(message.channelId),
        data: {
          reminderId: reminderGlobalId(id),
          ...(message === null
            ? {}
            : {
                channelId: channelGlobalId(message.channelId),
                messageId: messageGlobalId(message.channelId, message.id),
                seq: String(message.seq),
              }),
        },
        isUrgent: true,
      })
    },
  }

  /** What a channel is called, and the other one where there are two. */
  async function placeOf(channelId: string, userId: string): Promise<{ channel: string | null; sender: string }> {
    const [channel] = await orm
      .select({ kind: channels.kind, name: channels.name })
      .from(channels)
      .where(eq(channels.id, channelId))
    if (channel?.kind !== 'DIRECT') return { channel: channel?.name ?? null, sender: '' }
    const [peer] = await orm
      .select({ userId: members.userId })
      .from(members)
      .where(and(eq(members.channelId, channelId), ne(members.userId, userId)))
    return { channel: null, sender: peer === undefined ? '' : ((await namesOf([peer.userId])).get(peer.userId) ?? '') }
  }
}
