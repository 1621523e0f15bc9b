import { Redis } from 'ioredis'
import type { EventBus } from './event-bus.ts'

/** A Redis that has not answered a command for so long is taken for gone, and its connection is dropped. Milliseconds. */
const silenceMs = 2_000

/** How often each connection is asked for a sign of life: who only listens would not notice a peer that has vanished. */
const heartbeatMs = 3_000

/** Topics in one command: a call takes only so many arguments, and Redis does nothing else meanwhile. */
const topicsAtOnce = 1_000

/**
 * The bus of many replicas on one Redis. Two connections, as Redis wants it: one that listens, one that publishes.
 * With Redis away nothing waits: publishing fails at once and streams go on by comparing heads.
 */
export function createRedisBus(options: {
  url: string
  /** What the deployment is called: others on the same Redis have other topics. */
  deployment?: string
  onError: (error: Error) => void
  /** Called for each payload that could not be published. */
  onLost?: () => void
}): EventBus {
  const prefix = `maru:${options.deployment ?? ''}:`
  const named = (topic: string) => prefix + topic
  const settings = {
    enableOfflineQueue: false,
    // What was under way when a connection broke may have arrived: sending it again would deliver it twice.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    commandTimeout: silenceMs,
    connectTimeout: silenceMs,
    // Without it a frozen Redis would be written to for as long as memory lasts.
    socketTimeout: silenceMs,
    retryStrategy: (attempt: number) => Math.min(50 * 2 ** attempt, 1_000),
  }
  const publisher = new Redis(options.url, settings)
  // The listener subscribes again by itself when it is back; handlers that came meanwhile are added then.
  const listener = new Redis(options.url, { ...settings, autoResubscribe: false })
  const topics = new Map<string, { handlers: Set<(payload: string) => void>; listening: Promise<unknown> }>()
  const gapHandlers = new Set<() => void>()
  publisher.on('error', options.onError)
  listener.on('error', options.onError)
  listener.on('message', (name: string, payload: string) => {
    for (const handler of topics.get(name.slice(prefix.length))?.handlers ?? []) {
      // Whoever else publishes to this Redis may publish anything: it must not end the process.
      try {
        handler(payload)
      } catch (error) {
        options.onError(error as Error)
      }
    }
  })
  listener.on('ready', () => {
    const names = [...topics.keys()].map(named)
    const commands = []
    for (let start = 0; start < names.length; start += topicsAtOnce) {
      commands.push(listener.subscribe(...names.slice(start, start + topicsAtOnce)))
    }
    Promise.all(commands).then(() => gapHandlers.forEach((handler) => handler()), options.onError)
  })

  const heartbeat = setInterval(() => {
    // Who does not answer is disconnected by `socketTimeout`; there is nothing else to do about it.
    for (const redis of [publisher, listener]) if (redis.status === 'ready') redis.ping().catch(() => {})
  }, heartbeatMs)
  heartbeat.unref()

  return {
    publish(topic, payload) {
      publisher.publish(named(topic), payload).catch((error: Error) => {
        options.onLost?.()
        options.onError(error)
      })
    },
    async subscribe(topic, handler) {
      const own = (payload: string) => handler(payload)
      let known = topics.get(topic)
      if (known === undefined) {
        // While Redis is away the subscription waits for its return: the store is asked until then.
        known = { handlers: new Set(), listening: listener.subscribe(named(topic)).catch(options.onError) }
        topics.set(topic, known)
      }
      const { handlers, listening } = known
      handlers.add(own)
      await listening
      return () => {
        handlers.delete(own)
        if (handlers.size > 0 || topics.get(topic)?.handlers !== handlers) return
        topics.delete(topic)
        listener.unsubscribe(named(topic)).catch(options.onError)
      }
    },
    onGap: (handler) => void gapHandlers.add(handler),
    isUp: () => listener.status === 'ready' && publisher.status === 'ready',
    async close() {
      clearInterval(heartbeat)
      publisher.disconnect()
      listener.disconnect()
    },
  }
}
