import type { Database } from '../drizzle/connection.ts'

/** How long an ended session is remembered, so that a copied refresh token is still known for what it is. */
const sessionsKeptDays = 30

/** Removes what nobody needs any more. Running it twice at once does no harm. Returns how much went. */
export async function maintain(database: Database): Promise<{ sessions: number; leases: number }> {
  const sessions = await database.run(
    `delete from sessions
     where expires_at < now() - interval '${sessionsKeptDays} days'
     returning id`,
    [],
  )
  const leases = await database.run(
    `delete from worker_leases where expires_at < now() - interval '1 day' returning worker`,
    [],
  )
  return { sessions: sessions.length, leases: leases.length }
}
