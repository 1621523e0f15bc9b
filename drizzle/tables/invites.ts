import { index, integer, pgTable, primaryKey, text } from 'drizzle-orm/pg-core'
import { instant, snowflake } from '../columns.ts'

/** What lets people into a channel who know its code. Those that are no longer good stay, for who came by which. */
export const invites = pgTable(
  'invites',
  {
    channelId: snowflake('channel_id').notNull(),
    id: snowflake().notNull(),
    code: text().notNull(),
    createdBy: snowflake('created_by').notNull(),
    /** The change by which its maker had come in: an invite is good for that stay. */
    createdByJoinedChange: integer('created_by_joined_change').notNull(),
    createdAt: instant('created_at').notNull(),
    /** Null for any number. */
    maxUses: integer('max_uses'),
    uses: integer().notNull().default(0),
    /** Null for never. */
    expiresAt: instant('expires_at'),
    revokedAt: instant('revoked_at'),
  },
  (table) => [
    primaryKey({ columns: [table.channelId, table.id] }),
    // People look through their own, and those are counted.
    index('invites_created_by').on(table.channelId, table.createdBy, table.id),
  ],
)

/** Who came by which invite, in order: one row for each time that somebody came. */
export const inviteUses = pgTable(
  'invite_uses',
  {
    channelId: snowflake('channel_id').notNull(),
    inviteId: snowflake('invite_id').notNull(),
    /** 1, 2, 3 … of the invite. */
    nth: integer().notNull(),
    userId: snowflake('user_id').notNull(),
    joinedAt: instant('joined_at').notNull(),
  },
  (table) => [primaryKey({ columns: [table.channelId, table.inviteId, table.nth] })],
)
