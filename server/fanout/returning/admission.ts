import { MaruError } from '../../errors.ts'

/**
 * Reads that may wait before whoever comes back is sent away. Each of them is shared by all who want the same, so that
 * so many mean as many different things to read: with five at once, of two milliseconds each, four seconds of them.
 */
const defaultMaxWaiting = 10_000

/** The soonest that somebody who was sent away is asked to try again, in milliseconds. */
const minRetryMs = 1_000

/** Half of the connections: the other half is there for sends, and for the streams that are live. */
export const readsAtOnce = (poolSize: number): number => Math.max(1, Math.floor(poolSize / 2))

/** What those who come back ask of the store, a bounded number at a time. */
export type Admission = {
  /**
   * Runs `read` when it is its turn, and gives what it gives. The turns go round those who wait, by `who`; of each, what
   * came first goes first. Aborting `signal` before that leaves the queue: rejects with its reason, nothing is run.
   */
  run<T>(who: string, read: () => Promise<T>, signal?: AbortSignal): Promise<T>
  /** Throws RATE_LIMITED, with the time after which to try again, where so many wait that nobody should join them. */
  check(): void
  /** How many wait. */
  waiting(): number
  /** How many have their turn. */
  running(): number
}

type Waiting = { since: number; admit: () => void }

/**
 * Lets in `atOnce` reads at a time. Nothing that is live may pass here: it would wait behind those who come back.
 */
export function createAdmission(options: {
  atOnce: number
  maxWaiting?: number
  /** Called with how many wait, whenever that changes. */
  onWaiting?: (count: number) => void
  /** Called for each read that gets its turn, with how long it has waited. */
  onAdmitted?: (milliseconds: number) => void
}): Admission {
  const { atOnce, maxWaiting = defaultMaxWaiting, onWaiting = () => {}, onAdmitted = () => {} } = options
  /** Who waits, in the order of their turns; each with at least one. */
  const queues = new Map<string, Waiting[]>()
  let running = 0
  let waiting = 0
  /** How long the last one had to wait. */
  let lastWaitedMs = 0

  function count(by: number) {
    waiting += by
    onWaiting(waiting)
  }

  function leaveQueue(who: string, one: Waiting) {
    const queue = queues.get(who)
    const place = queue?.indexOf(one) ?? -1
    if (place === -1) return
    queue!.splice(place, 1)
    if (queue!.length === 0) queues.delete(who)
    count(-1)
  }

  /** Gives a place that has become free to whoever is next. */
  function passOn() {
    const next = queues.entries().next().value
    if (next === undefined) {
      running--
      return
    }
    const [who, queue] = next
    const first = queue.shift()!
    // To the end of the round, with whatever else they want.
    queues.delete(who)
    if (queue.length > 0) queues.set(who, queue)
    count(-1)
    lastWaitedMs = performance.now() - first.since
    onAdmitted(lastWaitedMs)
    first.admit()
  }

  function wait(who: string, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        leaveQueue(who, one)
        reject(signal!.reason as Error)
      }
      const one: Waiting = {
        since: performance.now(),
        admit() {
          signal?.removeEventListener('abort', leave)
          resolve()
        },
      }
      const queue = queues.get(who)
      if (queue === undefined) queues.set(who, [one])
      else queue.push(one)
      count(1)
      signal?.addEventListener('abort', leave, { once: true })
    })
  }

  return {
    async run(who, read, signal) {
      signal?.throwIfAborted()
      if (running < atOnce) {
        running++
        lastWaitedMs = 0
        onAdmitted(0)
      } else {
        await wait(who, signal)
      }
      try {
        return await read()
      } finally {
        passOn()
      }
    },
    check() {
      if (waiting < maxWaiting) return
      // At random, so that they do not all come back together once more.
      const retryAfterMs = Math.round(Math.max(minRetryMs, lastWaitedMs) * (1 + Math.random()))
      throw new MaruError('RATE_LIMITED', 'Too many come back just now; try again.', { retryAfterMs })
    },
    waiting: () => waiting,
    running: () => running,
  }
}
