/**
 * Who is connected to the deployment just now, counted over all replicas. Each replica says who is connected to it, and
 * asks about everybody.
 *
 * What every engine guarantees:
 * - `join` and `leave` neither wait nor fail. What is connected here counts at once in what `online` says here.
 * - `online` does not reject, and answers within `lookUpMs`, whatever became of what it has to ask.
 * - Where it cannot ask, or is told by something that may have forgotten, what was last known of others stands.
 * - `onLeaving` is called for each user whose last connection has ended, on one replica at least, before they are
 *   counted out; also where the replica that they were connected to died.
 * - `onMoved` is called, on one replica, for each user who comes when they were nowhere, or has left the last replica.
 *   It may be lost where a replica dies or the engine is away: whoever must know looks again now and then.
 * - Somebody who leaves one replica and joins another before that has gone nowhere: nobody is told.
 *
 * What none guarantees:
 * - That a replica knows at once what another one does. A replica that dies is noticed within `replicaSilenceMs` and a
 *   second; so is what happened while the engine was away, once it is back.
 */
export type PresenceRegistry = {
  /** The user is connected to this replica from now on. Once for a user, until `leave`. */
  join(userId: string): void
  /** The user is not any more. */
  leave(userId: string): void
  /** Those of these users who are connected anywhere. */
  online(userIds: readonly string[]): Promise<Set<string>>
  /**
   * The replica stops. Those who are connected to it have a while to come back to another one; where there cannot be
   * another, they are counted out.
   */
  close(): Promise<void>
}

/** Whom a registry tells. */
export type PresenceHooks = {
  /** The last connections of these users seem to have ended: time to note when. What it rejects with is lost. */
  onLeaving(userIds: readonly string[]): Promise<void>
  /** These have come or gone. */
  onMoved(userIds: readonly string[]): void
}

export type OpenPresenceRegistry = (hooks: PresenceHooks) => PresenceRegistry

/** What nobody waits for longer than, where somebody waits for an answer. Milliseconds. */
export const lookUpMs = 300

/**
 * A replica that has not been heard of for so long is taken for dead. Its clients need a while to come back to another
 * one, unnoticed; and a second to find out and a few to look again, should the news be lost, must fit into the ten
 * seconds in which presence is to be true. Milliseconds.
 */
export const replicaSilenceMs = 6_000

/** The longest that counting out waits for `onLeaving`: the store may be away. Milliseconds. */
const leavingMs = 1_000

/** Calls `onLeaving` and waits for it, for a while; it never rejects. */
export async function sayLeaving(hooks: PresenceHooks, userIds: readonly string[]): Promise<void> {
  if (userIds.length === 0) return
  await atMost(leavingMs, hooks.onLeaving(userIds))
}

/** Waits until it settles, however that is, or for so many milliseconds. */
export function atMost(ms: number, work: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    timer.unref()
    const settle = () => {
      clearTimeout(timer)
      resolve()
    }
    work.then(settle, settle)
  })
}
