import { type AnyColumn, type SQL, sql } from 'drizzle-orm'
import type { Transaction } from '../../drizzle/connection.ts'
import { badInput } from '../errors.ts'
import { storeTime } from '../lib/store-time.ts'

/** How far ahead something can be put off: a year, whichever it is. Milliseconds. */
const maxAheadMs = 366 * 86_400_000

/**
 * Checks that a moment, which the input at `field` names, is yet to come and at most a year away, by the store's clock.
 * Throws BAD_USER_INPUT.
 */
export async function checkAhead(tx: Pick<Transaction, 'run'>, moment: Date, field: string): Promise<void> {
  const now = await storeTime(tx)
  if (+moment <= +now) throw badInput('This moment has passed.', field)
  if (+moment - +now > maxAheadMs) throw badInput('At most a year ahead.', field)
}

/**
 * The condition that a moment has passed so long ago that its job must be lost: a queue does not outlive its tables, nor
 * what it was told to forget. Jobs that are tried again wait for as long as ten minutes.
 */
export const isOverdue = (moment: AnyColumn): SQL => sql`${moment} < now() - interval '15 minutes'`

/** What is overdue gets a job again, so much at once. */
export const overdueAtOnce = 1_000

/** Lets what one person puts off go one after the other, so that it can be counted. Holds for the transaction. */
export async function lockPerson({ run }: Pick<Transaction, 'run'>, userId: string): Promise<void> {
  await run('/* lock person */ select from users where id = $1 for no key update', [userId])
}
