import { ConfigError, type Config, configWarnings, readConfig } from './config.ts'
import { createLog, type Log } from './observability/log.ts'
import { createMetrics, type Metrics } from './observability/metrics.ts'
import { startTracing } from './observability/tracing.ts'

export type Surroundings = { config: Config; log: Log; metrics: Metrics }

/** What a part of the process does to stop; parts stop in the reverse order of their start. */
export type Part = { name: string; stop(): Promise<unknown> }

/**
 * Runs a process from reading its configuration to its end. `start` starts the parts, adding each to the list as soon
 * as it runs. SIGTERM and SIGINT stop them and exit with 0; a second signal does not wait. What cannot start says why
 * and exits with 1.
 */
export async function runProcess(
  env: NodeJS.ProcessEnv,
  start: (surroundings: Surroundings, parts: Part[], fail: (reason: string) => void) => Promise<void>,
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
  let stopping = false

  async function stop(code: number): Promise<void> {
    if (stopping) process.exit(1)
    stopping = true
    for (const part of parts.toReversed()) {
      await part.stop().catch((error: unknown) => log.error({ err: error }, `${part.name} did not stop cleanly`))
    }
    process.exit(code)
  }
  const onSignal = (signal: NodeJS.Signals) => {
    log.info({ signal }, 'stopping')
    void stop(0)
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  process.on('unhandledRejection', (error) => log.error({ err: error }, 'unhandled rejection'))

  try {
    await start({ config, log, metrics: createMetrics() }, parts, (reason) => {
      if (stopping) return
      log.fatal(reason)
      void stop(1)
    })
  } catch (error) {
    log.fatal({ err: error }, error instanceof Error ? error.message : 'could not start')
    await stop(1)
  }
}
