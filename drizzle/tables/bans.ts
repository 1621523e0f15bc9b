import { sql } from 'drizzle-orm'
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
    /** When it is over; null for never. One that is over may stand here for a while, and says nothing. */
    until: instant('until'),
    reason: text(),
  },
  (table) => [
    primaryKey({ columns: [table.channelId, table.userId] }),
    index('bans_banned_at').on(table.channelId, table.bannedAt, table.userId),
    // Those that are over are found by this.
    index('bans_until').on(table.until).where(sql`${table.until} is not null`),
  ],
)
