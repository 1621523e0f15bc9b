import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PresenceDocument, type PresenceStatus, SetPresenceDocument, UserDocument } from '../client-sdk/index.ts'
import { presenceGraceMs } from '../server/domain/presence.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { bad, newChannel, refusal } from './testing/operations.ts'

let app: TestApp
let alice: Person
let carol: Person
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, carol] = await Promise.all([app.signUp('alice'), app.signUp('carol')])
})
afterAll(() => app.stop())

/** Somebody who shares a channel with alice, and whom no other test knows. */
async function acquaintance(name: string): Promise<Person> {
  const person = await app.signUp(name)
  await newChannel(alice, {}, [person])
  return person
}

async function presenceOf(person: Person, viewer = alice) {
  const { user } = await viewer.client.request(UserDocument, { username: person.username })
  return user!.presence
}

const set = async (person: Person, status: PresenceStatus, more: { statusText?: string | null } = {}) =>
  (await person.client.request(SetPresenceDocument, { status, ...more })).setPresence

/** Opens an inbox on a connection of its own; resolves once it is open. */
async function connect(person: Person) {
  const stream = app.client(person.token).inbox()
  await stream.next()
  return stream
}

/** What alice is told of people, from now on. */
const watch = (...people: Person[]) =>
  alice.client.subscribe(PresenceDocument, { userIds: people.map(({ id }) => id) })

const isNow = (moment: string | null) => moment !== null && Math.abs(Date.now() - Date.parse(moment)) < 10_000

describe('whoever has a stream open is there', () => {
  test('and shows it, or what they have chosen', async () => {
    const bob = await acquaintance('bob')
    expect(await presenceOf(bob)).toEqual({ status: 'OFFLINE', statusText: null, lastActiveAt: null })
    await connect(bob)
    expect(await presenceOf(bob)).toMatchObject({ status: 'ONLINE', statusText: null })
    expect(isNow((await presenceOf(bob)).lastActiveAt)).toBe(true)

    expect(await set(bob, 'AWAY', { statusText: '점심' })).toMatchObject({ status: 'AWAY', statusText: '점심' })
    expect(await set(bob, 'DO_NOT_DISTURB')).toMatchObject({ status: 'DO_NOT_DISTURB', statusText: '점심' })
    expect(await presenceOf(bob)).toMatchObject({ status: 'DO_NOT_DISTURB', statusText: '점심' })
    expect(await set(bob, 'ONLINE', { statusText: null })).toMatchObject({ status: 'ONLINE', statusText: null })
    for (const statusText of ['x'.repeat(101), '\u0000', '\ud800']) {
      expect(await refusal(set(bob, 'AWAY', { statusText }))).toEqual(bad('statusText'))
    }
    expect(await presenceOf(bob)).toMatchObject({ status: 'ONLINE', statusText: null })
  })

  test('but for who hides: it looks as if they had just left', async () => {
    const dan = await acquaintance('dan')
    await connect(dan)
    await set(dan, 'OFFLINE')
    const hidden = await presenceOf(dan)
    expect(hidden).toMatchObject({ status: 'OFFLINE' })
    expect(isNow(hidden.lastActiveAt)).toBe(true)
    expect(await presenceOf(dan)).toEqual(hidden)
    await set(dan, 'ONLINE')
    expect(await presenceOf(dan)).toMatchObject({ status: 'ONLINE' })
  })

  test('for those who share a channel, and nobody else', async () => {
    const erin = await acquaintance('erin')
    await connect(erin)
    await set(erin, 'AWAY', { statusText: 'lunch' })
    expect(await presenceOf(erin)).toMatchObject({ status: 'AWAY', statusText: 'lunch' })
    expect(await presenceOf(erin, erin)).toMatchObject({ status: 'AWAY', statusText: 'lunch' })
    expect(await presenceOf(erin, carol)).toEqual({ status: 'OFFLINE', statusText: null, lastActiveAt: null })
  })
})

describe('the stream of presence', () => {
  test('tells first where everybody stands, then each change', async () => {
    const [frank, grace] = [await acquaintance('frank'), await acquaintance('grace')]
    await connect(frank)
    await using events = watch(frank, grace, carol)
    const next = async () => {
      const { presence, user } = (await events.next()).value!.presence
      return [user.id, presence.status]
    }
    const first = [await next(), await next(), await next()]
    expect(Object.fromEntries(first)).toEqual({ [frank.id]: 'ONLINE', [grace.id]: 'OFFLINE', [carol.id]: 'OFFLINE' })
    await set(frank, 'AWAY')
    expect(await next()).toEqual([frank.id, 'AWAY'])
    await connect(grace)
    expect(await next()).toEqual([grace.id, 'ONLINE'])
  })

  test('watches up to 500 people who exist', async () => {
    const open = (userIds: string[]) => refusal(alice.client.subscribe(PresenceDocument, { userIds }).next())
    expect(await open([carol.id, 'u1'])).toEqual(bad('userIds'))
    expect(await open(['c1'])).toEqual(bad('userIds'))
    expect(await open(Array.from({ length: 501 }, (_, number) => `u${number + 1}`))).toEqual(bad('userIds'))
  })
})

// These wait for as long as people do, so they wait together.
describe.concurrent('whoever goes', () => {
  test('is there for ten seconds more, and comes back within them unnoticed', async ({ expect }) => {
    const heidi = await acquaintance('heidi')
    await using events = watch(heidi)
    const next = async () => (await events.next()).value!.presence.presence
    expect((await next()).status).toBe('OFFLINE')
    const first = await connect(heidi)
    expect((await next()).status).toBe('ONLINE')
    await first.return!()
    const second = await connect(heidi)
    expect(await presenceOf(heidi)).toMatchObject({ status: 'ONLINE' })
    const left = Date.now()
    await second.return!()
    const gone = await next()
    expect(gone.status).toBe('OFFLINE')
    expect(Date.now() - left).toBeGreaterThanOrEqual(presenceGraceMs - 100)
    expect(isNow(gone.lastActiveAt)).toBe(true)
  })

  test('with one of two devices is still there', async ({ expect }) => {
    const ivan = await acquaintance('ivan')
    const judy = await acquaintance('judy')
    await using events = watch(ivan, judy)
    const next = async () => {
      const { presence, user } = (await events.next()).value!.presence
      return `${user.id} ${presence.status}`
    }
    await next()
    await next()
    await connect(ivan)
    expect(await next()).toBe(`${ivan.id} ONLINE`)
    const phone = await connect(ivan)
    const watching = await connect(judy)
    expect(await next()).toBe(`${judy.id} ONLINE`)
    await phone.return!()
    await watching.return!()
    // Judy has gone after the phone: had that been news, it would have come before.
    expect(await next()).toBe(`${judy.id} OFFLINE`)
  })

  test('hidden leaves no trace of when', async ({ expect }) => {
    const kim = await acquaintance('kim')
    const leo = await acquaintance('leo')
    const stream = await connect(kim)
    await set(kim, 'OFFLINE')
    const hidden = await presenceOf(kim)
    await using events = watch(leo)
    await events.next()
    const later = await connect(leo)
    await events.next()
    await stream.return!()
    await later.return!()
    expect((await events.next()).value!.presence.presence.status).toBe('OFFLINE')
    expect(await presenceOf(kim)).toEqual(hidden)
  })
})
