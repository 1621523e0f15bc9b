import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { inject } from 'vitest'
import { WebSocket } from 'ws'
import { createMaruClient, type MaruClient, SignUpDocument, type SignUpMutation } from '../../client-sdk/index.ts'
import { openDatabase } from '../../drizzle/connection.ts'
import { whyNotDistribute } from '../../drizzle/distribution.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { type App, createApp } from '../app.ts'
import { readConfig } from '../config.ts'
import { unavailable } from '../errors.ts'
import { serveApp } from '../http-app.ts'
import type { HttpServer } from '../http/server.ts'
import { ensureBuckets } from '../message-store/partitions.ts'
import { createLog, type Log } from '../observability/log.ts'
import { createMetrics, type Metrics } from '../observability/metrics.ts'
import { measureStatements } from '../observability/statements.ts'

/** Somebody in a test, signed in. */
export type Person = {
  id: string
  username: string
  token: string
  client: MaruClient
  tokens: SignUpMutation['signUp']
}

/** One replica on a real store, reached over real sockets. */
export type Replica = {
  app: App
  server: HttpServer
  url: string
  metrics: Metrics
  /** Statements that the store has run, in order; for tests that hold a query to its SQL. */
  statements: string[]
  /** A client of this replica that speaks for a token. */
  client(token?: string): MaruClient
  /** Runs the workers in this process, too. `trusted` are certificates of providers, as PEM. */
  startWorkers(trusted?: string[]): Promise<void>
  stop(): Promise<void>
}

/** A store of its own, and a replica on it; more replicas may join. */
export type TestApp = Replica & {
  databaseUrl: string
  /** Another replica on the same store. Without REDIS_URL it does not hear this one but through the store. */
  addReplica(env?: Record<string, string>): Promise<Replica>
  /** Signs somebody up. Names recur: alice, bob, carol. */
  signUp(username: string, on?: Replica): Promise<Person>
}

const jwtSecret = 'the same for all replicas of a test'

/**
 * Makes an empty store, in a schema of its own, on the Postgres that the tests share or on another one; returns its
 * address. Sessions on it bear the schema's name, so that a test can tell them from those of others.
 */
export async function createEmptyDatabase(base = inject('databaseUrl')): Promise<string> {
  const name = `test_${randomBytes(6).toString('hex')}`
  const sql = postgres(base, { max: 1, onnotice: () => {} })
  await sql.unsafe(`create schema ${name}`)
  await sql.end()
  const url = new URL(base)
  url.searchParams.set('search_path', name)
  url.searchParams.set('application_name', name)
  return url.href
}

/** The same; on Citus its tables are there, and distributed, which nothing but a command of the operator's does. */
export async function createTestDatabase(base = inject('databaseUrl')): Promise<string> {
  const url = await createEmptyDatabase(base)
  const database = openDatabase({ url, poolSize: 1, deadlineMs: 60_000, unavailable })
  if ((await whyNotDistribute(database)) === null) await migrate(database, { distribute: true })
  await database.close()
  return url
}

/** A log that says nothing but what must not happen. */
const testLog = (): Log => createLog({ level: 'error', format: 'json' })

async function startReplica(databaseUrl: string, env: Record<string, string>): Promise<Replica> {
  const dataDir = await mkdtemp(join(tmpdir(), 'maru-test-data-'))
  const given = { PORT: '0', DATABASE_URL: databaseUrl, JWT_SECRET: jwtSecret, DATABASE_POOL_SIZE: '8', DATA_DIR: dataDir }
  // Tests do in a second what people do in a day.
  const unlimited = { RATE_LIMITS: 'off' }
  const config = readConfig({ ...given, ...unlimited, ...env })
  const log = testLog()
  const metrics = createMetrics()
  const statements: string[] = []
  const measure = measureStatements(metrics)
  const database = openDatabase({
    url: databaseUrl,
    poolSize: config.database.poolSize,
    unavailable,
    around: (text, run) => {
      statements.push(text)
      return measure(text, run)
    },
  })
  await migrate(database)
  await ensureBuckets(database)
  const { replicaUrl } = config.database
  const replica = replicaUrl === null ? null : openDatabase({ url: replicaUrl, poolSize: 4, deadlineMs: 1_000, unavailable })
  // Opened when it is first used, which most tests never do.
  const jobs = openDatabase({ url: databaseUrl, poolSize: 3, deadlineMs: 60_000, unavailable })
  const store = { database, replica, jobs, secrets: { jwtSecret } }
  const surroundings = { config, log, metrics }
  const app = await createApp(surroundings, store)
  const server = await serveApp(app, surroundings)
  const url = `http://127.0.0.1:${server.port}/graphql`
  const clients: MaruClient[] = []
  let stopWorkers = async () => {}
  return {
    app,
    server,
    url,
    metrics,
    statements,
    client(token) {
      const client = createMaruClient({ url, webSocketImpl: WebSocket, ...(token === undefined ? {} : { token: () => token }) })
      clients.push(client)
      return client
    },
    async startWorkers(trusted = []) {
      // Most tests need none, and no picture library with them.
      const { startWorkers } = await import('../../workers/workers.ts')
      const workers = await startWorkers({ core: app, maintenance: database, config, log, metrics, trusted })
      stopWorkers = workers.stop
    },
    async stop() {
      for (const client of clients) client.close()
      await server.drain(1_000)
      await stopWorkers()
      await app.close()
      await jobs.close()
      await replica?.close()
      await database.close()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

/** Starts a replica on an empty store, on the Postgres at DATABASE_URL if that is given. Stop it when the tests are done. */
export async function startTestApp(
  given: Record<string, string> = {},
  /** Settings that follow from the store's address. */
  envFor: (databaseUrl: string) => Record<string, string> = () => ({}),
): Promise<TestApp> {
  const databaseUrl = await createTestDatabase(given.DATABASE_URL)
  const env = { ...given, ...envFor(databaseUrl) }
  const first = await startReplica(databaseUrl, env)
  const others: Replica[] = []
  return {
    ...first,
    databaseUrl,
    async addReplica(more = {}) {
      const replica = await startReplica(databaseUrl, { ...env, ...more })
      others.push(replica)
      return replica
    },
    async signUp(username, on = first) {
      const input = { username, password: `${username}’s password` }
      const { signUp } = await on.client().request(SignUpDocument, { input })
      const token = signUp.accessToken
      return { id: signUp.viewer.id, username, token, client: on.client(token), tokens: signUp }
    },
    async stop() {
      for (const replica of others) await replica.stop()
      await first.stop()
    },
  }
}
