import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { MaruError } from '../errors.ts'
import { withDeadline } from './deadline.ts'

// Vitest fails the run where a rejection is left unhandled, which is what the tests of late failures rely on.
const never = new Promise<never>(() => undefined)

test('an answer in time is passed on', async () => {
  const onTimeout = vi.fn()
  await expect(withDeadline(Promise.resolve(7), 20, onTimeout)).resolves.toBe(7)
  await sleep(40)
  expect(onTimeout).not.toHaveBeenCalled()
})

test('a failure in time is passed on as it is', async () => {
  const failure = new Error('no such table')
  await expect(withDeadline(Promise.reject(failure), 20)).rejects.toBe(failure)
})

test('silence becomes UNAVAILABLE', async () => {
  const onTimeout = vi.fn()
  const started = performance.now()
  const error = await withDeadline(never, 30, onTimeout).catch((caught: unknown) => caught)
  expect(error).toBeInstanceOf(MaruError)
  expect(error).toMatchObject({ code: 'UNAVAILABLE', cause: { message: 'No answer within 30 ms' } })
  expect(performance.now() - started).toBeGreaterThanOrEqual(28)
  expect(onTimeout).toHaveBeenCalledOnce()
})

test('a rejection that comes late is swallowed', async () => {
  const { promise, reject } = Promise.withResolvers<never>()
  await expect(withDeadline(promise, 10)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  reject(new Error('too late'))
  await sleep(10)
})

test.each([
  [
    'throws',
    () => {
      throw new Error('cannot cancel')
    },
  ],
  ['rejects', () => Promise.reject(new Error('cannot cancel'))],
])('a cancellation that %s is swallowed', async (_, cancel) => {
  await expect(withDeadline(never, 10, cancel)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  await sleep(10)
})

test('a query that starts when it is awaited is started once', async () => {
  const start = vi.fn<(done: (rows: number) => void) => void>((done) => done(7))
  // oxlint-disable-next-line unicorn/no-thenable -- a query of postgres.js is one too
  await expect(withDeadline({ then: start } as unknown as PromiseLike<number>, 20)).resolves.toBe(7)
  expect(start).toHaveBeenCalledOnce()
})
