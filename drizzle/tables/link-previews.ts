import { sql } from 'drizzle-orm'
import { boolean, index, integer, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import { instant, snowflake } from '../columns.ts'

/** What is shown of the links in a message. */
export const linkPreviews = pgTable(
  'link_previews',
  {
    channelId: snowflake('channel_id').notNull(),
    messageId: snowflake('message_id').notNull(),
    position: integer().notNull(),
    url: text().notNull(),
    title: text(),
    description: text(),
    siteName: text('site_name'),
    /** Where its picture is kept; null where there is none. */
    imageKey: text('image_key'),
    imageType: text('image_type'),
    imageWidth: integer('image_width'),
    imageHeight: integer('image_height'),
    /** Taken away by its author; stays, so that it does not come back. */
    removed: boolean().notNull().default(false),
  },
  (table) => [
    primaryKey({ columns: [table.channelId, table.messageId, table.position] }),
    // A picture goes when no message shows it any more.
    index('link_previews_image_key').on(table.imageKey).where(sql`${table.imageKey} is not null`),
  ],
)

/** What was found at an address, for all who mention it. */
export const linkCache = pgTable('link_cache', {
  /** The first half of the address's SHA-256. */
  urlHash: uuid('url_hash').primaryKey(),
  url: text().notNull(),
  /** FOUND, or why not. */
  outcome: text().notNull(),
  title: text(),
  description: text(),
  siteName: text('site_name'),
  imageKey: text('image_key'),
  imageType: text('image_type'),
  imageWidth: integer('image_width'),
  imageHeight: integer('image_height'),
  fetchedAt: instant('fetched_at').notNull(),
  expiresAt: instant('expires_at').notNull(),
}, (table) => [index('link_cache_expires_at').on(table.expiresAt), index('link_cache_image_key').on(table.imageKey)])

/** When a host may be asked again, and what it lets robots do. */
export const linkHosts = pgTable('link_hosts', {
  host: text().primaryKey(),
  nextAt: instant('next_at').notNull(),
  robots: text(),
  robotsExpiresAt: instant('robots_expires_at'),
})
