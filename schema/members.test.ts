import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  AddMembersDocument,
  ChannelDocument,
  JoinChannelDocument,
  LeaveChannelDocument,
  type MembersQuery,
  MembersDocument,
  RemoveMemberDocument,
  SetChannelNotificationsDocument,
  SetMemberRoleDocument,
} from '../client-sdk/index.ts'
import { type Person, type Replica, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import {
  bad,
  conflicting,
  failure,
  history,
  missing,
  newChannel,
  operation,
  refusal,
  say,
} from './testing/operations.ts'

let app: TestApp
let replica: Replica
let alice: Person
let bob: Person
let carol: Person
let dan: Person
let guests: Person[]
beforeAll(async () => {
  app = await startTestApp({ GROUP_MAX_MEMBERS: '6' })
  replica = await app.addReplica()
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
  dan = await app.signUp('dan')
  guests = await Promise.all(Array.from({ length: 12 }, (_, number) => app.signUp(`guest${number}`)))
})
afterAll(() => app.stop())

type Role = 'OWNER' | 'ADMIN' | 'MEMBER'

const add = (by: Person, channelId: string, people: Person[], client = by.client) =>
  client.request(AddMembersDocument, { channelId, userIds: people.map(({ id }) => id) })
const remove = (by: Person, channelId: string, person: Person) =>
  by.client.request(RemoveMemberDocument, { channelId, userId: person.id })
const setRole = (by: Person, channelId: string, person: Person, role: Role) =>
  by.client.request(SetMemberRoleDocument, { channelId, userId: person.id, role })
const join = (person: Person, channelId: string) => person.client.request(JoinChannelDocument, { channelId })
const leave = (person: Person, channelId: string) => person.client.request(LeaveChannelDocument, { channelId })

/** Who is in a channel, as one of them sees it: roles by username. */
async function roles(channelId: string, person = alice) {
  const { channel } = await person.client.request(MembersDocument, { channelId, first: 100 })
  expect(channel!.members.totalCount).toBe(channel!.members.edges.length)
  return Object.fromEntries(channel!.members.edges.map(({ node }) => [node.user.username, node.role]))
}

const told = async (person: Person, channelId: string) =>
  (await history(person, channelId)).map(({ kind, author }) => `${kind} ${author.username}`)

describe('joining a public channel', () => {
  test('is told in it, once, and begins at the end', async () => {
    const id = await newChannel(alice, { kind: 'PUBLIC', name: 'square' })
    await say(alice, id, 'before')
    const { joinChannel } = await join(bob, id)
    expect(joinChannel.channel).toMatchObject({ memberCount: 2, lastSeq: 2, unreadCount: 0 })
    expect(joinChannel.channel.viewerMembership).toMatchObject({ role: 'MEMBER', lastReadSeq: 2 })
    await join(bob, id)
    expect(await told(bob, id)).toEqual(['USER alice', 'MEMBER_JOINED bob'])
    await say(alice, id, 'after')
    const { channel } = await bob.client.request(ChannelDocument, { id })
    expect(channel!.unreadCount).toBe(1)
  })

  test('whoever comes back begins at the end again, as a member like any other', async () => {
    const id = await newChannel(alice, { kind: 'PUBLIC', name: 'square' }, [bob])
    await setRole(alice, id, bob, 'ADMIN')
    await leave(bob, id)
    await say(alice, id, 'meanwhile')
    const { joinChannel } = await join(bob, id)
    expect(joinChannel.channel).toMatchObject({ unreadCount: 0, viewerMembership: { role: 'MEMBER' } })
    expect(await told(bob, id)).toEqual(['MEMBER_LEFT bob', 'USER alice', 'MEMBER_JOINED bob'])
  })

  test('whoever enters an empty one owns it', async () => {
    const id = await newChannel(alice, { kind: 'PUBLIC', name: 'square' })
    await leave(alice, id)
    expect((await join(bob, id)).joinChannel.channel.viewerMembership).toMatchObject({ role: 'OWNER' })
  })

  test('many at once are all in, each once', async () => {
    const id = await newChannel(alice, { kind: 'PUBLIC', name: 'square' })
    const elsewhere = (guest: Person) => replica.client(guest.token).request(JoinChannelDocument, { channelId: id })
    await Promise.all(guests.flatMap((guest) => [join(guest, id), elsewhere(guest)]))
    expect(Object.keys(await roles(id))).toHaveLength(guests.length + 1)
    const comings = guests.map(({ username }) => `MEMBER_JOINED ${username}`)
    expect((await told(alice, id)).toSorted()).toEqual(comings.toSorted())
  })
})

describe('adding people', () => {
  test('brings in who is not there, tells of each, and leaves the others as they are', async () => {
    const id = await newChannel(alice, {}, [bob])
    await setRole(alice, id, bob, 'ADMIN')
    await say(alice, id, 'before')
    const { addMembers } = await add(bob, id, [carol, bob, carol, dan])
    expect(addMembers.channel.memberCount).toBe(4)
    expect(await roles(id)).toEqual({ alice: 'OWNER', bob: 'ADMIN', carol: 'MEMBER', dan: 'MEMBER' })
    expect(await told(carol, id)).toEqual(['USER alice', 'MEMBER_JOINED carol', 'MEMBER_JOINED dan'])
    const { channel } = await dan.client.request(ChannelDocument, { id })
    expect(channel!.unreadCount).toBe(0)
  })

  test('a group never grows past its size, also when many add at once on two replicas', async () => {
    const id = await newChannel(alice, {}, [bob])
    expect(await refusal(add(alice, id, guests.slice(0, 5)))).toEqual(conflicting('userIds'))
    expect(Object.keys(await roles(id))).toHaveLength(2)
    const outcomes = await Promise.allSettled(
      guests.map((guest, place) => add(alice, id, [guest], (place % 2 === 0 ? app : replica).client(alice.token))),
    )
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(4)
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject(conflicting('userIds'))
    }
    expect(Object.keys(await roles(id))).toHaveLength(6)
  })

  test('takes 1 to 100 people who exist', async () => {
    const id = await newChannel(alice)
    const request = (userIds: string[], channelId = id) =>
      refusal(alice.client.request(AddMembersDocument, { channelId, userIds }))
    expect(await request([])).toEqual(bad('userIds'))
    expect(await request(Array.from({ length: 101 }, (_, number) => `u${number + 1}`))).toEqual(bad('userIds'))
    expect(await request([id])).toEqual(bad('userIds'))
    expect(await request(['u1'])).toEqual(missing('userIds'))
    expect(await request([bob.id], 'c1')).toEqual(missing('channelId'))
  })
})

describe('leaving and removing', () => {
  test('who has left sees the channel no more', async () => {
    const id = await newChannel(alice, {}, [bob])
    await leave(bob, id)
    expect((await bob.client.request(ChannelDocument, { id })).channel).toBeNull()
    expect((await failure(leave(bob, id))).code).toBe('FORBIDDEN')
    expect(await told(alice, id)).toEqual(['MEMBER_LEFT bob'])
    expect(await roles(id)).toEqual({ alice: 'OWNER' })
  })

  test('the last owner hands on to whoever has been there longest, admins first', async () => {
    const id = await newChannel(alice, {}, [bob, carol])
    await add(alice, id, [dan])
    await setRole(alice, id, dan, 'ADMIN')
    await leave(alice, id)
    expect(await roles(id, bob)).toEqual({ bob: 'MEMBER', carol: 'MEMBER', dan: 'OWNER' })
    await leave(dan, id)
    expect(await roles(id, bob)).toEqual({ bob: 'OWNER', carol: 'MEMBER' })
    await leave(bob, id)
    await leave(carol, id)
  })

  test('an owner among others hands on nothing', async () => {
    const id = await newChannel(alice, {}, [bob, carol])
    await setRole(alice, id, carol, 'OWNER')
    await leave(alice, id)
    expect(await roles(id, bob)).toEqual({ bob: 'MEMBER', carol: 'OWNER' })
  })

  test('a channel has an owner after all owners have left at once', async () => {
    const id = await newChannel(alice, {}, [bob, carol, dan])
    await setRole(alice, id, bob, 'OWNER')
    await setRole(alice, id, carol, 'OWNER')
    await Promise.all([alice, bob, carol].map((owner) => leave(owner, id)))
    expect(await roles(id, dan)).toEqual({ dan: 'OWNER' })
  })

  test('removing needs a higher role than theirs', async () => {
    const id = await newChannel(alice, {}, [bob, carol, dan])
    await setRole(alice, id, bob, 'ADMIN')
    await setRole(alice, id, carol, 'ADMIN')
    for (const [by, person] of [[bob, carol], [bob, alice], [dan, bob]] as const) {
      expect((await failure(remove(by, id, person))).code).toBe('FORBIDDEN')
    }
    expect((await remove(bob, id, dan)).removeMember.channel.memberCount).toBe(3)
    await remove(alice, id, bob)
    await remove(alice, id, guests[0]!)
    expect(await roles(id)).toEqual({ alice: 'OWNER', carol: 'ADMIN' })
    expect(await told(alice, id)).toEqual(['MEMBER_LEFT dan', 'MEMBER_LEFT bob'])
  })

  test('removing oneself is leaving', async () => {
    const id = await newChannel(alice, {}, [bob])
    await remove(bob, id, bob)
    expect(await roles(id)).toEqual({ alice: 'OWNER' })
  })

  test('who was removed may not write, also when both come at once', async () => {
    for (let round = 0; round < 10; round++) {
      const id = await newChannel(alice, {}, [bob])
      const [sent] = await Promise.allSettled([say(bob, id, 'last word'), remove(alice, id, bob)])
      const kinds = await told(alice, id)
      expect(kinds).toEqual(sent.status === 'fulfilled' ? ['USER bob', 'MEMBER_LEFT bob'] : ['MEMBER_LEFT bob'])
      if (sent.status === 'rejected') expect(sent.reason).toMatchObject({ code: 'FORBIDDEN' })
      expect((await failure(say(bob, id, 'too late'))).code).toBe('FORBIDDEN')
    }
  })
})

describe('roles', () => {
  test('are given by owners; the last owner stays one until there is another', async () => {
    const id = await newChannel(alice, {}, [bob])
    expect(await refusal(setRole(alice, id, alice, 'MEMBER'))).toEqual(conflicting('role'))
    await setRole(alice, id, bob, 'OWNER')
    await setRole(alice, id, alice, 'MEMBER')
    expect(await roles(id)).toEqual({ alice: 'MEMBER', bob: 'OWNER' })
    expect(await refusal(setRole(bob, id, carol, 'ADMIN'))).toEqual(missing('userId'))
    expect((await failure(setRole(alice, id, alice, 'OWNER'))).code).toBe('FORBIDDEN')
    expect(await told(alice, id)).toEqual([])
  })

  test('of two owners who each make the other a member at once, one stays', async () => {
    for (let round = 0; round < 5; round++) {
      const id = await newChannel(alice, {}, [bob])
      await setRole(alice, id, bob, 'OWNER')
      await Promise.allSettled([setRole(alice, id, bob, 'MEMBER'), setRole(bob, id, alice, 'MEMBER')])
      expect(Object.values(await roles(id)).toSorted()).toEqual(['MEMBER', 'OWNER'])
    }
  })
})

test('members are paged in one order, each once', async () => {
  const id = await newChannel(alice, { kind: 'PUBLIC', name: 'square' }, guests)
  for (const first of [1, 4, 13, 100]) {
    const names: string[] = []
    for (let after: string | null = null; ; ) {
      const found: MembersQuery = await alice.client.request(MembersDocument, { channelId: id, first, after })
      const { edges, pageInfo, totalCount } = found.channel!.members
      expect(totalCount).toBe(13)
      expect(edges.length).toBeLessThanOrEqual(first)
      names.push(...edges.map(({ node }) => node.user.username))
      if (!pageInfo.hasNextPage) break
      after = pageInfo.endCursor
    }
    expect(names.toSorted()).toEqual(['alice', ...guests.map(({ username }) => username)].toSorted())
  }
})

describe('how much one is told', () => {
  let id: string
  beforeEach(async () => {
    id = await newChannel(alice, {}, [bob])
  })
  const set = async (input: object, channelId = id) => {
    const variables = { input: { channelId, ...input } }
    const { setChannelNotifications } = await alice.client.request(SetChannelNotificationsDocument, variables)
    return setChannelNotifications.channel.viewerMembership!
  }

  test('an absent field keeps what is there, and null clears it', async () => {
    const mutedUntil = '2030-01-01T00:00:00.000Z'
    expect(await set({})).toEqual({ notificationLevel: 'ALL', mutedUntil: null })
    expect(await set({ level: 'MENTIONS' })).toEqual({ notificationLevel: 'MENTIONS', mutedUntil: null })
    const here = '2030-01-01T09:00:00+09:00'
    expect(await set({ mutedUntil: here })).toEqual({ notificationLevel: 'MENTIONS', mutedUntil })
    expect(await set({ level: null })).toEqual({ notificationLevel: 'ALL', mutedUntil })
    expect(await set({ mutedUntil: null })).toEqual({ notificationLevel: 'ALL', mutedUntil: null })
    expect(await refusal(set({}, 'c1'))).toEqual(missing('input.channelId'))
  })

  test('is nobody else’s to know', async () => {
    await set({ level: 'NONE', mutedUntil: '2030-01-01T00:00:00Z' })
    const query = operation(`query Members($id: ID!) {
      channel(id: $id) { members { edges { node { user { username } notificationLevel mutedUntil } } } }
    }`)
    const seenBy = async (person: Person) => {
      const { channel } = await person.client.request(query, { id })
      const edges: { node: { user: { username: string } } }[] = channel.members.edges
      return edges.find(({ node }) => node.user.username === 'alice')!.node
    }
    expect(await seenBy(alice)).toMatchObject({ notificationLevel: 'NONE', mutedUntil: '2030-01-01T00:00:00.000Z' })
    expect(await seenBy(bob)).toMatchObject({ notificationLevel: 'ALL', mutedUntil: null })
  })

  test.each([
    '2030-02-30T00:00:00Z',
    '2030-01-01',
    '2030-01-01T00:00:00',
    '0000-01-01T00:00:00Z',
    '0999-12-31T00:00:00Z',
    '9999-12-31T23:59:59-01:00',
    '',
    0,
  ])('there is no moment %j', async (mutedUntil) => {
    expect((await refusal(set({ mutedUntil }))).code).toBe('BAD_USER_INPUT')
  })

  test('the store takes every moment that there is', async () => {
    for (const mutedUntil of ['1000-01-01T00:00:00.000Z', '9999-12-31T23:59:59.999Z', '2028-02-29T12:00:00.000Z']) {
      expect((await set({ mutedUntil })).mutedUntil).toBe(mutedUntil)
    }
  })
})
