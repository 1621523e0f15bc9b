import { createMemoryBus } from '../../event-bus/memory-bus.ts'
import { createRedisBus } from '../../event-bus/redis-bus.ts'
import { connectRedis, type RedisConnection } from '../../lib/redis.ts'
import { redisReplicas } from '../redis-registry.ts'
import { replicaKeys } from '../redis-script.ts'
import { replicaAt } from '../registry.conformance.ts'
import type { OpenReplicaRegistry, ReplicaRegistry } from '../registry.ts'

/** Shorter than in earnest, and long enough for a machine that is busy. */
export const times = { beatMs: 200, leaseMs: 2_000, settleMs: 1_200 }

/** Within these a test must see what it waits for, although other tests want the machine too. */
export const patience = { timeout: 15_000, interval: 20 }

/** A replica that a test may lose. */
export type Mortal = ReplicaRegistry & {
  /** Takes its connections away: to all others it is as dead as if its process were. */
  vanish(): Promise<void>
}

let deployments = 0

/** Replicas of a deployment of its own, on the Redis at `url`. */
export function createDeployment(url: string, own = times) {
  const deployment = `test.${process.pid}.${++deployments}`
  const closing: (() => Promise<unknown> | void)[] = []

  /** With news by the bus, or by no more than what Redis is asked. */
  async function open(hasBus = true): Promise<{ open: OpenReplicaRegistry; vanish(): Promise<void> }> {
    const redis: RedisConnection = await connectRedis({ url, onError: () => {} })
    const bus = hasBus ? createRedisBus({ url, deployment, onError: () => {}, onLost: () => {} }) : createMemoryBus()
    const vanish = async () => {
      redis.close()
      await bus.close()
    }
    closing.push(vanish)
    return { open: redisReplicas({ redis, bus, deployment, onError: () => {}, times: own }), vanish }
  }

  return {
    keys: replicaKeys(deployment),
    open,
    async replica(address: string | null, hasBus = true): Promise<Mortal> {
      const { open: openRegistry, vanish } = await open(hasBus)
      const registry = openRegistry(replicaAt(address))
      closing.unshift(registry.close)
      await registry.join()
      return { ...registry, vanish }
    },
    async stop() {
      for (const close of closing) await close()
    },
  }
}
