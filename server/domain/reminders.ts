import { and, desc, eq, isNull, sql } from 'drizzle-orm'
import { accountChanges, reminders } from '../../drizzle/tables/index.ts'
import { badInput, conflict } from '../errors.ts'
import type { JobData, NewJob } from '../jobs/jobs.ts'
import { checkText } from '../lib/text.ts'
import type { MessageKey } from '../message-store/pages.ts'
import { touchAccounts } from './accounts.ts'
import type { Deps } from './deps.ts'
import { checkAhead, isOverdue, lockPerson, overdueAtOnce } from './later.ts'
import type { MessagesService } from './messages.ts'

export type ReminderRow = typeof reminders.$inferSelect

/** A reminder is known by whose it is and which it is. */
export type ReminderKey = Pick<ReminderRow, 'userId' | 'id'>

export type CreateReminderInput = { message?: MessageKey | null; remindAt: Date; note?: string | null }

export type RemindersService = ReturnType<typeof createRemindersService>

/** Of one person, that are yet to come: all of them fit on one page. */
const maxUpcoming = 100

/** Code points of a note. */
const maxNoteLength = 1_000

/** The job that reminds, at the time that it is set to. */
const jobOf = ({ userId, id, remindAt }: ReminderRow): NewJob => ({
  kind: 'reminder',
  data: { userId, id, remindAt: remindAt.toISOString() },
  startAfter: remindAt,
})

/** What people want to be told of later: a message, a note, or both. */
export function createRemindersService({ database, snowflakes, announce, jobs }: Deps, messages: MessagesService) {
  const { orm } = database

  const own = ({ userId, id }: ReminderKey) => and(eq(reminders.userId, userId), eq(reminders.id, id))

  return {
    /**
     * Keeps a reminder of a moment that is yet to come. Asking for the same again while it is yet to come gives back
     * that one, so that a retry makes no second. Throws NOT_FOUND or FORBIDDEN where the viewer may not read the
     * message, and CONFLICT where too many are waiting.
     */
    async create(viewerId: string, input: CreateReminderInput): Promise<ReminderRow> {
      const { message = null, remindAt } = input
      if (message !== null) await messages.access(viewerId, message, 'input.messageId')
      const note = input.note == null ? null : checkText(input.note, 'A note', 'input.note', maxNoteLength)
      if (message === null && note === null) throw badInput('A reminder is of a message, a note or both.', 'input.note')
      const what = { userId: viewerId, channelId: message?.channelId ?? null, messageId: message?.messageId ?? null, note }
      return database.transaction(async (tx) => {
        await lockPerson(tx, viewerId)
        const upcoming = await tx.orm
          .select()
          .from(reminders)
          .where(and(eq(reminders.userId, viewerId), isNull(reminders.remindedAt)))
        const same = upcoming.find(
          (row) =>
            row.channelId === what.channelId &&
            row.messageId === what.messageId &&
            row.note === note &&
            +row.remindAt === +remindAt,
        )
        if (same !== undefined) return same
        await checkAhead(tx, remindAt, 'input.remindAt')
        if (upcoming.length >= maxUpcoming) throw conflict(`At most ${maxUpcoming} reminders can be waiting.`, 'input')
        const [made] = await tx.orm
          .insert(reminders)
          .values({ ...what, id: snowflakes.next(), remindAt, createdAt: new Date() })
          .returning()
        await jobs.add(tx, [jobOf(made!)])
        return made!
      })
    },

    /** Takes one away, upcoming or past; false where there is none. */
    async delete(viewerId: string, id: string): Promise<boolean> {
      return database.transaction(async (tx) => {
        const gone = await tx.orm.delete(reminders).where(own({ userId: viewerId, id })).returning({ id: reminders.id })
        // There is nothing to tell of it any more to who comes back later.
        await tx.orm
          .delete(accountChanges)
          .where(
            and(
              eq(accountChanges.userId, viewerId),
              eq(accountChanges.kind, 'REMINDER'),
              eq(accountChanges.channelId, id),
            ),
          )
        return gone.length > 0
      })
    },

    /**
     * The viewer's, upcoming and past, by the time that they are of, the latest first: `first` of them before the one
     * that `before` names.
     */
    list: (viewerId: string, first: number, before: { remindAt: Date; id: string } | null): Promise<ReminderRow[]> =>
      orm
        .select()
        .from(reminders)
        .where(
          and(
            eq(reminders.userId, viewerId),
            before === null
              ? undefined
              : sql`(${reminders.remindAt}, ${reminders.id}) < (${before.remindAt.toISOString()}::timestamptz, ${before.id}::bigint)`,
          ),
        )
        .orderBy(desc(reminders.remindAt), desc(reminders.id))
        .limit(first),

    /** These reminders, in no order; those that do not exist are left out. Permission is the caller's affair. */
    async findMany(keys: readonly ReminderKey[]): Promise<ReminderRow[]> {
      if (keys.length === 0) return []
      const column = (name: keyof ReminderKey) => `{${keys.map((key) => key[name]).join(',')}}`
      return orm
        .select()
        .from(reminders)
        .where(
          and(
            sql`${reminders.userId} = any (${column('userId')}::bigint[])`,
            sql`(${reminders.userId}, ${reminders.id}) in (
              select * from unnest(${column('userId')}::bigint[], ${column('id')}::bigint[])
            )`,
          ),
        )
    },

    /**
     * Reminds of what is due, for the job that says so: once, however often it is called. The user's devices are pushed,
     * and inboxes told.
     */
    async remindDue({ userId, id, remindAt }: JobData['reminder']): Promise<void> {
      const noted = await database.transaction(async (tx) => {
        const isWaiting = and(own({ userId, id }), isNull(reminders.remindedAt))
        const [reminded] = await tx.orm
          .update(reminders)
          .set({ remindedAt: sql`now()` })
          .where(and(isWaiting, sql`${reminders.remindAt} <= now()`))
          .returning({ id: reminders.id })
        if (reminded === undefined) {
          // Put back by an operator, or by a clock that was set.
          const [early] = await tx.orm.select().from(reminders).where(isWaiting)
          if (early?.remindAt.toISOString() === remindAt) await jobs.add(tx, [jobOf(early)])
          return []
        }
        await jobs.add(tx, [{ kind: 'push-reminder', data: { userId, id } }])
        return touchAccounts(tx.orm, [userId], 'REMINDER', id)
      })
      noted.forEach(announce.account)
    },

    /** Gives what is overdue another job; one too many does no harm. Returns how many there were. */
    sweep: (): Promise<number> =>
      database.transaction(async (tx) => {
        const overdue = await tx.orm
          .select()
          .from(reminders)
          .where(and(isOverdue(reminders.remindAt), isNull(reminders.remindedAt)))
          .limit(overdueAtOnce)
        await jobs.add(tx, overdue.map(jobOf))
        return overdue.length
      }),
  }
}
