import { and, eq } from 'drizzle-orm'
import { attachments } from '../../drizzle/tables/index.ts'
import { badInput, conflict, MaruError } from '../errors.ts'
import { isOneOf } from '../lib/sql.ts'
import type { MessageKey } from '../message-store/pages.ts'
import type { MessageRow } from '../message-store/rows.ts'
import type { AttachmentKey, AttachmentRow } from './attachments-rows.ts'
import type { Deps } from './deps.ts'

/** The send that an attachment is for: its channel and the hash of its key. */
export type Claim = { channelId: string; keyHash: string }

/** Attachments of one message: as many as a phone shows without scrolling away from it. */
export const maxAttachments = 10

/**
 * A send takes a few seconds at the most; one that has not come back after this never wrote anything. Seconds. It would
 * take a process that stands still for as long in between, and goes on, for a file to be in two messages: then it goes
 * with the first of them that is deleted.
 */
const sendSeconds = 60

const field = 'input.attachmentIds'

const isClaimOf = (row: AttachmentRow, { channelId, keyHash }: Claim): boolean =>
  row.claimedChannelId === channelId && row.claimedKey?.replaceAll('-', '') === keyHash

/**
 * An attachment is of one message. A send claims what it brings along before it is written, by its channel and key, so
 * that sending again with the same key finds its own; and confirms it when it is written (`claimed_at`). What was
 * claimed and never confirmed is settled by whoever comes upon it: the keys of sends say whether there is a message.
 */
export function createAttachmentClaims({ database, store }: Deps) {
  const { orm } = database

  /** The message that has claimed an attachment; null where there is none, or it has been deleted. */
  async function messageOf(row: AttachmentRow): Promise<MessageRow | null> {
    const key = await messageKeyOf(row)
    const message = key === null ? null : await store.message(key)
    // A build that knew of no attachments may have deleted it, and left them there.
    if (message === null || message.deletedAt !== null || message.authorId !== row.userId) return null
    return message.attachmentIds.includes(row.id) ? message : null
  }

  async function messageKeyOf({ claimedChannelId, claimedKey }: AttachmentRow): Promise<MessageKey | null> {
    if (claimedChannelId === null || claimedKey === null) return null
    const [sent] = await database.run<{ message_id: string }>(
      '/* message of a claim */ select message_id from send_keys where channel_id = $1 and key_hash = $2::text::uuid',
      [claimedChannelId, claimedKey],
    )
    return sent === undefined ? null : { channelId: claimedChannelId, messageId: sent.message_id }
  }

  /**
   * Claims all of these or none, of which none may be claimed; or, `again`, may be by the same send. Returns since when
   * they are, null where they are not. `completed_at` holds it.
   */
  async function take(userId: string, ids: readonly string[], claim: Claim, again: boolean): Promise<Date | null> {
    const { channelId, keyHash } = claim
    const isOwn = again ? 'or claimed_channel_id = $3 and claimed_key = $4::text::uuid' : ''
    const missed = new Error('not all of them')
    const taking = database.transaction(async (tx) => {
      const rows = await tx.run<{ completed_at: Date }>(
        `/* claim attachments */ update attachments
         set claimed_channel_id = $3, claimed_key = $4::text::uuid, completed_at = now()
         where user_id = $1 and id = any ($2::bigint[]) and status in ('PROCESSING', 'READY')
           and (claimed_key is null and claimed_at is null ${isOwn})
         returning completed_at`,
        [userId, ids, channelId, keyHash],
      )
      if (rows.length < ids.length) throw missed
      return rows[0]!.completed_at
    })
    return taking.catch((error: unknown) => {
      if (error === missed) return null
      throw error
    })
  }

  /**
   * Gives up the claim of a send, unless it is confirmed by now. `seconds`: only one that is older. `since`: only one
   * that has been made then, to the millisecond.
   */
  async function free(row: AttachmentRow, seconds: number, since: Date | null = null): Promise<boolean> {
    const [from, until] = since === null ? [new Date(0), new Date('9999-12-31')] : [since, new Date(+since + 1)]
    const rows = await database.run(
      `/* free attachment */ update attachments set claimed_channel_id = null, claimed_key = null
       where user_id = $1 and id = $2 and claimed_at is null and claimed_channel_id = $3 and claimed_key = $4::text::uuid
         and completed_at <= now() - interval '1 second' * $5::int
         and completed_at >= $6 and completed_at < $7
       returning id`,
      [row.userId, row.id, row.claimedChannelId, row.claimedKey, seconds, from, until],
    )
    return rows.length > 0
  }

  /** Whether a message that was sent with the key which has claimed this was sent without it in the end. */
  async function isLeftOut(row: AttachmentRow, key: MessageKey): Promise<boolean> {
    const message = await store.message(key)
    // What a deleted one had is on its way out.
    return message !== null && message.deletedAt === null && !message.attachmentIds.includes(row.id)
  }

  const findOwn = (userId: string, ids: readonly string[]): Promise<AttachmentRow[]> =>
    orm.select().from(attachments).where(and(eq(attachments.userId, userId), isOneOf(attachments.id, ids)))

  /** Says what is wrong with one that could not be claimed, or frees it from a send that never came to be. */
  async function reconsider(row: AttachmentRow | undefined, claim: Claim): Promise<void> {
    if (row === undefined) throw badInput('There is no such attachment of yours.', field)
    if (row.status === 'PENDING') throw badInput('An attachment has to be uploaded and completed first.', field)
    if (row.status === 'FAILED') throw badInput('This file could not be taken, and cannot be sent.', field)
    if (isClaimOf(row, claim) || (row.claimedKey === null && row.claimedAt === null)) return
    if (row.claimedAt !== null) throw taken()
    const key = await messageKeyOf(row)
    if (key === null) {
      if (!(await free(row, sendSeconds))) throw undecided()
    } else if (!(await isLeftOut(row, key)) || !(await free(row, 0))) throw taken()
  }

  return {
    messageOf,

    /**
     * Claims attachments for a send. Throws BAD_USER_INPUT where they are not the viewer's own, completed, or too many,
     * CONFLICT where another message has them, UNAVAILABLE where it may turn out to. Where the send was written before,
     * what has become of them since does not matter. Returns since when they are claimed, for `giveBack`; null where the
     * send, or another copy of it, had claimed them before.
     */
    async claim(viewerId: string, keys: readonly AttachmentKey[], claim: Claim): Promise<Date | null> {
      if (keys.length > maxAttachments) throw badInput(`A message has at most ${maxAttachments} attachments.`, field)
      const ids = keys.map(({ id }) => id)
      if (new Set(ids).size < ids.length) throw badInput('An attachment stands in a message once.', field)
      if (keys.some(({ userId }) => userId !== viewerId)) throw badInput('There is no such attachment of yours.', field)
      const since = await take(viewerId, ids, claim, false)
      if (since !== null) return since
      if ((await take(viewerId, ids, claim, true)) !== null) return null
      const [sent] = await database.run(
        '/* sent with a claim */ select from send_keys where channel_id = $1 and key_hash = $2::text::uuid',
        [claim.channelId, claim.keyHash],
      )
      if (sent !== undefined) return null
      const rows = new Map((await findOwn(viewerId, ids)).map((row) => [row.id, row]))
      for (const id of ids) await reconsider(rows.get(id), claim)
      if ((await take(viewerId, ids, claim, true)) === null) throw taken()
      return null
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

    /**
     * Gives back what a send has claimed that was surely not written: refused, or its key is another message's. What that
     * one has itself stays. `since`: only what was claimed then, so that another copy of the send loses nothing.
     */
    async giveBack(
      viewerId: string,
      keys: readonly AttachmentKey[],
      claim: Claim,
      since: Date | null = null,
    ): Promise<void> {
      for (const row of await findOwn(viewerId, keys.map(({ id }) => id))) {
        if (!isClaimOf(row, claim) || row.claimedAt !== null || (await messageOf(row)) !== null) continue
        await free(row, 0, since)
      }
    },
  }
}

const taken = () => conflict('This attachment is part of another message.', field)

/** A send has claimed it, and may be under way: where it is not, it is free in a while. */
const undecided = () =>
  new MaruError('UNAVAILABLE', 'This attachment may be part of a message that is being sent; try again.', {
    field,
    retryAfterMs: 5_000,
  })
