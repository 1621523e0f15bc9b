import { expect, test } from 'vitest'
import { createMemoryRegistry } from './memory-registry.ts'
import { describePresenceRegistry, newUser, watchRegistry } from './registry.conformance.ts'

describePresenceRegistry('the registry in the process', async () => ({ open: createMemoryRegistry, stop: async () => {} }))

test('when the only replica stops, it is noted of all who are connected that they were there until now', async () => {
  const { registry, leaving } = watchRegistry(createMemoryRegistry)
  const [alice, bob] = [newUser(), newUser()]
  registry.join(alice)
  registry.join(bob)
  await registry.close()
  expect(leaving).toEqual([alice, bob])
})
