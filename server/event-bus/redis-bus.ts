import { Redis } from 'ioredis'
import type { EventBus } from './event-bus.ts'

/**
 * The bus of many replicas on one Redis. Two connections, as Redis wants it: one that listens, one that publishes.
 * With Redis away nothing waits: publishing fails at once and streams go on by comparing heads.
 */
export function createRedisBus(options: {
  url: string
  onError: (error: Error) => void
  /** Called for each payload that could not be published. */
  onLost?: () => void
}): EventBus {
  const settings = {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    commandTimeout: 2_000,
    connectTimeout: 2_000,
    retryStrategy: (attempt: number) => Math.min(50 * 2 ** attempt, 1_000),
  }
  const publisher = new Redis(options.url, settings)
  // The listener subscribes again by itself when it is back; handlers that came meanwhile are added then.
  const listener = new Redis(options.url, { ...settings, autoResubscribe: false })
  const topics = new Map<string, { handlers: Set<(payload: string) => void>; listening: Promise<unknown> }>()
  const gapHandlers = new Set<() => void>()
  publisher.on('error', options.onError)
  listener.on('error', options.onError)
  listener.on('message', (topic: string, payload: string) => {
    for (const handler of topics.get(topic)?.handlers ?? []) handler(payload)
  })
  listener.on('ready', () => {
    const listening = topics.size === 0 ? Promise.resolve() : listener.subscribe(...topics.keys())
    listening.then(() => gapHandlers.forEach((handler) => handler()), options.onError)
  })

  return {
    publish(topic, payload) {
      publisher.publish(topic, payload).catch((error: Error) => {
        options.onLost?.()
        options.onError(error)
      })
    },
    async subscribe(topic, handler) {
      const own = (payload: string) => handler(payload)
      let known = topics.get(topic)
      if (known === undefined) {
        // While Redis is away the subscription waits for its return: the store is asked until then.
        known = { handlers: new Set(), listening: listener.subscribe(topic).catch(options.onError) }
        topics.set(topic, known)
      }
      const { handlers, listening } = known
      handlers.add(own)
      await listening
      return () => {
        handlers.delete(own)
        if (handlers.size > 0 || topics.get(topic)?.handlers !== handlers) return
        topics.delete(topic)
        listener.unsubscribe(topic).catch(options.onError)
      }
    },
    onGap: (handler) => void gapHandlers.add(handler),
    isUp: () => listener.status === 'ready' && publisher.status === 'ready',
    async close() {
      publisher.disconnect()
      listener.disconnect()
    },
  }
}
