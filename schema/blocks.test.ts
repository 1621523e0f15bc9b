import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  AddMembersDocument,
  ChannelDocument,
  PresenceDocument,
  UserDocument,
} from '../client-sdk/index.ts'
import { parseGlobalId } from '../server/lib/global-id.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { block, blockedBy, edit, forbidden, openDirect, unblock } from './testing/blocks.ts'
import { bad, conflicting, history, missing, newChannel, refusal, say } from './testing/operations.ts'

let app: TestApp
let alice: Person
let bob: Person
let carol: Person
let people = 0
beforeAll(async () => {
  app = await startTestApp()
})
afterAll(() => app.stop())
// Who has blocked whom stays, so that everybody is new.
beforeEach(async () => {
  people++
  const names = ['alice', 'bob', 'carol'].map((name) => app.signUp(`${name}${people}`))
  ;[alice, bob, carol] = (await Promise.all(names)) as [Person, Person, Person]
})

describe('the list', () => {
  test('holds who is blocked, the latest first, each once, for who has blocked them', async () => {
    expect(await block(alice, bob)).toBe(true)
    expect(await block(alice, carol)).toBe(true)
    expect(await block(alice, bob)).toBe(false)
    expect((await blockedBy(alice)).ids).toEqual([carol.id, bob.id])
    expect((await blockedBy(bob)).ids).toEqual([])
    const first = await blockedBy(alice, 1)
    expect(first).toMatchObject({ ids: [carol.id], hasNextPage: true })
    expect(await blockedBy(alice, 1, first.endCursor)).toMatchObject({ ids: [bob.id], hasNextPage: false })

    expect(await unblock(alice, bob)).toBe(true)
    expect(await unblock(alice, bob)).toBe(false)
    expect((await blockedBy(alice)).ids).toEqual([carol.id])
  })

  test('has an end', async () => {
    const { userId } = parseGlobalId(alice.id) as { userId: string }
    await app.app.database.run(`insert into blocks select $1, n, now() from generate_series(1, 4999) n`, [userId])
    expect(await block(alice, bob)).toBe(true)
    expect(await refusal(block(alice, carol))).toEqual(conflicting('userId'))
    expect(await openDirect(carol, alice)).toBeTruthy()
  })

  test('says which input is at fault', async () => {
    expect(await refusal(block(alice, alice))).toEqual(bad('userId'))
    expect(await refusal(block(alice, { ...bob, id: 'u1' }))).toEqual(missing('userId'))
    expect(await refusal(block(alice, { ...bob, id: 'c1' }))).toEqual(bad('userId'))
    expect(await refusal(unblock(alice, { ...bob, id: 'c1' }))).toEqual(bad('userId'))
    expect(await unblock(alice, { ...bob, id: 'u1' })).toBe(false)
    expect(await refusal(blockedBy(alice, 101))).toEqual(bad('first'))
    expect(await refusal(blockedBy(alice, 1, 'abc'))).toEqual(bad('after'))
  })
})

describe('in channels that both are in', () => {
  test('who is blocked mentions who has blocked them no more; what they write still comes', async () => {
    const tea = await newChannel(carol, {}, [alice, bob])
    const mentionsOf = async (person: Person) => {
      const { channel } = await person.client.request(ChannelDocument, { id: tea })
      return channel!.unreadMentionCount
    }
    await block(alice, bob)
    await say(bob, tea, `@${alice.username} @${carol.username} hello`)
    const { id } = await say(bob, tea, 'hello')
    await edit(bob, id, `@${alice.username} hello`)
    expect(await Promise.all([alice, carol].map(mentionsOf))).toEqual([0, 1])
    expect(await history(alice, tea)).toHaveLength(2)
    // The other way round it is as ever.
    await say(alice, tea, `@${bob.username} hello`)
    expect(await mentionsOf(bob)).toBe(1)
    await unblock(alice, bob)
    await say(bob, tea, `@${alice.username} sorry`)
    expect(await mentionsOf(alice)).toBe(1)
  })

  test('who is blocked cannot bring who has blocked them into one', async () => {
    await block(alice, bob)
    const add = (person: Person, channelId: string, others: Person[]) =>
      person.client.request(AddMembersDocument, { channelId, userIds: others.map(({ id }) => id) })
    const tea = await newChannel(bob)
    expect(await refusal(add(bob, tea, [alice]))).toEqual(forbidden)
    expect(await refusal(add(bob, tea, [carol, alice]))).toEqual(forbidden)
    expect(await refusal(newChannel(bob, {}, [carol, alice]))).toEqual(forbidden)
    const { channel } = await bob.client.request(ChannelDocument, { id: tea })
    expect(channel!.memberCount).toBe(1)
    // Others may, and who is there already is not brought in.
    const milk = await newChannel(carol, {}, [alice])
    await add(carol, milk, [bob])
    await newChannel(alice, {}, [bob])
    const open = await newChannel(bob, { kind: 'PUBLIC' })
    await unblock(alice, bob)
    await add(bob, open, [alice])
    await block(alice, bob)
    await add(bob, open, [alice, carol])
  })
})

describe('whether they are there', () => {
  const statusOf = async (person: Person, viewer: Person) => {
    const { user } = await viewer.client.request(UserDocument, { username: person.username })
    return user!.presence.status
  }

  test('neither sees of the other, though they share a channel', async () => {
    await newChannel(carol, {}, [alice, bob])
    await using one = app.client(alice.token).inbox()
    await using two = app.client(bob.token).inbox()
    await Promise.all([one.next(), two.next()])
    const seen = () =>
      Promise.all([statusOf(alice, bob), statusOf(bob, alice), statusOf(alice, carol), statusOf(bob, carol)])
    await expect.poll(seen).toEqual(['ONLINE', 'ONLINE', 'ONLINE', 'ONLINE'])
    await block(alice, bob)
    expect(await seen()).toEqual(['OFFLINE', 'OFFLINE', 'ONLINE', 'ONLINE'])
    await unblock(alice, bob)
    expect(await seen()).toEqual(['ONLINE', 'ONLINE', 'ONLINE', 'ONLINE'])
  })

  test('is told on open streams at once, as if they had gone, and come', async () => {
    await newChannel(carol, {}, [alice, bob])
    await using one = app.client(alice.token).inbox()
    await using two = app.client(bob.token).inbox()
    await Promise.all([one.next(), two.next()])
    await using ofAlice = bob.client.subscribe(PresenceDocument, { userIds: [alice.id] })
    await using ofBob = alice.client.subscribe(PresenceDocument, { userIds: [bob.id] })
    const next = async (stream: typeof ofBob) => (await stream.next()).value!.presence.presence
    const both = () => Promise.all([next(ofAlice), next(ofBob)])
    expect(await both()).toMatchObject([{ status: 'ONLINE' }, { status: 'ONLINE' }])
    await block(alice, bob)
    const away = { status: 'OFFLINE', statusText: null, lastActiveAt: null }
    expect(await both()).toEqual([away, away])
    await unblock(alice, bob)
    expect(await both()).toMatchObject([{ status: 'ONLINE' }, { status: 'ONLINE' }])
  })
})
