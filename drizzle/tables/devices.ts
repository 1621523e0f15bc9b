import { sql } from 'drizzle-orm'
import { boolean, index, integer, pgTable, primaryKey, text, uniqueIndex, uuid } from 'drizzle-orm/pg-core'
import { instant, snowflake } from '../columns.ts'

/** Where a user's pushes go. */
export const devices = pgTable(
  'devices',
  {
    userId: snowflake('user_id').notNull(),
    id: snowflake().notNull(),
    platform: text({ enum: ['APNS', 'FCM', 'WEB_PUSH', 'WEBHOOK'] }).notNull(),
    token: text().notNull(),
    /** The first half of its SHA-256, with platform and app: a token is in one place only. */
    tokenHash: uuid('token_hash').notNull(),
    appId: text('app_id'),
    sandbox: boolean().notNull().default(false),
    /** Null follows the user's settings. */
    locale: text(),
    /** The sign-in that registered it, and takes it along when it ends; null with an identity provider's tokens. */
    sessionId: snowflake('session_id'),
    createdAt: instant('created_at').notNull(),
    /** The number on its icon, as it was last told. */
    badge: integer().notNull().default(0),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.id] }),
    uniqueIndex('devices_token').on(table.userId, table.tokenHash),
    index('devices_token_hash').on(table.tokenHash),
  ],
)

/** Which channel is on the screen of a sign-in just now. Good until then, unless somebody says it still is. */
export const activeChannels = pgTable(
  'active_channels',
  {
    userId: snowflake('user_id').notNull(),
    sessionId: snowflake('session_id').notNull(),
    channelId: snowflake('channel_id').notNull(),
    until: instant().notNull(),
  },
  (table) => [primaryKey({ columns: [table.userId, table.sessionId] })],
)

/**
 * What became of each push, one row for each device and what it is about. The row comes before the attempt, so that no
 * two workers try the same; it is the log that support reads, too.
 */
export const pushDeliveries = pgTable(
  'push_deliveries',
  {
    userId: snowflake('user_id').notNull(),
    deviceId: snowflake('device_id').notNull(),
    /** The message's channel; 0 for what belongs to none. */
    channelId: snowflake('channel_id').notNull(),
    /** The message's id; a summary's or a reminder's own. */
    subjectId: snowflake('subject_id').notNull(),
    kind: text({ enum: ['MESSAGE', 'SUMMARY', 'REMINDER'] }).notNull(),
    /** The message's seq; how many a summary has; 0 for what has none. */
    seq: integer().notNull(),
    /**
     * PENDING until the provider has answered for good; HELD is part of a summary that is to come, SUMMARISED of one
     * that went out; SKIPPED was not to be told; WITHDRAWN was taken off the screen again.
     */
    status: text({ enum: ['PENDING', 'HELD', 'SENT', 'SUMMARISED', 'SKIPPED', 'REFUSED', 'DEAD', 'WITHDRAWN'] }).notNull(),
    /** Why it was left out, or what the provider said last. */
    reason: text(),
    attempts: integer().notNull().default(0),
    /** Whose turn it is: until then nobody else tries. */
    claimedUntil: instant('claimed_until'),
    createdAt: instant('created_at').notNull(),
    sentAt: instant('sent_at'),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.deviceId, table.channelId, table.subjectId] }),
    // What is on screens, or about to be: every read position asks for it, so that it must not lie among what was.
    index('push_deliveries_shown')
      .on(table.userId, table.channelId, table.seq)
      .where(sql`${table.status} in ('PENDING', 'HELD', 'SENT', 'SUMMARISED')`),
    // How many there were within a minute.
    index('push_deliveries_sent_at')
      .on(table.userId, table.deviceId, table.sentAt)
      .where(sql`${table.sentAt} is not null`),
    // Few at any time.
    index('push_deliveries_open')
      .on(table.userId, table.deviceId, table.createdAt)
      .where(sql`${table.status} in ('PENDING', 'HELD')`),
    index('push_deliveries_created_at').on(table.createdAt),
  ],
)
