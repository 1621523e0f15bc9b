import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type RedisCluster, type RedisClusterNode, startRedisCluster } from '../testing/redis-cluster.ts'
import { describeEventBus } from './event-bus.conformance.ts'
import type { EventBus } from './event-bus.ts'
import { connectBus, describeRedisBus } from './redis-bus.conformance.ts'
import { slotOf } from './redis-slots.ts'

describeEventBus('the bus through a Redis Cluster', async () => {
  const redis = await startRedisCluster()
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

describeRedisBus('the bus through a Redis Cluster', async () => {
  const redis = await startRedisCluster()
  return { url: redis.url, nodes: redis.masters, stop: () => redis.stop() }
})

describe('the bus through a Redis Cluster, when its nodes fail', () => {
  let redis: RedisCluster
  let here: EventBus
  let there: EventBus
  let lost = 0
  let gaps = 0
  /** A topic on each master. */
  let topics: string[]
  let heard: string[][]
  beforeAll(async () => {
    redis = await startRedisCluster()
    topics = await Promise.all(redis.masters.map(topicOn))
  }, 60_000)
  afterAll(() => redis.stop())
  beforeEach(async () => {
    here = await connectBus(redis.url, { onLost: () => lost++ })
    there = await connectBus(redis.url)
    heard = topics.map(() => [])
    for (const [place, topic] of topics.entries()) await there.subscribe(topic, (payload) => heard[place]!.push(payload))
    lost = gaps = 0
    there.onGap(() => gaps++)
  })
  afterEach(async () => {
    await here.close()
    await there.close()
    for (const node of redis.masters) node.thaw()
    await redis.isWhole()
  })

  /** A topic whose channel is on this master. */
  async function topicOn(node: RedisClusterNode): Promise<string> {
    for (let nth = 0; ; nth++) {
      const topic = `topic:${nth}`
      if ((await redis.ownerOf(`maru::${topic}`)) === node) return topic
    }
  }

  /** Publishes on a topic until that arrives. */
  async function hearAgain(place: number): Promise<void> {
    const before = heard[place]!.length
    await expect
      .poll(() => {
        here.publish(topics[place]!, 'back')
        return heard[place]!.length
      }, { timeout: 10_000 })
      .toBeGreaterThan(before)
  }

  /** The other two masters carry on, at once and in order. */
  async function othersGoOn(round: string): Promise<void> {
    for (const place of [0, 2]) {
      heard[place]!.length = 0
      const payloads = Array.from({ length: 100 }, (_, nth) => `${round} ${nth}`)
      for (const payload of payloads) here.publish(topics[place]!, payload)
      await expect.poll(() => heard[place], { interval: 2, timeout: 2_000 }).toEqual(payloads)
    }
  }

  test('a node that is killed takes its topics along, no others, and brings them back', async () => {
    await redis.masters[1]!.kill()
    await expect.poll(() => [here.isUp(), there.isUp()]).toEqual([false, false])
    expect(there.state()).toEqual({ shards: 3, shardsUp: 2, topics: 3 })
    await othersGoOn('one dead')
    expect(lost).toBe(0)
    for (let nth = 0; nth < 100; nth++) here.publish(topics[1]!, 'nobody carries this')
    expect(lost).toBe(100)
    expect(gaps).toBe(0)
    await redis.masters[1]!.start()
    await expect.poll(() => [here.isUp(), there.isUp()], { timeout: 10_000 }).toEqual([true, true])
    expect(gaps).toBe(1)
    here.publish(topics[1]!, 'after')
    await expect.poll(() => heard[1]).toEqual(['after'])
    await othersGoOn('all back')
  })

  test('a node that is frozen is noticed like a dead one, and the others do not wait for it', async () => {
    redis.masters[1]!.freeze()
    await othersGoOn('frozen')
    const started = performance.now()
    for (let nth = 0; nth < 1_000; nth++) here.publish(topics[1]!, 'into the ice')
    expect(performance.now() - started).toBeLessThan(500)
    await expect.poll(() => [here.isUp(), there.isUp()], { timeout: 10_000 }).toEqual([false, false])
    expect(lost).toBe(1_000)
    await othersGoOn('frozen still')
    const waited = performance.now()
    const unsubscribe = await there.subscribe(`${topics[1]!} too`, () => {})
    expect(performance.now() - waited).toBeLessThan(3_000)
    unsubscribe()
    redis.masters[1]!.thaw()
    await expect.poll(() => there.isUp(), { timeout: 10_000 }).toBe(true)
    expect(gaps).toBeGreaterThan(0)
    await hearAgain(1)
    await othersGoOn('thawed')
  })

  test('a slot that moves takes its subscriptions along, there and back', async () => {
    const channel = `maru::${topics[1]!}`
    for (const to of [redis.masters[2]!, redis.masters[1]!]) {
      const before = gaps
      await redis.moveSlot(channel, to)
      await expect.poll(() => gaps, { timeout: 5_000 }).toBeGreaterThan(before)
      await hearAgain(1)
      await expect.poll(() => here.isUp() && there.isUp(), { timeout: 5_000 }).toBe(true)
      // Each payload once, and in order: nobody listens on the old node, too.
      heard[1]!.length = 0
      const payloads = Array.from({ length: 100 }, (_, nth) => `${to.port} ${nth}`)
      for (const payload of payloads) here.publish(topics[1]!, payload)
      await expect.poll(() => heard[1]!.filter((payload) => payload !== 'back'), { interval: 2 }).toEqual(payloads)
    }
  })

  test('a slot that is away for less than a moment, so that nobody sees it, is listened to again', async () => {
    const [from, to] = [redis.masters[1]!, redis.masters[2]!]
    const slot = slotOf(`maru::${topics[1]!}`)
    const admin = new Redis(from.url)
    await Promise.all([to, from].map(({ id }) => admin.call('CLUSTER', 'SETSLOT', slot, 'NODE', id)))
    admin.disconnect()
    await hearAgain(1)
    expect(gaps).toBe(1)
  })
})

describe('the bus through a Redis Cluster with replicas and a password', () => {
  let redis: RedisCluster
  beforeAll(async () => {
    redis = await startRedisCluster({ replicas: true, password: 'open sesame' })
  }, 60_000)
  afterAll(() => redis.stop())

  test('any node shows the way, and names go to slots as Redis has them', async () => {
    const names = ['', 'topic', 'maru:a.b:channel:7', '{tag}:1', 'x{}y{z}', '{}', '}{', '{a', '채널 🪵', '{마루}:1', '123456789']
    const slots = await Promise.all(names.map((name) => redis.masters[0]!.ask('CLUSTER', 'KEYSLOT', name)))
    expect(names.map(slotOf)).toEqual(slots)
    const bus = await connectBus(redis.replicas[1]!.url)
    expect(bus.state()).toMatchObject({ shards: 3, shardsUp: 3 })
    await bus.close()
  })

  test('who may not enter is told so, once', async () => {
    const complaints: string[] = []
    const bus = await connectBus(redis.url.replace('open', 'shut'), {
      isAway: true,
      onError: ({ message }) => complaints.push(message),
    })
    await expect.poll(() => complaints).toEqual([expect.stringContaining('WRONGPASS')])
    expect(bus.isUp()).toBe(false)
    await bus.close()
  })

  test('a replica that takes the place of its dead master gets its topics', async () => {
    const url = `${redis.masters[1]!.url},127.0.0.1:${redis.masters[0]!.port}`
    const [here, there] = [await connectBus(url), await connectBus(url)]
    const topics = Array.from({ length: 100 }, (_, nth) => `topic:${nth}`)
    const heard = new Set<string>()
    for (const topic of topics) await there.subscribe(topic, (payload) => heard.add(payload))
    let gaps = 0
    there.onGap(() => gaps++)
    await redis.masters[1]!.kill()
    await expect.poll(() => there.isUp()).toBe(false)
    await expect.poll(() => [here.isUp(), there.isUp()], { timeout: 20_000 }).toEqual([true, true])
    expect(gaps).toBe(1)
    expect(there.state()).toEqual({ shards: 3, shardsUp: 3, topics: 100 })
    for (const topic of topics) here.publish(topic, topic)
    await expect.poll(() => heard.size).toBe(100)
    // What was the master is a replica now, and nobody listens there.
    await redis.masters[1]!.start()
    await redis.isWhole()
    heard.clear()
    for (const topic of topics) here.publish(topic, topic)
    await expect.poll(() => heard.size).toBe(100)
    await here.close()
    await there.close()
  }, 60_000)
})
