import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  AddMembersDocument,
  ChannelDocument,
  InboxDocument,
  type MaruClientError,
  JoinChannelDocument,
  MembersDocument,
  RemoveMemberDocument,
  SetMemberRoleDocument,
} from '../client-sdk/index.ts'
import { parseGlobalId } from '../server/lib/global-id.ts'
import { listen } from '../server/testing/listen.ts'
import { type Person, type Replica, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { block, forbidden } from './testing/blocks.ts'
import { auditLogOf, ban, type Ban, bansOf, inAnHour, unban } from './testing/moderation.ts'
import { meanwhile } from './testing/meanwhile.ts'
import { bad, conflicting, failure, history, missing, newChannel, refusal, say } from './testing/operations.ts'

let app: TestApp
let replica: Replica
let alice: Person
let bob: Person
let carol: Person
beforeAll(async () => {
  app = await startTestApp()
  replica = await app.addReplica()
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
})
afterAll(() => app.stop())

let square: string
beforeEach(async () => {
  square = await newChannel(alice, { kind: 'PUBLIC', name: 'square' }, [bob])
})

const join = (person: Person, channelId = square) => person.client.request(JoinChannelDocument, { channelId })
const add = (person: Person, other: Person, channelId = square) =>
  person.client.request(AddMembersDocument, { channelId, userIds: [other.id] })
const promote = (person: Person, role: 'ADMIN' | 'OWNER') =>
  alice.client.request(SetMemberRoleDocument, { channelId: square, userId: person.id, role })
const names = async (person = alice) => {
  const { channel } = await person.client.request(MembersDocument, { channelId: square, first: 100, after: null })
  return channel!.members.edges.map(({ node }) => node.user.username).toSorted()
}
/** Lets bans run out. */
const runOut = () =>
  app.app.database.run(`update bans set until = now() - interval '1 second' where channel_id = $1`, [
    (parseGlobalId(square) as { channelId: string }).channelId,
  ])

describe('who is banned', () => {
  test('is put out and kept out, by joining and by being added, until the ban is taken back', async () => {
    expect(await ban(alice, square, bob, { reason: 'spam' })).toMatchObject({ memberCount: 1 })
    expect(await names()).toEqual(['alice'])
    expect((await history(alice, square)).map(({ kind }) => kind)).toEqual(['MEMBER_LEFT'])
    expect(await failure(join(bob))).toMatchObject({ code: 'FORBIDDEN', message: 'You have been banned from this channel.' })
    expect(await refusal(add(alice, bob))).toEqual(conflicting('userIds'))
    await unban(alice, square, bob)
    await join(bob)
    expect(await names()).toEqual(['alice', 'bob'])
  })

  test('may come in again once it is over', async () => {
    await ban(alice, square, bob, { until: inAnHour() })
    expect(await refusal(join(bob))).toEqual(forbidden)
    await runOut()
    await join(bob)
    expect(await bansOf(alice, square)).toMatchObject({ bans: [] })
  })

  test('need not have been there, and others are not meant', async () => {
    await ban(alice, square, carol)
    expect(await refusal(join(carol))).toEqual(forbidden)
    expect(await names()).toEqual(['alice', 'bob'])
    expect(await history(alice, square)).toEqual([])
    const other = await newChannel(alice, { kind: 'PUBLIC', name: 'other' })
    await join(carol, other)
  })

  test('hears nothing that happens afterwards, on open streams too', async () => {
    const inbox = listen(app, bob, InboxDocument, { after: [] })
    const told = () =>
      inbox.events.map(({ inbox: event }) => (event.__typename === 'MessageEvent' ? event.message.content : event.__typename))
    await expect.poll(told).toContain('SyncedEvent')
    await say(alice, square, 'before')
    await expect.poll(told).toContain('before')
    await ban(alice, square, bob)
    await say(alice, square, 'after')
    const mine = await newChannel(bob)
    await say(bob, mine, 'end')
    await expect.poll(told).toContain('end')
    expect(told()).not.toContain('after')
    expect((await failure(history(bob, square))).code).toBe('FORBIDDEN')
    expect((await failure(say(bob, square, 'still here'))).code).toBe('FORBIDDEN')
    inbox.stop()
  })

  test('is in or out, and never both, when a ban and a joining meet on two replicas', async () => {
    const there = replica.client(carol.token)
    for (let round = 0; round < 8; round++) {
      const id = await newChannel(alice, { kind: 'PUBLIC', name: 'round' })
      const [, joined] = await Promise.allSettled([
        ban(alice, id, carol),
        there.request(JoinChannelDocument, { channelId: id }),
      ])
      if (joined.status === 'rejected') expect(joined.reason).toMatchObject({ code: 'FORBIDDEN' })
      const { channel } = await alice.client.request(ChannelDocument, { id })
      expect(channel!.memberCount).toBe(1)
    }
  })
})

test('who may not see bans is not told of them by adding people', async () => {
  const [dan, dora] = [await app.signUp('dan'), await app.signUp('dora')]
  await ban(alice, square, dan)
  await block(dora, bob)
  const [banned, blocking] = [await failure(add(bob, dan)), await failure(add(bob, dora))]
  expect(banned).toMatchObject({ code: 'FORBIDDEN', message: 'You cannot add one of these people.' })
  const said = ({ code, field, message }: MaruClientError) => ({ code, field, message })
  expect(said(banned)).toEqual(said(blocking))
  await promote(bob, 'ADMIN')
  expect(await refusal(add(bob, dan))).toEqual(conflicting('userIds'))
  expect(await refusal(add(bob, dora))).toEqual(forbidden)
  expect(await names()).toEqual(['alice', 'bob'])
})

describe('banning', () => {
  test('needs a higher role than theirs', async () => {
    await join(carol)
    expect(await refusal(ban(bob, square, carol))).toEqual(forbidden)
    expect(await refusal(ban(bob, square, alice))).toEqual(forbidden)
    await promote(bob, 'ADMIN')
    await promote(carol, 'ADMIN')
    expect(await refusal(ban(bob, square, carol))).toEqual(forbidden)
    expect(await refusal(ban(bob, square, alice))).toEqual(forbidden)
    await ban(alice, square, carol)
    expect(await names()).toEqual(['alice', 'bob'])
    // Whoever is out has no role any more.
    await unban(bob, square, carol)
    await ban(bob, square, carol)
    expect(await refusal(unban(carol, square, carol))).toEqual(forbidden)
    expect(await refusal(bansOf(carol, square))).toEqual(forbidden)
  })

  test('needs the role until the end', async () => {
    const ids = { square: parseGlobalId(square) as { channelId: string }, alice: parseGlobalId(alice.id) as { userId: string } }
    const banning = meanwhile(
      app,
      square,
      () => ban(alice, square, carol),
      `update members set role = 'MEMBER' where channel_id = $1 and user_id = $2`,
      [ids.square.channelId, ids.alice.userId],
    )
    expect(await refusal(banning)).toEqual(forbidden)
    await join(carol)
  })

  test('says which input is at fault', async () => {
    expect(await refusal(ban(alice, square, alice))).toEqual(bad('userId'))
    expect(await refusal(ban(alice, square, { id: 'u1' }))).toEqual(missing('userId'))
    expect(await refusal(ban(alice, square, { id: square }))).toEqual(bad('userId'))
    expect(await refusal(ban(alice, 'c1', bob))).toEqual(missing('channelId'))
    expect(await refusal(ban(alice, square, bob, { until: '2020-01-01T00:00:00Z' }))).toEqual(bad('until'))
    expect(await refusal(ban(alice, square, bob, { reason: 'x'.repeat(1_001) }))).toEqual(bad('reason'))
    expect(await names()).toEqual(['alice', 'bob'])
  })

  test('again gives another end and reason; the same again, or unbanning nobody, changes nothing', async () => {
    const until = inAnHour()
    await ban(alice, square, bob, { until, reason: ' spam ' })
    await ban(alice, square, bob, { until, reason: 'spam' })
    await ban(alice, square, bob, { reason: 'more spam' })
    await unban(alice, square, carol)
    const { bans } = await bansOf(alice, square)
    expect(bans).toEqual([
      { user: { username: 'bob' }, bannedBy: { username: 'alice' }, bannedAt: expect.any(String), until: null, reason: 'more spam' },
    ])
    expect((await auditLogOf(alice, square)).map(({ action, reason }) => [action, reason])).toEqual([
      ['MEMBER_BANNED', 'more spam'],
      ['MEMBER_BANNED', 'spam'],
    ])
  })

  test('is undone for who was an owner before, too', async () => {
    await promote(bob, 'ADMIN')
    await alice.client.request(RemoveMemberDocument, { channelId: square, userId: bob.id })
    await ban(alice, square, bob)
    await unban(alice, square, bob)
    await add(alice, bob)
    const { channel } = await bob.client.request(ChannelDocument, { id: square })
    expect(channel!.viewerMembership!.role).toBe('MEMBER')
  })
})

test('bans that are over are taken away, and no others', async () => {
  const bans = async () =>
    (await app.app.database.run<{ user_id: string }>('select user_id from bans where channel_id = $1', [
      (parseGlobalId(square) as { channelId: string }).channelId,
    ])).length
  await ban(alice, square, bob, { until: inAnHour() })
  await runOut()
  await ban(alice, square, carol, { until: inAnHour() })
  const dave = await app.signUp('dave')
  await ban(alice, square, dave)
  expect(await bans()).toBe(3)
  expect(await app.app.services.bans.sweep()).toBeGreaterThanOrEqual(1)
  expect(await bans()).toBe(2)
  const { bans: left }: { bans: Ban[] } = await bansOf(alice, square)
  expect(left.map(({ user }) => user.username)).toEqual(['dave', 'carol'])
})

test('bans are paged, the latest first, each once', async () => {
  const people = await Promise.all(Array.from({ length: 5 }, (_, nth) => app.signUp(`guest${nth}`)))
  for (const person of people) await ban(alice, square, person)
  const found: string[] = []
  for (let after: string | null = null; ; ) {
    const page: { bans: Ban[]; hasNextPage: boolean; endCursor: string } = await bansOf(alice, square, { first: 2, after })
    found.push(...page.bans.map(({ user }) => user.username))
    if (!page.hasNextPage) break
    after = page.endCursor
  }
  expect(found).toEqual(['guest4', 'guest3', 'guest2', 'guest1', 'guest0'])
  expect(await refusal(bansOf(alice, square, { after: 'abc' }))).toEqual(bad('after'))
})
