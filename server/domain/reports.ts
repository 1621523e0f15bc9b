import { and, desc, eq, isNotNull, lt, ne, sql } from 'drizzle-orm'
import type { Orm } from '../../drizzle/connection.ts'
import { auditContents, reports } from '../../drizzle/tables/index.ts'
import { badInput, conflict, expectedFailure, notFound } from '../errors.ts'
import { nullIfEmpty } from '../lib/sql.ts'
import type { MessageKey } from '../message-store/pages.ts'
import { accessChannel } from './access.ts'
import { contentDays, noteDeletion, writeAudit } from './audit-log.ts'
import type { Deps } from './deps.ts'
import { makeTombstone, type MessagesService } from './messages.ts'
import { authoriseKeeper, checkReason, isModerator, needReason } from './moderation.ts'
import { whoExists } from './users.ts'

export type ReportRow = typeof reports.$inferSelect
export type ReportStatus = ReportRow['status']
export type Resolution = Exclude<ReportStatus, 'OPEN'>

export type ReportsService = ReturnType<typeof createReportsService>

/**
 * What people have reported to those who keep order. With a message it is kept what it said at that moment, whatever its
 * author does afterwards, until some time after the report is resolved.
 *
 * Owners and admins see what was reported in their channels, moderators of the deployment everything; of a DIRECT channel
 * they see the message that was reported and nothing else. Whom a report is about never sees it.
 */
export function createReportsService(deps: Deps, messages: MessagesService) {
  const { database, snowflakes, jobs } = deps
  const { orm } = database

  /** Keeps a report, unless there is an open one of the same already. */
  async function add(row: Pick<ReportRow, 'reporterId' | 'subjectId' | 'reason'> & Partial<ReportRow>): Promise<void> {
    await orm.insert(reports).values({ ...row, id: snowflakes.next() }).onConflictDoNothing()
  }

  /**
   * A report that the viewer may decide upon; NOT_FOUND where there is none, or it is none of theirs. It is locked where
   * a transaction asks.
   */
  async function find(from: Orm, viewerId: string, id: string, isLocking: boolean): Promise<ReportRow> {
    const query = from.select().from(reports).where(and(eq(reports.id, id), ne(reports.subjectId, viewerId)))
    const [report] = await (isLocking ? query.for('update') : query)
    if (report === undefined) throw notFound('report', 'id')
    await authoriseKeeper(from, viewerId, report.channelId, 'readReports').catch((error: unknown) => {
      const code = expectedFailure(error)?.code
      throw code === 'FORBIDDEN' || code === 'NOT_FOUND' ? notFound('report', 'id') : error
    })
    return report
  }

  return {
    /** Whether somebody keeps order in the whole deployment. */
    isModerator: (userId: string): Promise<boolean> => isModerator(orm, userId),

    /**
     * Reports a message that the viewer may read, and somebody else has written. Doing so again while the report is open
     * changes nothing. Throws NOT_FOUND, FORBIDDEN, BAD_USER_INPUT, and CONFLICT where it has been deleted before.
     */
    async addMessage(viewerId: string, key: MessageKey, givenReason: string): Promise<void> {
      await accessChannel(orm, viewerId, key.channelId, 'read', 'messageId')
      const reason = needReason(givenReason, 'reason')
      const message = await deps.store.message(key)
      if (message === null) throw notFound('message', 'messageId')
      const { authorId: subjectId, kind, content } = message
      if (subjectId === viewerId) throw badInput('Nobody can report what they have written themselves.', 'messageId')
      if (kind !== 'USER' && kind !== 'ACTION') throw badInput('Nobody has written this message.', 'messageId')
      const attachmentIds = nullIfEmpty(message.attachmentIds)
      if (message.deletedAt === null) return add({ reporterId: viewerId, subjectId, ...key, reason, content, attachmentIds })
      const [known] = await orm
        .select({ id: reports.id })
        .from(reports)
        .where(
          and(
            eq(reports.reporterId, viewerId),
            eq(reports.channelId, key.channelId),
            eq(reports.messageId, key.messageId),
            eq(reports.status, 'OPEN'),
          ),
        )
      if (known === undefined) throw conflict('The message has been deleted.', 'messageId')
    },

    /** Reports somebody as such. Doing so again while the report is open changes nothing. */
    async addUser(viewerId: string, userId: string, givenReason: string): Promise<void> {
      const reason = needReason(givenReason, 'reason')
      if (userId === viewerId) throw badInput('Nobody can report themselves.', 'userId')
      if ((await whoExists(orm, [userId])).size === 0) throw notFound('user', 'userId')
      await add({ reporterId: viewerId, subjectId: userId, reason })
    },

    /**
     * What was reported in a channel, or anywhere, the latest first: `first` reports after the one of that id. Throws
     * FORBIDDEN where the viewer does not keep order there.
     */
    async list(
      viewerId: string,
      channelId: string | null,
      status: ReportStatus | null,
      first: number,
      afterId: string | null,
    ): Promise<ReportRow[]> {
      await authoriseKeeper(orm, viewerId, channelId, 'readReports')
      return orm
        .select()
        .from(reports)
        .where(
          and(
            ne(reports.subjectId, viewerId),
            channelId === null ? undefined : eq(reports.channelId, channelId),
            status === null ? undefined : eq(reports.status, status),
            afterId === null ? undefined : lt(reports.id, afterId),
          ),
        )
        .orderBy(desc(reports.id))
        .limit(first)
    },

    /**
     * Says what was decided. The same once more changes nothing; another decision is a CONFLICT. Throws NOT_FOUND where
     * the viewer may not see the report.
     */
    async resolve(viewerId: string, id: string, resolution: Resolution, givenNote: string | null): Promise<ReportRow> {
      const note = checkReason(givenNote, 'note')
      return database.transaction(async (tx) => {
        const report = await find(tx.orm, viewerId, id, true)
        if (report.status === resolution) return report
        if (report.status !== 'OPEN') throw conflict('This report was resolved otherwise.', 'resolution')
        const [resolved] = await tx.orm
          .update(reports)
          .set({ status: resolution, resolvedBy: viewerId, resolvedAt: new Date(), note })
          .where(eq(reports.id, id))
          .returning()
        const { channelId, messageId, subjectId } = report
        await writeAudit(tx, {
          channelId,
          actorId: viewerId,
          action: 'REPORT_RESOLVED',
          subjectId,
          messageId,
          reportId: id,
          reason: note,
          detail: { resolution },
        })
        return resolved!
      })
    },

    /**
     * Deletes the message that was reported, whatever channel it is in; deleting it again changes nothing. The report
     * stays as it is. Throws NOT_FOUND where the viewer may not see the report, or the message is gone, and CONFLICT
     * where the report is of no message.
     */
    async deleteMessage(viewerId: string, id: string, givenReason: string | null): Promise<ReportRow> {
      const reason = checkReason(givenReason, 'reason')
      const report = await find(orm, viewerId, id, false)
      const { channelId, messageId } = report
      if (channelId === null || messageId === null) throw conflict('This report is about no message.', 'id')
      await messages.changeMessage({ channelId, messageId }, 'id', async (channel, message) => {
        await find(channel.tx.orm, viewerId, id, false)
        if (message.deletedAt !== null) return
        await noteDeletion(channel.tx, message, { actorId: viewerId, reason, reportId: id })
        await makeTombstone(channel, message, jobs)
      })
      return report
    },

    /**
     * Forgets what deleted and reported messages said, once it is kept no longer: see `contentDays`. Returns how many
     * there were.
     */
    async sweep(): Promise<number> {
      const old = sql`now() - make_interval(days => ${contentDays}::int)`
      const forgotten = await orm
        .update(reports)
        .set({ content: null, attachmentIds: null })
        .where(and(isNotNull(reports.content), isNotNull(reports.resolvedAt), lt(reports.resolvedAt, old)))
        .returning({ id: reports.id })
      const gone = await orm
        .delete(auditContents)
        .where(lt(auditContents.expiresAt, sql`now()`))
        .returning({ number: auditContents.number })
      return forgotten.length + gone.length
    },
  }
}
