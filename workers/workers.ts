import type { Database } from '../drizzle/connection.ts'
import type { Log } from '../server/observability/log.ts'
import { maintain } from './maintenance.ts'

/** How often the store is tidied, in milliseconds. What is tidied is days old, so the minute does not matter. */
const maintenanceMs = 10 * 60_000

export type Workers = {
  /** Lets what is under way finish. */
  stop(): Promise<void>
}

/** Starts the work that nobody waits for. Any number of processes may run it. */
export function startWorkers({ database, log }: { database: Database; log: Log }): Workers {
  let running: Promise<void> = Promise.resolve()
  function run() {
    running = maintain(database).then(
      (gone) => log.debug(gone, 'maintenance'),
      (error: unknown) => log.warn({ err: error }, 'maintenance will be tried again'),
    )
  }
  run()
  const timer = setInterval(run, maintenanceMs)
  return {
    stop() {
      clearInterval(timer)
      return running
    },
  }
}
