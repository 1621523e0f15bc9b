import type { Database } from '../../drizzle/connection.ts'

/** A session that has ended. */
export type EndedSession = { userId: string; sessionId: string }

/**
 * What stands for all sessions of a user at once, and for the tokens of another issuer, which have none: a session with
 * the user's own id. Those of sessions are random, and of 63 bits, so that none is one of a user's by accident.
 */
export const wholeAccount = (userId: string): string => userId

/** How often the store is asked: about what it costs where news of an ended session was lost. Milliseconds. */
export const endedIntervalMs = 1_000

/**
 * How long after it was marked the end of a session may come to be seen. A statement is given up after some seconds,
 * and so is its commit; clocks of machines that take over from each other may differ. Milliseconds.
 */
const lateMs = 60_000

/**
 * Tells of sessions that have ended, whoever ended them, by asking the store: news of them travels on the bus, which
 * may lose it. `check` asks at once; otherwise about once a second. Each session is told of once.
 *
 * Nothing here goes by this machine's clock but how long something took. Asked is for what ended since a moment of the
 * store's, which stays where it is while the store does not answer: after an absence of the store, or of this process,
 * all that ended meanwhile is found.
 *
 * The question is a look at an index in which there is hardly anything after that moment. On Citus each shard is asked,
 * as sessions lie by user: with 32 of them and ten replicas that is 320 such looks a second.
 */
export function watchEndedSessions(options: {
  database: Pick<Database, 'run'>
  onEnded: (ended: readonly EndedSession[]) => void
  /** Called once for each absence of the store. */
  onError: (error: unknown) => void
  intervalMs?: number
  lateMs?: number
}): { check(): void; close(): void } {
  const { database, onEnded, onError } = options
  const late = options.lateMs ?? lateMs
  /** What ended at this moment or later may not have been told yet; null until the store has said what time it is. */
  let since: number | null = null
  /** The newest end that was seen, and when it was, by `performance.now()`. */
  let newest = 0
  let newestAt = 0
  /** What was told of all that ended at `since` or later, with when it did. */
  const told = new Map<string, number>()
  let isAsking = false
  let mustAskAgain = false
  let isFailing = false
  let isClosed = false

  async function findSince(moment: number): Promise<(EndedSession & { at: number })[]> {
    // A range is taken for narrower than what is open at its end, so that the index is used however many have ended:
    // of a million sessions, half of them ended, that took a quarter of a millisecond.
    const rows = await database.run<{ user_id: string; id: string; revoked_at: Date }>(
      `/* ended sessions */ select user_id, id, revoked_at from sessions where revoked_at between $1 and 'infinity'`,
      [new Date(moment)],
    )
    return rows.map((row) => ({ userId: row.user_id, sessionId: row.id, at: row.revoked_at.getTime() }))
  }

  async function ask(): Promise<void> {
    if (since === null) {
      const [clock] = await database.run<{ now: Date }>('/* clock */ select now() as now', [])
      newest = clock!.now.getTime()
      newestAt = performance.now()
      since = newest - late
    }
    const askedAt = performance.now()
    const found = await findSince(since)
    if (isClosed) return
    const fresh = found.filter(({ sessionId }) => !told.has(sessionId))
    for (const { sessionId, at } of fresh) told.set(sessionId, at)
    moveOn(found.reduce((latest, { at }) => Math.max(latest, at), newest), askedAt)
    if (fresh.length > 0) onEnded(fresh.map(({ userId, sessionId }) => ({ userId, sessionId })))
  }

  /** Moves `since` as far as nothing can come to be seen any more that ended before it. */
  function moveOn(latest: number, askedAt: number) {
    if (latest > newest) {
      newest = latest
      newestAt = performance.now()
      since = Math.max(since!, newest - late)
    } else if (askedAt - newestAt > late) {
      // The store was asked so long after the newest was seen that there is nothing left of that time. Its moments are
      // finer than the milliseconds that are read of them.
      since = newest + 1
    }
    for (const [sessionId, at] of told) if (at < since!) told.delete(sessionId)
  }

  async function check(): Promise<void> {
    if (isAsking) {
      mustAskAgain = true
      return
    }
    isAsking = true
    do {
      mustAskAgain = false
      try {
        await ask()
        isFailing = false
      } catch (error) {
        if (!isFailing && !isClosed) onError(error)
        isFailing = true
      }
    } while (mustAskAgain && !isFailing && !isClosed)
    isAsking = false
  }

  const timer = setInterval(() => void check(), options.intervalMs ?? endedIntervalMs)
  timer.unref()
  void check()

  return {
    check: () => void check(),
    close() {
      isClosed = true
      clearInterval(timer)
    },
  }
}
