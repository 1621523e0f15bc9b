import { and, eq } from 'drizzle-orm'
import type { Database } from '../../drizzle/connection.ts'
import { reactionOutbox, reactions } from '../../drizzle/tables/index.ts'
import { badInput, conflict } from '../errors.ts'
import type { MessageRow } from '../message-store/rows.ts'
import { accessChannel, authoriseLocked } from './access.ts'
import { messageArrays, type MessageKey } from '../message-store/pages.ts'
import { type MessagesService, wantedMessages } from './messages.ts'
import type { Deps } from './deps.ts'

/** How often one message was given one emoji, and by whom first. */
export type ReactionSummary = MessageKey & { emoji: string; count: number; userIds: string[] }

export type ReactionsService = ReturnType<typeof createReactionsService>

/** Different emoji on one message: more than fit on any screen. */
const maxEmoji = 50

/** Who reacted is listed up to here; beyond it the count is enough. */
export const maxReactors = 100

/** UTF-16 units of an emoji; the longest that there is, a kissing couple in two skin tones, has 15. */
const maxEmojiLength = 64

/**
 * One picture that all systems know: flags, families and skin tones are several code points. Code points that are set
 * aside for pictures to come are in it too, so that nobody has to wait for this server to learn of them.
 */
const emojiShape = /^(?:\p{RGI_Emoji}|[\p{Extended_Pictographic}&&\p{Unassigned}])$/v

/** Characters that are drawn as text unless U+FE0F follows, or a skin tone. */
const drawnAsText = /[\p{Emoji}--\p{Emoji_Presentation}](?!\p{Emoji_Modifier})/gv

/**
 * An emoji as it is stored. Keyboards differ in where they leave U+FE0F out, and what looks the same must count as the
 * same. Throws BAD_USER_INPUT for what is no emoji, or more than one.
 */
function checkEmoji(text: string): string {
  if (text.length <= maxEmojiLength) {
    const emoji = text.replaceAll('\ufe0f', '').replace(drawnAsText, '$&\ufe0f')
    if (emojiShape.test(emoji)) return emoji
  }
  throw badInput('A reaction is one emoji.', 'emoji')
}

/** Reactions: each member gives each emoji once. */
export function createReactionsService({ database }: Deps, messages: MessagesService) {
  const { orm } = database

  /** Adds or removes under the channel's lock; what is so already changes nothing. */
  async function react(viewerId: string, key: MessageKey, given: string, wanted: boolean): Promise<MessageRow> {
    await accessChannel(orm, viewerId, key.channelId, 'react', 'messageId')
    const emoji = checkEmoji(given)
    return messages.changeMessage(key, 'messageId', async (channel, message) => {
      const tx = channel.tx.orm
      await authoriseLocked(tx, channel.row, viewerId, 'react')
      if (message.deletedAt !== null) throw conflict('The message has been deleted.', 'messageId')
      const onMessage = and(eq(reactions.channelId, message.channelId), eq(reactions.messageId, message.id))
      const [there] = await channel.tx.run<{ own: boolean; any: boolean }>(
        `/* reaction */ select
           exists (select from reactions where channel_id = $1 and message_id = $2 and emoji = $3 and user_id = $4) as own,
           exists (select from reactions where channel_id = $1 and message_id = $2 and emoji = $3) as any`,
        [message.channelId, message.id, emoji, viewerId],
      )
      if (there!.own === wanted) return message
      const touched = await channel.touchMessage(message.id, 'REACTIONS_CHANGED', {})
      if (message.authorId !== viewerId) {
        const { channelId, id: messageId } = message
        const note = { channelId, messageId, change: touched.version, userId: viewerId, at: new Date() }
        await tx.insert(reactionOutbox).values(note)
      }
      if (!wanted) {
        await tx.delete(reactions).where(and(onMessage, eq(reactions.emoji, emoji), eq(reactions.userId, viewerId)))
        return touched
      }
      // Counted where it is a new one, and not whenever one of thousands gives the same.
      if (!there!.any) {
        const kinds = await tx.selectDistinct({ emoji: reactions.emoji }).from(reactions).where(onMessage)
        if (kinds.length >= maxEmoji) throw conflict(`A message takes at most ${maxEmoji} different emoji.`, 'emoji')
      }
      await tx.insert(reactions).values({
        channelId: message.channelId,
        messageId: message.id,
        emoji,
        userId: viewerId,
        change: touched.version,
      })
      return touched
    })
  }

  return {
    add: (viewerId: string, key: MessageKey, emoji: string) => react(viewerId, key, emoji, true),
    remove: (viewerId: string, key: MessageKey, emoji: string) => react(viewerId, key, emoji, false),
    summaries: (keys: readonly MessageKey[]) => summaries(database, keys),

    /** The emoji that a user has given to these messages. */
    async ownOn(userId: string, keys: readonly MessageKey[]): Promise<(MessageKey & { emoji: string })[]> {
      const rows = await database.run<{ channel_id: string; message_id: string; emoji: string }>(
        `/* own reactions */ select r.channel_id, r.message_id, r.emoji from ${wantedMessages}
         join reactions r on r.channel_id = wanted.channel_id and r.message_id = wanted.message_id and r.user_id = $3
         where r.channel_id = any ($1::bigint[])`,
        [...messageArrays(keys), userId],
      )
      return rows.map((row) => ({ channelId: row.channel_id, messageId: row.message_id, emoji: row.emoji }))
    },
  }
}

/** The reactions to these messages, each message's in the order in which its emoji first came. */
async function summaries(database: Database, keys: readonly MessageKey[]): Promise<ReactionSummary[]> {
  const rows = await database.run<{ channel_id: string; message_id: string; emoji: string; count: number; user_ids: string[] }>(
    `/* reactions */
     select r.channel_id, r.message_id, r.emoji, count(*)::int as count,
            (array_agg(r.user_id order by r.change))[1:${maxReactors}] as user_ids
     from ${wantedMessages}
     join reactions r on r.channel_id = wanted.channel_id and r.message_id = wanted.message_id
     where r.channel_id = any ($1::bigint[])
     group by r.channel_id, r.message_id, r.emoji order by r.message_id, min(r.change)`,
    messageArrays(keys),
  )
  return rows.map((row) => ({
    channelId: row.channel_id,
    messageId: row.message_id,
    emoji: row.emoji,
    count: row.count,
    userIds: row.user_ids,
  }))
}
