import { index, integer, pgTable, primaryKey, text } from 'drizzle-orm/pg-core'
import { bytes, instant, snowflake } from '../columns.ts'

/** What those who keep order have done. Rows are added and never touched again: triggers refuse it. */
export const auditLog = pgTable(
  'audit_log',
  {
    /** The channel; 0 for what is about none. */
    channelId: snowflake('channel_id').notNull(),
    /** 1, 2, 3 … in its channel, without holes. */
    number: integer().notNull(),
    /** Greater than that of the entry before in its channel. */
    id: snowflake().notNull(),
    at: instant('at').notNull(),
    /** Who did it; null for the operator's command. */
    actorId: snowflake('actor_id'),
    action: text({
      enum: [
        'MEMBER_BANNED', 'MEMBER_UNBANNED', 'MEMBER_REMOVED', 'ROLE_CHANGED', 'MEMBER_SILENCED', 'SILENCE_ENDED',
        'SLOW_MODE_SET', 'MESSAGE_DELETED', 'REPORT_RESOLVED', 'MODERATOR_ADDED', 'MODERATOR_REMOVED',
      ],
    }).notNull(),
    /** To whom it was done. */
    subjectId: snowflake('subject_id'),
    messageId: snowflake('message_id'),
    reportId: snowflake('report_id'),
    reason: text(),
    /** What else there is to say of this action: JSON, as it was hashed. */
    detail: text(),
    /** Of what was deleted, which is kept elsewhere and not for good; null for none. */
    contentHash: bytes('content_hash'),
    /** Hashed with it, so that nobody finds out by the hashes that they see whether entries are kept from them. */
    salt: bytes().notNull(),
    /** SHA-256 of this entry and the hash of the one before. */
    hash: bytes().notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.channelId, table.number] }),
    // The order of everything.
    index('audit_log_id').on(table.id, table.channelId),
  ],
)

/** What the deleted messages of the log said, for as long as that may be looked up. */
export const auditContents = pgTable(
  'audit_contents',
  {
    channelId: snowflake('channel_id').notNull(),
    number: integer().notNull(),
    content: text().notNull(),
    /** Hashed with it, so that it cannot be guessed from its hash once it is gone. */
    salt: bytes().notNull(),
    expiresAt: instant('expires_at').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.channelId, table.number] }),
    index('audit_contents_expires_at').on(table.expiresAt),
  ],
)
