import type { Database } from '../../drizzle/connection.ts'

/** When somebody is written to: after how long an absence, and how long after the last mail. Milliseconds. */
export type AwayTimes = { awayMs: number; everyMs: number }

const hourMs = 60 * 60_000

export const defaultAwayTimes: AwayTimes = { awayMs: 12 * hourMs, everyMs: 24 * hourMs }

/** People write more than one line at a time. Milliseconds. */
const gatherMs = 10 * 60_000

/** Somebody who wants to be written to. */
export type Addressee = {
  userId: string
  email: string
  /** When they were there last; when they signed up, where nobody knows. */
  activeAt: Date
  /** Whoever hides their presence is not seen to come and go: `activeAt` is when they began to. */
  isHidden: boolean
  mailedAt: Date | null
}

type Row = { user_id: string; email: string; active_at: Date; hidden: boolean; mailed_at: Date | null }

/** Those of these users who want mail when they are away, at an address that they have confirmed. One statement. */
export async function addresseesOf(database: Pick<Database, 'run'>, userIds: readonly string[]): Promise<Addressee[]> {
  const rows = await database.run<Row>(
    `/* addressees */ select s.user_id, s.email, coalesce(u.last_active_at, u.created_at) as active_at,
       u.presence_status is not distinct from 'OFFLINE' as hidden, s.mailed_at
     from settings s join users u on u.id = s.user_id
     where s.user_id = any ($1::bigint[]) and u.id = any ($1::bigint[])
       and s.email is not null and s.email_verified_at is not null and s.email_when_away`,
    [userIds],
  )
  return rows.map((row) => ({
    userId: row.user_id,
    email: row.email,
    activeAt: row.active_at,
    isHidden: row.hidden,
    mailedAt: row.mailed_at,
  }))
}

/** When a mail to this person is due, as long as they do not come back. */
export function dueAt({ activeAt, mailedAt }: Pick<Addressee, 'activeAt' | 'mailedAt'>, times: AwayTimes): Date {
  const sinceMail = mailedAt === null ? 0 : mailedAt.getTime() + times.everyMs
  return new Date(Math.max(activeAt.getTime() + times.awayMs, sinceMail))
}

/** Those of these users to whom a mail is due now: they want one, are away for long, and had none lately. */
export async function dueForDigest(
  database: Pick<Database, 'run'>,
  userIds: readonly string[],
  times: AwayTimes = defaultAwayTimes,
): Promise<string[]> {
  const now = new Date()
  const addressees = await addresseesOf(database, userIds)
  return addressees.filter((addressee) => dueAt(addressee, times) <= now).map(({ userId }) => userId)
}

/**
 * Something has come for these users: when each of those who are away and want mail is to be looked at again, and
 * written to if they have not come back by then. Never at once, so that what comes together is in one mail.
 * `connectedOf` says which of them have a socket open.
 */
export async function digestTimes(
  database: Pick<Database, 'run'>,
  userIds: readonly string[],
  connectedOf: (userIds: readonly string[]) => Promise<ReadonlySet<string>>,
  times: AwayTimes = defaultAwayTimes,
): Promise<Map<string, Date>> {
  const addressees = userIds.length === 0 ? [] : await addresseesOf(database, userIds)
  if (addressees.length === 0) return new Map()
  const connected = await connectedOf(addressees.map(({ userId }) => userId))
  const soonest = Date.now() + gatherMs
  return new Map(
    addressees
      .filter(({ userId }) => !connected.has(userId))
      .map((addressee) => [addressee.userId, new Date(Math.max(soonest, dueAt(addressee, times).getTime()))]),
  )
}
