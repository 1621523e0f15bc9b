import { LRUCache } from 'lru-cache'
import { randomBytes } from 'node:crypto'
import type { RedisClient, RedisConnection } from '../lib/redis.ts'
import { createPart, type Part } from './redis-part.ts'
import type { Script } from './redis-scripts.ts'
import { atMost, lookUpMs, type OpenPresenceRegistry, replicaSilenceMs } from './registry.ts'

/**
 * Users are spread over so many parts, each a few keys in one slot, so that a cluster shares the work out. All replicas
 * of a deployment must agree on it. Each part costs a replica one command a second.
 */
const partCount = 32

/** How often a replica says that it lives, in milliseconds: of six times, five may be lost. */
const beatMs = 1_000

/**
 * A part that has just come to be, or has lost something, is not believed for so long that somebody is not there: each
 * replica finds out within a second that Redis is back, and needs one for fifty thousand users. Milliseconds.
 */
const settleMs = 4_000

/**
 * Who was connected to a replica that stops, and has not come to another one in this time, is gone. With the second that
 * it takes to be noticed it stays within the ten in which presence is to be true. Milliseconds.
 */
const partingMs = 8_000

/** Users remembered to be on other replicas, for when Redis is away. */
const maxRemembered = 100_000

/** What goes wrong with Redis goes wrong with many commands: told of once in so many milliseconds. */
const errorsEveryMs = 1_000

/**
 * The registry of many replicas, in Redis or in a Redis Cluster. `redis-part.ts` says how it works. The connection stays
 * the caller's.
 */
export function redisRegistry(options: {
  redis: RedisConnection
  /** What the deployment is called: others on the same Redis have other keys. */
  deployment: string
  onError(error: unknown): void
  /** For tests that cannot wait. */
  silenceMs?: number
  settleMs?: number
  beatMs?: number
}): OpenPresenceRegistry {
  const { redis } = options
  const replica = randomBytes(9).toString('base64url')
  // Braces would say which part of the name decides on the slot.
  const deployment = options.deployment.replaceAll(/[{}]/g, '_')
  const elsewhere = new LRUCache<string, true>({ max: maxRemembered })

  let toldAt = -Infinity
  function onError(error: unknown) {
    if (performance.now() - toldAt < errorsEveryMs) return
    toldAt = performance.now()
    options.onError(error)
  }

  return (hooks) => {
    const parts = Array.from({ length: partCount }, (_, number): Part => {
      const prefix = `maru:${deployment}:presence:{${number}}:`
      return createPart({
        replica,
        keys: {
          where: `${prefix}where`,
          leases: `${prefix}leases`,
          usersOf: (sitting) => `${prefix}users:${sitting}`,
        },
        run: ({ text, keys: count }: Script, keys, args) => redis.client.eval(text, count, ...keys, ...args),
        hmget: (key, fields) => redis.client.hmget(key, ...fields),
        srandmember: (key, count) => redis.client.srandmember(key, count),
        hooks,
        onError,
        elsewhere,
        silenceMs: options.silenceMs ?? replicaSilenceMs,
        settleMs: options.settleMs ?? settleMs,
      })
    })
    const partOf = (userId: string) => parts[hash(userId) % partCount]!

    let watched: RedisClient | null = null
    const doubtAll = () => parts.forEach((part) => part.doubt())
    function watchConnection() {
      if (watched === redis.client) return
      watched = redis.client
      // Whoever comes back under the same address may be another Redis, or one that has forgotten something.
      watched.on('close', doubtAll)
      watched.on('-node', doubtAll)
    }

    async function beat() {
      watchConnection()
      await Promise.all(parts.map((part) => part.beat()))
    }
    void beat()
    const timer = setInterval(beat, options.beatMs ?? beatMs)
    timer.unref()

    return {
      join: (userId) => partOf(userId).join(userId),
      leave: (userId) => partOf(userId).leave(userId),
      async online(userIds) {
        const others = userIds.filter((userId) => !partOf(userId).has(userId))
        const looks = Array.from(Map.groupBy(others, partOf), ([part, ids]) => part.look(ids).catch(onError))
        if (looks.length > 0) await atMost(lookUpMs, Promise.all(looks))
        return new Set(userIds.filter((userId) => partOf(userId).has(userId) || elsewhere.has(userId)))
      },
      async close() {
        clearInterval(timer)
        watched?.off('close', doubtAll)
        watched?.off('-node', doubtAll)
        await atMost(lookUpMs, Promise.all(parts.map((part) => part.part(partingMs))))
      },
    }
  }
}

/** A number of 32 bits that spreads ids; the low bits of Snowflakes alone would not. */
function hash(text: string): number {
  let number = 0
  for (let place = 0; place < text.length; place++) number = (Math.imul(number, 31) + text.charCodeAt(place)) | 0
  return number >>> 0
}
