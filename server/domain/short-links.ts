import { and, eq } from 'drizzle-orm'
import type { Orm } from '../../drizzle/connection.ts'
import { messageLinks, shortLinks } from '../../drizzle/tables/index.ts'
import { isShortCode, newShortCode } from '../lib/short-codes.ts'
import { expectedFailure } from '../errors.ts'
import type { MessageKey } from '../message-store/pages.ts'
import type { ChannelRow, MessageRow } from '../message-store/rows.ts'
import type { Deps } from './deps.ts'
import type { InviteRow, InvitesService } from './invites.ts'
import type { MessagesService } from './messages.ts'
import { createVisits } from './short-links-visits.ts'

/** What a code stands for, whoever asks. */
export type ShortLinkRow = typeof shortLinks.$inferSelect

/** The link of a message. */
export type MessageLink = { code: string; message: MessageRow }

/** What a link leads somebody to who may see it. */
export type ShortLinkTarget =
  | { kind: 'INVITE'; code: string; invite: InviteRow; channel: ChannelRow }
  | { kind: 'MESSAGE'; code: string; message: MessageRow; channel: ChannelRow }

export type ShortLinksService = ReturnType<typeof createShortLinksService>

/** Gives a new code to a target, within the transaction that makes it. */
export async function giveCode(orm: Orm, target: Omit<ShortLinkRow, 'code'>): Promise<string> {
  for (;;) {
    const code = newShortCode()
    const given = await orm.insert(shortLinks).values({ code, ...target }).onConflictDoNothing().returning()
    if (given.length > 0) return code
  }
}

/** What a code stands for; null where it is none, whatever its text. */
export async function findShortLink(orm: Orm, code: string): Promise<ShortLinkRow | null> {
  if (!isShortCode(code)) return null
  const [row] = await orm.select().from(shortLinks).where(eq(shortLinks.code, code))
  return row ?? null
}

/**
 * Short links: codes that stand for an invite or for a message. They are drawn at random and looked up, and so outlive
 * every secret. `publicUrl` says where people reach the server.
 */
export function createShortLinksService(
  { database }: Pick<Deps, 'database'>,
  { invites, messages, publicUrl }: { invites: InvitesService; messages: MessagesService; publicUrl: () => string },
) {
  const { orm } = database
  const visits = createVisits(database)

  async function codeOf({ channelId, messageId }: MessageKey): Promise<string | null> {
    const [row] = await orm
      .select({ code: messageLinks.code })
      .from(messageLinks)
      .where(and(eq(messageLinks.channelId, channelId), eq(messageLinks.messageId, messageId)))
    return row?.code ?? null
  }

  /** Makes the link of a message that has none; of two who do so at once both get the same. */
  async function makeLink(key: MessageKey): Promise<string> {
    const made = await database.transaction(async (tx) => {
      const code = await giveCode(tx.orm, { kind: 'MESSAGE', channelId: key.channelId, targetId: key.messageId })
      const won = await tx.orm.insert(messageLinks).values({ ...key, code }).onConflictDoNothing().returning()
      if (won.length === 0) await tx.orm.delete(shortLinks).where(eq(shortLinks.code, code))
      return won.length === 0 ? null : code
    })
    return made ?? (await codeOf(key))!
  }

  /** A message and its channel, as far as somebody may read it. */
  async function read(viewerId: string | null, key: MessageKey) {
    if (viewerId === null) return null
    try {
      return await messages.access(viewerId, key)
    } catch (error) {
      if (['NOT_FOUND', 'FORBIDDEN'].includes(expectedFailure(error)?.code ?? '')) return null
      throw error
    }
  }

  return {
    /** Where the link of an invite, or of a message, is opened. */
    url: (kind: ShortLinkRow['kind'], code: string): string =>
      `${publicUrl().replace(/\/+$/, '')}/${kind === 'INVITE' ? 'i' : 'm'}/${code}`,

    /** The one link of a message, for who may read that; throws NOT_FOUND or FORBIDDEN. It stays the same. */
    async ofMessage(viewerId: string, key: MessageKey): Promise<MessageLink> {
      const { message } = await messages.access(viewerId, key)
      return { code: (await codeOf(key)) ?? (await makeLink(key)), message }
    },

    /** What a code stands for, whether or not whoever asks may see it. */
    find: (code: string): Promise<ShortLinkRow | null> => findShortLink(orm, code),

    /**
     * What a link leads to; null where the viewer, who is null when signed out, may not see that: an invite everybody
     * may who has its code, as long as it is good.
     */
    async follow(viewerId: string | null, link: ShortLinkRow): Promise<ShortLinkTarget | null> {
      const { code, kind, channelId, targetId } = link
      if (kind === 'INVITE') {
        const found = await invites.findGood(channelId, targetId)
        return found && { kind, code, ...found }
      }
      const found = await read(viewerId, { channelId, messageId: targetId })
      return found && { kind, code, ...found }
    },

    /** Notes that somebody has opened a link. */
    noteVisit: visits.note,

    /** How often each of these links was opened, by code. */
    countVisits: visits.count,

    /** Writes what is left to write. */
    close: visits.close,
  }
}
