import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../../drizzle/connection.ts'

/** It is not this job's turn with a host; another try is worth while after so many milliseconds. */
export class Postponed extends Error {
  readonly waitMs: number

  constructor(waitMs: number) {
    super(`Not its turn for another ${waitMs} ms`)
    this.name = 'Postponed'
    this.waitMs = waitMs
  }
}

/** A host's turn, while it lasts. */
export type Turn = {
  /** Leaves the host alone for a moment, and goes on. */
  pause(): Promise<void>
}

/**
 * Whose turn it is to ask a host: one request at a time over all workers, and a pause after each. What a host wants of
 * robots is kept beside it.
 */
export type Hosts = {
  /**
   * Runs `ask` when the host is free, and keeps others from it meanwhile. `delayMs`: how long the host wants to be left
   * alone afterwards, if longer than others. Throws Postponed where it does not come free soon, and what `ask` throws.
   */
  visit<T>(host: string, ask: (turn: Turn) => Promise<T>, delayMs?: number): Promise<T>
  /** The rules of a host; null where they are not known, or have been for too long. */
  rulesOf(host: string): Promise<string | null>
  /** Keeps the rules of a host that has been visited. */
  keepRules(host: string, rules: string, forMs: number): Promise<void>
}

/** How long a host stays with a worker that has died; longer than any one request may take. */
const leaseMs = 30_000

/** A job waits this long for a host that others ask as well, before it makes room for jobs that need not wait. */
const maxWaitMs = 3_000

/** Turns end before their time unless a worker has died: it is worth another try sooner than that. */
const maxPutOffMs = 5_000

/** How often a job looks whether a host has come free. Turns end before their time, so it does not just wait for that. */
const lookMs = 250

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

  /** Keeps a host that was taken, or lets it go; `null` where the time was over and somebody else has it. */
  async function keep(host: string, until: Date, forMs: number): Promise<Date | null> {
    const [kept] = await database.run<{ next_at: Date }>(
      `/* link host: keep */ update link_hosts set next_at = ${later('$3::int')}
       where host = $1 and next_at = $2 returning next_at`,
      [host, until, Math.round(forMs)],
    )
    return kept?.next_at ?? null
  }

  async function waitFor(host: string): Promise<Date> {
    const start = performance.now()
    for (;;) {
      const until = await take(host)
      if (until !== null) return until
      const [row] = await database.run<{ wait_ms: number }>(
        `select extract(epoch from next_at - now())::float8 * 1000 as wait_ms from link_hosts where host = $1`,
        [host],
      )
      if (row === undefined) {
        await database.run('insert into link_hosts (host, next_at) values ($1, now()) on conflict do nothing', [host])
        continue
      }
      const left = maxWaitMs - (performance.now() - start)
      if (left <= 0) throw new Postponed(Math.max(pauseMs, Math.min(row.wait_ms, maxPutOffMs)))
      await sleep(Math.min(left, lookMs, Math.max(1, row.wait_ms)))
    }
  }

  return {
    async visit(host, ask, delayMs = 0) {
      let until = await waitFor(host)
      const turn: Turn = {
        async pause() {
          await sleep(pauseMs)
          const kept = await keep(host, until, leaseMs)
          if (kept === null) throw new Postponed(pauseMs)
          until = kept
        },
      }
      try {
        return await ask(turn)
      } finally {
        // Where that fails, the lease ends by itself.
        await keep(host, until, Math.max(pauseMs, delayMs)).catch(() => undefined)
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
