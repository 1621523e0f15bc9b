import { afterEach, expect, test, vi } from 'vitest'
import postgres from 'postgres'
import { openDatabase } from '../drizzle/connection.ts'
import { unavailable } from '../server/errors.ts'
import { bucketAt } from '../server/message-store/bucket-time.ts'
import { ensureBuckets } from '../server/message-store/partitions.ts'
import { killAll, node, startProcess } from '../server/testing/server-process.ts'
import { createTestDatabase } from '../server/testing/test-app.ts'

// Each test starts several processes, on a machine that may have other things to do.
vi.setConfig({ testTimeout: 60_000 })

afterEach(killAll)

const startWorkers = (env: Record<string, string>) => startProcess(node, ['workers/main.ts'], env)

test('workers run alone on a database, any number of them, and do their work', async () => {
  const databaseUrl = await createTestDatabase()
  const env = { DATABASE_URL: databaseUrl, JWT_SECRET: 'the same for all processes, and long enough' }
  // Both find an empty database at the same moment.
  const workers = [startWorkers(env), startWorkers(env)]
  for (const worker of workers) await worker.ready

  const sql = postgres(databaseUrl, { max: 1, onnotice: () => {} })
  const endSession = (id: number, age: string) =>
    sql`insert into sessions (user_id, id, secret_hash, expires_at) values (1, ${id}, '', now() - ${age}::interval)`
  await endSession(1, '31 days')
  await endSession(2, '29 days')
  // What is due is done at the start.
  const third = startWorkers(env)
  await third.ready
  await expect.poll(() => sql`select id from sessions`).toEqual([{ id: '2' }])
  await sql.end()
  for (const worker of [...workers, third]) expect(await worker.end()).toBe(0)
})

test('workers keep the message store in shape as they are told', async () => {
  const databaseUrl = await createTestDatabase()
  const env = { DATABASE_URL: databaseUrl, JWT_SECRET: 'the same for all processes, and long enough' }
  const first = startWorkers(env)
  await first.ready
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => {} })
  const now = bucketAt(Date.now())
  const buckets = async () => (await sql<{ bucket: number }[]>`select bucket from buckets order by 1`).map((row) => row.bucket)
  await expect.poll(buckets).toEqual(expect.arrayContaining([now, now + 1, now + 2]))
  await sql`insert into outbox (channel_id, first_seq, last_seq) values (1, 1, 5)`
  await expect.poll(() => sql`select from outbox`).toHaveLength(0)
  expect(await first.end()).toBe(0)

  const database = openDatabase({ url: databaseUrl, poolSize: 2, unavailable })
  await ensureBuckets(database, now - 20, now - 18)
  await database.close()
  const second = startWorkers({ ...env, MESSAGE_RETENTION_DAYS: '100' })
  await second.ready
  await expect.poll(buckets).not.toContain(now - 20)
  await expect.poll(() => second.output()).toContain('retention')
  expect(await second.end()).toBe(0)
  await sql.end()
})

test('workers tell how they are, and what they do, at a port of their own', async () => {
  const env = { DATABASE_URL: await createTestDatabase(), JWT_SECRET: 'the same for all processes, and long enough' }
  const worker = startWorkers({ ...env, WORKER_PORT: '0' })
  await worker.ready
  const [, port] = /"port":(\d+),"msg":"Metrics/.exec(worker.output())!
  const ask = (path: string) => fetch(`http://127.0.0.1:${port}${path}`)
  expect(await (await ask('/health/live')).json()).toEqual({ ok: true })
  expect(await (await ask('/metrics')).text()).toMatch(/^maru_jobs_ready 0$/m)
  expect((await ask('/graphql')).status).toBe(404)
  expect(await worker.end()).toBe(0)
})

test('workers without a database to share say whose the embedded one is', async () => {
  const worker = startWorkers({})
  expect(await worker.exit).toBe(1)
  expect(worker.output()).toContain('Workers alone need DATABASE_URL')
  expect(worker.output()).not.toContain('stack')
})
