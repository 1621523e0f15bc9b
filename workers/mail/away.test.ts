import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { userIdOf } from '../../server/testing/devices.ts'
import { type Person, startTestApp, type TestApp } from '../../server/testing/test-app.ts'
import { digestTimes, dueForDigest } from './away.ts'
import { sendAway } from './testing/digest.ts'

let app: TestApp
let alice: Person
let bob: Person
let carol: Person
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
})
beforeEach(async () => {
  await app.app.database.run('delete from settings', [])
})
afterAll(() => app.stop())

const nobody = () => Promise.resolve(new Set<string>())
const minute = 60_000
const hour = 60 * minute

async function due() {
  const ids = await dueForDigest(app.app.database, [alice, bob, carol].map(userIdOf))
  return ids.toSorted()
}

/** In how many hours somebody is looked at again, to the nearest hundredth; null where they are not. */
async function hoursUntil(person: Person): Promise<number | null> {
  const at = (await digestTimes(app.app.database, [userIdOf(person)], nobody)).get(userIdOf(person))
  return at === undefined ? null : Math.round((at.getTime() - Date.now()) / hour / 0.01) * 0.01
}

test('who is away for long, wants mail and has a mailbox is to have one', async () => {
  expect(await due()).toEqual([])
  await sendAway(app, alice, { hours: 11 })
  await sendAway(app, bob, { hours: 13 })
  await sendAway(app, carol, { hours: null })
  app.statements.length = 0
  expect(await due()).toEqual([userIdOf(bob)])
  expect(app.statements).toHaveLength(1)
  for (const reason of ['email_when_away = false', 'email_verified_at = null', 'email = null', 'mailed_at = now()']) {
    await sendAway(app, bob)
    expect(await due()).toEqual([userIdOf(bob)])
    await app.app.database.run(`update settings set ${reason}`, [])
    expect(await due()).toEqual([])
  }
  expect(await dueForDigest(app.app.database, [])).toEqual([])
})

test('who has just gone is looked at when they have been away for long', async () => {
  expect(await hoursUntil(bob)).toBeNull()
  await sendAway(app, bob, { hours: 2 })
  expect(await hoursUntil(bob)).toBeCloseTo(10, 1)
  // Nobody has seen them since they signed up.
  await sendAway(app, bob, { hours: null })
  expect(await hoursUntil(bob)).toBeCloseTo(12, 1)
  // A day after the last mail.
  await sendAway(app, bob, { hours: 100 })
  await app.app.database.run(`update settings set mailed_at = now() - interval '20 hours'`, [])
  expect(await hoursUntil(bob)).toBeCloseTo(4, 1)
  // And never at once: more may come.
  await sendAway(app, bob, { hours: 100 })
  expect(await hoursUntil(bob)).toBeCloseTo(1 / 6, 1)
})

test('nobody who is there is looked at', async () => {
  for (const person of [alice, bob]) await sendAway(app, person)
  const ids = [alice, bob, carol].map(userIdOf)
  const asked: (readonly string[])[] = []
  const times = await digestTimes(app.app.database, ids, (userIds) => {
    asked.push(userIds.toSorted())
    return Promise.resolve(new Set([userIdOf(alice)]))
  })
  expect([...times.keys()]).toEqual([userIdOf(bob)])
  // Only those are asked about to whom it makes a difference.
  expect(asked).toEqual([[userIdOf(alice), userIdOf(bob)].toSorted()])
  expect((await digestTimes(app.app.database, [], nobody)).size).toBe(0)
})
