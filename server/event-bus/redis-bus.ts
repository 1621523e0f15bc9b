import { seldom } from '../lib/redis-errors.ts'
import { redisAddresses } from '../lib/redis-url.ts'
import type { EventBus } from './event-bus.ts'
import type { Shard } from './redis-shard.ts'
import { followRedis } from './redis-topology.ts'

/** How often each connection is asked for a sign of life. Milliseconds. */
const heartbeatMs = 3_000

type Topic = {
  handlers: Set<(payload: string) => void>
  /** Where it lives; null while that is not known. */
  shard: Shard | null
  listening: Promise<void>
}

/**
 * The bus of many replicas on a Redis, or on a Redis Cluster, with its sharded channels: it finds out by itself which
 * of the two `url` names. With Redis away nothing waits: what is published is lost, and streams go on by comparing heads.
 */
export function createRedisBus(options: {
  /** As `redisAddresses` reads it. */
  url: string
  /** What the deployment is called: others on the same Redis have other topics. */
  deployment?: string
  /** The same complaint comes but every ten seconds, for as long as there is reason for it. */
  onError: (error: Error) => void
  /** Called for each payload that was not published, or of which that is not known. */
  onLost?: () => void
}): EventBus {
  const onLost = options.onLost ?? (() => {})
  const onError = seldom(options.onError)
  const prefix = `maru:${options.deployment ?? ''}:`
  /** By channel, which is a topic's name on Redis. */
  const topics = new Map<string, Topic>()
  const gapHandlers = new Set<() => void>()
  const tellGap = () => gapHandlers.forEach((handler) => handler())

  const redis = followRedis({
    addresses: redisAddresses(options.url),
    onMessage(channel, payload) {
      for (const handler of topics.get(channel)?.handlers ?? []) {
        // Whoever else publishes to this Redis may publish anything: it must not end the process.
        try {
          handler(payload)
        } catch (error) {
          onError(error as Error)
        }
      }
    },
    onListening: tellGap,
    onMap: moveTopics,
    onError,
    onLost,
  })

  /** Some channels may live elsewhere now. */
  function moveTopics() {
    const moving: Promise<void>[] = []
    for (const [channel, topic] of topics) {
      const shard = redis.shardOf(channel)
      if (shard === topic.shard) continue
      topic.shard?.forget(channel)
      topic.shard = shard
      topic.listening = shard?.listen(channel) ?? Promise.resolve()
      // A shard that is not up yet tells of the gap itself, once it is.
      if (shard?.isUp()) moving.push(topic.listening)
    }
    if (moving.length > 0) void Promise.all(moving).then(tellGap)
  }

  const heartbeat = setInterval(() => redis.shards().forEach((shard) => shard.beat()), heartbeatMs)
  heartbeat.unref()

  return {
    publish(topic, payload) {
      const channel = prefix + topic
      const shard = redis.shardOf(channel)
      if (shard === null) onLost()
      else shard.publish(channel, payload)
    },
    async subscribe(topic, handler) {
      const channel = prefix + topic
      // A handler of its own for each subscription, so that the same function may be subscribed twice.
      const own = (payload: string) => handler(payload)
      let known = topics.get(channel)
      if (known === undefined) {
        const shard = redis.shardOf(channel)
        known = { handlers: new Set(), shard, listening: shard?.listen(channel) ?? Promise.resolve() }
        topics.set(channel, known)
      }
      known.handlers.add(own)
      await known.listening
      return () => {
        known.handlers.delete(own)
        if (known.handlers.size > 0 || topics.get(channel) !== known) return
        topics.delete(channel)
        known.shard?.forget(channel)
      }
    },
    onGap: (handler) => void gapHandlers.add(handler),
    isUp: () => redis.isWhole() && redis.shards().every((shard) => shard.isUp()),
    state() {
      const shards = redis.shards()
      return {
        shards: Math.max(1, shards.length),
        shardsUp: shards.filter((shard) => shard.isUp()).length,
        topics: topics.size,
      }
    },
    async close() {
      clearInterval(heartbeat)
      redis.close()
    },
  }
}
