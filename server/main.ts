import { createApp } from './app.ts'
import { serveApp } from './http-app.ts'
import { lockReplica } from './lib/replica-lock.ts'
import { type Fail, type Part, runProcess, type Surroundings } from './process.ts'
import { openStore } from './store.ts'
import { startWorkers } from '../workers/workers.ts'

/** Starts the server, with the workers in the same process unless they run elsewhere. */
async function start(surroundings: Surroundings, parts: Part[], fail: Fail): Promise<void> {
  const { config, log } = surroundings
  const store = await openStore(surroundings, (reason) => fail(`The embedded Postgres is gone: ${reason}`))
  parts.push({ name: 'store', stop: store.close })
  const lock = await lockReplica(store.database, config.redisUrl !== null, fail)
  parts.push({ name: 'replica lock', stop: async () => lock.release() })
  const app = await createApp(surroundings, store)
  parts.push({ name: 'app', stop: app.close })
  if (process.argv.includes('--without-workers')) {
    await app.jobs.open()
    log.info('No workers run in this process. Somewhere at least one must run: npm run worker')
  } else {
    const workers = await startWorkers({ core: app, maintenance: store.maintenance, ...surroundings })
    parts.push({ name: 'workers', stop: workers.stop })
  }
  const server = await serveApp(app, surroundings)
  parts.push({ name: 'server', stop: () => server.drain(config.http.drainSeconds * 1_000) })
  const address = config.http.publicUrl ?? server.url.replace('127.0.0.1', 'localhost')
  log.info({ port: server.port }, `Maru is ready. GraphiQL: ${address}/graphql`)
}

await runProcess(process.env, start)
