import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { OpenPresenceRegistry, PresenceRegistry } from './registry.ts'

/** An engine under test: replicas of one deployment, as many as a test asks for. */
export type RegistryEngine = {
  /** One more replica. */
  open: OpenPresenceRegistry
  stop(): Promise<void>
}

/** A replica, with what its registry has said so far. */
export type Watching = {
  registry: PresenceRegistry
  leaving: string[]
  moved: string[]
  /** Makes `onLeaving` wait for this; null for nothing. */
  store: { busy: (() => Promise<void>) | null }
}

/** Opens a replica that notes what it is told. */
export function watchRegistry(open: OpenPresenceRegistry): Watching {
  const watching = { leaving: [] as string[], moved: [] as string[], store: { busy: null as (() => Promise<void>) | null } }
  const registry = open({
    async onLeaving(userIds) {
      watching.leaving.push(...userIds)
      await watching.store.busy?.()
    },
    onMoved: (userIds) => void watching.moved.push(...userIds),
  })
  return { registry, ...watching }
}

let users = 0
/** Somebody whom no other test knows. */
export const newUser = () => String(7_000_000_000_000_000_000n + BigInt(++users) * 4_096n)
export const newUsers = (count: number) => Array.from({ length: count }, newUser)

/** Which of these are online, in their order. */
export async function onlineOf(registry: PresenceRegistry, userIds: readonly string[]): Promise<string[]> {
  const online = await registry.online(userIds)
  return userIds.filter((userId) => online.has(userId))
}

const times = (list: readonly string[], userId: string) => list.filter((one) => one === userId).length

/** What `registry.ts` promises of every engine. */
export function describePresenceRegistry(name: string, start: () => Promise<RegistryEngine>): void {
  describe(`${name}, as every registry`, () => {
    let engine: RegistryEngine
    let here: Watching
    beforeAll(async () => {
      engine = await start()
      here = watchRegistry(engine.open)
    })
    afterAll(async () => {
      await here.registry.close()
      await engine.stop()
    })

    const { poll } = expect

    test('who joins is there at once, and nobody else', async () => {
      const [alice, bob] = newUsers(2) as [string, string]
      expect(await onlineOf(here.registry, [alice, bob])).toEqual([])
      here.registry.join(alice)
      expect(await onlineOf(here.registry, [alice, bob])).toEqual([alice])
      await poll(() => here.moved).toContain(alice)
      expect(times(here.moved, alice)).toBe(1)
      expect(here.leaving).not.toContain(alice)
    })

    test('who leaves is counted out once it could be noted when, and then it is told', async () => {
      const alice = newUser()
      const { promise, resolve } = Promise.withResolvers<void>()
      here.registry.join(alice)
      await poll(() => times(here.moved, alice)).toBe(1)
      here.store.busy = () => promise
      here.registry.leave(alice)
      await poll(() => here.leaving).toContain(alice)
      expect(await onlineOf(here.registry, [alice])).toEqual([alice])
      expect(times(here.moved, alice)).toBe(1)
      resolve()
      await poll(() => times(here.moved, alice)).toBe(2)
      expect(await onlineOf(here.registry, [alice])).toEqual([])
      here.store.busy = null
      expect(times(here.leaving, alice)).toBe(1)
    })

    test('a store that does not answer holds nobody back for long, and one that fails not at all', async () => {
      const [alice, bob] = newUsers(2) as [string, string]
      const never = () => new Promise<void>(() => {})
      const fails = () => Promise.reject(new Error('away'))
      for (const [userId, busy] of [[alice, never], [bob, fails]] as const) {
        here.registry.join(userId)
        await poll(() => times(here.moved, userId)).toBe(1)
        here.store.busy = busy
        here.registry.leave(userId)
        await poll(() => times(here.moved, userId)).toBe(2)
        here.store.busy = null
      }
      expect(await onlineOf(here.registry, [alice, bob])).toEqual([])
    })

    test('who comes back at once, or while they are being counted out, was never gone', async () => {
      const [alice, bob] = newUsers(2) as [string, string]
      const { promise, resolve } = Promise.withResolvers<void>()
      for (const userId of [alice, bob]) here.registry.join(userId)
      await poll(() => times(here.moved, alice) + times(here.moved, bob)).toBe(2)
      for (let round = 0; round < 10; round++) {
        here.registry.leave(alice)
        here.registry.join(alice)
      }
      here.store.busy = () => promise
      here.registry.leave(bob)
      await poll(() => here.leaving).toContain(bob)
      here.registry.join(bob)
      resolve()
      here.store.busy = null
      // Who comes later is told of later.
      const carol = newUser()
      here.registry.join(carol)
      await poll(() => here.moved).toContain(carol)
      expect([times(here.moved, alice), times(here.moved, bob)]).toEqual([1, 1])
      expect(await onlineOf(here.registry, [alice, bob])).toEqual([alice, bob])
    })

    test('thousands who come and go at once are each told of once', async () => {
      const crowd = newUsers(5_000)
      const before = here.moved.length
      for (const userId of crowd) here.registry.join(userId)
      await poll(() => here.moved.length - before).toBe(crowd.length)
      expect(await onlineOf(here.registry, crowd)).toHaveLength(crowd.length)
      const [left, stayed] = [crowd.slice(0, 3_000), crowd.slice(3_000)]
      for (const userId of left) here.registry.leave(userId)
      await poll(() => here.moved.length - before).toBe(crowd.length + left.length)
      expect(await onlineOf(here.registry, crowd)).toEqual(stayed)
      expect(new Set(here.leaving).size).toBe(here.leaving.length)
      expect(left.every((userId) => here.leaving.includes(userId))).toBe(true)
    })

    test('asking about nobody gives nobody', async () => {
      expect(await here.registry.online([])).toEqual(new Set())
    })
  })
}
