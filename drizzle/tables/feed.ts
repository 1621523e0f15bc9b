import { sql } from 'drizzle-orm'
import { boolean, index, pgTable, primaryKey } from 'drizzle-orm/pg-core'
import { snowflake } from '../columns.ts'

/**
 * What is new for somebody, written out when it was said: messages of small channels, for each of their members but the
 * author. It says where to look and nothing more: whether the reader still follows the channel, and whether the message
 * is still there, is looked at when it is read.
 */
export const feedEntries = pgTable(
  'feed_entries',
  {
    userId: snowflake('user_id').notNull(),
    messageId: snowflake('message_id').notNull(),
    channelId: snowflake('channel_id').notNull(),
  },
  // The order of a feed.
  (table) => [primaryKey({ columns: [table.userId, table.messageId, table.channelId] })],
)

/**
 * Which of a channel's messages are written out: those after the one id, up to and with the other, as far back as
 * entries are kept at all. The rest is read from the channel itself.
 */
export const feedSpans = pgTable(
  'feed_spans',
  {
    channelId: snowflake('channel_id').primaryKey(),
    /** 0 where nothing that matters is older. */
    afterId: snowflake('after_id').notNull(),
    upToId: snowflake('up_to_id').notNull(),
    /** The newest message that workers know of; of what came after it an entry of the outbox tells. */
    toldId: snowflake('told_id').notNull(),
    /** Whether there is anything that is not written out, so that feeds have to look into the channel. */
    merged: boolean().generatedAlwaysAs(sql`told_id > up_to_id or after_id <> 0`),
  },
  // Of few: channels too large to be written out, and those of which somebody is writing just now.
  (table) => [index('feed_spans_merged').on(table.channelId).where(sql`${table.merged}`)],
)
