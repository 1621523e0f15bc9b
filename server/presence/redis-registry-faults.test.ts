import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type RedisServer, startRedis } from '../testing/redis.ts'
import { type RedisCluster, startRedisCluster } from '../testing/redis-cluster.ts'
import { newUser, newUsers, onlineOf } from './registry.conformance.ts'
import { createDeployment, type Mortal, patience, times } from './testing/deployment.ts'

const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** Asks replicas over and over for as long as `during` takes: these users must be there all the time. */
async function alwaysThere(replicas: readonly Mortal[], people: readonly string[], during: () => Promise<void>) {
  let isOver = false
  const over = during().finally(() => (isOver = true))
  while (!isOver) {
    for (const { registry } of replicas) {
      const started = performance.now()
      expect(await onlineOf(registry, people)).toEqual(people)
      expect(performance.now() - started).toBeLessThan(2_000)
    }
    await wait(20)
  }
  await over
}

describe('the registry in Redis, when Redis fails', () => {
  let redis: RedisServer
  let admin: Redis
  let deployment: ReturnType<typeof createDeployment>
  let replicas: Mortal[]
  let a: Mortal
  let b: Mortal
  let alice: string
  let bob: string
  let people: string[]
  beforeAll(async () => {
    redis = await startRedis()
    admin = new Redis(redis.url).on('error', () => {})
  })
  afterAll(async () => {
    admin.disconnect()
    await redis.stop()
  })

  /** Two replicas that have been there for a while, with alice on one and bob on the other. */
  async function begin() {
    deployment = createDeployment(redis.url)
    replicas = await Promise.all([deployment.replica(), deployment.replica()])
    ;[a, b] = replicas as [Mortal, Mortal]
    people = newUsers(2)
    ;[alice, bob] = people as [string, string]
    a.registry.join(alice)
    b.registry.join(bob)
    for (const { registry } of replicas) await expect.poll(() => onlineOf(registry, people), patience).toEqual(people)
    await wait(times.silenceMs)
  }
  afterEach(async () => {
    redis.thaw()
    await deployment.stop()
  })

  /** Waits until a replica that has never heard of anything sees them all. */
  async function newcomerSees(userIds: readonly string[]) {
    const { registry } = await deployment.replica()
    await expect.poll(() => onlineOf(registry, people), patience).toEqual(userIds)
  }

  test('killed and started again, empty: nobody is taken for gone, and all is soon known again', async () => {
    await begin()
    await alwaysThere(replicas, people, async () => {
      await redis.kill()
      await wait(1_500)
      await redis.start()
      await wait(times.silenceMs + times.settleMs)
    })
    await newcomerSees(people)
    expect(replicas.map(({ moved }) => moved.length)).toEqual([1, 1])
    expect(replicas.flatMap(({ leaving }) => leaving)).toEqual([])
  }, 60_000)

  test('frozen for longer than a replica may be silent: nobody is taken for gone, then or later', async () => {
    await begin()
    await alwaysThere(replicas, people, async () => {
      redis.freeze()
      await wait(times.silenceMs + 1_000)
      redis.thaw()
      await wait(times.silenceMs + times.settleMs)
    })
    await newcomerSees(people)
    expect(replicas.flatMap(({ leaving }) => leaving)).toEqual([])
  }, 60_000)

  test('who comes and goes while it is away is known here at once, and everywhere once it is back', async () => {
    await begin()
    await redis.kill()
    const carol = newUser()
    people.push(carol)
    a.registry.join(carol)
    expect(await onlineOf(a.registry, people)).toEqual([alice, bob, carol])
    expect(await onlineOf(b.registry, people)).toEqual([alice, bob])
    a.registry.leave(alice)
    await expect.poll(() => a.leaving, patience).toEqual([alice])
    await expect.poll(() => onlineOf(a.registry, people), patience).toEqual([bob, carol])
    await redis.start()
    await expect.poll(() => onlineOf(b.registry, people), patience).toEqual([bob, carol])
    await newcomerSees([bob, carol])
  }, 60_000)

  test('where it has forgotten the newest, as an old copy does, all is told again', async () => {
    await begin()
    const keys = async () => (await admin.keys(`${deployment.prefix}*`)).toSorted()
    const old = await Promise.all((await keys()).map(async (key) => [key, await admin.dumpBuffer(key)] as const))
    const carol = newUser()
    people.push(carol)
    a.registry.join(carol)
    b.registry.leave(bob)
    await expect.poll(() => onlineOf(a.registry, people), patience).toEqual([alice, carol])
    await wait(times.beatMs * 3)
    await admin.del(...(await keys()))
    for (const [key, copy] of old) await admin.restore(key, 0, copy, 'REPLACE')
    // Bob is in the old copy, in a sitting that goes the way of the dead.
    await expect.poll(() => onlineOf(a.registry, people), patience).toEqual([alice, carol])
    await newcomerSees([alice, carol])
  }, 60_000)

  test('what it did not hear of, or was told by nobody, is put right', async () => {
    await begin()
    const [usersKey] = (await admin.keys(`${deployment.prefix}*users:*`)) as [string]
    const userId = (await admin.smembers(usersKey))[0]!
    const whereKey = usersKey.replace(/users:.*/, 'where')
    await admin.srem(usersKey, userId)
    await admin.hdel(whereKey, userId)
    await newcomerSees(people)
  }, 60_000)

  test('a replica that was taken for dead and is not is there again, with all who are connected to it', async () => {
    await begin()
    const leases = await admin.keys(`${deployment.prefix}*leases`)
    const places = await Promise.all(leases.map((key) => admin.zrange(key, '0', '-1')))
    // As if nothing had been heard of either of them for long.
    await Promise.all(leases.flatMap((key, nth) => places[nth]!.map((sitting) => admin.zadd(key, 'XX', 1, sitting))))
    await wait(times.silenceMs + times.settleMs)
    for (const { registry } of replicas) await expect.poll(() => onlineOf(registry, people), patience).toEqual(people)
    await newcomerSees(people)
  }, 60_000)

  test('what nobody needs any more is not kept', async () => {
    await begin()
    const keys = () => admin.keys(`${deployment.prefix}*users:*`)
    expect(await keys()).toHaveLength(2)
    replicas[0]!.vanish()
    b.registry.leave(bob)
    await expect.poll(keys, patience).toEqual([])
    await expect.poll(async () => {
      const leases = await admin.keys(`${deployment.prefix}*leases`)
      const sittings = await Promise.all(leases.map((key) => admin.zrange(key, '0', '-1')))
      return new Set(sittings.flat().map((sitting) => sitting.split('.')[0])).size
    }, patience).toBe(1)
    const all = await admin.keys(`${deployment.prefix}*`)
    for (const key of all) expect(await admin.pttl(key)).toBeGreaterThan(0)
  }, 60_000)
})

describe('the registry in a Redis Cluster, when a node fails', () => {
  let cluster: RedisCluster
  let deployment: ReturnType<typeof createDeployment>
  beforeAll(async () => {
    cluster = await startRedisCluster()
    deployment = createDeployment(cluster.url)
  }, 60_000)
  afterAll(async () => {
    await deployment.stop()
    await cluster.stop()
  })

  test('killed and started again, empty: nobody is taken for gone, and all is soon known again', async () => {
    const replicas = await Promise.all([deployment.replica(), deployment.replica()])
    const [a, b] = replicas as [Mortal, Mortal]
    const people = newUsers(200)
    people.forEach((userId, nth) => (nth % 2 === 0 ? a : b).registry.join(userId))
    for (const { registry } of replicas) await expect.poll(() => onlineOf(registry, people), patience).toEqual(people)
    await wait(times.silenceMs)
    await alwaysThere(replicas, people, async () => {
      await cluster.masters[1]!.kill()
      await wait(4_000)
      await cluster.masters[1]!.start()
      await cluster.isWhole()
      await wait(times.silenceMs + times.settleMs)
    })
    const newcomer = await deployment.replica()
    await expect.poll(() => onlineOf(newcomer.registry, people), patience).toEqual(people)
    expect(replicas.flatMap(({ leaving }) => leaving)).toEqual([])
  }, 60_000)
})
