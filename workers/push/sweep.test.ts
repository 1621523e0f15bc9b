import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { unavailable } from '../../server/errors.ts'
import { createTestDatabase } from '../../server/testing/test-app.ts'
import { sweepPushes } from './sweep.ts'

let database: Database
beforeAll(async () => {
  database = openDatabase({ url: await createTestDatabase(), poolSize: 2, unavailable })
  await migrate(database)
})
afterAll(() => database.close())

const insert = (subjectId: number, hoursAgo: number, status: string) =>
  database.run(
    `insert into push_deliveries (user_id, device_id, channel_id, subject_id, kind, seq, status, created_at)
     values (1, 2, 3, $1::bigint, 'MESSAGE', 1, $2, now() - $3::int * interval '1 hour')`,
    [subjectId, status, hoursAgo],
  )

test('what is old goes, and what nobody sends any more is closed', async () => {
  await insert(1, 24 * 14 + 1, 'SENT')
  await insert(2, 24 * 20, 'SKIPPED')
  await insert(3, 24 * 13, 'SENT')
  await insert(4, 26, 'PENDING')
  await insert(5, 30, 'HELD')
  await insert(6, 20, 'PENDING')
  await sweepPushes(database, 14)
  const left = await database.run<{ subject_id: string; status: string; reason: string | null }>(
    'select subject_id, status, reason from push_deliveries order by subject_id',
    [],
  )
  expect(left).toEqual([
    { subject_id: '3', status: 'SENT', reason: null },
    { subject_id: '4', status: 'REFUSED', reason: 'EXPIRED' },
    { subject_id: '5', status: 'REFUSED', reason: 'EXPIRED' },
    { subject_id: '6', status: 'PENDING', reason: null },
  ])
})
