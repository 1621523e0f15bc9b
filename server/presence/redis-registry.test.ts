import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startRedis } from '../testing/redis.ts'
import { startRedisCluster } from '../testing/redis-cluster.ts'
import { describePresenceRegistry, newUser, newUsers, onlineOf, type Watching } from './registry.conformance.ts'
import { createDeployment, type Mortal, patience } from './testing/deployment.ts'

/** How often any of these replicas has told of a user. */
const told = (replicas: readonly Watching[], userId: string, what: 'moved' | 'leaving') =>
  replicas.flatMap((replica) => replica[what]).filter((one) => one === userId).length

async function startOne() {
  const redis = await startRedis()
  return { url: redis.url, stop: redis.stop }
}

for (const { engine, start } of [
  { engine: 'the registry in Redis', start: startOne },
  { engine: 'the registry in a Redis Cluster', start: startRedisCluster },
]) {
  describePresenceRegistry(engine, async () => {
    const redis = await start()
    const deployment = createDeployment(redis.url)
    return {
      open: await deployment.open(),
      async stop() {
        await deployment.stop()
        await redis.stop()
      },
    }
  })

  describe(`${engine}, with several replicas`, () => {
    let redis: { url: string; stop(): Promise<void> }
    let deployment: ReturnType<typeof createDeployment>
    beforeAll(async () => {
      redis = await start()
    }, 60_000)
    afterAll(() => redis.stop())
    const begin = async (count: number) => {
      deployment = createDeployment(redis.url)
      return Promise.all(Array.from({ length: count }, () => deployment.replica()))
    }
    afterEach(() => deployment.stop())

    test('who is on one replica is seen on all, and is there until the last one is left', async () => {
      const replicas = await begin(3)
      const [a, b, c] = replicas as [Mortal, Mortal, Mortal]
      const alice = newUser()
      a.registry.join(alice)
      await expect.poll(() => told(replicas, alice, 'moved'), patience).toBe(1)
      for (const { registry } of replicas) expect(await onlineOf(registry, [alice])).toEqual([alice])
      b.registry.join(alice)
      a.registry.leave(alice)
      const bob = newUser()
      a.registry.join(bob)
      await expect.poll(() => told([a], bob, 'moved'), patience).toBe(1)
      expect(await onlineOf(c.registry, [alice, bob])).toEqual([alice, bob])
      expect([told(replicas, alice, 'moved'), told(replicas, alice, 'leaving')]).toEqual([1, 0])
      b.registry.leave(alice)
      await expect.poll(() => told(replicas, alice, 'moved'), patience).toBe(2)
      for (const { registry } of replicas) await expect.poll(() => onlineOf(registry, [alice]), patience).toEqual([])
      expect(told(replicas, alice, 'leaving')).toBe(1)
    })

    test('who was on a replica that died is counted out by another, once, but for who is elsewhere', async () => {
      const [a, b, c] = (await begin(3)) as [Mortal, Mortal, Mortal]
      const [alice, bob] = newUsers(2) as [string, string]
      const crowd = newUsers(2_000)
      for (const userId of [alice, bob, ...crowd]) a.registry.join(userId)
      b.registry.join(bob)
      await expect.poll(async () => (await onlineOf(c.registry, [...crowd, alice, bob])).length, patience).toBe(2_002)
      a.vanish()
      await expect.poll(() => told([b, c], alice, 'moved'), patience).toBe(1)
      await expect.poll(() => onlineOf(c.registry, [alice, bob, ...crowd]), patience).toEqual([bob])
      await expect.poll(() => b.moved.length + c.moved.length, patience).toBeGreaterThanOrEqual(2_001)
      const all = [...b.moved, ...c.moved]
      expect(new Set(all).size).toBe(all.length)
      expect(new Set([...b.leaving, ...c.leaving])).toEqual(new Set([alice, ...crowd]))
    })

    test('a replica that stops gives those who were on it time to come back to another', async () => {
      const replicas = await begin(2)
      const [a, b] = replicas as [Mortal, Mortal]
      const [alice, bob] = newUsers(2) as [string, string]
      a.registry.join(alice)
      a.registry.join(bob)
      await expect.poll(() => onlineOf(b.registry, [alice, bob]), patience).toEqual([alice, bob])
      await a.registry.close()
      expect(await onlineOf(b.registry, [alice, bob])).toEqual([alice, bob])
      b.registry.join(alice)
      // It does not beat any more.
      a.vanish()
      await expect.poll(() => told([b], bob, 'moved'), patience).toBe(1)
      expect(await onlineOf(b.registry, [alice, bob])).toEqual([alice])
      expect(told([b], alice, 'moved')).toBe(0)
    })
  })
}
