import { and, eq, isNull, sql } from 'drizzle-orm'
import type { Database } from '../../drizzle/connection.ts'
import { members, settings, users } from '../../drizzle/tables/index.ts'
import { activeIn, noSession } from '../../server/domain/active-channels.ts'
import { whoBlocks } from '../../server/domain/blocks.ts'
import { type DeviceRow, devicesOf } from '../../server/domain/devices.ts'
import { isQuiet, type QuietHours } from '../../server/lib/quiet-hours.ts'
import { isOneOf } from '../../server/lib/sql.ts'
import { readMessages } from '../../server/message-store/pages.ts'
import type { ChannelRow, MessageRow } from '../../server/message-store/rows.ts'
import { snowflakeTime } from '../../server/message-store/snowflake.ts'
import type { Skip } from './deliveries.ts'

/** How somebody wants to be told. */
export type Wishes = QuietHours & { locale: string | null; pushPreviews: boolean }

/** A message for a device, and why it is not to be told, if so. */
export type Recipient = { device: DeviceRow; message: MessageRow; wishes: Wishes; isMention: boolean; skip: Skip | null }

export type Recipients = {
  recipients: Recipient[]
  /** Who is to hear of it somehow, on a device or not. */
  concerned: string[]
}

/** Members whose ids lie after the one and up to the other, where null on either side is no bound; or just these. */
export type Audience = { after: string | null; upTo: string | null } | { userIds: readonly string[] }

const unsaid: Wishes = { locale: null, timeZone: null, quietHoursStart: null, quietHoursEnd: null, pushPreviews: true }

type Member = Pick<typeof members.$inferSelect, 'userId' | 'joinedSeq' | 'lastReadSeq' | 'notificationLevel' | 'mutedUntil'>

/**
 * Who is to be told of messages of a channel, and on which devices. What is asked of the store is asked once for all of
 * them; whoever has no device is no more than a row that was looked at.
 */
export async function findRecipients(
  database: Database,
  channel: ChannelRow,
  messages: readonly MessageRow[],
  to: Audience,
  at = new Date(),
): Promise<Recipients> {
  const { orm } = database
  const here = await orm
    .select({
      userId: members.userId,
      joinedSeq: members.joinedSeq,
      lastReadSeq: members.lastReadSeq,
      notificationLevel: members.notificationLevel,
      mutedUntil: members.mutedUntil,
    })
    .from(members)
    .where(
      and(
        eq(members.channelId, channel.id),
        isNull(members.leftAt),
        ...('userIds' in to
          ? [isOneOf(members.userId, to.userIds)]
          : [
              to.after === null ? undefined : sql`${members.userId} > ${to.after}::bigint`,
              to.upTo === null ? undefined : sql`${members.userId} <= ${to.upTo}::bigint`,
            ]),
      ),
    )
  const own = messages.length === 1 ? messages[0]!.authorId : null
  const others = here.filter((member) => member.userId !== own).map((member) => member.userId)
  const devices = await devicesOf(database, others)
  const reachable = [...devices.keys()]
  const [wishes, absent, blocked, active, rootAuthors] = await Promise.all([
    findWishes(database, reachable),
    findUndisturbed(database, reachable),
    findBlocks(database, reachable, messages),
    activeIn(database, channel.id, reachable),
    findRootAuthors(database, messages),
  ])

  const recipients: Recipient[] = []
  const concerned = new Set<string>()
  for (const member of here) {
    for (const message of messages) {
      // Who came after it was said has not missed it.
      if (message.authorId === member.userId || member.joinedSeq >= message.seq) continue
      const sentAt = snowflakeTime(message.id)
      const isMention =
        message.mentionIds.includes(member.userId) || rootAuthors.get(message.replyToId ?? '') === member.userId
      const ofChannel = skipOfChannel(member, message, isMention, at)
      if (ofChannel === null) concerned.add(member.userId)
      const userWishes = wishes.get(member.userId) ?? unsaid
      const skip =
        ofChannel ??
        (blocked.get(message.authorId)?.has(member.userId) === true ? 'BLOCKED'
        : absent.has(member.userId) ? 'DO_NOT_DISTURB'
        : isQuiet(userWishes, at) ? 'QUIET_HOURS'
        : null)
      for (const device of devices.get(member.userId) ?? []) {
        // Nor has a device on which its user has signed in since: what is there is on the screen.
        if (device.createdAt > sentAt) continue
        const isShown = active.has(`${member.userId} ${device.sessionId ?? noSession}`)
        recipients.push({ device, message, wishes: userWishes, isMention, skip: skip ?? (isShown ? 'ACTIVE' : null) })
      }
    }
  }
  return { recipients, concerned: [...concerned] }
}

/** Why this membership is not told of a message, if so. */
function skipOfChannel(member: Member, message: MessageRow, isMention: boolean, at: Date): Skip | null {
  if (message.deletedAt !== null) return 'DELETED'
  if (member.lastReadSeq >= message.seq) return 'READ'
  if (member.mutedUntil !== null && member.mutedUntil > at) return 'MUTED'
  if (member.notificationLevel === 'NONE') return 'LEVEL'
  if (member.notificationLevel === 'MENTIONS' && !isMention) return 'LEVEL'
  return null
}

export async function findWishes(database: Database, userIds: readonly string[]): Promise<Map<string, Wishes>> {
  const rows = await database.orm
    .select({
      userId: settings.userId,
      locale: settings.locale,
      timeZone: settings.timeZone,
      quietHoursStart: settings.quietHoursStart,
      quietHoursEnd: settings.quietHoursEnd,
      pushPreviews: settings.pushPreviews,
    })
    .from(settings)
    .where(isOneOf(settings.userId, userIds))
  return new Map(rows.map((row) => [row.userId, row]))
}

/** Those who have said that they are not to be disturbed. */
async function findUndisturbed(database: Database, userIds: readonly string[]): Promise<Set<string>> {
  const rows = await database.orm
    .select({ id: users.id })
    .from(users)
    .where(and(isOneOf(users.id, userIds), eq(users.presenceStatus, 'DO_NOT_DISTURB')))
  return new Set(rows.map((row) => row.id))
}

/** By author, who of these has blocked them. */
async function findBlocks(database: Database, userIds: readonly string[], messages: readonly MessageRow[]) {
  const authors = [...new Set(messages.map((message) => message.authorId))]
  const found = await Promise.all(authors.map((author) => whoBlocks(database.orm, userIds, author)))
  return new Map(authors.map((author, nth) => [author, found[nth]!]))
}

/** Who wrote what these messages answer, by its id: an answer calls them as their name would. */
async function findRootAuthors(database: Database, messages: readonly MessageRow[]): Promise<Map<string, string>> {
  const roots = [...new Set(messages.flatMap((message) => message.replyToId ?? []))]
  if (roots.length === 0) return new Map()
  const { channelId } = messages[0]!
  const rows = await readMessages(database, roots.map((messageId) => ({ channelId, messageId })))
  return new Map(rows.map((row) => [row.id, row.authorId]))
}
