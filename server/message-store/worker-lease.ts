import { randomUUID } from 'node:crypto'
import type { Database } from '../../drizzle/connection.ts'
import { unavailable } from '../errors.ts'
import { maxWorker } from './snowflake.ts'

/** How long a number stays with a process that is not heard of. Longer than any pause that a process lives through. */
const leaseMs = 60_000

const renewMs = 15_000

const askMs = 1_000

/** A process stops writing this long before its lease ends, so that its last statement is over by then. */
const marginMs = 10_000

export type WorkerLease = {
  /** The number; throws UNAVAILABLE once the lease may have passed to somebody else. */
  worker(): number
  /** Whether there is a lease just now. */
  isHeld(): boolean
  release(): Promise<void>
}

/**
 * Leases a worker number for this process, and keeps it renewed. The store's clock decides when a lease is over; this
 * process measures its own time from before each renewal, so that it gives up first. A process that has slept through
 * its lease, so that somebody else has its number, leases another.
 */
export async function leaseWorker(database: Database, onError: (error: unknown) => void): Promise<WorkerLease> {
  const holder = randomUUID()
  let since = performance.now()
  let worker = await takeFree(database, holder)

  async function renew() {
    const started = performance.now()
    const renewed = await database.run(
      `update worker_leases set expires_at = now() + interval '${leaseMs} ms'
       where worker = $1 and holder = $2 returning worker`,
      [worker, holder],
    )
    if (renewed.length === 0) worker = await takeFree(database, holder)
    since = started
  }
  let isRenewing = false
  // Whether it is time is asked often, so that a renewal which has failed is soon tried again: a few failures in a row
  // must not end the lease.
  const timer = setInterval(() => {
    if (isRenewing || performance.now() - since < renewMs) return
    isRenewing = true
    void renew()
      .catch(onError)
      .finally(() => (isRenewing = false))
  }, askMs)
  timer.unref()
  const isHeld = () => performance.now() - since < leaseMs - marginMs

  return {
    isHeld,
    worker() {
      if (!isHeld()) throw unavailable(new Error('the worker lease is over'))
      return worker
    },
    async release() {
      clearInterval(timer)
      await database.run('delete from worker_leases where worker = $1 and holder = $2', [worker, holder])
    },
  }
}

/** Takes the lowest number that nobody holds. */
function takeFree(database: Database, holder: string): Promise<number> {
  return database.transaction(async ({ run }) => {
    // Taking the table's lock lets only one process choose at a time; it happens once in a process's life.
    await run('lock table worker_leases in share row exclusive mode', [])
    const [free] = await run<{ worker: number }>(
      `select n as worker from generate_series(0, ${maxWorker}) n
       where not exists (select from worker_leases where worker = n and expires_at > now())
       order by n limit 1`,
      [],
    )
    if (free === undefined) throw new Error(`All ${maxWorker + 1} worker numbers are leased: too many processes.`)
    await run(
      `insert into worker_leases (worker, holder, expires_at) values ($1, $2, now() + interval '${leaseMs} ms')
       on conflict (worker) do update set holder = excluded.holder, expires_at = excluded.expires_at`,
      [free.worker, holder],
    )
    return free.worker
  })
}
