import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { Random } from '../random.ts'
import { startRedisCluster } from '../redis-cluster.ts'
import { startRedis } from '../redis.ts'

/** What carries news between replicas, and what may go wrong with it. Each fault resolves when it is over. */
export type Bus = {
  url: string
  faults(random: Random): Record<string, () => Promise<unknown>>
  stop(): Promise<void>
}

export const buses = { redis: startOneRedis, cluster: startCluster }

async function startOneRedis(): Promise<Bus> {
  const redis = await startRedis()
  return {
    url: redis.url,
    faults: (random) => ({
      async 'Redis killed, and back empty'() {
        await redis.kill()
        await sleep(500 + random.below(5_000))
        await redis.start()
      },
      async 'Redis restarted at once'() {
        await redis.kill()
        await redis.start()
      },
      async 'Redis frozen'() {
        redis.freeze()
        await sleep(1_000 + random.below(6_000))
        redis.thaw()
      },
      'Redis subscribers cut': () => ask(redis.url, 'CLIENT', 'KILL', 'TYPE', 'pubsub'),
      'Redis clients cut': () => ask(redis.url, 'CLIENT', 'KILL', 'TYPE', 'normal'),
    }),
    stop: redis.stop,
  }
}

async function startCluster(): Promise<Bus> {
  const cluster = await startRedisCluster({ replicas: true })
  const nodes = [...cluster.masters, ...cluster.replicas]
  return {
    url: cluster.url,
    faults: (random) => ({
      async 'a Cluster node killed, and back empty'() {
        const node = random.pick(nodes)
        await node.kill()
        await sleep(500 + random.below(8_000))
        await node.start()
        await cluster.isWhole()
      },
      async 'a Cluster node frozen'() {
        const node = random.pick(nodes)
        node.freeze()
        await sleep(1_000 + random.below(6_000))
        node.thaw()
        await cluster.isWhole()
      },
      'subscribers of a Cluster node cut': () => ask(random.pick(nodes).url, 'CLIENT', 'KILL', 'TYPE', 'pubsub'),
      async 'a slot moved'() {
        const key = `channel:${random.below(1_000_000)}`
        await cluster.moveSlot(key, random.pick(cluster.masters)).catch(() => {})
      },
    }),
    stop: cluster.stop,
  }
}

async function ask(url: string, ...command: [string, ...string[]]): Promise<unknown> {
  const redis = new Redis(url, { retryStrategy: () => null, lazyConnect: true, commandTimeout: 2_000 })
  redis.on('error', () => {})
  try {
    return await redis.call(...command)
  } catch {
    // It is away itself; or we were among those who were cut.
    return null
  } finally {
    redis.disconnect()
  }
}
