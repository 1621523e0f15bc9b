import postgres from 'postgres'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type Database, openDatabase } from '../drizzle/connection.ts'
import { migrate } from '../drizzle/migrate.ts'
import { unavailable } from '../server/errors.ts'
import { createLog } from '../server/observability/log.ts'
import { createTestDatabase } from '../server/testing/test-app.ts'
import { startUpkeep } from './upkeep.ts'

let url: string
let database: Database
beforeEach(async () => {
  url = await createTestDatabase()
  database = openDatabase({ url, poolSize: 3, deadlineMs: 60_000, unavailable })
  await migrate(database)
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
})
afterEach(async () => {
  vi.useRealTimers()
  await database.close()
})

test('what is due every ten minutes is done, however long retention takes', async () => {
  const sql = postgres(url, { max: 2, onnotice: () => {} })
  // Retention asks each channel; nothing else does.
  const held = await sql.reserve()
  await held.unsafe('begin; lock table channels in access exclusive mode')
  const upkeep = startUpkeep({
    database,
    log: createLog({ level: 'fatal', format: 'json' }),
    settings: { retentionDays: 30, compactAfterMonths: 3 },
  })
  const retentionWaits = () => sql`select from pg_locks where relation = 'channels'::regclass and not granted`
  await expect.poll(retentionWaits).toHaveLength(1)
  for (const id of [1, 2]) {
    await sql`insert into sessions (user_id, id, secret_hash, expires_at) values (1, ${id}, '', now() - interval '31 days')`
    // More than once, as on a busy machine the turn before may still be under way.
    const tenMinutesLater = () => vi.advanceTimersByTimeAsync(10 * 60_000)
    await expect.poll(() => tenMinutesLater().then(() => sql`select from sessions`)).toEqual([])
  }
  expect(await retentionWaits()).toHaveLength(1)
  await held.unsafe('commit')
  held.release()
  await upkeep.stop()
  await sql.end()
})
