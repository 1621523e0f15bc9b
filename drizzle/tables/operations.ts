import { integer, pgTable, primaryKey, text } from 'drizzle-orm/pg-core'
import { bytes, instant, snowflake } from '../columns.ts'

/** Worker numbers of Snowflakes, each lent to one live process. */
export const workerLeases = pgTable('worker_leases', {
  worker: integer().primaryKey(),
  holder: text().notNull(),
  expiresAt: instant('expires_at').notNull(),
})

/** How far each channel of an imported log has come, written together with its messages. */
export const imports = pgTable(
  'imports',
  {
    source: text().notNull(),
    channelKey: text('channel_key').notNull(),
    channelId: snowflake('channel_id').notNull(),
    /** How many of the channel's messages are in. */
    messages: integer().notNull(),
    /** A running hash of them, which tells a log that goes on from one that is another. */
    digest: bytes().notNull(),
  },
  (table) => [primaryKey({ columns: [table.source, table.channelKey] })],
)

/** The months of messages that are kept apart, by months since January 2000. */
export const buckets = pgTable('buckets', {
  bucket: integer().primaryKey(),
  /** How its messages were made findable; what is older than what the code does is done anew. */
  termsVersion: integer('terms_version').notNull(),
  /** When it was last written anew to take less room. */
  compactedAt: instant('compacted_at'),
})
