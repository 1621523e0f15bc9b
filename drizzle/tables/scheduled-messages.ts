import { sql } from 'drizzle-orm'
import { index, pgTable, primaryKey, text, uniqueIndex } from 'drizzle-orm/pg-core'
import { instant, snowflake } from '../columns.ts'

/** What somebody has written to be sent later. It goes when it is sent. */
export const scheduledMessages = pgTable(
  'scheduled_messages',
  {
    userId: snowflake('user_id').notNull(),
    id: snowflake().notNull(),
    channelId: snowflake('channel_id').notNull(),
    content: text().notNull(),
    sendAt: instant('send_at').notNull(),
    createdAt: instant('created_at').notNull(),
    /** Chosen by the client, unique for its author. */
    idempotencyKey: text('idempotency_key').notNull(),
    /** What the author is told of why it could not be sent; null until then. */
    failure: text(),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.id] }),
    uniqueIndex('scheduled_messages_key').on(table.userId, table.idempotencyKey),
    // What is overdue, as its job was lost, is found by this.
    index('scheduled_messages_due').on(table.sendAt).where(sql`${table.failure} is null`),
  ],
)
