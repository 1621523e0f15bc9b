import { sql } from 'drizzle-orm'
import { index, pgTable, text, uniqueIndex } from 'drizzle-orm/pg-core'
import { instant, snowflake } from '../columns.ts'

/** What people have reported to those who keep order: a message, or somebody as such. */
export const reports = pgTable(
  'reports',
  {
    id: snowflake().primaryKey(),
    reporterId: snowflake('reporter_id').notNull(),
    /** Whom it is about: the author of the message. */
    subjectId: snowflake('subject_id').notNull(),
    /** The message; null on both where it is about a person as such. */
    channelId: snowflake('channel_id'),
    messageId: snowflake('message_id'),
    reason: text().notNull(),
    /** What the message said when it was reported; null where there is none, or it is kept no longer. */
    content: text(),
    /** The files that it showed then, which are its author's. */
    attachmentIds: snowflake('attachment_ids').array(),
    status: text({ enum: ['OPEN', 'DISMISSED', 'ACTION_TAKEN'] }).notNull().default('OPEN'),
    resolvedBy: snowflake('resolved_by'),
    resolvedAt: instant('resolved_at'),
    note: text(),
  },
  (table) => [
    // Nobody has two open reports of the same.
    uniqueIndex('reports_open_message')
      .on(table.reporterId, table.channelId, table.messageId)
      .where(sql`${table.status} = 'OPEN' and ${table.messageId} is not null`),
    uniqueIndex('reports_open_user')
      .on(table.reporterId, table.subjectId)
      .where(sql`${table.status} = 'OPEN' and ${table.messageId} is null`),
    index('reports_reporter').on(table.reporterId, table.id),
    index('reports_status').on(table.status, table.id),
    index('reports_channel').on(table.channelId, table.id),
    // What is kept no longer is found by this.
    index('reports_resolved_at')
      .on(table.resolvedAt)
      .where(sql`${table.resolvedAt} is not null and ${table.content} is not null`),
  ],
)
