import { index, pgTable, primaryKey } from 'drizzle-orm/pg-core'
import { instant, snowflake } from '../columns.ts'

/** Whom a user has blocked. What it shuts of a DIRECT channel stands in the channel, too. */
export const blocks = pgTable(
  'blocks',
  {
    userId: snowflake('user_id').notNull(),
    blockedId: snowflake('blocked_id').notNull(),
    blockedAt: instant('blocked_at').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.blockedId] }),
    index('blocks_blocked_at').on(table.userId, table.blockedAt, table.blockedId),
  ],
)
