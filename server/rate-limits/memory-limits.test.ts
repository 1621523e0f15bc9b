import { createMemoryLimits } from './memory-limits.ts'
import { describeRateLimits } from './rate-limits.conformance.ts'

describeRateLimits('limits in the process', async () => ({
  open: async (rules) => createMemoryLimits(rules),
  async stop() {},
}))
