import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../../drizzle/connection.ts'
import { maxDelayMs } from './robots.ts'

/** It is not this job's turn with a host; another try is worth while after so many milliseconds. */
export class Postponed extends Error {
  readonly waitMs: number

  constructor(waitMs: number) {
    super(`Not its turn for another ${waitMs} ms`)
    this.name = 'Postponed'
    this.waitMs = waitMs
  }
}

/** The visits of one job: when each host it has left may be visited again, as far as that job is concerned. */
export type Tour = Map<string, Date>

export type Visit = {
  /** How long the host wants to be left alone afterwards, in milliseconds, if longer than others. */
  delayMs?: number
  /** Of which this visit is one. Where nobody else has come to a host meanwhile, its pause is waited for. */
  tour?: Tour
}

/**
 * Whose turn it is to ask a host: one request at a time over all workers, and a pause after each. What a host wants of
 * robots is kept beside it. Hosts are spelt as `hostOf` does.
 */
export type Hosts = {
  /**
   * Runs `ask` if the host is free, and keeps others from it meanwhile; `ask` makes one request. Throws Postponed where
   * others are with the host, or have just been, and what `ask` throws.
   */
  visit<T>(host: string, ask: () => Promise<T>, visit?: Visit): Promise<T>
  /** The rules of a host; null where they are not known, or have been for too long. */
  rulesOf(host: string): Promise<string | null>
  /** Keeps the rules of a host that has been visited. */
  keepRules(host: string, rules: string, forMs: number): Promise<void>
}

/** The host of an address, and its port where that is not the usual one. With a final dot a name is the same host. */
export const hostOf = (url: string): string => new URL(url).host.replace(/\.(?=:|$)/, '')

/** How long a host stays with a worker that has died; longer than any one request may take. */
const leaseMs = 30_000

/** The longest pause of its own that a job waits for in its seat. One that is longer others make better use of. */
const maxOwnPauseMs = 2_000

/** Somebody is with a host, and will be done before their time is over unless their worker has died. */
const busyMs = 2_000

export type HostsOptions = {
  database: Database
  /** Between two requests to a host, in milliseconds. */
  pauseMs?: number
}

/** Opens the queue at each host. A second is what polite robots leave between two requests, where nobody says more. */
export function createHosts({ database, pauseMs = 1_000 }: HostsOptions): Hosts {
  // In milliseconds, which a Date can hold: the moment is what a turn is known by.
  const later = (ms: string) => `date_trunc('milliseconds', now() + ${ms} * interval '1 millisecond')`

  /** Takes a free host, until the moment that is returned; null where it is not free. The store's clock counts. */
  async function take(host: string): Promise<Date | null> {
    const [taken] = await database.run<{ next_at: Date }>(
      `/* link host: take */ update link_hosts set next_at = ${later(`${leaseMs}`)}
       where host = $1 and next_at <= now() returning next_at`,
      [host],
    )
    return taken?.next_at ?? null
  }

  /** Lets a host that was taken go after a pause; null where the time was over and somebody else has it. */
  async function leave(host: string, until: Date, forMs: number): Promise<Date | null> {
    const [left] = await database.run<{ next_at: Date }>(
      `/* link host: leave */ update link_hosts set next_at = ${later('$3::int')}
       where host = $1 and next_at = $2 returning next_at`,
      [host, until, Math.round(forMs)],
    )
    return left?.next_at ?? null
  }

  async function begin(host: string, tour?: Tour): Promise<Date> {
    for (;;) {
      const until = await take(host)
      if (until !== null) return until
      const [row] = await database.run<{ next_at: Date; wait_ms: number }>(
        `select next_at, extract(epoch from next_at - now())::float8 * 1000 as wait_ms from link_hosts where host = $1`,
        [host],
      )
      if (row === undefined) {
        await database.run('insert into link_hosts (host, next_at) values ($1, now()) on conflict do nothing', [host])
        continue
      }
      const isOwnPause = tour?.get(host)?.getTime() === row.next_at.getTime()
      if (!isOwnPause || row.wait_ms > maxOwnPauseMs) {
        // No pause is that long: it is a lease.
        throw new Postponed(Math.ceil(row.wait_ms > maxDelayMs ? busyMs : Math.max(pauseMs, row.wait_ms)))
      }
      await sleep(Math.max(1, row.wait_ms))
    }
  }

  return {
    async visit(host, ask, { delayMs = 0, tour } = {}) {
      const until = await begin(host, tour)
      try {
        return await ask()
      } finally {
        // Where that fails, the lease ends by itself.
        const left = await leave(host, until, Math.max(pauseMs, delayMs)).catch(() => null)
        if (left !== null) tour?.set(host, left)
      }
    },

    async rulesOf(host) {
      const [row] = await database.run<{ robots: string | null }>(
        'select robots from link_hosts where host = $1 and robots_expires_at > now()',
        [host],
      )
      return row?.robots ?? null
    },

    async keepRules(host, rules, forMs) {
      await database.run(
        `update link_hosts set robots = $2, robots_expires_at = now() + $3::int * interval '1 millisecond' where host = $1`,
        [host, rules, forMs],
      )
    },
  }
}
