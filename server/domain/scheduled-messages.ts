import { randomUUID } from 'node:crypto'
import { and, asc, count, eq } from 'drizzle-orm'
import type { Transaction } from '../../drizzle/connection.ts'
import { scheduledMessages, sendKeys } from '../../drizzle/tables/index.ts'
import { badInput, conflict, expectedFailure, notFound } from '../errors.ts'
import type { JobData } from '../jobs/jobs.ts'
import { storeTime } from '../lib/store-time.ts'
import { checkText, maxContentLength } from '../lib/text.ts'
import { createTurns } from '../lib/turns.ts'
import { hashOf } from '../message-store/send.ts'
import { accessChannel } from './access.ts'
import type { Deps } from './deps.ts'
import { checkAhead, lockPerson } from './later.ts'
import { checkKey, type MessagesService } from './messages.ts'
import { filterContent } from './moderation-filter.ts'
import { dueOf, jobOf, maxTurnMs, type ScheduledMessageRow, slowAmong, sweepScheduled, turnOf } from './scheduled-messages-due.ts'

export type { ScheduledMessageRow } from './scheduled-messages-due.ts'

export type ScheduleInput = { channelId: string; content: string; sendAt: Date; idempotencyKey?: string | null }

/** What is left out stays as it is. */
export type UpdateScheduledInput = { id: string; content?: string | null | undefined; sendAt?: Date | null | undefined }

export type ScheduledMessagesService = ReturnType<typeof createScheduledMessagesService>

/** Of one person: as much as anybody keeps in mind, and all of it fits on one page. */
export const maxScheduled = 100

/**
 * One is sent at a time in each process: it holds a connection while the send takes others, and of two that do so the
 * smallest pool has none left. Another waits for so long, in milliseconds, and is then tried again as a job is.
 */
const maxWaitMs = 30_000

/** The key that it is sent with, so that it is sent once, however often its job runs. */
const sendKeyOf = (id: string) => `scheduled:${id}`

const sendKeyHash = ({ userId, id }: Pick<ScheduledMessageRow, 'userId' | 'id'>) => hashOf(`${userId} ${sendKeyOf(id)}`)

/** Why a message was not sent: for good, with what its author is told of it, or as its turn comes in so many milliseconds. */
type Refusal = { failure: string } | { retryAfterMs: number }

/**
 * Messages that are sent later. A row stands for one that is not sent yet, and its lock decides between whoever moves or
 * cancels it and the job that sends it.
 */
export function createScheduledMessagesService({ database, snowflakes, jobs, filter }: Deps, messages: MessagesService) {
  const { orm } = database
  const turns = createTurns(maxWaitMs)

  const own = (userId: string, id: string) => and(eq(scheduledMessages.userId, userId), eq(scheduledMessages.id, id))

  /**
   * Why something may not be scheduled, as the deployment's filter has it; null where it may. What takes its place is
   * found as it is sent.
   */
  async function refusalOf(authorId: string, channelId: string, content: string): Promise<unknown> {
    if (filter === null) return null
    const checked = { kind: 'MESSAGE' as const, authorId, channelId, content }
    return filterContent(filter, checked, 'input.content').then(() => null, (error: unknown) => error)
  }

  /** The same for another text of one that waits. Throws what its author is refused with whatever it says. */
  async function refusalOfChange(authorId: string, id: string, content: string): Promise<unknown> {
    if (filter === null) return null
    // It stays in its channel, so that this may be read before it is locked.
    const waiting = await find(authorId, id)
    if (waiting === null) throw notFound('scheduled message', 'input.id')
    await accessChannel(orm, authorId, waiting.channelId, 'post', 'input.id')
    return refusalOf(authorId, waiting.channelId, content)
  }

  async function find(userId: string, id: string): Promise<ScheduledMessageRow | null> {
    const [row] = await orm.select().from(scheduledMessages).where(own(userId, id))
    return row ?? null
  }

  async function lock(tx: Transaction, userId: string, id: string): Promise<ScheduledMessageRow | undefined> {
    const [row] = await tx.orm.select().from(scheduledMessages).where(own(userId, id)).for('update')
    return row
  }

  /** Sends it; returns why that cannot be, and null where it was sent, now or before. */
  async function attempt({ id, userId, channelId, content }: ScheduledMessageRow): Promise<Refusal | null> {
    try {
      await messages.send(userId, { channelId, content, idempotencyKey: sendKeyOf(id) })
      return null
    } catch (error) {
      const failure = expectedFailure(error)
      // It was sent before, and has been edited here or removed there since.
      if (failure?.field === 'input.idempotencyKey') return null
      if (failure !== null && ['FORBIDDEN', 'NOT_FOUND', 'BAD_USER_INPUT'].includes(failure.code)) {
        return { failure: failure.message }
      }
      if (failure?.code === 'RATE_LIMITED') return { retryAfterMs: failure.retryAfterMs ?? maxTurnMs }
      // Nobody knows whether it was sent: the next attempt will.
      throw error
    }
  }

  /** Sends one that is locked and due, or says why not; one whose turn has not come waits for it. Returns whether it waits. */
  async function sendLocked(tx: Transaction, row: ScheduledMessageRow): Promise<boolean> {
    const refusal = await attempt(row)
    const itself = own(row.userId, row.id)
    if (refusal === null) await tx.orm.delete(scheduledMessages).where(itself)
    else if ('failure' in refusal) await tx.orm.update(scheduledMessages).set(refusal).where(itself)
    else await jobs.add(tx, [turnOf(row, new Date(+(await storeTime(tx)) + Math.min(refusal.retryAfterMs, maxTurnMs)))])
    return refusal !== null && 'retryAfterMs' in refusal
  }

  return {
    /**
     * Keeps a message to be sent at a moment that is yet to come. The same key with the same body gives back the same
     * one, for as long as it is not sent; with another body it is a CONFLICT. Throws FORBIDDEN or NOT_FOUND where the
     * viewer may not post now, and CONFLICT where too many are waiting.
     */
    async schedule(viewerId: string, input: ScheduleInput): Promise<ScheduledMessageRow> {
      const { channelId, sendAt } = input
      await accessChannel(orm, viewerId, channelId, 'post', 'input.channelId')
      const content = checkText(input.content, 'A message', 'input.content', maxContentLength)
      const idempotencyKey = checkKey(input.idempotencyKey ?? randomUUID())
      const refusal = await refusalOf(viewerId, channelId, content)
      return database.transaction(async (tx) => {
        await lockPerson(tx, viewerId)
        const [known] = await tx.orm
          .select()
          .from(scheduledMessages)
          .where(and(eq(scheduledMessages.userId, viewerId), eq(scheduledMessages.idempotencyKey, idempotencyKey)))
        if (known !== undefined) {
          if (known.channelId === channelId && known.content === content && +known.sendAt === +sendAt) return known
          throw conflict('This key was used for another message.', 'input.idempotencyKey')
        }
        if (refusal !== null) throw refusal
        await checkAhead(tx, sendAt, 'input.sendAt')
        const [all] = await tx.orm
          .select({ count: count() })
          .from(scheduledMessages)
          .where(eq(scheduledMessages.userId, viewerId))
        if (all!.count >= maxScheduled) throw conflict(`At most ${maxScheduled} messages can be scheduled.`, 'input')
        const row = { userId: viewerId, id: snowflakes.next(), channelId, content, sendAt, idempotencyKey }
        const [made] = await tx.orm.insert(scheduledMessages).values({ ...row, createdAt: new Date() }).returning()
        await jobs.add(tx, [jobOf(made!)])
        return made!
      })
    },

    /**
     * Changes what will be said, or when; one that could not be sent is put off anew, and needs another moment. Throws
     * NOT_FOUND where there is none, or it has been sent.
     */
    async update(viewerId: string, { id, ...input }: UpdateScheduledInput): Promise<ScheduledMessageRow> {
      // Before the row is held, as it may take a while.
      const refusal = input.content == null ? null : await refusalOfChange(viewerId, id, input.content)
      return database.transaction(async (tx) => {
        const row = await lock(tx, viewerId, id)
        if (row === undefined || (await isSent(tx, row))) throw notFound('scheduled message', 'input.id')
        await accessChannel(tx.orm, viewerId, row.channelId, 'post', 'input.id')
        if (input.content === null) throw badInput('A message must not be empty.', 'input.content')
        if (input.sendAt === null) throw badInput('A scheduled message has its time.', 'input.sendAt')
        const { content = row.content, sendAt = row.sendAt } = input
        if (content !== row.content) {
          checkText(content, 'A message', 'input.content', maxContentLength)
          if (refusal !== null) throw refusal
        }
        const isMoved = row.failure !== null || +sendAt !== +row.sendAt
        if (isMoved) await checkAhead(tx, sendAt, 'input.sendAt')
        const [updated] = await tx.orm
          .update(scheduledMessages)
          .set({ content, sendAt, failure: null })
          .where(own(viewerId, id))
          .returning()
        if (isMoved) await jobs.add(tx, [jobOf(updated!)])
        return updated!
      })
    },

    /** Takes one back; false where there is none, or it has been sent. What is cancelled is never sent. */
    async cancel(viewerId: string, id: string): Promise<boolean> {
      return database.transaction(async (tx) => {
        const [gone] = await tx.orm.delete(scheduledMessages).where(own(viewerId, id)).returning()
        if (gone === undefined) return false
        // Its key is used up: where a worker died, or slept, between sending it and saying so, this tells which it was;
        // and whoever still has it in hand cannot send it any more. Retention takes such a key away with the first that
        // it takes, as it is of no message.
        const { channelId } = gone
        const used = await tx.orm
          .insert(sendKeys)
          .values({ channelId, keyHash: sendKeyHash(gone), bodyHash: hashOf('cancelled'), messageId: '0' })
          .onConflictDoNothing()
          .returning({ channelId: sendKeys.channelId })
        return used.length > 0
      })
    },

    /** The viewer's, in one channel or in all, the soonest first; those that could not be sent, too. */
    list: (viewerId: string, channelId: string | null): Promise<ScheduledMessageRow[]> =>
      orm
        .select()
        .from(scheduledMessages)
        .where(
          and(
            eq(scheduledMessages.userId, viewerId),
            channelId === null ? undefined : eq(scheduledMessages.channelId, channelId),
          ),
        )
        .orderBy(asc(scheduledMessages.sendAt), asc(scheduledMessages.id)),

    /** One of the viewer's; null where there is none. */
    find,

    /**
     * Sends one that is due, for the job that says so, and once, however often it is called. One that was moved is left
     * to the job of its new time; one that its author may not send any more stays, and says why. In slow mode each waits
     * for those before it, and all for one job, `sendNext`.
     */
    sendDue: ({ userId, id, sendAt }: JobData['scheduled-message']): Promise<void> =>
      turns.take('send', () =>
        database.transaction(async (tx) => {
          const row = await lock(tx, userId, id)
          if (row === undefined || row.failure !== null || row.sendAt.toISOString() !== sendAt) return
          // Put back by an operator, or by a clock that was set.
          if ((await storeTime(tx)) < row.sendAt) return jobs.add(tx, [jobOf(row)])
          const [first = row] = await dueOf(tx, row).limit(1)
          if (first.id !== id && (await slowAmong(tx, [row.channelId])).size > 0) return jobs.add(tx, [turnOf(row)])
          await sendLocked(tx, row)
        }),
      ),

    /** Sends the first that is due of what somebody has scheduled in a channel, and lets the next one follow in its turn. */
    sendNext: (of: JobData['scheduled-turn']): Promise<void> =>
      turns.take('send', () =>
        database.transaction(async (tx) => {
          // None also where another worker, who was waited for, has sent the first.
          const [row] = await dueOf(tx, of).limit(1).for('update')
          if (row !== undefined && (await sendLocked(tx, row))) return
          if ((await dueOf(tx, of).limit(1)).length > 0) await jobs.add(tx, [turnOf(of)])
        }),
      ),

    /**
     * Gives what is overdue another job; one too many does no harm. What may be waiting for its turn in slow mode shares
     * the one that waits already. Returns how many there were, a page of each a transaction.
     */
    sweep: (): Promise<number> => sweepScheduled(database, jobs),
  }
}

/** Whether it has been sent by a worker that died before it could say so. */
async function isSent(tx: Transaction, row: ScheduledMessageRow): Promise<boolean> {
  const [key] = await tx.orm
    .select({ channelId: sendKeys.channelId })
    .from(sendKeys)
    .where(and(eq(sendKeys.channelId, row.channelId), eq(sendKeys.keyHash, sendKeyHash(row))))
  return key !== undefined
}
