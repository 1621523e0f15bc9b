import { createMemoryReplicas } from './memory-registry.ts'
import { describeReplicaRegistry } from './registry.conformance.ts'

describeReplicaRegistry('the registry in memory', async () => ({ open: createMemoryReplicas, stop: async () => {} }))
