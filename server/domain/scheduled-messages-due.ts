import { and, asc, eq, isNotNull, isNull, lte, sql } from 'drizzle-orm'
import type { Database, Transaction } from '../../drizzle/connection.ts'
import { channels, scheduledMessages } from '../../drizzle/tables/index.ts'
import type { JobAdder, JobData, NewJob } from '../jobs/jobs.ts'
import { isOneOf } from '../lib/sql.ts'
import { isOverdue, overdueAtOnce } from './later.ts'

export type ScheduledMessageRow = typeof scheduledMessages.$inferSelect

/** The job that sends one, at the time that it is set to now. */
export const jobOf = ({ userId, id, sendAt }: ScheduledMessageRow): NewJob => ({
  kind: 'scheduled-message',
  data: { userId, id, sendAt: sendAt.toISOString() },
  startAfter: sendAt,
})

/** The job that sends the first of somebody's in a channel, now or when it is their turn; one waits at a time. */
export const turnOf = ({ userId, channelId }: JobData['scheduled-turn'], startAfter?: Date): NewJob => ({
  kind: 'scheduled-turn',
  data: { userId, channelId },
  key: `${userId} ${channelId}`,
  ...(startAfter === undefined ? {} : { startAfter }),
})

/**
 * Nobody waits for a turn for longer without looking whether slow mode has become shorter meanwhile, or is over.
 * Milliseconds.
 */
export const maxTurnMs = 10 * 60_000

/** What somebody has scheduled in a channel and is due, in the order of its time. */
export const dueOf = (tx: Transaction, { userId, channelId }: JobData['scheduled-turn']) =>
  tx.orm
    .select()
    .from(scheduledMessages)
    .where(
      and(
        eq(scheduledMessages.userId, userId),
        eq(scheduledMessages.channelId, channelId),
        isNull(scheduledMessages.failure),
        lte(scheduledMessages.sendAt, sql`clock_timestamp()`),
      ),
    )
    .orderBy(asc(scheduledMessages.sendAt), asc(scheduledMessages.id))

/** Of these channels, those in slow mode. */
export async function slowAmong(tx: Transaction, channelIds: string[]): Promise<Set<string>> {
  const slow = await tx.orm
    .select({ id: channels.id })
    .from(channels)
    .where(and(isOneOf(channels.id, channelIds), isNotNull(channels.slowModeSeconds)))
  return new Set(slow.map(({ id }) => id))
}

/** Gives what is overdue another job, or the turn that waits already, a page in each transaction. Returns how many there were. */
export async function sweepScheduled(database: Database, jobs: JobAdder): Promise<number> {
  let [seen, given] = [0, 0]
  let last: ScheduledMessageRow | undefined
  do {
    const { overdue, lost } = await database.transaction(async (tx) => {
      const overdue = await overdueAfter(tx, last)
      const slow = await slowAmong(tx, [...new Set(overdue.map(({ channelId }) => channelId))])
      const { waiting = [], lost = [] } = Object.groupBy(overdue, (row) => (slow.has(row.channelId) ? 'waiting' : 'lost'))
      const turns = new Map(waiting.map((row) => [`${row.userId} ${row.channelId}`, turnOf(row)]))
      await jobs.add(tx, [...lost.map(jobOf), ...turns.values()])
      return { overdue, lost }
    })
    seen += overdue.length
    given += lost.length
    last = overdue.length < overdueAtOnce ? undefined : overdue.at(-1)
    // What waits for its turn must not keep others from being found.
  } while (last !== undefined && given < overdueAtOnce)
  return seen
}

/** A page of what is overdue: that after a row, or the first. */
function overdueAfter(tx: Transaction, last: ScheduledMessageRow | undefined): Promise<ScheduledMessageRow[]> {
  const { userId, id, sendAt, failure } = scheduledMessages
  const after = last && sql`(${sendAt}, ${userId}, ${id}) > (${last.sendAt.toISOString()}, ${last.userId}, ${last.id})`
  return tx.orm
    .select()
    .from(scheduledMessages)
    .where(and(isOverdue(sendAt), isNull(failure), after))
    .orderBy(asc(sendAt), asc(userId), asc(id))
    .limit(overdueAtOnce)
}
