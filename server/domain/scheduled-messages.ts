import { randomUUID } from 'node:crypto'
import { and, asc, count, eq, isNull } from 'drizzle-orm'
import type { Transaction } from '../../drizzle/connection.ts'
import { scheduledMessages, sendKeys } from '../../drizzle/tables/index.ts'
import { badInput, conflict, expectedFailure, notFound } from '../errors.ts'
import type { JobData, NewJob } from '../jobs/jobs.ts'
import { storeTime } from '../lib/store-time.ts'
import { checkText, maxContentLength } from '../lib/text.ts'
import { createTurns } from '../lib/turns.ts'
import { hashOf } from '../message-store/send.ts'
import { accessChannel } from './access.ts'
import type { Deps } from './deps.ts'
import { checkAhead, isOverdue, lockPerson, overdueAtOnce } from './later.ts'
import { checkKey, type MessagesService } from './messages.ts'
import { filterContent } from './moderation-filter.ts'

export type ScheduledMessageRow = typeof scheduledMessages.$inferSelect

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

/** The job that sends it, at the time that it is set to now. */
const jobOf = ({ userId, id, sendAt }: ScheduledMessageRow): NewJob => ({
  kind: 'scheduled-message',
  data: { userId, id, sendAt: sendAt.toISOString() },
  startAfter: sendAt,
})

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
  async function refusalOf(authorId: string, channelId: string | null, content: string): Promise<unknown> {
    if (filter === null) return null
    const checked = { kind: 'MESSAGE' as const, authorId, channelId, content }
    return filterContent(filter, checked, 'input.content').then(() => null, (error: unknown) => error)
  }

  async function lock(tx: Transaction, userId: string, id: string): Promise<ScheduledMessageRow | undefined> {
    const [row] = await tx.orm.select().from(scheduledMessages).where(own(userId, id)).for('update')
    return row
  }

  /** Sends it; returns what its author is to know of why that cannot be, and null where it was sent, now or before. */
  async function attempt({ id, userId, channelId, content }: ScheduledMessageRow): Promise<string | null> {
    try {
      await messages.send(userId, { channelId, content, idempotencyKey: sendKeyOf(id) })
      return null
    } catch (error) {
      const failure = expectedFailure(error)
      // It was sent before, and has been edited here or removed there since.
      if (failure?.field === 'input.idempotencyKey') return null
      if (failure !== null && ['FORBIDDEN', 'NOT_FOUND', 'BAD_USER_INPUT'].includes(failure.code)) return failure.message
      // Nobody knows whether it was sent: the next attempt will.
      throw error
    }
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
      const refusal = input.content == null ? null : await refusalOf(viewerId, null, input.content)
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
    async find(viewerId: string, id: string): Promise<ScheduledMessageRow | null> {
      const [row] = await orm.select().from(scheduledMessages).where(own(viewerId, id))
      return row ?? null
    },

    /**
     * Sends one that is due, for the job that says so, and once, however often it is called. One that was moved is left
     * to the job of its new time; one that its author may not send any more stays, and says why.
     */
    sendDue: ({ userId, id, sendAt }: JobData['scheduled-message']): Promise<void> =>
      turns.take('send', () =>
        database.transaction(async (tx) => {
          const row = await lock(tx, userId, id)
          if (row === undefined || row.failure !== null || row.sendAt.toISOString() !== sendAt) return
          // Put back by an operator, or by a clock that was set.
          if ((await storeTime(tx)) < row.sendAt) return jobs.add(tx, [jobOf(row)])
          const failure = await attempt(row)
          if (failure === null) await tx.orm.delete(scheduledMessages).where(own(userId, id))
          else await tx.orm.update(scheduledMessages).set({ failure }).where(own(userId, id))
        }),
      ),

    /** Gives what is overdue another job; one too many does no harm. Returns how many there were. */
    sweep: (): Promise<number> =>
      database.transaction(async (tx) => {
        const overdue = await tx.orm
          .select()
          .from(scheduledMessages)
          .where(and(isOverdue(scheduledMessages.sendAt), isNull(scheduledMessages.failure)))
          .limit(overdueAtOnce)
        await jobs.add(tx, overdue.map(jobOf))
        return overdue.length
      }),
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
