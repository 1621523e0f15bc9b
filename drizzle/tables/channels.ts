import { boolean, index, integer, pgTable, primaryKey, text } from 'drizzle-orm/pg-core'
import { sql } from 'drizzle-orm'
import { instant, snowflake } from '../columns.ts'

/**
 * A channel and its head. The row is the lock under which the channel's numbers are given out, and every send rewrites
 * it: nothing that a send changes is indexed, so that the update stays within its page.
 */
export const channels = pgTable(
  'channels',
  {
    id: snowflake().primaryKey(),
    kind: text({ enum: ['DIRECT', 'GROUP', 'PUBLIC'] }).notNull(),
    name: text(),
    topic: text(),
    createdAt: instant('created_at').notNull(),
    memberCount: integer('member_count').notNull().default(0),
    /** Moves whenever who may do what here moves: a writer names the version it checked. */
    membershipVersion: integer('membership_version').notNull().default(0),
    /** A DIRECT channel in which one of the two has blocked the other: what was said can be read, and nothing added. */
    shut: boolean().notNull().default(false),
    /** The change that last touched name, topic or message expiry. */
    infoChange: integer('info_change').notNull().default(0),
    /** The oldest message that is kept; 0 before there is any. */
    firstSeq: integer('first_seq').notNull().default(0),
    lastSeq: integer('last_seq').notNull().default(0),
    lastChange: integer('last_change').notNull().default(0),
    /** The newest message's Snowflake; the next is greater. */
    lastId: snowflake('last_id').notNull().default('0'),
    /** The newest change that retention has removed: who has not seen it cannot read on. */
    expiredChange: integer('expired_change').notNull().default(0),
    /** Days for which its messages are kept; null is as long as everywhere. */
    retentionDays: integer('retention_days'),
    /** Seconds after which a message disappears; null is never. */
    expireAfterSeconds: integer('expire_after_seconds'),
    /** Messages up to this seq have disappeared, or were there before any did and stay. */
    disappearedSeq: integer('disappeared_seq').notNull().default(0),
    /** Seconds between two messages of a member who keeps no order; null for none. */
    slowModeSeconds: integer('slow_mode_seconds'),
    /** Whether feeds read it themselves, as it is too large to be written out to each of its members. */
    feedMerged: boolean('feed_merged').notNull().default(false),
  },
  (table) => [
    index('channels_public_name')
      .on(sql`lower(${table.name})`, table.id)
      .where(sql`${table.kind} = 'PUBLIC'`),
    // Of the few that have one.
    index('channels_retention').on(table.retentionDays).where(sql`${table.retentionDays} is not null`),
    index('channels_expire_after').on(table.id).where(sql`${table.expireAfterSeconds} is not null`),
  ],
)

/** The one DIRECT channel of each pair; the lower user id stands first. */
export const directChannels = pgTable(
  'direct_channels',
  {
    lowUserId: snowflake('low_user_id').notNull(),
    highUserId: snowflake('high_user_id').notNull(),
    channelId: snowflake('channel_id').notNull(),
  },
  (table) => [primaryKey({ columns: [table.lowUserId, table.highUserId] })],
)

/** Who is in a channel, and who was: who has left stays as a row, so that streams can tell of it. */
export const members = pgTable(
  'members',
  {
    channelId: snowflake('channel_id').notNull(),
    userId: snowflake('user_id').notNull(),
    role: text({ enum: ['OWNER', 'ADMIN', 'MEMBER'] }).notNull(),
    joinedAt: instant('joined_at').notNull(),
    leftAt: instant('left_at'),
    /** The channel's change that last touched this membership. */
    change: integer().notNull(),
    /** Where the channel stood when the member came: their stream begins here. */
    joinedSeq: integer('joined_seq').notNull().default(0),
    joinedChange: integer('joined_change').notNull().default(0),
    lastReadSeq: integer('last_read_seq').notNull().default(0),
    notificationLevel: text('notification_level', { enum: ['ALL', 'MENTIONS', 'NONE'] }).notNull().default('ALL'),
    mutedUntil: instant('muted_until'),
    /** Until when those who keep order do not let this member write; null where they do. */
    silencedUntil: instant('silenced_until'),
  },
  (table) => [
    primaryKey({ columns: [table.channelId, table.userId] }),
    index('members_user').on(table.userId).where(sql`${table.leftAt} is null`),
    // Where somebody was, which is asked when they want their data, or theirs deleted.
    index('members_former').on(table.userId).where(sql`${table.leftAt} is not null`),
    index('members_change').on(table.channelId, table.change),
  ],
)
