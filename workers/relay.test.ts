import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { startRelay } from './relay.ts'

const fail = (error: unknown) => {
  throw error
}

test('what comes while it rests is one run more', async () => {
  let runs = 0
  const relay = startRelay(async () => void runs++, fail, 300)
  expect(runs).toBe(1)
  for (let nth = 0; nth < 20; nth++) {
    relay.wake()
    await sleep(5)
  }
  await expect.poll(() => runs).toBe(2)
  await relay.stop()
})

test('who is woken after a rest runs at once, and stopping waits for no rest', async () => {
  let runs = 0
  const relay = startRelay(async () => void runs++, fail, 600_000)
  expect(runs).toBe(1)
  await relay.stop()
  const other = startRelay(async () => void runs++, fail)
  await sleep(10)
  other.wake()
  expect(runs).toBe(3)
  await other.stop()
})
