import { index, pgTable, primaryKey, text } from 'drizzle-orm/pg-core'
import { instant, snowflake } from '../columns.ts'

/** Who is kept out of which channel. */
export const bans = pgTable(
  'bans',
  {
    channelId: snowflake('channel_id').notNull(),
    userId: snowflake('user_id').notNull(),
    bannedBy: snowflake('banned_by').notNull(),
    bannedAt: instant('banned_at').notNull(),
    /** When it is over; null for never. One that is over may still stand here, and says nothing. */
    until: instant('until'),
    reason: text(),
  },
  (table) => [
    primaryKey({ columns: [table.channelId, table.userId] }),
    index('bans_banned_at').on(table.channelId, table.bannedAt, table.userId),
  ],
)
