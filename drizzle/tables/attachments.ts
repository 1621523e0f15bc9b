import { sql } from 'drizzle-orm'
import { index, integer, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import { instant, snowflake } from '../columns.ts'

/**
 * Files that people bring, by their owners. A message holds the ids of its attachments, and its author owns them: they
 * are found without another table in between.
 */
export const attachments = pgTable(
  'attachments',
  {
    userId: snowflake('user_id').notNull(),
    id: snowflake().notNull(),
    filename: text().notNull(),
    /** As declared; after processing, that of what is served. */
    contentType: text('content_type').notNull(),
    byteSize: integer('byte_size').notNull(),
    status: text({ enum: ['PENDING', 'PROCESSING', 'READY', 'FAILED'] }).notNull().default('PENDING'),
    /** Why it failed; null unless it did. */
    failure: text({ enum: ['UNSUPPORTED', 'DISGUISED', 'BROKEN', 'TOO_LARGE', 'TIMED_OUT'] }),
    /** Where what is served is kept; null until the upload is complete. */
    key: text(),
    width: integer(),
    height: integer(),
    /** A ThumbHash, in base64. */
    placeholder: text(),
    durationMs: integer('duration_ms'),
    /** 64 peaks of a sound, a byte each, in base64. */
    waveform: text(),
    /** JSON: a list of key, width, height and contentType. */
    thumbnails: text(),
    createdAt: instant('created_at').notNull(),
    /** When it was completed; then, when a send has last claimed it, or its job was last added. */
    completedAt: instant('completed_at'),
    /** The send that has claimed it: the channel and the hash of its key. Null on both for what shows a person. */
    claimedChannelId: snowflake('claimed_channel_id'),
    claimedKey: uuid('claimed_key'),
    /** When it was known that what claimed it is there; null until then. */
    claimedAt: instant('claimed_at'),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.id] }),
    // What is part of nothing is swept, and what may be is looked at.
    index('attachments_unclaimed').on(table.createdAt).where(sql`${table.claimedAt} is null`),
    // What waits for its job is looked at, too, as that may be lost.
    index('attachments_processing').on(table.createdAt).where(sql`${table.status} = 'PROCESSING'`),
  ],
)
