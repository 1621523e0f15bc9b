import { randomUUID } from 'node:crypto'
import { and, eq, isNull, sql } from 'drizzle-orm'
import { members, mentions, reactions, replies, usernames } from '../../drizzle/tables/index.ts'
import { badInput, conflict, expectedFailure, forbidden, MaruError, notFound, unavailable } from '../errors.ts'
import type { JobAdder } from '../jobs/jobs.ts'
import { findLinks } from '../lib/links.ts'
import { mentionCandidates } from '../lib/mentions.ts'
import { isOneOf } from '../lib/sql.ts'
import { checkText, isBlank, maxContentLength } from '../lib/text.ts'
import type { LockedChannel } from '../message-store/channel-lock.ts'
import { type MessageKey, readMessage } from '../message-store/pages.ts'
import type { ChannelRow, MessageKind, MessageRow } from '../message-store/rows.ts'
import { hashOf, keyHash } from '../message-store/send.ts'
import { accessChannel, authoriseLocked } from './access.ts'
import { tellEdited, tellEmptied } from './activities-writing.ts'
import { createAttachmentClaims } from './attachments-claims.ts'
import { abandonAttachments } from './attachments-removal.ts'
import type { AttachmentKey } from './attachments-rows.ts'
import { noteDeletion } from './audit-log.ts'
import { whoBlocks } from './blocks.ts'
import type { Deps } from './deps.ts'
import { syncLinks } from './link-previews.ts'
import { createMessageFilter } from './moderation-filter.ts'
import { checkReason } from './moderation.ts'
import { createPostingRights } from './posting-rights.ts'
import { createSlowModeTurns, type Sent, type Turn } from './slow-mode-turns.ts'
import { takeBackDeleted } from './pushes.ts'

/** Messages as the first two parameters of a statement, which reads them `from` this. */
export const wantedMessages = 'unnest($1::bigint[], $2::bigint[]) as wanted (channel_id, message_id)'

export type SendInput = {
  channelId: string
  content: string
  kind?: Extract<MessageKind, 'USER' | 'ACTION'>
  replyTo?: MessageKey | null
  attachments?: readonly AttachmentKey[]
  idempotencyKey?: string | null
}

export type MessagesService = ReturnType<typeof createMessagesService>

/** Idempotency keys are stored for good, so they are bounded. */
const maxKeyLength = 128

/** Returns a key that a client has chosen, if it is fit to be one; else BAD_USER_INPUT. */
export function checkKey(key: string): string {
  if (key.length <= maxKeyLength && /^[\x20-\x7e]+$/.test(key)) return key
  throw badInput(`An idempotency key has 1 to ${maxKeyLength} ASCII characters.`, 'input.idempotencyKey')
}

/** A membership that moves while a send is on its way makes it look again; more often than this is no accident. */
const maxAuthorisations = 5

/** What a message says. It may say nothing where it shows something. Throws BAD_USER_INPUT. */
const checkContent = (content: string, hasAttachments: boolean): string =>
  hasAttachments && isBlank(content) ? '' : checkText(content, 'A message', 'input.content', maxContentLength)

/** Sending, editing and deleting. */
export function createMessagesService(deps: Deps) {
  const { database, store, announce, jobs, filter } = deps
  const { orm } = database
  const attached = createAttachmentClaims(deps)
  const rights = createPostingRights(orm)
  const filters = createMessageFilter(deps)
  const slowMode = createSlowModeTurns(deps)

  /**
   * Who of the channel's members is named in the text; nobody twice, in the order of their ids. Who has blocked its
   * author is not called.
   */
  async function findMentions(channelId: string, authorId: string, content: string): Promise<string[]> {
    const candidates = mentionCandidates(content)
    if (candidates.length === 0) return []
    const keys = [...new Set(candidates.flat())]
    const named = await orm.select().from(usernames).where(sql`${usernames.key} = any (${sql.param(keys)}::text[])`)
    if (named.length === 0) return []
    const namedIds = named.map((row) => row.userId)
    const [here, blocking] = await Promise.all([
      orm
        .select({ userId: members.userId })
        .from(members)
        .where(and(eq(members.channelId, channelId), isOneOf(members.userId, namedIds), isNull(members.leftAt))),
      whoBlocks(orm, namedIds, authorId),
    ])
    const present = new Set(here.map((row) => row.userId)).difference(blocking)
    const byKey = new Map(named.filter((row) => present.has(row.userId)).map((row) => [row.key, row.userId]))
    const found = candidates.map((choices) => choices.find((key) => byKey.has(key)))
    return [...new Set(found.flatMap((key) => (key === undefined ? [] : [byKey.get(key)!])))].toSorted()
  }

  /** A message, named by the input at `field`; throws NOT_FOUND where there is none. */
  async function findMessage(key: MessageKey, field: string): Promise<MessageRow> {
    const message = await store.message(key)
    if (message === null) throw notFound('message', field)
    return message
  }

  async function findRoot(channelId: string, replyTo: MessageKey | null | undefined): Promise<MessageRow | null> {
    if (replyTo == null) return null
    if (replyTo.channelId !== channelId) throw badInput('A reply stays in the channel.', 'input.replyToId')
    return findMessage(replyTo, 'input.replyToId')
  }

  /** Runs `work` on a message, named by the input at `field`, whose channel is locked; announces what it changed. */
  async function changeMessage<Result>(
    key: MessageKey,
    field: string,
    work: (channel: LockedChannel, message: MessageRow) => Promise<Result>,
  ): Promise<Result> {
    const done = await store.change(key.channelId, async (channel) => {
      const message = await readMessage(channel.tx, key)
      // One that retention is about to remove is not there any more.
      if (message === null || message.seq < channel.row.firstSeq) throw notFound('message', field)
      return work(channel, message)
    })
    if (done === null) throw notFound('message', field)
    announce.channel(done.changes)
    return done.result
  }

  /** Sends a message, once its turn has come: `send`. */
  async function sendInTurn(viewerId: string, input: SendInput, turn: Turn): Promise<Sent> {
    const { channelId } = input
    const kind = input.kind ?? 'USER'
    const key = input.idempotencyKey ?? randomUUID()
    const files = input.attachments ?? []
    let filtered: string | null = null
    const claim = files.length === 0 ? null : { channelId, keyHash: keyHash({ authorId: viewerId, key }) }
    for (let attempt = 0; attempt < maxAuthorisations; attempt++) {
      const { membershipVersion, slowModeSeconds } = await rights.check(viewerId, channelId)
      const content = checkContent(input.content, files.length > 0)
      checkKey(key)
      // Most deployments have no filter, and wait for none. What counts for a retry is what was asked for.
      const stored = filter === null ? content : (filtered ??= await filters.sent(viewerId, input, content))
      const root = await findRoot(channelId, input.replyTo)
      const mentionIds = await findMentions(channelId, viewerId, stored)
      const bodyHash = hashOf(JSON.stringify([kind, content, root?.id ?? null, ...files.map(({ id }) => id)]))
      await turn.take({ key, bodyHash }, slowModeSeconds, async () => {
        rights.forget(viewerId, channelId)
        return (await rights.check(viewerId, channelId)).slowModeSeconds
      })
      const since = claim === null ? null : await attached.claim(viewerId, files, claim)
      const sending = { authorId: viewerId, key, bodyHash, kind, content: stored, root, mentionIds }
      const giveBack = async () => {
        if (claim !== null && since !== null) await attached.giveBack(viewerId, files, claim, since)
      }
      const outcome = await store
        .send(channelId, membershipVersion, { ...sending, attachmentIds: files.map(({ id }) => id) })
        .catch(async (error: unknown) => {
          if (expectedFailure(error)?.code !== 'UNAVAILABLE') await giveBack().catch(() => {})
          throw error
        })
      if (outcome === 'moved') {
        rights.forget(viewerId, channelId)
        // Whoever is refused now may send them elsewhere, or again with another key.
        await giveBack()
        continue
      }
      if (outcome.outcome === 'sent' || outcome.outcome === 'repeated') {
        if (claim !== null) await attached.confirm(outcome.message)
        return outcome
      }
      if (claim !== null) await attached.giveBack(viewerId, files, claim)
      if (outcome.outcome === 'expired') {
        throw new MaruError('NOT_FOUND', 'What was sent with this key has been removed since.', { field: 'input.idempotencyKey' })
      }
      throw conflict('This key was used for another message.', 'input.idempotencyKey')
    }
    throw unavailable(new Error('membership keeps moving'))
  }

  return {
    changeMessage,

    /**
     * Sends a message and returns it as stored. The same key with the same body gives back the first message, in its
     * latest state; with another body it is a CONFLICT. Throws UNAVAILABLE when it is not known whether it was stored:
     * sending again with the same key is safe.
     */
    send: (viewerId: string, input: SendInput): Promise<MessageRow> =>
      slowMode.during(viewerId, input.channelId, (turn) => sendInTurn(viewerId, input, turn)),

    /** Replaces what a message says. Only its author may, and only what was written, not what the system says. */
    async edit(viewerId: string, key: MessageKey, newContent: string): Promise<MessageRow> {
      const field = 'input.messageId'
      await accessChannel(orm, viewerId, key.channelId, 'editOwn', field)
      const written = checkContent(newContent, true)
      const content = filter === null ? written : await filters.edited(viewerId, key, written)
      const mentionIds = await findMentions(key.channelId, viewerId, content)
      return changeMessage(key, field, async (channel, message) => {
        await authoriseLocked(channel.tx.orm, channel.row, viewerId, 'editOwn')
        if (message.authorId !== viewerId) throw forbidden('Only its author may edit a message.')
        if (message.deletedAt !== null) throw conflict('The message has been deleted.', field)
        if (message.kind !== 'USER' && message.kind !== 'ACTION') throw forbidden('This message cannot be edited.')
        checkContent(content, message.attachmentIds.length > 0)
        if (message.content === content) return message
        await replaceMentions(channel, message, mentionIds)
        await tellEdited(channel.tx, jobs, message, mentionIds)
        await syncLinks(channel, message, content)
        if (findLinks(content).length > 0) {
          const data = { channelId: message.channelId, messageId: message.id }
          await jobs.add(channel.tx, [{ kind: 'link-preview', data }])
        }
        return channel.touchMessage(message.id, 'EDITED', { content, mentionIds, editedAt: new Date() })
      })
    },

    /**
     * Empties a message; it stays in its place as a tombstone. Its author may, and who keeps order, which is noted in
     * the audit log. Deleting it again changes nothing.
     */
    async delete(viewerId: string, key: MessageKey, givenReason: string | null = null): Promise<MessageRow> {
      await accessChannel(orm, viewerId, key.channelId, 'read', 'messageId')
      const reason = checkReason(givenReason, 'reason')
      return changeMessage(key, 'messageId', async (channel, message) => {
        const own = message.authorId === viewerId
        await authoriseLocked(channel.tx.orm, channel.row, viewerId, own ? 'deleteOwn' : 'deleteAny')
        if (message.kind !== 'USER' && message.kind !== 'ACTION') throw forbidden('This message cannot be deleted.')
        if (message.deletedAt !== null) return message
        if (!own) await noteDeletion(channel.tx, message, { actorId: viewerId, reason })
        return makeTombstone(channel, message, jobs)
      })
    },

    /** These messages, in no order; those that do not exist are left out. Permission is the caller's affair. */
    findMany: (keys: readonly MessageKey[]): Promise<MessageRow[]> => store.messages(keys),

    /** Pages of history, one for each request. Permission is the caller's affair. */
    pages: store.pages,

    /** A message that the viewer may read, named by the input at `field`, with its channel; throws NOT_FOUND or FORBIDDEN. */
    async access(
      viewerId: string,
      key: MessageKey,
      field = 'messageId',
    ): Promise<{ message: MessageRow; channel: ChannelRow }> {
      const { channel } = await accessChannel(orm, viewerId, key.channelId, 'read', field)
      return { message: await findMessage(key, field), channel }
    },
  }
}

/**
 * Empties a message whose channel is locked, and takes away whatever hangs on it; it stays in its place. Returns it as it
 * is then. Whether that may be done is the caller's affair.
 */
export async function makeTombstone(channel: LockedChannel, message: MessageRow, jobs: JobAdder): Promise<MessageRow> {
  await syncLinks(channel, message, '')
  await takeBackDeleted(channel.tx, jobs, message)
  await replaceMentions(channel, message, [])
  const taken = await channel.tx.orm
    .delete(reactions)
    .where(and(eq(reactions.channelId, message.channelId), eq(reactions.messageId, message.id)))
    .returning({ userId: reactions.userId })
  await tellEmptied(channel.tx, jobs, message, taken.length > 0)
  const deleted = await channel.touchMessage(message.id, 'DELETED', {
    content: '',
    mentionIds: [],
    attachmentIds: [],
    deletedAt: new Date(),
    pinnedAt: null,
  })
  if (message.attachmentIds.length > 0) {
    await abandonAttachments(channel.tx, jobs, [{ userId: message.authorId, attachmentIds: message.attachmentIds }])
  }
  if (message.replyToId !== null) await uncountReply(channel, message.replyToId, message.seq)
  return deleted
}

async function replaceMentions(channel: LockedChannel, message: MessageRow, mentionIds: string[]): Promise<void> {
  const { orm } = channel.tx
  const here = and(eq(mentions.channelId, message.channelId), eq(mentions.seq, message.seq))
  if (message.mentionIds.length > 0) {
    await orm.delete(mentions).where(and(here, isOneOf(mentions.userId, message.mentionIds)))
  }
  if (mentionIds.length === 0) return
  const { channelId, seq, id: messageId } = message
  await orm.insert(mentions).values(mentionIds.map((userId) => ({ channelId, userId, seq, messageId })))
}

/** A deleted reply no longer counts where it answered. */
async function uncountReply(channel: LockedChannel, rootId: string, seq: number): Promise<void> {
  const channelId = channel.row.id
  await channel.tx.orm
    .update(replies)
    .set({ deleted: true })
    .where(and(eq(replies.channelId, channelId), eq(replies.rootId, rootId), eq(replies.seq, seq)))
  const root = await readMessage(channel.tx, { channelId, messageId: rootId })
  if (root === null) return
  await channel.touchMessage(rootId, 'ENRICHED', { replyCount: Math.max(0, root.replyCount - 1) })
}
