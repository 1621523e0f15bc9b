import { randomBytes } from 'node:crypto'
import type { EventBus } from '../event-bus/event-bus.ts'
import type { RedisConnection } from '../lib/redis.ts'
import { seldom } from '../lib/redis-errors.ts'
import { atMost } from '../presence/registry.ts'
import { createRecent, loadOf } from './loads.ts'
import { beat as sendBeat, type Found, leave, replicaKeys, type Said } from './redis-script.ts'
import { arrivalMs, beatMs, leaseMs, type Member, type OpenReplicaRegistry, sayMs, settleMs } from './registry.ts'

/** Where a replica says on the bus that it takes nobody any more. Every replica listens. */
const topic = 'replicas'

/**
 * Who has sent somebody somewhere tells so after this time at most, and with more than twenty replicas after 5 ms for
 * each: so that all of them together beat two hundred times a second where a storm lasts. Milliseconds.
 */
const tellMs = (members: number) => Math.max(100, 5 * members)

/** The registry of many replicas, in Redis or in a Redis Cluster. Connection and bus stay the caller's. */
export function redisReplicas(options: {
  redis: RedisConnection
  bus: Pick<EventBus, 'publish' | 'subscribe'>
  /** What the deployment is called: others on the same Redis have other keys. */
  deployment: string
  onError(error: unknown): void
  /** For tests that cannot wait. */
  times?: { beatMs: number; leaseMs: number; settleMs: number }
}): OpenReplicaRegistry {
  const { redis, bus } = options
  const onError = seldom(options.onError)
  const times = options.times ?? { beatMs, leaseMs, settleMs }
  const keys = replicaKeys(options.deployment)

  return (self) => {
    const id = randomBytes(9).toString('base64url')
    const arrivals = createRecent(arrivalMs)
    let sockets = 0
    let since: number | null = null
    let draining = false
    let isClosed = false
    /** Those who were sent somewhere, of whom Redis has not been told, or has not said that it was. */
    let untold = new Map<string, number>()
    let telling = new Map<string, number>()
    /** What is believed, and when that was asked; by `performance.now()`. */
    let believed: { found: Found; askedAt: number } | null = null
    /** Since when this replica has been in the list without a break. */
    let steadySince = Infinity
    /** Who has said on the bus that it takes nobody any more, and until when that is remembered. */
    const unwilling = new Map<string, number>()
    let timer: NodeJS.Timeout | undefined
    let tellTimer: NodeJS.Timeout | undefined
    let unsubscribe = () => {}
    let underWay: Promise<void> | null = null
    let next: Promise<void> | null = null

    const ourselves = (): Said => ({ ...self, sockets, arrived: arrivals.count(), draining, since: since! })

    /** Beats, or lets another beat follow the one that is under way. */
    function beat(): Promise<void> {
      if (underWay === null) return (underWay = beatOnce().finally(() => (underWay = null)))
      return (next ??= underWay.then(() => {
        next = null
        return beat()
      }))
    }

    async function beatOnce(): Promise<void> {
      if (isClosed) return
      clearTimeout(tellTimer)
      tellTimer = undefined
      const askedAt = performance.now()
      ;[telling, untold] = [untold, new Map()]
      try {
        const found = await sendBeat(redis.client, keys, { id, said: ourselves(), sent: telling, lease: times.leaseMs })
        const now = performance.now()
        // Redis was away, or has forgotten something: others are as surprised, and may not have said so yet.
        if (!found.isKept) steadySince = now
        if (now - steadySince >= times.settleMs) believed = { found, askedAt }
        telling = new Map()
      } catch (error) {
        onError(error as Error)
        for (const [to, count] of telling) untold.set(to, (untold.get(to) ?? 0) + count)
        telling = new Map()
      }
      for (const [member, until] of unwilling) if (until < performance.now()) unwilling.delete(member)
    }

    function hear(memberId: string) {
      // A beat that is under way may not know yet. Ids do not come again, so nothing is lost by remembering.
      unwilling.set(memberId, performance.now() + 2 * times.leaseMs)
    }

    function members(): Member[] | null {
      if (since === null || believed === null || performance.now() - believed.askedAt > times.leaseMs) {
        untold.clear()
        return null
      }
      const { found } = believed
      const all = new Map(found.members).set(id, ourselves())
      return Array.from(all, ([memberId, said]) => ({
        id: memberId,
        url: said.url,
        sockets: said.sockets,
        load: loadOf(
          {
            ...said,
            sent: found.sent.get(memberId) ?? 0,
            untold: (untold.get(memberId) ?? 0) + (telling.get(memberId) ?? 0),
          },
          all.size,
        ),
        draining: said.draining || unwilling.has(memberId),
        since: new Date(said.since),
        version: said.version,
      }))
    }

    return {
      async join() {
        since = Date.now()
        timer = setInterval(beat, times.beatMs)
        timer.unref()
        const listening = bus.subscribe(topic, hear).then((end) => {
          unsubscribe = end
          if (isClosed) end()
        })
        await atMost(sayMs, Promise.all([listening, beat()]))
      },
      opened() {
        sockets++
        arrivals.add()
      },
      closed() {
        sockets--
      },
      members,
      sent(memberId) {
        untold.set(memberId, (untold.get(memberId) ?? 0) + 1)
        if (tellTimer !== undefined || since === null) return
        tellTimer = setTimeout(beat, tellMs(believed?.found.members.size ?? 1))
        tellTimer.unref()
      },
      async drain() {
        if (draining || since === null) return
        draining = true
        await atMost(sayMs, beat())
        bus.publish(topic, id)
      },
      async close() {
        if (isClosed) return
        isClosed = true
        clearInterval(timer)
        clearTimeout(tellTimer)
        unsubscribe()
        if (since === null) return
        since = null
        if (!draining) bus.publish(topic, id)
        await atMost(sayMs, (underWay ?? Promise.resolve()).then(() => leave(redis.client, keys, id)))
      },
    }
  }
}
