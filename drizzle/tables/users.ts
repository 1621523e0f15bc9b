import { sql } from 'drizzle-orm'
import { boolean, index, integer, pgTable, primaryKey, text } from 'drizzle-orm/pg-core'
import { bytes, instant, snowflake } from '../columns.ts'

/** What everybody may know of a person. */
export const users = pgTable('users', {
  id: snowflake().primaryKey(),
  username: text().notNull(),
  displayName: text('display_name').notNull(),
  /** A picture that is kept elsewhere, as an identity provider names it. */
  avatarUrl: text('avatar_url'),
  /** The user's own attachment that shows them, and where its small square is kept; null on both for none. */
  avatarAttachmentId: snowflake('avatar_attachment_id'),
  avatarKey: text('avatar_key'),
  bot: boolean().notNull().default(false),
  createdAt: instant('created_at').notNull(),
  /** What the user has chosen to show as presence; null follows the connections. */
  presenceStatus: text('presence_status', { enum: ['ONLINE', 'AWAY', 'DO_NOT_DISTURB', 'OFFLINE'] }),
  presenceText: text('presence_text'),
  lastActiveAt: instant('last_active_at'),
  /** Whether they keep order in the whole deployment: look through what was reported anywhere. */
  moderator: boolean().notNull().default(false),
  /** When the account was deleted. The row stays for those whose conversations it is in, without a name. */
  deletedAt: instant('deleted_at'),
})

/** Who holds a name. The key is the name in NFC and lower case, so that two names that look the same are one. */
export const usernames = pgTable(
  'usernames',
  {
    key: text().primaryKey(),
    /** 0 where its holder was deleted: then it is nobody's, and stands for nobody. */
    userId: snowflake('user_id').notNull(),
    /** Until when nobody may take it, as its holder was deleted; null where it is somebody's. */
    heldUntil: instant('held_until'),
  },
  (table) => [index('usernames_held_until').on(table.heldUntil).where(sql`${table.heldUntil} is not null`)],
)

/** Passwords, as argon2id hashes; a person who signs in elsewhere has none. */
export const credentials = pgTable('credentials', {
  userId: snowflake('user_id').primaryKey(),
  passwordHash: text('password_hash').notNull(),
})

/** Accounts of other systems: a token issuer's subjects and the authors of imported logs. */
export const identities = pgTable(
  'identities',
  {
    issuer: text().notNull(),
    subject: text().notNull(),
    userId: snowflake('user_id').notNull(),
    /** Until when it goes on standing for a user who was deleted, so that a token which is left makes no new one. */
    heldUntil: instant('held_until'),
  },
  (table) => [
    primaryKey({ columns: [table.issuer, table.subject] }),
    // Asked for when somebody goes, or wants to know what is kept of them.
    index('identities_user').on(table.userId),
    index('identities_held_until').on(table.heldUntil).where(sql`${table.heldUntil} is not null`),
  ],
)

/**
 * One sign-in and all the refresh tokens that came from it. Only the newest token is good; an older one shows up only
 * when it was stolen or kept by mistake, and ends the session.
 */
export const sessions = pgTable(
  'sessions',
  {
    userId: snowflake('user_id').notNull(),
    id: snowflake().notNull(),
    /** How often the token has been exchanged. */
    generation: integer().notNull().default(0),
    secretHash: bytes('secret_hash').notNull(),
    expiresAt: instant('expires_at').notNull(),
    revokedAt: instant('revoked_at'),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.id] }),
    index('sessions_expires_at').on(table.expiresAt),
    // Every replica asks once a second which have ended.
    index('sessions_revoked_at').on(table.revokedAt).where(sql`${table.revokedAt} is not null`),
  ],
)
