import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { OpenReplicaRegistry, ReplicaRegistry } from './registry.ts'

/** An engine under test: replicas of one deployment. */
export type ReplicasEngine = {
  open: OpenReplicaRegistry
  stop(): Promise<void>
}

/** What a test says of a replica. */
export const replicaAt = (url: string | null) => ({ url, version: '1.2.3' })

/** What `registry.ts` promises of every engine. */
export function describeReplicaRegistry(name: string, start: () => Promise<ReplicasEngine>): void {
  describe(`${name}, as every registry`, () => {
    let engine: ReplicasEngine
    beforeAll(async () => {
      engine = await start()
    })
    afterAll(() => engine.stop())
    const open: ReplicaRegistry[] = []
    afterEach(async () => {
      for (const registry of open.splice(0)) await registry.close()
    })

    function newReplica(url: string | null = 'https://a.example.org'): ReplicaRegistry {
      const registry = engine.open(replicaAt(url))
      open.push(registry)
      return registry
    }
    const known = (registry: ReplicaRegistry) => expect.poll(() => registry.members(), { timeout: 15_000 })

    test('who has not joined knows nobody, and may close', async () => {
      const registry = newReplica()
      expect(registry.members()).toBe(null)
      await registry.drain()
      await registry.close()
      expect(registry.members()).toBe(null)
    })

    test('who has joined is there, with its sockets as they are', async () => {
      const registry = newReplica()
      registry.opened()
      const before = Date.now()
      await registry.join()
      await known(registry).toMatchObject([{ ...replicaAt('https://a.example.org'), sockets: 1, draining: false }])
      registry.opened()
      registry.opened()
      registry.closed()
      const [self] = registry.members()!
      expect(self).toMatchObject({ sockets: 2 })
      expect(self!.load).toBeGreaterThanOrEqual(2)
      expect(self!.since.getTime()).toBeGreaterThanOrEqual(before - 1_000)
      expect(self!.since.getTime()).toBeLessThanOrEqual(Date.now() + 1_000)
    })

    test('who has no address of its own is there as well', async () => {
      const registry = newReplica(null)
      await registry.join()
      await known(registry).toMatchObject([{ url: null }])
    })

    test('who drains says so at once, stays until it closes, and is gone then', async () => {
      const registry = newReplica()
      await registry.join()
      await known(registry).toHaveLength(1)
      await registry.drain()
      await registry.drain()
      expect(registry.members()).toMatchObject([{ draining: true }])
      await registry.close()
      await registry.close()
      expect(registry.members()).toBe(null)
    })

    test('who was sent to somebody unknown does no harm', async () => {
      const registry = newReplica()
      await registry.join()
      await known(registry).toHaveLength(1)
      registry.sent('nobody')
      expect(registry.members()).toMatchObject([{ load: 0 }])
    })
  })
}
