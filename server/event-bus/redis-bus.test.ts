import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { findRedis, type RedisServer, startRedis } from '../testing/redis.ts'
import { describeEventBus } from './event-bus.conformance.ts'
import type { EventBus } from './event-bus.ts'
import { connectBus, describeRedisBus } from './redis-bus.conformance.ts'

describeEventBus('the bus through Redis', async () => {
  const redis = await findRedis()
  const buses: EventBus[] = []
  return {
    async connect() {
      const bus = await connectBus(redis.url)
      buses.push(bus)
      return bus
    },
    async stop() {
      for (const bus of buses) await bus.close()
      await redis.stop()
    },
  }
})

describeRedisBus('the bus through Redis', async () => {
  const redis = await startRedis()
  return { url: redis.url, nodes: [redis], stop: () => redis.stop() }
})

describe('the bus through Redis, when Redis fails', () => {
  let redis: RedisServer
  let here: EventBus
  let there: EventBus
  let lost = 0
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis.stop())
  beforeEach(async () => {
    lost = 0
    here = await connectBus(redis.url, { onLost: () => lost++ })
    there = await connectBus(redis.url)
  })
  afterEach(async () => {
    redis.thaw()
    await here.close()
    await there.close()
  })

  /** Publishes until something arrives, and returns it. */
  async function hearAgain(topic: string, heard: string[]): Promise<void> {
    const before = heard.length
    await expect
      .poll(() => {
        here.publish(topic, 'back')
        return heard.length
      }, { timeout: 10_000 })
      .toBeGreaterThan(before)
  }

  test('after a crash and a restart of Redis news travels again, and everybody is told of the gap', async () => {
    const heard: string[] = []
    await there.subscribe('topic', (payload) => heard.push(payload))
    let gaps = 0
    there.onGap(() => gaps++)
    await redis.kill()
    await expect.poll(() => [here.isUp(), there.isUp()]).toEqual([false, false])

    const started = performance.now()
    for (let sent = 0; sent < 1_000; sent++) here.publish('topic', 'nobody carries this')
    expect(performance.now() - started).toBeLessThan(500)
    await expect.poll(() => lost).toBe(1_000)

    const late: string[] = []
    await there.subscribe('late', (payload) => late.push(payload))
    await redis.start()
    await expect.poll(() => gaps, { timeout: 5_000 }).toBe(1)
    await expect.poll(() => here.isUp(), { timeout: 5_000 }).toBe(true)
    here.publish('topic', 'after')
    here.publish('late', 'after')
    await expect.poll(() => [heard, late]).toEqual([['after'], ['after']])
  })

  test('with Redis frozen publishing neither waits nor throws, and is over once it runs again', async () => {
    const heard: string[] = []
    await there.subscribe('topic', (payload) => heard.push(payload))
    let gaps = 0
    there.onGap(() => gaps++)
    redis.freeze()
    const started = performance.now()
    for (let sent = 0; sent < 1_000; sent++) here.publish('topic', `frozen ${sent}`)
    expect(performance.now() - started).toBeLessThan(500)
    // A Redis that does not answer is noticed, so that what cannot be delivered does not pile up.
    await expect.poll(() => here.isUp(), { timeout: 5_000 }).toBe(false)
    await expect.poll(() => lost, { timeout: 5_000 }).toBe(1_000)
    // Who listens notices too, without having said anything.
    await expect.poll(() => there.isUp(), { timeout: 10_000 }).toBe(false)
    const waited = performance.now()
    const unsubscribe = await there.subscribe('while frozen', () => {})
    expect(performance.now() - waited).toBeLessThan(3_000)
    unsubscribe()

    redis.thaw()
    await expect.poll(() => gaps, { timeout: 10_000 }).toBeGreaterThan(0)
    await hearAgain('topic', heard)
    const once = new Set(heard.filter((payload) => payload !== 'back'))
    expect(heard.filter((payload) => payload !== 'back')).toHaveLength(once.size)
  })

  test('what is on its way when a connection breaks arrives at most once, and in order', async () => {
    const admin = new Redis(redis.url)
    const heard: number[] = []
    await there.subscribe('topic', (payload) => heard.push(Number(payload)))
    for (let sent = 0; sent < 3_000; sent++) {
      here.publish('topic', String(sent))
      if (sent % 300 === 299) await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
      if (sent % 50 === 49) await new Promise((resolve) => setImmediate(resolve))
    }
    await expect.poll(() => here.isUp(), { timeout: 5_000 }).toBe(true)
    here.publish('topic', '3000')
    await expect.poll(() => heard.at(-1), { timeout: 5_000 }).toBe(3_000)
    expect(heard).toEqual([...new Set(heard)].toSorted((a, b) => a - b))
    expect(lost).toBeGreaterThan(0)
    admin.disconnect()
  })
})
