import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  AddContactDocument,
  ContactsDocument,
  PresenceDocument,
  RemoveContactDocument,
  SetPresenceDocument,
  UserDocument,
} from '../client-sdk/index.ts'
import { parseGlobalId } from '../server/lib/global-id.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { bad, conflicting, missing, newChannel, refusal } from './testing/operations.ts'

let app: TestApp
let alice: Person
let bob: Person
let carol: Person
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
})
afterAll(() => app.stop())
beforeEach(() => app.app.database.run('delete from contacts', []))

const add = async (person: Person, userId: string) =>
  (await person.client.request(AddContactDocument, { userId })).addContact
const remove = async (person: Person, userId: string) =>
  (await person.client.request(RemoveContactDocument, { userId })).removeContact

async function page(person: Person, first?: number, after?: string | null) {
  const { contacts } = await person.client.request(ContactsDocument, { first: first ?? null, after: after ?? null })
  return { names: contacts.edges.map(({ node }) => node.username), ...contacts.pageInfo }
}

const names = async (person: Person) => (await page(person)).names

async function statusOf(person: Person, viewer: Person) {
  const { user } = await viewer.client.request(UserDocument, { username: person.username })
  return user!.presence.status
}

describe('the list', () => {
  test('holds who was added, the latest first, each once, for who added them', async () => {
    expect(await names(alice)).toEqual([])
    expect(await add(alice, bob.id)).toBe(true)
    expect(await add(alice, carol.id)).toBe(true)
    expect(await add(alice, bob.id)).toBe(false)
    expect(await names(alice)).toEqual(['carol', 'bob'])
    expect(await names(bob)).toEqual([])

    expect(await remove(alice, carol.id)).toBe(true)
    expect(await remove(alice, carol.id)).toBe(false)
    expect(await names(alice)).toEqual(['bob'])
  })

  test('is paged in one order, each once', async () => {
    // Three at the same moment: their ids decide.
    const ids = [alice, bob, carol].map(({ id }) => (parseGlobalId(id) as { userId: string }).userId)
    const dan = await app.signUp('dan')
    const own = (parseGlobalId(dan.id) as { userId: string }).userId
    await app.app.database.run(
      `insert into contacts select $1, id, '2026-01-17T12:00:00.123Z' from unnest($2::bigint[]) id`,
      [own, ids],
    )
    const all = await names(dan)
    expect(all.toSorted()).toEqual(['alice', 'bob', 'carol'])
    const first = await page(dan, 2)
    expect(first).toMatchObject({ names: all.slice(0, 2), hasNextPage: true })
    expect(await page(dan, 2, first.endCursor)).toMatchObject({ names: all.slice(2), hasNextPage: false })
  })

  test('has an end', async () => {
    const erin = await app.signUp('erin')
    const { userId } = parseGlobalId(erin.id) as { userId: string }
    await app.app.database.run(
      `insert into contacts select $1, n, now() from generate_series(1, 4999) n`,
      [userId],
    )
    expect(await add(erin, alice.id)).toBe(true)
    expect(await refusal(add(erin, bob.id))).toEqual(conflicting('userId'))
    // What is there already is no more.
    expect(await add(erin, alice.id)).toBe(false)
    await remove(erin, alice.id)
    expect(await add(erin, bob.id)).toBe(true)
  })

  test.each([
    ['oneself', () => alice.id, bad('userId')],
    ['somebody who does not exist', () => 'u1', missing('userId')],
    ['what is no user', () => 'c1', bad('userId')],
  ])('takes no %s', async (_, id, error) => {
    expect(await refusal(add(alice, id()))).toEqual(error)
  })

  test('says which input is at fault', async () => {
    expect(await refusal(remove(alice, 'm1_1'))).toEqual(bad('userId'))
    expect(await remove(alice, 'u1')).toBe(false)
    expect(await refusal(page(alice, 0))).toEqual(bad('first'))
    expect(await refusal(page(alice, 101))).toEqual(bad('first'))
    expect(await refusal(page(alice, 1, 'abc'))).toEqual(bad('after'))
  })
})

describe('who was added', () => {
  test('sees who has added them, and not the other way round', async () => {
    await using ofAlice = app.client(alice.token).inbox()
    await using ofBob = app.client(bob.token).inbox()
    await Promise.all([ofAlice.next(), ofBob.next()])
    await expect.poll(() => statusOf(alice, alice)).toBe('ONLINE')
    await expect.poll(() => statusOf(bob, bob)).toBe('ONLINE')
    // Adding somebody is not enough to watch them.
    await add(bob, alice.id)
    expect(await statusOf(alice, bob)).toBe('OFFLINE')
    expect(await statusOf(bob, alice)).toBe('ONLINE')
    await add(alice, bob.id)
    expect(await statusOf(alice, bob)).toBe('ONLINE')
    await remove(alice, bob.id)
    expect(await statusOf(alice, bob)).toBe('OFFLINE')
    expect(await statusOf(bob, alice)).toBe('ONLINE')
  })

  test('is told so on a stream that is open', async () => {
    await alice.client.request(SetPresenceDocument, { status: 'AWAY', statusText: 'tea' })
    await using inbox = app.client(alice.token).inbox()
    await inbox.next()
    await using stream = carol.client.subscribe(PresenceDocument, { userIds: [alice.id] })
    const next = async () => (await stream.next()).value!.presence.presence
    expect(await next()).toEqual({ status: 'OFFLINE', statusText: null, lastActiveAt: null })
    await add(alice, carol.id)
    expect(await next()).toMatchObject({ status: 'AWAY', statusText: 'tea' })
    await remove(alice, carol.id)
    expect(await next()).toEqual({ status: 'OFFLINE', statusText: null, lastActiveAt: null })
  })

  test('goes on seeing them once removed, where they share a channel', async () => {
    const frank = await app.signUp('frank')
    await add(frank, bob.id)
    await newChannel(frank, {}, [bob])
    await frank.client.request(SetPresenceDocument, { status: 'AWAY' })
    await using inbox = app.client(frank.token).inbox()
    await inbox.next()
    await remove(frank, bob.id)
    await expect.poll(() => statusOf(frank, bob)).toBe('AWAY')
  })
})
