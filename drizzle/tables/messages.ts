import { sql } from 'drizzle-orm'
import { boolean, index, integer, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import { instant, snowflake } from '../columns.ts'

/**
 * What was said. The table is partitioned by time, which is in the id: a partition for each month, called
 * `messages_2026_11`. Rows are written once; only editing and deleting touch them again. What else happens to a message
 * stands in `message_changes`, so that old months stay as they are.
 */
export const messages = pgTable(
  'messages',
  {
    channelId: snowflake('channel_id').notNull(),
    id: snowflake().notNull(),
    authorId: snowflake('author_id').notNull(),
    replyToId: snowflake('reply_to_id'),
    seq: integer().notNull(),
    /** The change that created it. */
    change: integer().notNull(),
    editedAt: instant('edited_at'),
    deletedAt: instant('deleted_at'),
    kind: text({
      enum: ['USER', 'ACTION', 'MEMBER_JOINED', 'MEMBER_LEFT', 'CHANNEL_UPDATED'],
    }).notNull(),
    content: text().notNull(),
    /** Who is mentioned; null is nobody. */
    mentionIds: snowflake('mention_ids').array(),
    /** Hashes of what it can be found by; null is nothing. */
    terms: integer().array(),
    /** What its author has attached, in order; null is nothing. */
    attachmentIds: snowflake('attachment_ids').array(),
  },
  (table) => [
    primaryKey({ columns: [table.channelId, table.id] }),
    index('messages_seq').on(table.channelId, table.seq),
    // Sends put what they add on a list, which is worked into the index by maintenance, and not by whoever comes when
    // the list is full.
    index('messages_terms').using('gin', table.terms).with({ gin_pending_list_limit: 16_384 }),
  ],
)

/** The months in which a channel has messages, by the first of each. */
export const channelBuckets = pgTable(
  'channel_buckets',
  {
    channelId: snowflake('channel_id').notNull(),
    firstSeq: integer('first_seq').notNull(),
    /** The change that created that message. */
    firstChange: integer('first_change').notNull(),
    /** Months since January 2000. */
    bucket: integer().notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.channelId, table.firstSeq] }),
    // Retention asks who still has messages of a month.
    index('channel_buckets_bucket').on(table.bucket, table.channelId),
  ],
)

/**
 * What retention has taken from channels' histories, by the months of each. It is nobody's any more, and is removed bit
 * by bit; then the rows go, too.
 */
export const expirations = pgTable(
  'expirations',
  {
    channelId: snowflake('channel_id').notNull(),
    /** Months since January 2000. */
    bucket: integer().notNull(),
    /** Where the channel's history begins now. */
    firstSeq: integer('first_seq').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.channelId, table.bucket] }),
    // They are removed month by month.
    index('expirations_bucket').on(table.bucket, table.channelId),
  ],
)

/**
 * What happened to messages after they were created, one row for each that anything happened to: what a stream must
 * send again, and what readers add to the message.
 */
export const messageChanges = pgTable(
  'message_changes',
  {
    channelId: snowflake('channel_id').notNull(),
    messageId: snowflake('message_id').notNull(),
    /** The newest change. */
    change: integer().notNull(),
    /** What it was; CREATED where an imported message brought its replies along. */
    kind: text({ enum: ['CREATED', 'EDITED', 'DELETED', 'REACTIONS_CHANGED', 'PINS_CHANGED', 'ENRICHED'] }).notNull(),
    replyCount: integer('reply_count').notNull().default(0),
    pinnedAt: instant('pinned_at'),
  },
  (table) => [
    primaryKey({ columns: [table.channelId, table.messageId] }),
    index('message_changes_change').on(table.channelId, table.change),
    index('message_changes_pinned')
      .on(table.channelId, table.messageId)
      .where(sql`${table.pinnedAt} is not null`),
  ],
)

/**
 * What makes a send idempotent, kept for as long as its message: the key that its author chose, and what it came with.
 * Both are the first half of a SHA-256 (`key_hash` of the author's id, a space and the key), as there are as many of
 * them as messages.
 */
export const sendKeys = pgTable(
  'send_keys',
  {
    channelId: snowflake('channel_id').notNull(),
    keyHash: uuid('key_hash').notNull(),
    messageId: snowflake('message_id').notNull(),
    bodyHash: uuid('body_hash').notNull(),
  },
  (table) => [primaryKey({ columns: [table.channelId, table.keyHash] })],
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

/** What answers a message, in order. */
export const replies = pgTable(
  'replies',
  {
    channelId: snowflake('channel_id').notNull(),
    /** The message that is answered. */
    rootId: snowflake('root_id').notNull(),
    seq: integer().notNull(),
    messageId: snowflake('message_id').notNull(),
    /** A deleted reply keeps its place and does not count. */
    deleted: boolean().notNull().default(false),
  },
  (table) => [primaryKey({ columns: [table.channelId, table.rootId, table.seq] })],
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

/**
 * Messages that nobody has made jobs of yet: spans of seqs, written together with them. Whoever makes the jobs takes
 * the rows away.
 */
export const outbox = pgTable(
  'outbox',
  {
    channelId: snowflake('channel_id').notNull(),
    firstSeq: integer('first_seq').notNull(),
    lastSeq: integer('last_seq').notNull(),
  },
  (table) => [primaryKey({ columns: [table.channelId, table.firstSeq] })],
)

/**
 * Reactions, given or taken back, that nobody has made jobs of yet, each with the change of the channel that it was.
 * Each has a row of its own: none waits for whoever takes away another's, or counts as taken along with it.
 */
export const reactionOutbox = pgTable(
  'reaction_outbox',
  {
    channelId: snowflake('channel_id').notNull(),
    messageId: snowflake('message_id').notNull(),
    change: integer().notNull(),
    /** Whose reaction it is. */
    userId: snowflake('user_id').notNull(),
    at: instant().notNull(),
  },
  (table) => [primaryKey({ columns: [table.channelId, table.change] })],
)
