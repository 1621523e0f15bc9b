import { destination } from 'pino'
import { openStore } from '../store.ts'
import { ConfigError, configWarnings, readConfig } from '../config.ts'
import { MaruError } from '../errors.ts'
import { UsageError } from '../lib/usage-error.ts'
import { createLog } from '../observability/log.ts'
import { createMetrics } from '../observability/metrics.ts'
import { StartError } from '../start-error.ts'
import { type Command, help, parseCommand } from './command.ts'
import { ImportError } from './entry.ts'
import { importLog } from './import-log.ts'
import { createProgress } from './progress.ts'
import { readLog } from './read-log.ts'
import { describeFaults, describeSummary } from './summary.ts'

/** What the process exits with. */
const exit = { failed: 1, usage: 2, interrupted: 130 }

/** Ctrl-C reaches us and npm, which hands it on: within this time it is the same one. Milliseconds. */
const sameSignalMs = 1_000

async function run(command: Command, env: NodeJS.ProcessEnv): Promise<void> {
  // Only what goes wrong, unless asked: the rest is for the progress to tell.
  const config = readConfig({ LOG_LEVEL: 'warn', ...env })
  const log = createLog(config.log, destination(2))
  for (const warning of configWarnings(env)) log.warn(warning)

  const stopping = new AbortController()
  const stop = (reason: Error) => stopping.abort(reason)
  let asked = Number.POSITIVE_INFINITY
  function onSignal() {
    // Whoever asks again does not wait for the batch; the next run goes on from the last one that was written.
    if (performance.now() - asked > sameSignalMs) process.exit(exit.interrupted)
    asked = Math.min(asked, performance.now())
    stop(new Interrupted())
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)

  const progress = createProgress(process.stderr)
  const started = performance.now()
  progress.stage(`Reading ${command.file}`)
  const chatLog = await readLog(command.file, command.format, stopping.signal)
  if (chatLog.faults.length > 0 && !command.skipBad) throw new ImportError(describeFaults(chatLog.faults))

  const store = await openStore({ config, log, metrics: createMetrics() }, (reason) =>
    stop(new ImportError(`The embedded database is gone: ${reason}`)),
  ).catch((error: unknown) => {
    throw explainStart(error)
  })
  try {
    const options = { ...command, signal: stopping.signal, progress }
    const summary = await importLog(store.database, chatLog, options).finally(progress.stop)
    process.stdout.write(describeSummary(summary, command.source, (performance.now() - started) / 1_000))
  } finally {
    await store.close()
  }
}

/** Why the store could not be opened. The embedded one may well be the running server's. */
function explainStart(error: unknown): unknown {
  const holder = error instanceof StartError ? /^(DATA_DIR .+ is in use by [^;]+);/.exec(error.message)?.[1] : undefined
  if (holder === undefined) return error
  return new StartError(
    `${holder}, and the embedded database belongs to one process at a time. Stop the server, import, and start it ` +
      'again. To import beside a running server, keep the data in a Postgres of your own: DATABASE_URL.',
    { cause: error },
  )
}

class Interrupted extends Error {}

/** Says what went wrong in words that help, and which code that is. */
function explain(error: unknown): { message: string; code: number } {
  if (error instanceof Interrupted) {
    return { message: 'Stopped. Start the same command again, and it goes on from here.', code: exit.interrupted }
  }
  if (error instanceof UsageError) return { message: `${error.message}\n--help tells how.`, code: exit.usage }
  if (error instanceof ConfigError || error instanceof StartError || error instanceof ImportError) {
    return { message: error.message, code: exit.failed }
  }
  if (error instanceof MaruError && error.code === 'UNAVAILABLE') {
    const message =
      'The database is away or too slow. When it is back, start the same command again: it goes on where it was.'
    return { message, code: exit.failed }
  }
  return { message: String(error instanceof Error ? error.stack : error), code: exit.failed }
}

try {
  const command = parseCommand(process.argv.slice(2))
  if (command === null) process.stdout.write(help)
  else await run(command, process.env)
} catch (error) {
  const { message, code } = explain(error)
  process.stderr.write(`${message}\n`)
  process.exitCode = code
}
