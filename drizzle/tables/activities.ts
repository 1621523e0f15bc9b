import { boolean, index, integer, pgTable, primaryKey, text, uniqueIndex } from 'drizzle-orm/pg-core'
import { instant, snowflake } from '../columns.ts'

/**
 * What others did that is about somebody: they were mentioned, answered, reacted to, or brought into a channel. A row
 * says that it happened; whether it is still so, and may still be seen, is looked at when it is read.
 */
export const activities = pgTable(
  'activities',
  {
    userId: snowflake('user_id').notNull(),
    /** The number of the account's change that it came with, so that ids are in the order of the commits. */
    id: integer().notNull(),
    kind: text({ enum: ['MENTION', 'REPLY', 'REACTION', 'ADDED_TO_CHANNEL'] }).notNull(),
    channelId: snowflake('channel_id').notNull(),
    /** The message that mentions or answers, or was reacted to; 0 for none. */
    messageId: snowflake('message_id').notNull(),
    /** Tells apart what is about one message or channel: who reacted; the channel's change that let the user in; 0. */
    subject: snowflake().notNull(),
    actorId: snowflake('actor_id').notNull(),
    /** What was reacted with. */
    emoji: text(),
    at: instant().notNull(),
    /** Taken back: whoever lists need not look at it any more. */
    withdrawn: boolean().notNull().default(false),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.id] }),
    uniqueIndex('activities_once').on(table.userId, table.channelId, table.messageId, table.subject),
    // What is too old is swept.
    index('activities_at').on(table.at),
  ],
)

/** Up to which activity somebody has read. */
export const activityMarks = pgTable('activity_marks', {
  userId: snowflake('user_id').primaryKey(),
  readUpTo: integer('read_up_to').notNull(),
})
