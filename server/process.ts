import { ConfigError, type Config, configWarnings, readConfig } from './config.ts'
import { createLog, type Log } from './observability/log.ts'
import { createMetrics, type Metrics } from './observability/metrics.ts'
import { startTracing } from './observability/tracing.ts'
import { StartError } from './start-error.ts'

export type Surroundings = { config: Config; log: Log; metrics: Metrics }

/** What a part of the process does to stop; parts stop in the reverse order of their start. */
export type Part = { name: string; stop(): Promise<unknown> }

/** Ends the process, with exit code 1, when a part that it cannot do without is gone. */
export type Fail = (reason: string) => void

/**
 * Ctrl-C in a terminal reaches npm and us, and npm hands it on: a signal within this time of the first is the same one.
 * Milliseconds.
 */
const sameSignalMs = 1_000

/** What stands on a part that is gone may never end well, and whoever starts us anew is waiting. Milliseconds. */
const failureMs = 1_000

/**
 * Runs a process from reading its configuration to its end. `start` starts the parts, adding each to the list as soon
 * as it runs. SIGTERM and SIGINT stop them and exit with 0; a second signal does not wait. What cannot start says why
 * and exits with 1.
 */
export async function runProcess(
  env: NodeJS.ProcessEnv,
  start: (surroundings: Surroundings, parts: Part[], fail: Fail) => Promise<void>,
): Promise<void> {
  let config: Config
  try {
    config = readConfig(env)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    process.stderr.write(`${error.message}\n`)
    process.exitCode = 1
    return
  }
  const log = createLog(config.log)
  for (const warning of configWarnings(env)) log.warn(warning)
  const tracing = await startTracing(config.tracing, log)
  const parts: Part[] = [{ name: 'tracing', stop: tracing.stop }]
  let stoppingSince: number | null = null

  async function stop(code: number): Promise<void> {
    if (stoppingSince !== null) return
    stoppingSince = performance.now()
    for (const part of parts.toReversed()) {
      await part.stop().catch((error: unknown) => log.error({ err: error }, `${part.name} did not stop cleanly`))
    }
    log.info('stopped')
    process.exit(code)
  }

  const fail: Fail = (reason) => {
    if (stoppingSince !== null) return
    log.fatal(reason)
    setTimeout(() => process.exit(1), failureMs)
    void stop(1)
  }

  function onSignal(signal: NodeJS.Signals) {
    if (stoppingSince === null) {
      log.info({ signal }, 'stopping')
      void stop(0)
    } else if (performance.now() - stoppingSince > sameSignalMs) {
      log.warn({ signal }, 'stopping at once')
      process.exit(1)
    }
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  process.on('unhandledRejection', (error) => log.error({ err: error }, 'unhandled rejection'))
  process.on('uncaughtException', (error) => {
    // Nobody knows in what state it leaves us. What was acknowledged is in the store.
    log.fatal({ err: error }, 'unforeseen error')
    process.exit(1)
  })

  try {
    await start({ config, log, metrics: createMetrics() }, parts, fail)
  } catch (error) {
    // What is stopped while it starts fails, and that is as it should be.
    if (stoppingSince !== null) return
    if (error instanceof StartError) log.fatal(error.message)
    else log.fatal({ err: error }, 'could not start')
    await stop(1)
  }
}
