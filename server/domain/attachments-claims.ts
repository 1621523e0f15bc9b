import { and, eq } from 'drizzle-orm'
import { attachments } from '../../drizzle/tables/index.ts'
import { badInput, conflict } from '../errors.ts'
import { isOneOf } from '../lib/sql.ts'
import type { MessageKey } from '../message-store/pages.ts'
import type { MessageRow } from '../message-store/rows.ts'
import type { AttachmentKey, AttachmentRow } from './attachments-rows.ts'
import type { Deps } from './deps.ts'

/** The send that an attachment is for: its channel and the hash of its key. */
export type Claim = { channelId: string; keyHash: string }

/** Attachments of one message: as many as a phone shows without scrolling away from it. */
export const maxAttachments = 10

/** A send takes a few seconds at the most; one that has not come back after this never wrote anything. Seconds. */
const sendSeconds = 60

const field = 'input.attachmentIds'

/**
 * An attachment is of one message. A send claims what it brings along before it is written, by its channel and key, so
 * that sending again with the same key finds its own; and confirms it when it is written (`claimed_at`). What was
 * claimed and never confirmed is settled by whoever comes upon it: the keys of sends say whether there is a message.
 */
export function createAttachmentClaims({ database, store }: Deps) {
  const { orm } = database

  /** The message that has claimed an attachment; null where there is none, or it has none of its own any more. */
  async function messageOf(row: AttachmentRow): Promise<MessageRow | null> {
    const key = await messageKeyOf(row)
    const message = key === null ? null : await store.message(key)
    return message?.authorId === row.userId && message.attachmentIds.includes(row.id) ? message : null
  }

  async function messageKeyOf({ claimedChannelId, claimedKey }: AttachmentRow): Promise<MessageKey | null> {
    if (claimedChannelId === null || claimedKey === null) return null
    const [sent] = await database.run<{ message_id: string }>(
      '/* message of a claim */ select message_id from send_keys where channel_id = $1 and key_hash = $2::text::uuid',
      [claimedChannelId, claimedKey],
    )
    return sent === undefined ? null : { channelId: claimedChannelId, messageId: sent.message_id }
  }

  /** Claims all of these or none; whether it could. `completed_at` holds since when. */
  async function take(userId: string, ids: readonly string[], { channelId, keyHash }: Claim): Promise<boolean> {
    const missed = new Error('not all of them')
    const taking = database.transaction(async (tx) => {
      const rows = await tx.run(
        `/* claim attachments */ update attachments
         set claimed_channel_id = $3, claimed_key = $4::text::uuid, completed_at = now()
         where user_id = $1 and id = any ($2::bigint[]) and status in ('PROCESSING', 'READY')
           and (claimed_key is null and claimed_at is null or claimed_channel_id = $3 and claimed_key = $4::text::uuid)
         returning id`,
        [userId, ids, channelId, keyHash],
      )
      if (rows.length < ids.length) throw missed
    })
    return taking.then(
      () => true,
      (error: unknown) => {
        if (error === missed) return false
        throw error
      },
    )
  }

  /** Gives up claims of a send, unless it is confirmed by now. `seconds`: only those that are older. */
  async function free(row: AttachmentRow, seconds: number): Promise<boolean> {
    const rows = await database.run(
      `/* free attachment */ update attachments set claimed_channel_id = null, claimed_key = null
       where user_id = $1 and id = $2 and claimed_at is null and claimed_channel_id = $3 and claimed_key = $4::text::uuid
         and completed_at <= now() - interval '1 second' * $5::int
       returning id`,
      [row.userId, row.id, row.claimedChannelId, row.claimedKey, seconds],
    )
    return rows.length > 0
  }

  const findOwn = (userId: string, ids: readonly string[]): Promise<AttachmentRow[]> =>
    orm.select().from(attachments).where(and(eq(attachments.userId, userId), isOneOf(attachments.id, ids)))

  /** Says what is wrong with one that could not be claimed, or frees it from a send that never came to be. */
  async function reconsider(row: AttachmentRow | undefined, { channelId, keyHash }: Claim): Promise<void> {
    if (row === undefined) throw badInput('There is no such attachment of yours.', field)
    if (row.status === 'PENDING') throw badInput('An attachment has to be uploaded and completed first.', field)
    if (row.status === 'FAILED') throw badInput('This file could not be taken, and cannot be sent.', field)
    const isOwn = row.claimedChannelId === channelId && row.claimedKey?.replaceAll('-', '') === keyHash
    if (isOwn || (row.claimedKey === null && row.claimedAt === null)) return
    const isOfNobody = row.claimedAt === null && (await messageKeyOf(row)) === null && (await free(row, sendSeconds))
    if (!isOfNobody) throw conflict('This attachment is part of another message.', field)
  }

  return {
    messageOf,

    /**
     * Claims attachments for a send. Throws BAD_USER_INPUT where they are not the viewer's own, completed, or too many,
     * CONFLICT where another message has them. Where the send was written before, what has become of them since does
     * not matter.
     */
    async claim(viewerId: string, keys: readonly AttachmentKey[], claim: Claim): Promise<void> {
      if (keys.length > maxAttachments) throw badInput(`A message has at most ${maxAttachments} attachments.`, field)
      const ids = keys.map(({ id }) => id)
      if (new Set(ids).size < ids.length) throw badInput('An attachment stands in a message once.', field)
      if (keys.some(({ userId }) => userId !== viewerId)) throw badInput('There is no such attachment of yours.', field)
      if (await take(viewerId, ids, claim)) return
      const [sent] = await database.run(
        '/* sent with a claim */ select from send_keys where channel_id = $1 and key_hash = $2::text::uuid',
        [claim.channelId, claim.keyHash],
      )
      if (sent !== undefined) return
      const rows = new Map((await findOwn(viewerId, ids)).map((row) => [row.id, row]))
      for (const id of ids) await reconsider(rows.get(id), claim)
      if (!(await take(viewerId, ids, claim))) throw conflict('This attachment is part of another message.', field)
    },

    /** Notes that the message which has claimed these is there. Where that fails, the sweep finds out. */
    async confirm(message: MessageRow): Promise<void> {
      const { authorId, attachmentIds } = message
      await database
        .run(
          `/* confirm claims */ update attachments set claimed_at = now()
           where user_id = $1 and id = any ($2::bigint[]) and claimed_at is null`,
          [authorId, attachmentIds],
        )
        .catch(() => {})
    },

    /** Gives back what a send has claimed whose key is another message's, and what that one does not have itself. */
    async giveBack(viewerId: string, keys: readonly AttachmentKey[], claim: Claim): Promise<void> {
      for (const row of await findOwn(viewerId, keys.map(({ id }) => id))) {
        const isOfThis = row.claimedChannelId === claim.channelId && row.claimedKey?.replaceAll('-', '') === claim.keyHash
        if (isOfThis && row.claimedAt === null && (await messageOf(row)) === null) await free(row, 0)
      }
    },
  }
}
