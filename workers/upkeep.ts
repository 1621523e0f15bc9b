import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../drizzle/connection.ts'
import type { Config } from '../server/config.ts'
import type { OnExpiredAttachments } from '../server/message-store/expired-attachments.ts'
import type { Log } from '../server/observability/log.ts'
import { keepUp, maintain, tidy } from './maintenance.ts'

/** How often the store is looked after, in milliseconds. What is removed is days old, so the minute does not matter. */
const maintenanceMs = 10 * 60_000

/** How often what sends leave behind is worked into their index, in milliseconds. */
const tidyMs = 1_000

/** How long stopping waits for a statement that is under way; all of them may be cut off. Milliseconds. */
const stopMs = 3_000

export type Upkeep = {
  /** Lets what is under way come to a place where the next run can go on. */
  stop(): Promise<void>
}

export type UpkeepOptions = {
  /** Whose statements may take long. */
  database: Database
  log: Log
  settings: Config['maintenance']
  /** Told of files whose messages retention is about to remove. */
  onAttachments?: OnExpiredAttachments
  /** What else is done so often, in milliseconds, and once at the start. */
  others?: readonly { everyMs: number; work: () => Promise<unknown> }[]
}

/** Keeps the store in shape. Any number of processes may run it: of what must be done by one, one does it. */
export function startUpkeep({ database, log, settings, onAttachments, others = [] }: UpkeepOptions): Upkeep {
  const stopped = new AbortController()
  const store = until(stopped.signal, database)
  const loops = [
    // What takes long must not hold up what is due.
    every(maintenanceMs, () => keepUp(store, log)),
    every(maintenanceMs, () => maintain(store, log, settings, onAttachments)),
    every(tidyMs, () => tidy(store)),
    ...others.map(({ everyMs, work }) => every(everyMs, work)),
  ]

  /** Does something at once and then so often, never twice at a time; tells of the first failure in a row. */
  function every(ms: number, work: () => Promise<unknown>) {
    let running: Promise<void> | null = null
    let hasFailed = false
    const run = () => {
      running ??= work()
        .then(
          () => {
            hasFailed = false
          },
          (error: unknown) => {
            if (!hasFailed && !stopped.signal.aborted) log.warn({ err: error }, 'maintenance will be tried again')
            hasFailed = true
          },
        )
        .finally(() => {
          running = null
        })
    }
    run()
    const timer = setInterval(run, ms)
    return {
      async end() {
        clearInterval(timer)
        await running
      },
    }
  }

  return {
    async stop() {
      stopped.abort()
      await Promise.race([Promise.all(loops.map((loop) => loop.end())), sleep(stopMs, undefined, { ref: false })])
    },
  }
}

/** A database that begins no more statements once a signal has come. */
function until(signal: AbortSignal, database: Database): Database {
  const guard =
    (run: Database['run']): Database['run'] =>
    async (text, parameters) => {
      signal.throwIfAborted()
      return run(text, parameters)
    }
  return {
    ...database,
    run: guard(database.run),
    async transaction(work) {
      signal.throwIfAborted()
      return database.transaction((tx) => work({ ...tx, run: guard(tx.run) }))
    },
    async reserve(onLost) {
      signal.throwIfAborted()
      const session = await database.reserve(onLost)
      return { ...session, run: guard(session.run) }
    },
  }
}
