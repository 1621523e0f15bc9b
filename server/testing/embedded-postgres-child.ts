import { startEmbeddedPostgres } from '../lib/embedded-postgres.ts'

/**
 * A process for tests to kill: starts the Postgres under the folder it is given, prints its address in one line, and
 * holds it until SIGTERM. Why it could not start goes to stderr, with exit code 1.
 */
const [dataDir] = process.argv.slice(2)
if (dataDir === undefined) throw new Error('usage: embedded-postgres-child.ts <DATA_DIR>')

try {
  const embedded = await startEmbeddedPostgres({ dataDir, log: (line) => console.error(line) })
  console.log(embedded.url)
  const running = setInterval(() => {}, 60_000)
  process.once('SIGTERM', async () => {
    await embedded.stop()
    clearInterval(running)
  })
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
