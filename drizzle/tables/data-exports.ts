import { sql } from 'drizzle-orm'
import { bigint, index, pgTable, primaryKey, text } from 'drizzle-orm/pg-core'
import { instant, snowflake } from '../columns.ts'

/** What people have asked to be given of their own, in one file each. */
export const dataExports = pgTable(
  'data_exports',
  {
    userId: snowflake('user_id').notNull(),
    id: snowflake().notNull(),
    status: text({ enum: ['PENDING', 'RUNNING', 'READY', 'FAILED', 'EXPIRED'] }).notNull().default('PENDING'),
    createdAt: instant('created_at').notNull(),
    /** Where its file is, or will be: an attempt that begins puts its own place here. */
    key: text(),
    /** Of the file; more than an integer holds is possible. */
    byteSize: bigint('byte_size', { mode: 'number' }),
    /** Until when the file is kept; null until it is READY. */
    expiresAt: instant('expires_at'),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.id] }),
    // What is kept no longer, and what nobody works on any more, is found by these; both are few.
    index('data_exports_expires_at').on(table.expiresAt).where(sql`${table.status} = 'READY'`),
    index('data_exports_created_at').on(table.createdAt).where(sql`${table.status} <> 'READY'`),
  ],
)
