import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { unavailable } from '../errors.ts'
import { createTestDatabase } from '../testing/test-app.ts'
import { leaseWorker } from './worker-lease.ts'

let database: Database
beforeEach(async () => {
  database = openDatabase({ url: await createTestDatabase(), poolSize: 4, unavailable })
  await migrate(database)
})
afterEach(async () => {
  vi.useRealTimers()
  await database.close()
})

const fail = (error: unknown) => {
  throw error
}

test('processes that live at the same time never share a number, and a number that is given back is lent again', async () => {
  const leases = await Promise.all(Array.from({ length: 8 }, () => leaseWorker(database, fail)))
  expect(leases.map((lease) => lease.worker()).toSorted()).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  await leases.find((lease) => lease.worker() === 3)!.release()
  expect((await leaseWorker(database, fail)).worker()).toBe(3)
})

test('who has slept through its lease stops writing, and leases another number', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
  const lease = await leaseWorker(database, fail)
  expect(lease.worker()).toBe(0)
  await database.run(`update worker_leases set holder = 'another'`, [])
  // The clock goes on, and the process does not: no renewal comes through meanwhile.
  const now = performance.now()
  const clock = vi.spyOn(performance, 'now').mockReturnValue(now + 55_000)
  expect(lease.isHeld()).toBe(false)
  expect(() => lease.worker()).toThrow(expect.objectContaining({ code: 'UNAVAILABLE' }))
  vi.advanceTimersByTime(15_000)
  await vi.waitFor(() => expect(lease.worker()).toBe(1))
  clock.mockRestore()
})
