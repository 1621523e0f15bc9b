import { connectRedis, type RedisConnection } from '../../lib/redis.ts'
import { redisRegistry } from '../redis-registry.ts'
import { type Watching, watchRegistry } from '../registry.conformance.ts'
import type { OpenPresenceRegistry } from '../registry.ts'

/** Shorter than in earnest, and long enough for a machine that is busy. */
export const times = { silenceMs: 3_000, settleMs: 2_000, beatMs: 300 }

/** Within these a test must see what it waits for, although other tests want the machine too. */
export const patience = { timeout: 15_000, interval: 50 }

/** A replica that a test may lose. */
export type Mortal = Watching & {
  /** Takes its connection away: to all others it is as dead as if its process were. */
  vanish(): void
}

let deployments = 0

/** Replicas of a deployment of its own, on the Redis at `url`. */
export function createDeployment(url: string) {
  const deployment = `test.${process.pid}.${++deployments}`
  const connections: RedisConnection[] = []
  const replicas: Watching[] = []
  return {
    prefix: `maru:${deployment}:presence:`,
    async replica(): Promise<Mortal> {
      const redis = await connectRedis({ url, onError: () => {} })
      connections.push(redis)
      const watching = watchRegistry(redisRegistry({ redis, deployment, onError: () => {}, ...times }))
      replicas.push(watching)
      return { ...watching, vanish: () => redis.close() }
    },
    async open(): Promise<OpenPresenceRegistry> {
      const redis = await connectRedis({ url, onError: () => {} })
      connections.push(redis)
      return redisRegistry({ redis, deployment, onError: () => {}, ...times })
    },
    async stop() {
      for (const { registry } of replicas) await registry.close()
      for (const connection of connections) connection.close()
    },
  }
}
