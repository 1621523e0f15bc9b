import type { Database } from '../../drizzle/connection.ts'

/** How long a count may be given out again, in milliseconds: what no account is told of, as a block, is in the next one. */
const freshMs = 1_000

/** A count, and the account's change up to which it is known to hold. */
type Count = { upTo: number; count: number }

/**
 * Counts that events bring along. An account with many devices, or to which much happens at once, is counted once for all
 * of it: a count is given out again to whatever happened before it was begun.
 */
export function createActivityCounts(database: Pick<Database, 'run'>, count: (userId: string) => Promise<number>) {
  const recent = new Map<string, Promise<Count>>()

  async function countNow(userId: string): Promise<Count> {
    // Read first: the rows that are counted then are of this change or a later one.
    const [row] = await database.run<{ last_change: number }>(
      '/* account change */ select last_change from accounts where user_id = $1',
      [userId],
    )
    return { upTo: row?.last_change ?? 0, count: await count(userId) }
  }

  function begin(userId: string): Promise<Count> {
    const counting = countNow(userId)
    recent.set(userId, counting)
    const forget = () => {
      if (recent.get(userId) === counting) recent.delete(userId)
    }
    setTimeout(forget, freshMs).unref()
    counting.catch(forget)
    return counting
  }

  return {
    /** A user's count as it was when their account was at `change`, or since. */
    async since(userId: string, change: number): Promise<number> {
      for (let tried: Promise<Count> | undefined; ; ) {
        const known = recent.get(userId)
        const isNew = known === undefined || known === tried
        const counting = isNew ? begin(userId) : known
        const { upTo, count } = await counting
        if (isNew || upTo >= change) return count
        tried = counting
      }
    },
  }
}
