import { index, pgTable, primaryKey } from 'drizzle-orm/pg-core'
import { instant, snowflake } from '../columns.ts'

/** Whom a user has added: that lets them see when the user is there, and not the other way round. */
export const contacts = pgTable(
  'contacts',
  {
    userId: snowflake('user_id').notNull(),
    contactId: snowflake('contact_id').notNull(),
    addedAt: instant('added_at').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.contactId] }),
    index('contacts_added_at').on(table.userId, table.addedAt, table.contactId),
    // On whose lists somebody is who goes.
    index('contacts_contact').on(table.contactId),
  ],
)
