import { describeEventBus } from './event-bus.conformance.ts'
import { createMemoryBus } from './memory-bus.ts'

describeEventBus('the bus within a process', async () => {
  const bus = createMemoryBus()
  return { connect: async () => bus, stop: () => bus.close() }
})
