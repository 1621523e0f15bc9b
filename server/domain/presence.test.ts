import { afterAll, beforeAll, expect, test } from 'vitest'
import { createMemoryRegistry } from '../presence/memory-registry.ts'
import { statementName } from '../observability/statements.ts'
import { startTestApp, type TestApp } from '../testing/test-app.ts'
import { createPresenceService, type PresenceService } from './presence.ts'

let app: TestApp
let presence: PresenceService
/** Of whom it was announced that their presence has moved. */
let moved: string[]
beforeAll(async () => {
  app = await startTestApp()
  moved = []
  const announce = { presence: (userId: string) => void moved.push(userId) }
  const deps = { database: app.app.database, announce } as Parameters<typeof createPresenceService>[0]
  presence = createPresenceService(deps, createMemoryRegistry, { graceMs: 100 })
})
afterAll(() => app.stop())

/** So many users, whom no other test knows; their ids. */
async function addUsers(from: number, count: number): Promise<string[]> {
  const rows = await app.app.database.run<{ id: string }>(
    `insert into users (id, username, display_name, created_at)
     select n, 'user' || n, 'User', now() from generate_series($1::bigint, $2::bigint) n returning id`,
    [from, from + count - 1],
  )
  return rows.map(({ id }) => id)
}

const lastActive = async (userIds: readonly string[]) => {
  const seen = await presence.look(userIds)
  return userIds.map((userId) => seen.get(userId)!.lastActiveAt)
}

test('of a crowd that leaves together it is noted by a few statements when each was there last', async () => {
  const crowd = await addUsers(1_000, 2_000)
  const leaves = crowd.map((userId) => presence.connect(userId))
  expect(new Set(moved)).toEqual(new Set(crowd))
  expect([...(await presence.look(crowd)).values()].every(({ status }) => status === 'ONLINE')).toBe(true)
  const start = app.statements.length
  for (const leave of leaves) leave()
  await expect.poll(() => moved.length).toBe(2 * crowd.length)
  const notes = app.statements.slice(start).map(statementName).filter((name) => name === 'last active')
  expect(notes.length).toBeLessThanOrEqual(10)
  expect((await lastActive(crowd)).every((moment) => moment !== null)).toBe(true)
  expect([...(await presence.look(crowd)).values()].every(({ status }) => status === 'OFFLINE')).toBe(true)
})

test('who comes back within the grace, with any device, is not told of, and who hides is not given away', async () => {
  const [bob, carol] = (await addUsers(5_000, 2)) as [string, string]
  await presence.set(carol, 'OFFLINE', undefined)
  const [, hidden] = await lastActive([bob, carol])
  moved.length = 0
  for (let round = 0; round < 5; round++) {
    const leaves = [presence.connect(bob), presence.connect(bob)]
    for (const leave of leaves) {
      leave()
      leave()
    }
  }
  const stays = presence.connect(bob)
  const leave = presence.connect(carol)
  leave()
  await expect.poll(() => moved).toEqual([bob, carol, carol])
  expect((await lastActive([carol]))[0]).toEqual(hidden)
  expect((await presence.look([bob])).get(bob)).toMatchObject({ status: 'ONLINE' })
  stays()
  await expect.poll(() => moved).toEqual([bob, carol, carol, bob])
})
