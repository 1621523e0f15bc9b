import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { createRandom } from '../testing/random.ts'
import type { RedisServer } from '../testing/redis.ts'
import type { EventBus } from './event-bus.ts'
import { createRedisBus } from './redis-bus.ts'

/** One Redis, or the masters of a cluster. */
export type RedisUnderTest = { url: string; nodes: RedisServer[]; stop(): Promise<void> }

/** A bus on a Redis; by default one that is up. */
export async function connectBus(
  url: string,
  options: Partial<Parameters<typeof createRedisBus>[0]> & { isAway?: boolean } = {},
): Promise<EventBus> {
  const { isAway, ...given } = options
  const bus = createRedisBus({ url, onError: () => {}, ...given })
  if (!isAway) await vi.waitFor(() => expect(bus.isUp()).toBe(true), 10_000)
  return bus
}

/** What holds on one Redis and on a cluster alike: whatever breaks, what is listened to is what was asked for. */
export function describeRedisBus(name: string, start: () => Promise<RedisUnderTest>): void {
  describe(`${name}, as on any Redis`, () => {
    let redis: RedisUnderTest
    let admins: Redis[]
    const buses: EventBus[] = []
    beforeAll(async () => {
      redis = await start()
      admins = redis.nodes.map(({ url }) => new Redis(url).on('error', () => {}))
    }, 60_000)
    afterEach(async () => {
      for (const bus of buses.splice(0)) await bus.close()
    })
    afterAll(async () => {
      for (const admin of admins) admin.disconnect()
      await redis.stop()
    })
    let deployments = 0
    let deployment = ''
    beforeEach(() => {
      deployment = `deployment ${++deployments}`
    })

    const connect = async (options: Parameters<typeof connectBus>[1] = {}) => {
      const bus = await connectBus(redis.url, { deployment, ...options })
      buses.push(bus)
      return bus
    }

    const killAll = () => Promise.all(redis.nodes.map((node) => node.kill()))
    const startAll = () => Promise.all(redis.nodes.map((node) => node.start()))

    /** The topics that anybody listens to, as Redis itself has it. */
    async function topicsOnRedis(): Promise<string[]> {
      const prefix = `maru:${deployment}:`
      const command = redis.nodes.length > 1 ? 'SHARDCHANNELS' : 'CHANNELS'
      const lists = await Promise.all(admins.map((admin) => admin.call('PUBSUB', command, `${prefix}*`) as Promise<string[]>))
      return lists.flat().map((channel) => channel.slice(prefix.length)).toSorted()
    }

    test('deployments do not hear each other', async () => {
      const [ours, theirs] = [await connect(), await connect({ deployment: 'another' })]
      const heard: string[] = []
      await ours.subscribe('topic', (payload) => heard.push(payload))
      theirs.publish('topic', 'for them')
      ours.publish('topic', 'for us')
      await expect.poll(() => heard).toEqual(['for us'])
    })

    test('topics that come and go leave nothing on Redis', async () => {
      const bus = await connect()
      for (let round = 0; round < 20; round++) {
        const ends = await Promise.all(Array.from({ length: 1_000 }, (_, nth) => bus.subscribe(`${round}.${nth}`, () => {})))
        ends.forEach((end) => end())
      }
      await bus.subscribe('last', () => {})
      expect(await topicsOnRedis()).toEqual(['last'])
      expect(bus.state().topics).toBe(1)
    })

    test('topics that come and go while connections break are listened to as they stand in the end', async () => {
      const bus = await connect()
      const random = createRandom(1)
      const ends = new Map<string, () => void>()
      for (let step = 0; step < 300; step++) {
        const topic = `topic:${random.below(20)}`
        const end = ends.get(topic)
        if (end === undefined) {
          // Not waited for, so that what is under way meets the break.
          const subscribing = bus.subscribe(topic, () => {})
          ends.set(topic, () => void subscribing.then((unsubscribe) => unsubscribe()))
        } else {
          end()
          ends.delete(topic)
        }
        if (step % 3 === 0) await new Promise((resolve) => setImmediate(resolve))
        if (step % 30 === 29) await random.pick(admins).call('CLIENT', 'KILL', 'TYPE', 'pubsub')
        if (step % 60 === 59) await vi.waitFor(() => expect(bus.isUp()).toBe(true), 5_000)
      }
      await expect.poll(() => bus.isUp(), { timeout: 5_000 }).toBe(true)
      await expect.poll(topicsOnRedis, { timeout: 5_000 }).toEqual([...ends.keys()].toSorted())
      expect(bus.state().topics).toBe(ends.size)
    })

    test('whoever starts while Redis is away, and subscribes, is served when it comes', async () => {
      await killAll()
      const complaints: string[] = []
      const bus = await connect({ isAway: true, onError: ({ message }) => complaints.push(message) })
      let gaps = 0
      bus.onGap(() => gaps++)
      const heard: string[] = []
      const unsubscribe = await bus.subscribe('gone again', (payload) => heard.push(payload))
      await bus.subscribe('topic', (payload) => heard.push(payload))
      unsubscribe()
      bus.publish('topic', 'nobody carries this')
      expect(bus.isUp()).toBe(false)
      expect(bus.state()).toEqual({ shards: 1, shardsUp: 0, topics: 1 })
      await expect.poll(() => complaints.join()).toContain('ECONNREFUSED')
      await startAll()
      await expect.poll(() => bus.isUp(), { timeout: 10_000 }).toBe(true)
      expect(gaps).toBeGreaterThan(0)
      expect(await topicsOnRedis()).toEqual(['topic'])
      bus.publish('topic', 'here')
      await expect.poll(() => heard).toEqual(['here'])
      // A line or two for each that is away, rather than one for each attempt.
      expect(new Set(complaints).size).toBe(complaints.length)
    })

    test('after all of it was killed and started again, empty, news travels and everybody is told of the gap', async () => {
      const bus = await connect()
      const topics = Array.from({ length: 100 }, (_, nth) => `topic:${nth}`)
      const heard: string[] = []
      for (const topic of topics) await bus.subscribe(topic, (payload) => heard.push(payload))
      let gaps = 0
      bus.onGap(() => gaps++)
      await killAll()
      await expect.poll(() => bus.state().shardsUp).toBe(0)
      await startAll()
      await expect.poll(() => bus.isUp(), { timeout: 10_000 }).toBe(true)
      expect(gaps).toBe(redis.nodes.length)
      for (const topic of topics) bus.publish(topic, topic)
      await expect.poll(() => heard.toSorted()).toEqual(topics.toSorted())
    })

    test('what is published into the ice takes no more than a bounded part of memory', async () => {
      let lost = 0
      const bus = await connect({ onLost: () => lost++ })
      for (const node of redis.nodes) node.freeze()
      const payload = 'x'.repeat(64 * 1024)
      const before = process.memoryUsage().rss
      for (let nth = 0; nth < 8_000; nth++) bus.publish(`topic:${nth % 50}`, payload)
      // Of half a gigabyte 32 MB are kept for each node, and the copy on its way to the socket.
      expect(lost).toBeGreaterThan(8_000 - redis.nodes.length * 600)
      expect(process.memoryUsage().rss - before).toBeLessThan(redis.nodes.length * 150_000_000)
      await expect.poll(() => lost, { timeout: 10_000 }).toBe(8_000)
      for (const node of redis.nodes) node.thaw()
      await expect.poll(() => bus.isUp(), { timeout: 15_000 }).toBe(true)
    }, 30_000)
  })
}
