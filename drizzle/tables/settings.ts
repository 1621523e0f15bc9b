import { boolean, pgTable, text } from 'drizzle-orm/pg-core'
import { instant, snowflake } from '../columns.ts'

/** What a user alone sees and sets. Who has set nothing has no row. */
export const settings = pgTable('settings', {
  userId: snowflake('user_id').primaryKey(),
  /** A BCP 47 tag; null has not been said. */
  locale: text(),
  /** A zone of the IANA's database; null has not been said. */
  timeZone: text('time_zone'),
  /** Local times, as in 22:00; both or none. */
  quietHoursStart: text('quiet_hours_start'),
  quietHoursEnd: text('quiet_hours_end'),
  pushPreviews: boolean('push_previews').notNull().default(true),
  emailWhenAway: boolean('email_when_away').notNull().default(true),
  email: text(),
  /** When its owner has answered what was sent there; nothing else is sent before. */
  emailVerifiedAt: instant('email_verified_at'),
  /** When a mail last went there, of whatever kind. */
  mailedAt: instant('mailed_at'),
})
