import type { EventBus } from './event-bus.ts'

/** The bus of a deployment with one replica. It is never down, and delivers after the publisher's turn is over. */
export function createMemoryBus(): EventBus {
  const topics = new Map<string, Set<(payload: string) => void>>()
  return {
    publish(topic, payload) {
      const handlers = topics.get(topic)
      if (handlers === undefined) return
      queueMicrotask(() => {
        for (const handler of handlers) handler(payload)
      })
    },
    async subscribe(topic, handler) {
      // A handler of its own for each subscription, so that the same function may be subscribed twice.
      const own = (payload: string) => handler(payload)
      const handlers = topics.get(topic) ?? new Set()
      topics.set(topic, handlers.add(own))
      return () => {
        handlers.delete(own)
        if (handlers.size === 0 && topics.get(topic) === handlers) topics.delete(topic)
      }
    },
    onGap() {},
    isUp: () => true,
    state: () => ({ shards: 1, shardsUp: 1, topics: topics.size }),
    async close() {
      topics.clear()
    },
  }
}
