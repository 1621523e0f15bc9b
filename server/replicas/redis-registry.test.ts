import { setTimeout as wait } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startRedisCluster } from '../testing/redis-cluster.ts'
import { startRedis, type RedisServer } from '../testing/redis.ts'
import { describeReplicaRegistry } from './registry.conformance.ts'
import type { ReplicaRegistry } from './registry.ts'
import { createDeployment, type Mortal, patience, times } from './testing/deployment.ts'

let redis: RedisServer
let admin: Redis
beforeAll(async () => {
  redis = await startRedis()
  admin = new Redis(redis.url, { lazyConnect: true, retryStrategy: () => 50 })
  admin.on('error', () => {})
  await admin.connect()
})
afterAll(async () => {
  admin.disconnect()
  await redis.stop()
})

describeReplicaRegistry('the registry in Redis', async () => {
  const deployment = createDeployment(redis.url)
  return { ...(await deployment.open()), stop: deployment.stop }
})

describeReplicaRegistry('the registry in a Redis Cluster', async () => {
  const cluster = await startRedisCluster()
  const deployment = createDeployment(cluster.url)
  const { open } = await deployment.open()
  return {
    open,
    async stop() {
      await deployment.stop()
      await cluster.stop()
    },
  }
})

/** The addresses that a replica knows, in order, with a minus behind those that drain; null where it cannot say. */
const seenBy = (registry: ReplicaRegistry) =>
  registry.members()?.map(({ url, draining }) => (draining ? `${url}-` : String(url))).toSorted() ?? null

const loadsSeenBy = (registry: ReplicaRegistry) =>
  Object.fromEntries((registry.members() ?? []).map(({ url, load }) => [url, load]))

const [a, b, c] = ['https://a.example.org', 'https://b.example.org', 'https://c.example.org']

describe('three replicas on a Redis', () => {
  let deployment: ReturnType<typeof createDeployment>
  let replicas: [Mortal, Mortal, Mortal]
  beforeEach(async () => {
    deployment = createDeployment(redis.url)
    replicas = [await deployment.replica(a), await deployment.replica(b), await deployment.replica(c)]
    for (const replica of replicas) await seesAll(replica)
  })
  const seesAll = (replica: ReplicaRegistry) => expect.poll(() => seenBy(replica), patience).toEqual([a, b, c])
  afterEach(() => deployment.stop())

  test('see each other’s sockets', async () => {
    for (let nth = 0; nth < 5; nth++) replicas[0].opened()
    replicas[1].opened()
    const expected = { [a]: 5, [b]: 1, [c]: 0 }
    for (const replica of replicas) await expect.poll(() => loadsSeenBy(replica), patience).toEqual(expected)
  })

  test('count who was sent somewhere until they have arrived, and no longer than a while', async () => {
    const idOf = (url: string) => replicas[0].members()!.find((member) => member.url === url)!.id
    replicas[0].sent(idOf(b))
    // At once here.
    expect(loadsSeenBy(replicas[0])).toEqual({ [a]: 0, [b]: 1, [c]: 0 })
    replicas[2].sent(idOf(b))
    const one = { [a]: 0, [b]: 2, [c]: 0 }
    for (const replica of replicas) await expect.poll(() => loadsSeenBy(replica), patience).toEqual(one)
    replicas[1].opened()
    replicas[1].opened()
    await wait(times.beatMs * 3)
    for (const replica of replicas) await expect.poll(() => loadsSeenBy(replica), patience).toEqual(one)
    replicas[1].closed()
    replicas[1].closed()
    replicas[0].sent(idOf(c))
    await expect.poll(() => loadsSeenBy(replicas[1]), patience).toEqual({ [a]: 0, [b]: 0, [c]: 1 })
    await expect.poll(() => loadsSeenBy(replicas[1]), patience).toEqual({ [a]: 0, [b]: 0, [c]: 0 })
    // Nothing is left of it.
    await expect.poll(() => admin.hlen(deployment.keys[1]), patience).toBe(0)
  })

  test('know of one that closes, and that one which drains does not become willing again', async () => {
    await replicas[1].drain()
    await expect.poll(() => seenBy(replicas[0]), patience).toEqual([a, `${b}-`, c])
    await wait(times.beatMs * 2)
    expect(seenBy(replicas[2])).toEqual([a, `${b}-`, c])
    await replicas[2].close()
    await expect.poll(() => seenBy(replicas[0]), patience).toEqual([a, `${b}-`])
  })

  test('know of one that drains long before they ask Redis again', async () => {
    const slow = createDeployment(redis.url, { beatMs: 3_000, leaseMs: 15_000, settleMs: 1 })
    const [first, second] = [await slow.replica(a), await slow.replica(b)]
    // They have asked just now, and ask again in three seconds.
    for (const replica of [first, second]) await expect.poll(() => seenBy(replica), patience).toEqual([a, b])
    await second.drain()
    await expect.poll(() => seenBy(first), { timeout: 1_500, interval: 20 }).toEqual([a, `${b}-`])
    await slow.stop()
  })

  test('know of one that closes long before they ask Redis again', async () => {
    const slow = createDeployment(redis.url, { beatMs: 3_000, leaseMs: 15_000, settleMs: 1 })
    const [first, second] = [await slow.replica(a), await slow.replica(b)]
    for (const replica of [first, second]) await expect.poll(() => seenBy(replica), patience).toEqual([a, b])
    await second.close()
    await expect.poll(() => seenBy(first), { timeout: 1_500, interval: 20 }).toEqual([a, `${b}-`])
    await slow.stop()
  })

  test('know of one that drains by its lease, where the bus says nothing', async () => {
    const fourth = await deployment.replica('https://d.example.org', false)
    await expect.poll(() => seenBy(replicas[0]), patience).toContain('https://d.example.org')
    await fourth.drain()
    await expect.poll(() => seenBy(replicas[0]), patience).toContain('https://d.example.org-')
  })

  test('forget one that dies, after its lease', async () => {
    await replicas[0].vanish()
    const died = performance.now()
    await expect.poll(() => seenBy(replicas[1]), patience).toEqual([b, c])
    expect(performance.now() - died).toBeGreaterThan(times.leaseMs - 2 * times.beatMs)
    await expect.poll(() => seenBy(replicas[2]), patience).toEqual([b, c])
    // It does not know itself any more, either.
    await expect.poll(() => seenBy(replicas[0]), patience).toBe(null)
  })

  test('who comes says nothing before it can know all', async () => {
    const fourth = await deployment.replica(null)
    expect(seenBy(fourth)).toBe(null)
    await expect.poll(() => seenBy(fourth), patience).not.toBe(null)
    expect(seenBy(fourth)).toEqual([a, b, c, 'null'])
  })

  test('pass over what other versions say more, and what is noise', async () => {
    const soon = `${Date.now() + 60_000} `
    await admin.hset(deployment.keys[0], {
      newer: `${soon}{"url":"https://n.example.org","sockets":3,"draining":false,"since":1,"version":"9","zone":{}}`,
      older: `${soon}{"url":"https://o.example.org"}`,
      noise: `${soon}{{{`,
      null: `${soon}null`,
      lost: 'what',
      evil: `${soon}{"url":"javascript:alert(1)","sockets":-7,"draining":"no"}`,
    })
    await expect
      .poll(() => loadsSeenBy(replicas[0]), patience)
      .toEqual({ [a]: 0, [b]: 0, [c]: 0, 'https://n.example.org': 3, 'https://o.example.org': 0, null: 0 })
    expect(await admin.hexists(deployment.keys[0], 'lost')).toBe(0)
  })

  /** What each replica has known since, every few milliseconds. */
  async function watchDuring(work: () => Promise<void>): Promise<Set<string>> {
    const seen = new Set<string>()
    const look = () => replicas.forEach((replica) => seen.add(JSON.stringify(seenBy(replica))))
    const timer = setInterval(look, 2)
    await work()
    clearInterval(timer)
    return seen
  }
  const whole = JSON.stringify([a, b, c])

  test('Redis killed and back, empty: at no time does anybody take some for all', async () => {
    const seen = await watchDuring(async () => {
      await redis.kill()
      await expect.poll(() => replicas.map(seenBy), patience).toEqual([null, null, null])
      await redis.start()
      await expect.poll(() => replicas.map(seenBy), patience).toEqual([[a, b, c], [a, b, c], [a, b, c]])
    })
    expect(seen).toEqual(new Set([whole, 'null']))
  })

  test('Redis gone for a moment, and empty: what was known last stands, or nothing', async () => {
    const seen = await watchDuring(async () => {
      await redis.kill()
      await redis.start()
      await wait(times.settleMs + times.beatMs * 4)
      await expect.poll(() => replicas.map(seenBy), patience).toEqual([[a, b, c], [a, b, c], [a, b, c]])
    })
    expect([...seen].filter((each) => each !== whole && each !== 'null')).toEqual([])
  })

  test('Redis frozen for longer than a lease: the same', async () => {
    const seen = await watchDuring(async () => {
      redis.freeze()
      await expect.poll(() => replicas.map(seenBy), patience).toEqual([null, null, null])
      const drained = performance.now()
      await replicas[2].drain()
      expect(performance.now() - drained).toBeLessThan(2_000)
      redis.thaw()
      const after = [a, b, `${c}-`]
      await expect.poll(() => replicas.map(seenBy), patience).toEqual([after, after, after])
    })
    expect([...seen].filter((each) => !['null', whole, JSON.stringify([a, b, `${c}-`])].includes(each))).toEqual([])
  })

  test('what was written before Redis’ clock jumped back counts no more', async () => {
    const id = replicas[0].members()!.find(({ url }) => url === b)!.id
    const hour = 3_600
    await admin.hset(deployment.keys[0], 'ghost', `${Date.now() + hour * 1_000} {"url":"https://ghost.example.org"}`)
    await admin.hset(deployment.keys[1], `${Math.floor(Date.now() / 1_000) + hour} ${id}`, 500)
    await expect.poll(() => admin.hlen(deployment.keys[1]), patience).toBe(0)
    await expect.poll(() => admin.hexists(deployment.keys[0], 'ghost'), patience).toBe(0)
    await wait(times.beatMs * 3)
    for (const replica of replicas) expect(loadsSeenBy(replica)).toEqual({ [a]: 0, [b]: 0, [c]: 0 })
  })

  test('what nobody needs any more is not kept', async () => {
    for (const replica of replicas) await replica.close()
    expect(await admin.hkeys(deployment.keys[0])).toEqual([])
  })
})

describe('who was sent somewhere', () => {
  /** A replica that beats so seldom that it tells nothing by that. */
  const seldom = { beatMs: 60_000, leaseMs: 90_000, settleMs: 0 }

  test('is told of long before the next beat, and nothing is kept for ever', async () => {
    const deployment = createDeployment(redis.url, seldom)
    const replica = await deployment.replica(a)
    const { id } = replica.members()![0]!
    replica.sent(id)
    replica.sent(id)
    await expect.poll(() => admin.hvals(deployment.keys[1]), { timeout: 5_000, interval: 20 }).toEqual(['2'])
    for (const key of deployment.keys) expect(await admin.pttl(key)).toBeGreaterThan(0)
    await deployment.stop()
  })

  test('while Redis is away for a moment is told of when it is back', async () => {
    const deployment = createDeployment(redis.url, { ...seldom, beatMs: 200 })
    const replica = await deployment.replica(a)
    await expect.poll(() => replica.members(), patience).not.toBe(null)
    const { id } = replica.members()![0]!
    await redis.kill()
    replica.sent(id)
    // Whatever was asked meanwhile has failed.
    await wait(3_000)
    expect(loadsSeenBy(replica)).toEqual({ [a]: 1 })
    await redis.start()
    await expect.poll(() => admin.hvals(deployment.keys[1]), patience).toEqual(['1'])
    await deployment.stop()
  }, 30_000)

  test('while Redis is away for long is forgotten: they have gone elsewhere', async () => {
    const deployment = createDeployment(redis.url)
    const replica = await deployment.replica(a)
    await expect.poll(() => replica.members(), patience).not.toBe(null)
    const { id } = replica.members()![0]!
    await redis.kill()
    for (let nth = 0; nth < 100; nth++) replica.sent(id)
    await expect.poll(() => replica.members(), patience).toBe(null)
    // Also what was just being told.
    await wait(1_500)
    expect(replica.members()).toBe(null)
    await redis.start()
    await expect.poll(() => replica.members(), patience).not.toBe(null)
    expect(loadsSeenBy(replica)).toEqual({ [a]: 0 })
    await deployment.stop()
  }, 30_000)
})
