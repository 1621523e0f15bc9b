import { createCore } from '../server/core.ts'
import { runProcess } from '../server/process.ts'
import { StartError } from '../server/start-error.ts'
import { openStore } from '../server/store.ts'
import { serveHealth } from './health.ts'
import { startWorkers } from './workers.ts'

/** Starts the workers alone, beside replicas that run on the same `DATABASE_URL`. */
await runProcess(process.env, async (surroundings, parts, fail) => {
  if (surroundings.config.database.url === null) {
    throw new StartError(
      'Workers alone need DATABASE_URL: the embedded database belongs to the process that `npm start` runs.',
    )
  }
  const store = await openStore(surroundings, fail)
  parts.push({ name: 'store', stop: store.close })
  const core = await createCore(surroundings, store)
  parts.push({ name: 'core', stop: core.close })
  const workers = await startWorkers({ core, maintenance: store.maintenance, ...surroundings })
  parts.push({ name: 'workers', stop: workers.stop })
  const { http, metrics } = surroundings.config
  if (http.workerPort !== null) {
    const health = await serveHealth({
      host: http.host,
      port: http.workerPort,
      metrics: metrics ? surroundings.metrics : null,
    })
    parts.push({ name: 'health', stop: health.stop })
    surroundings.log.info({ port: health.port }, 'Metrics and health are served.')
  }
  surroundings.log.info('Maru’s workers are ready.')
})
