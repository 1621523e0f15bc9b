/**
 * Which replicas there are just now, where clients reach them, and how many sockets each has. A hint for whoever gives
 * out places, and nothing else: a client that comes to another replica is served all the same.
 *
 * What every engine guarantees:
 * - Nothing here throws, and nothing waits for longer than `sayMs`, whatever became of what there is to ask.
 * - `members` answers at once, from memory. It holds this replica from `join` to `close`, with its sockets as they are.
 * - `members` is null where nobody can say who there is: before `join`, for `settleMs` after it where there are others
 *   to ask, while the engine has been away for longer than `leaseMs`, and for `settleMs` after it has come back, or has
 *   forgotten who was there. Then the public address is the only one that is known to lead somewhere.
 * - A replica that dies is gone from everybody's list after `leaseMs` and a beat. One that drains or closes says so
 *   before its promise resolves, as far as it can: others know within milliseconds, and after a beat at the latest.
 *
 * What none guarantees:
 * - That two replicas have the same list in the same moment, or the newest counts: they are up to `beatMs` old.
 */
export type ReplicaRegistry = {
  /** This process takes sockets from now on. Called once, when it listens; who never calls it is no replica. */
  join(): Promise<void>
  /** A socket has been opened here, and one has been closed. */
  opened(): void
  closed(): void
  /** All who are there, those that drain among them, in no order. Null where nobody can say. */
  members(): readonly Member[] | null
  /** Notes that somebody was sent to this member, and will be there in a moment if all goes well. */
  sent(memberId: string): void
  /** This replica takes no new sockets from now on. */
  drain(): Promise<void>
  close(): Promise<void>
}

/** A replica as the others see it. */
export type Member = {
  /** Of one process: who is started again has another. */
  id: string
  /** Where clients reach it, without a slash at its end; null where that is by the public address alone. */
  url: string | null
  /** The sockets that are open there. */
  sockets: number
  /** The same, and those who were sent there and have not arrived yet, as far as anybody knows. */
  load: number
  draining: boolean
  /** When it joined, by its own clock. */
  since: Date
  /** Of the program. */
  version: string
}

/** What opens a registry is told of this replica. */
export type ReplicaSelf = {
  /** Where clients reach this very replica; null where that is by the public address alone. */
  url: string | null
  version: string
}

export type OpenReplicaRegistry = (self: ReplicaSelf) => ReplicaRegistry

/** How often a replica says that it lives, and reads who else does. Milliseconds. */
export const beatMs = 1_000

/**
 * A replica that has not been heard of for so long is gone: three beats may be lost. If it is not dead after all, it is
 * in nobody's list for a second, which nobody notices. Milliseconds.
 */
export const leaseMs = 4_000

/**
 * How long a list is not believed that may be short of some: all who live have said so again by then, after a beat and
 * the second that it takes at most to find a Redis that is back. Milliseconds.
 */
export const settleMs = 3_000

/** What draining waits for, before sockets are closed. Milliseconds. */
export const sayMs = 300

/**
 * How long somebody who was sent to a replica counts there without having arrived. A client connects within a second;
 * its socket is reported within a beat, and read within another. Milliseconds.
 */
export const arrivalMs = 5_000
