import { sql } from 'drizzle-orm'
import { index, pgTable, primaryKey, text } from 'drizzle-orm/pg-core'
import { instant, snowflake } from '../columns.ts'

/** What somebody wants to be reminded of. */
export const reminders = pgTable(
  'reminders',
  {
    userId: snowflake('user_id').notNull(),
    id: snowflake().notNull(),
    /** The message that it is about; null on both for none. */
    channelId: snowflake('channel_id'),
    messageId: snowflake('message_id'),
    note: text(),
    remindAt: instant('remind_at').notNull(),
    createdAt: instant('created_at').notNull(),
    /** When the user was reminded; null until then. */
    remindedAt: instant('reminded_at'),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.id] }),
    // What is overdue, as its job was lost, is found by this.
    index('reminders_due').on(table.remindAt).where(sql`${table.remindedAt} is null`),
  ],
)
