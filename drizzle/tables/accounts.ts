import { index, integer, pgTable, primaryKey, text } from 'drizzle-orm/pg-core'
import { instant, snowflake } from '../columns.ts'

/** The counter of each account's stream. */
export const accounts = pgTable('accounts', {
  userId: snowflake('user_id').primaryKey(),
  lastChange: integer('last_change').notNull().default(0),
})

/**
 * What moved last in an account: one row for each kind of thing and channel, with the number of its newest change.
 * The state itself stands where it belongs; this says only that a device which has seen less must look again.
 */
export const accountChanges = pgTable(
  'account_changes',
  {
    userId: snowflake('user_id').notNull(),
    kind: text({ enum: ['READ', 'CHANNEL', 'MEMBERSHIP', 'REMINDER', 'ACTIVITY'] }).notNull(),
    /** Of a REMINDER, the reminder's id; of an ACTIVITY, the activity's, or 0 for what is unread of all. */
    channelId: snowflake('channel_id').notNull(),
    change: integer().notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.kind, table.channelId] }),
    index('account_changes_change').on(table.userId, table.change),
  ],
)

/** What somebody has typed and not sent, on whatever device. */
export const drafts = pgTable(
  'drafts',
  {
    userId: snowflake('user_id').notNull(),
    channelId: snowflake('channel_id').notNull(),
    content: text().notNull(),
    savedAt: instant('saved_at').notNull(),
  },
  (table) => [primaryKey({ columns: [table.userId, table.channelId] })],
)
