import type { EventBus } from '../event-bus/event-bus.ts'
import type { Metrics } from './metrics.ts'

/** The same bus; what goes over it is counted. */
export function measureBus(bus: EventBus, metrics: Metrics): EventBus {
  return {
    ...bus,
    publish(topic, payload) {
      metrics.busPublished.inc()
      bus.publish(topic, payload)
    },
    subscribe(topic, handler) {
      return bus.subscribe(topic, (payload) => {
        metrics.busReceived.inc()
        handler(payload)
      })
    },
  }
}
