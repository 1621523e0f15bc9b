import { connectRedis, type RedisConnection } from '../lib/redis.ts'
import { startRedis } from '../testing/redis.ts'
import { startRedisCluster } from '../testing/redis-cluster.ts'
import { describeRateLimits } from './rate-limits.conformance.ts'
import { createRedisLimits } from './redis-limits.ts'

for (const { engine, start } of [
  { engine: 'limits in Redis', start: startRedis },
  { engine: 'limits in a Redis Cluster', start: startRedisCluster },
]) {
  describeRateLimits(engine, async () => {
    const server = await start()
    const connections: RedisConnection[] = []
    return {
      async open(rules) {
        const redis = await connectRedis({ url: server.url, onError: () => {} })
        connections.push(redis)
        return createRedisLimits({ redis, deployment: 'tests {of} limits', rules })
      },
      async stop() {
        for (const connection of connections) connection.close()
        await server.stop()
      },
    }
  })
}
