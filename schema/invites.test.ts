import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  BlockUserDocument,
  JoinChannelDocument,
  LeaveChannelDocument,
  RemoveMemberDocument,
  SetMemberRoleDocument,
  UpdateChannelDocument,
} from '../client-sdk/index.ts'
import { isShortCode } from '../server/lib/short-codes.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { createInvite, invited, invitesOf, joinBy, joinByInvite, lookAtInvite, revokeInvite, usernames } from './testing/invites.ts'
import { bad, conflicting, failure, history, missing, newChannel, operation, refusal } from './testing/operations.ts'

let app: TestApp
let alice: Person
let bob: Person
let carol: Person
let guests: Person[]
beforeAll(async () => {
  app = await startTestApp({ GROUP_MAX_MEMBERS: '60', PUBLIC_URL: 'https://chat.example.org/' })
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
  guests = await Promise.all(Array.from({ length: 6 }, (_, number) => app.signUp(`guest${number}`)))
})
afterAll(() => app.stop())

const look = (code: string, client = carol.client) => lookAtInvite(code, client)
const ban = operation(`mutation Ban($channelId: ID!, $userId: ID!) {
  banMember(channelId: $channelId, userId: $userId) { channel { id } }
}`)
const codesOf = async (person: Person, channelId: string) =>
  (await invitesOf(person, channelId)).edges.map(({ node }: { node: { code: string } }) => node.code)

const notGood = missing('code')

describe('an invite', () => {
  test('shows a stranger where it leads, and lets them in', async () => {
    const channelId = await newChannel(alice, { name: 'tea', topic: 'green' }, [bob])
    const made = await invited(alice, { channelId })
    expect(isShortCode(made.code)).toBe(true)
    expect(made).toMatchObject({
      url: `https://chat.example.org/i/${made.code}`,
      createdBy: { username: 'alice' },
      expiresAt: null, revokedAt: null, maxUses: null, usesLeft: null, good: true, uses: 0, visits: 0, joined: { edges: [] },
    })
    // Who is not there sees the name and the size, and nothing of what goes on.
    const group = { id: channelId, kind: 'GROUP', name: 'tea', topic: 'green', memberCount: 2 }
    const outside = { ...group, lastSeq: 0, lastMessage: null, viewerMembership: null }
    for (const client of [carol.client, app.client()]) {
      expect(await look(made.code, client)).toMatchObject({ channel: outside, uses: null, visits: null, joined: null })
    }

    const cursor = operation('query Cursor($code: String!) { invite(code: $code) { channel { cursor } } }')
    const before = await carol.client.request(cursor, { code: made.code })
    await alice.client.request(UpdateChannelDocument, { input: { channelId, topic: 'black' } })
    await alice.client.request(UpdateChannelDocument, { input: { channelId, topic: 'green' } })
    expect(await carol.client.request(cursor, { code: made.code })).toEqual(before)

    const { joinByInvite } = await joinBy(carol, made.code)
    expect(joinByInvite.channel).toEqual({ id: channelId, memberCount: 3, unreadCount: 0, viewerMembership: { role: 'MEMBER' } })
    expect((await history(bob, channelId)).map(({ kind, author }) => `${kind} ${author.username}`)).toEqual([
      'CHANNEL_UPDATED alice', 'CHANNEL_UPDATED alice', 'MEMBER_JOINED carol',
    ])
    expect((await look(made.code, bob.client)).channel).toMatchObject({ lastSeq: 3, viewerMembership: { role: 'MEMBER' } })
  })

  test('says who came by it to its maker and to those who keep order, and to nobody else', async () => {
    const channelId = await newChannel(alice, { kind: 'PUBLIC' }, [bob, carol])
    const { code } = await invited(bob, { channelId, maxUses: 5 })
    for (const guest of guests.slice(0, 3)) await joinBy(guest, code)
    for (const person of [alice, bob]) {
      const seen = await look(code, person.client)
      expect(seen).toMatchObject({ uses: 3, usesLeft: 2 })
      expect(usernames(seen.joined)).toEqual(['guest2', 'guest1', 'guest0'])
    }
    expect(await look(code, carol.client)).toMatchObject({ uses: null, visits: null, joined: null, usesLeft: 2 })

    const pages = operation(`query Joined($code: String!, $after: String) {
      invite(code: $code) { joined(first: 2, after: $after) { edges { node { user { username } } } pageInfo { hasNextPage endCursor } } }
    }`)
    const first = (await bob.client.request(pages, { code })).invite.joined
    expect([usernames(first), first.pageInfo.hasNextPage]).toEqual([['guest2', 'guest1'], true])
    const second = (await bob.client.request(pages, { code, after: first.pageInfo.endCursor })).invite.joined
    expect([usernames(second), second.pageInfo.hasNextPage]).toEqual([['guest0'], false])
    expect(await refusal(bob.client.request(pages, { code, after: 'here' }))).toEqual(bad('after'))
  })

  test('is used by each who comes, not by who is there, and again by who comes back', async () => {
    const channelId = await newChannel(alice)
    const { code } = await invited(alice, { channelId, maxUses: 2 })
    await joinBy(bob, code)
    await joinBy(bob, code)
    await joinBy(alice, code)
    expect(await look(code)).toMatchObject({ usesLeft: 1 })
    await bob.client.request(LeaveChannelDocument, { channelId })
    await joinBy(bob, code)
    expect(await look(code)).toBeNull()
    expect(await failure(joinBy(carol, code))).toMatchObject({ code: 'CONFLICT', field: 'code', message: 'This invite has been used up.' })
    // A client that lost the answer asks again.
    expect((await joinBy(bob, code)).joinByInvite.channel.id).toBe(channelId)
    const [{ node }] = (await invitesOf(alice, channelId)).edges
    expect(node).toMatchObject({ uses: 2, usesLeft: 0, good: false })
    expect(usernames(node.joined)).toEqual(['bob', 'bob'])
  })

  test('is listed for those who keep order, and for its maker', async () => {
    const channelId = await newChannel(alice, { kind: 'PUBLIC' }, [bob, carol])
    const [hers, his, later] = [
      await invited(alice, { channelId }), await invited(bob, { channelId }), await invited(alice, { channelId }),
    ]
    expect(await codesOf(alice, channelId)).toEqual([later.code, his.code, hers.code])
    expect(await codesOf(bob, channelId)).toEqual([his.code])
    expect(await codesOf(carol, channelId)).toEqual([])
    const page = await invitesOf(alice, channelId, { first: 2 })
    const rest = await invitesOf(alice, channelId, { first: 2, after: page.pageInfo.endCursor })
    expect([page.edges.length, page.pageInfo.hasNextPage, rest.edges.length, rest.pageInfo.hasNextPage]).toEqual([2, true, 1, false])
    expect((await refusal(invitesOf(guests[0]!, channelId))).code).toBe('FORBIDDEN')
    expect(await refusal(invitesOf(alice, channelId, { after: 'x' }))).toEqual(bad('after'))
  })
})

describe('making one', () => {
  test('is for those who may add members', async () => {
    const groupId = await newChannel(alice, {}, [bob])
    const publicId = await newChannel(alice, { kind: 'PUBLIC' }, [bob])
    const directId = await newChannel(alice, { kind: 'DIRECT', name: null }, [bob])
    expect((await refusal(invited(bob, { channelId: groupId }))).code).toBe('FORBIDDEN')
    expect((await refusal(invited(carol, { channelId: publicId }))).code).toBe('FORBIDDEN')
    expect((await refusal(invited(alice, { channelId: directId }))).code).toBe('FORBIDDEN')
    expect(await refusal(invited(alice, { channelId: 'c1' }))).toEqual(missing('input.channelId'))
    expect((await invited(bob, { channelId: publicId })).good).toBe(true)
    const signedOut = app.client().request(createInvite, { input: { channelId: publicId } })
    expect((await refusal(signedOut)).code).toBe('UNAUTHENTICATED')
  })

  test('is refused with numbers and times that make no sense', async () => {
    const channelId = await newChannel(alice)
    for (const maxUses of [0, -1, 10_001, 2_147_483_647]) {
      expect(await refusal(invited(alice, { channelId, maxUses }))).toEqual(bad('input.maxUses'))
    }
    const inDays = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString()
    for (const expiresAt of [inDays(-0.001), inDays(367), '1000-01-01T00:00:00Z', '9999-12-31T23:59:59Z']) {
      expect(await refusal(invited(alice, { channelId, expiresAt }))).toEqual(bad('input.expiresAt'))
    }
    const expiresAt = inDays(365)
    expect(await invited(alice, { channelId, maxUses: 10_000, expiresAt })).toMatchObject({ usesLeft: 10_000, expiresAt })
  })

  test('ends at a hundred that are good, counted together when they come together', async () => {
    const channelId = await newChannel(alice)
    for (let nth = 0; nth < 95; nth++) await invited(alice, { channelId })
    const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => invited(alice, { channelId })))
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(5)
    expect(await refusal(invited(alice, { channelId }))).toEqual(conflicting('input.channelId'))
    await alice.client.request(revokeInvite, { code: (await codesOf(alice, channelId))[0] })
    await invited(alice, { channelId })
    expect(await refusal(invited(alice, { channelId }))).toEqual(conflicting('input.channelId'))
  })
})

describe('an invite is no longer good, and nobody can tell it from one that never was,', () => {
  /** That nothing is to be had by a code. */
  async function expectNothing(code: string, person = carol) {
    const never = '0'.repeat(code.length)
    expect(await look(code, person.client)).toBeNull()
    const [one, other] = [await failure(joinBy(person, code)), await failure(joinBy(person, never))]
    expect([one.code, one.field, one.message]).toEqual([other.code, other.field, other.message])
    expect(one.code).toBe('NOT_FOUND')
  }

  test('once it is taken back: by its maker or by who keeps order', async () => {
    const channelId = await newChannel(alice, { kind: 'PUBLIC' }, [bob, carol])
    const guest = guests[0]!
    const { code } = await invited(bob, { channelId })
    expect(await refusal(carol.client.request(revokeInvite, { code }))).toEqual(notGood)
    expect(await refusal(guest.client.request(revokeInvite, { code }))).toEqual(notGood)
    const { revokeInvite: revoked } = await alice.client.request(revokeInvite, { code })
    expect(revoked).toMatchObject({ good: false, revokedAt: expect.any(String) })
    expect((await bob.client.request(revokeInvite, { code })).revokeInvite.revokedAt).toBe(revoked.revokedAt)
    await expectNothing(code, guest)
  })

  test('once it has expired', async () => {
    const channelId = await newChannel(alice)
    const { code } = await invited(alice, { channelId, expiresAt: new Date(Date.now() + 3_600_000).toISOString() })
    expect(await look(code)).not.toBeNull()
    await app.app.database.run(`update invites set expires_at = now() - interval '1 second' where code = $1`, [code])
    await expectNothing(code)
    expect((await invitesOf(alice, channelId)).edges[0].node).toMatchObject({ good: false, revokedAt: null })
  })

  test('once whoever made it has gone, was put out or banned, and also when they are back', async () => {
    const gone: ((channelId: string) => Promise<unknown>)[] = [
      (channelId) => bob.client.request(LeaveChannelDocument, { channelId }),
      (channelId) => alice.client.request(RemoveMemberDocument, { channelId, userId: bob.id }),
    ]
    for (const go of gone) {
      const channelId = await newChannel(alice, { kind: 'PUBLIC' }, [bob])
      const { code } = await invited(bob, { channelId })
      await go(channelId)
      await expectNothing(code)
      await bob.client.request(JoinChannelDocument, { channelId })
      await expectNothing(code)
      expect((await invited(bob, { channelId })).good).toBe(true)
    }
    const channelId = await newChannel(alice, { kind: 'PUBLIC' }, [bob])
    const { code } = await invited(bob, { channelId })
    await alice.client.request(ban, { channelId, userId: bob.id })
    await expectNothing(code)
  })

  test('while whoever made it may not bring people in', async () => {
    const channelId = await newChannel(alice, {}, [bob])
    const setRole = (role: 'ADMIN' | 'MEMBER') =>
      alice.client.request(SetMemberRoleDocument, { channelId, userId: bob.id, role })
    await setRole('ADMIN')
    const { code } = await invited(bob, { channelId })
    await setRole('MEMBER')
    await expectNothing(code)
    await setRole('ADMIN')
    expect((await joinBy(carol, code)).joinByInvite.channel.memberCount).toBe(3)
  })

  test('whatever is asked for', async () => {
    const odd = [
      '', ' ', '0', 'a'.repeat(13), 'a'.repeat(15), 'a'.repeat(100_000), '../../etc/passwd', "' or 1=1 --",
      '코드코드코드코드', 'abc\r\ndef', '%00', '\u{1f600}'.repeat(7),
    ]
    for (const code of odd) {
      expect(await look(code)).toBeNull()
      expect(await refusal(joinBy(carol, code))).toEqual(notGood)
      expect(await refusal(alice.client.request(revokeInvite, { code }))).toEqual(notGood)
    }
    const channelId = await newChannel(alice)
    const { code } = await invited(alice, { channelId })
    const [small, large] = [code.toLowerCase(), code.toUpperCase()]
    for (const other of [small, large].filter((each) => each !== code)) expect(await look(other)).toBeNull()
    expect(await look(`${code}\n`)).toBeNull()
  })
})

describe('who may come by one', () => {
  test('is nobody who is banned', async () => {
    const channelId = await newChannel(alice, {}, [bob])
    const { code } = await invited(alice, { channelId, maxUses: 1 })
    await alice.client.request(ban, { channelId, userId: bob.id })
    expect((await refusal(joinBy(bob, code))).code).toBe('FORBIDDEN')
    expect(await look(code)).toMatchObject({ usesLeft: 1 })
  })

  test('is also whom its maker has blocked: that is between the two', async () => {
    const channelId = await newChannel(alice)
    await alice.client.request(BlockUserDocument, { userId: guests[5]!.id })
    const { code } = await invited(alice, { channelId })
    expect((await joinBy(guests[5]!, code)).joinByInvite.channel.memberCount).toBe(2)
  })

  test('is as many as a group holds, and who finds it full uses nothing', async () => {
    const small = await startTestApp({ GROUP_MAX_MEMBERS: '2' })
    try {
      const [dan, erin, frank] = [await small.signUp('dan'), await small.signUp('erin'), await small.signUp('frank')]
      const channelId = await newChannel(dan)
      const { code } = await invited(dan, { channelId, maxUses: 5 })
      await joinBy(erin, code)
      expect(await failure(joinBy(frank, code))).toMatchObject({ code: 'CONFLICT', field: 'code', message: 'A group has at most 2 members.' })
      expect(await look(code, frank.client)).toMatchObject({ usesLeft: 4 })
    } finally {
      await small.stop()
    }
  })

  test('is nobody who is signed out', async () => {
    const channelId = await newChannel(alice)
    const { code } = await invited(alice, { channelId })
    expect((await refusal(app.client().request(joinByInvite, { code }))).code).toBe('UNAUTHENTICATED')
  })
})
