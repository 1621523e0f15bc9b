import { sql } from 'drizzle-orm'
import { index, integer, pgTable, primaryKey, text, uniqueIndex } from 'drizzle-orm/pg-core'
import { bytes, instant, snowflake } from '../columns.ts'

/** Every message in its latest state. When it was created is in its id. */
export const messages = pgTable(
  'messages',
  {
    channelId: snowflake('channel_id').notNull(),
    id: snowflake().notNull(),
    seq: integer().notNull(),
    /** The change that created it. */
    change: integer().notNull(),
    /** The change that last touched it. */
    version: integer().notNull(),
    kind: text({
      enum: ['USER', 'ACTION', 'MEMBER_JOINED', 'MEMBER_LEFT', 'CHANNEL_UPDATED'],
    }).notNull(),
    authorId: snowflake('author_id').notNull(),
    content: text().notNull(),
    replyToId: snowflake('reply_to_id'),
    replyCount: integer('reply_count').notNull().default(0),
    mentionIds: snowflake('mention_ids').array().notNull().default(sql`'{}'`),
    editedAt: instant('edited_at'),
    deletedAt: instant('deleted_at'),
    pinnedAt: instant('pinned_at'),
  },
  (table) => [
    primaryKey({ columns: [table.channelId, table.id] }),
    uniqueIndex('messages_seq').on(table.channelId, table.seq),
    index('messages_replies')
      .on(table.channelId, table.replyToId, table.seq)
      .where(sql`${table.replyToId} is not null`),
    index('messages_pinned')
      .on(table.channelId, table.seq)
      .where(sql`${table.pinnedAt} is not null`),
  ],
)

/** Messages that changed after they were created, with the newest change of each: what a stream must send again. */
export const messageChanges = pgTable(
  'message_changes',
  {
    channelId: snowflake('channel_id').notNull(),
    messageId: snowflake('message_id').notNull(),
    change: integer().notNull(),
    kind: text({ enum: ['EDITED', 'DELETED', 'REACTIONS_CHANGED', 'PINS_CHANGED', 'ENRICHED'] }).notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.channelId, table.messageId] }),
    index('message_changes_change').on(table.channelId, table.change),
  ],
)

/** What makes a send idempotent: the key its author chose, and a hash of the body it came with. Kept for good. */
export const sendKeys = pgTable(
  'send_keys',
  {
    channelId: snowflake('channel_id').notNull(),
    authorId: snowflake('author_id').notNull(),
    key: text().notNull(),
    messageId: snowflake('message_id').notNull(),
    bodyHash: bytes('body_hash').notNull(),
  },
  (table) => [primaryKey({ columns: [table.channelId, table.authorId, table.key] })],
)

/** Who is mentioned where: unread mentions are counted from here. */
export const mentions = pgTable(
  'mentions',
  {
    channelId: snowflake('channel_id').notNull(),
    userId: snowflake('user_id').notNull(),
    seq: integer().notNull(),
    messageId: snowflake('message_id').notNull(),
  },
  (table) => [primaryKey({ columns: [table.channelId, table.userId, table.seq] })],
)

/** Who reacted with what. `change` gives the order in which they did. */
export const reactions = pgTable(
  'reactions',
  {
    channelId: snowflake('channel_id').notNull(),
    messageId: snowflake('message_id').notNull(),
    emoji: text().notNull(),
    userId: snowflake('user_id').notNull(),
    change: integer().notNull(),
  },
  (table) => [primaryKey({ columns: [table.channelId, table.messageId, table.emoji, table.userId] })],
)

/** Who follows the replies to a message, and how far they have read them. */
export const threads = pgTable(
  'threads',
  {
    channelId: snowflake('channel_id').notNull(),
    messageId: snowflake('message_id').notNull(),
    userId: snowflake('user_id').notNull(),
    lastReadSeq: integer('last_read_seq').notNull(),
  },
  (table) => [primaryKey({ columns: [table.channelId, table.messageId, table.userId] })],
)
