import { integer, pgTable, primaryKey, text } from 'drizzle-orm/pg-core'
import { snowflake } from '../columns.ts'

/** What each code stands for. It lies by its code: whoever opens a link knows nothing else. */
export const shortLinks = pgTable('short_links', {
  code: text().primaryKey(),
  kind: text({ enum: ['INVITE', 'MESSAGE'] }).notNull(),
  channelId: snowflake('channel_id').notNull(),
  /** The invite, or the message. */
  targetId: snowflake('target_id').notNull(),
})

/** How often a link has been opened. A table of its own, as it is written over and over and what is beside it never. */
export const shortLinkVisits = pgTable('short_link_visits', {
  code: text().primaryKey(),
  visits: integer().notNull(),
})

/** The one link of each message that has one. */
export const messageLinks = pgTable(
  'message_links',
  {
    channelId: snowflake('channel_id').notNull(),
    messageId: snowflake('message_id').notNull(),
    code: text().notNull(),
  },
  (table) => [primaryKey({ columns: [table.channelId, table.messageId] })],
)
