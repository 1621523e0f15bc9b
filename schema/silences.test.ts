import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  AddReactionDocument,
  DeleteMessageDocument,
  JoinChannelDocument,
  LeaveChannelDocument,
  MarkReadDocument,
  PinMessageDocument,
  RemoveReactionDocument,
  ScheduleMessageDocument,
  SetMemberRoleDocument,
  SetTypingDocument,
} from '../client-sdk/index.ts'
import { parseGlobalId } from '../server/lib/global-id.ts'
import { listen } from '../server/testing/listen.ts'
import { type Person, type Replica, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { edit, forbidden } from './testing/blocks.ts'
import { auditLogOf, inAnHour, silence } from './testing/moderation.ts'
import { meanwhile } from './testing/meanwhile.ts'
import { bad, failure, history, missing, newChannel, operation, refusal, say } from './testing/operations.ts'

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

let tea: string
beforeEach(async () => {
  tea = await newChannel(alice, {}, [bob, carol])
})

const promote = (person: Person) =>
  alice.client.request(SetMemberRoleDocument, { channelId: tea, userId: person.id, role: 'ADMIN' })

describe('who is silenced', () => {
  let own: string
  let others: string
  beforeEach(async () => {
    own = (await say(bob, tea, 'mine')).id
    others = (await say(alice, tea, 'hers')).id
    await bob.client.request(AddReactionDocument, { messageId: others, emoji: '🍵' })
    await silence(alice, tea, bob, inAnHour())
  })

  const refused: [what: string, act: () => Promise<unknown>][] = [
    ['write', () => say(bob, tea, 'x')],
    ['answer', () => say(bob, tea, 'x', { replyToId: others })],
    ['edit', () => edit(bob, own, 'x')],
    ['react', () => bob.client.request(AddReactionDocument, { messageId: others, emoji: '👍' })],
    ['take a reaction back', () => bob.client.request(RemoveReactionDocument, { messageId: others, emoji: '🍵' })],
    ['pin', () => bob.client.request(PinMessageDocument, { messageId: own })],
    ['type', () => bob.client.request(SetTypingDocument, { channelId: tea, typing: true })],
    ['schedule', () => bob.client.request(ScheduleMessageDocument, { input: { channelId: tea, content: 'x', sendAt: inAnHour() } })],
  ]
  test.each(refused)('cannot %s, and is told until when', async (_, act) => {
    const { code, message } = await failure(act())
    expect(code).toBe('FORBIDDEN')
    expect(message).toMatch(/^You can read here, and write again after \d{4}-.*Z\.$/)
    await silence(alice, tea, bob, null)
    await act()
  })

  test('reads on, takes back their own words, and leaves', async () => {
    expect(await history(bob, tea)).toHaveLength(2)
    await bob.client.request(MarkReadDocument, { channelId: tea, seq: 2 })
    await bob.client.request(DeleteMessageDocument, { messageId: own })
    await bob.client.request(LeaveChannelDocument, { channelId: tea })
  })

  test('others are not meant, nor other channels', async () => {
    await say(carol, tea, 'hello')
    await say(bob, await newChannel(alice, {}, [bob]), 'hello')
  })
})

test('what was acknowledged before stands, and nothing is acknowledged after, on all replicas', async () => {
  const there = { ...bob, client: replica.client(bob.token) }
  for (let round = 0; round < 3; round++) {
    await say(bob, tea, 'here')
    await say(there, tea, 'there')
    let isSilenced = false
    const late: string[] = []
    const sendOn = async (person: Person) => {
      for (;;) {
        const wasSilenced = isSilenced
        const outcome = await say(person, tea, 'on').catch((error: unknown) => error)
        if (outcome instanceof Error) return expect(outcome).toMatchObject({ code: 'FORBIDDEN' })
        if (wasSilenced) late.push('late')
      }
    }
    const senders = [bob, there, bob, there].map(sendOn)
    await silence(alice, tea, bob, inAnHour())
    isSilenced = true
    await Promise.all(senders)
    expect(late).toEqual([])
    await silence(alice, tea, bob, null)
  }
})

test('it runs out by itself, at once, on every replica', async () => {
  const there = { ...bob, client: replica.client(bob.token) }
  await silence(alice, tea, bob, inAnHour())
  expect(await refusal(say(bob, tea, 'x'))).toEqual(forbidden)
  expect(await refusal(say(there, tea, 'x'))).toEqual(forbidden)
  const { channelId } = parseGlobalId(tea) as { channelId: string }
  // As if an hour had gone by: nothing is told of it, and nothing moves.
  await app.app.database.run(
    `update members set silenced_until = now() - interval '1 millisecond' where channel_id = $1 and silenced_until is not null`,
    [channelId],
  )
  await say(bob, tea, 'here')
  await say(there, tea, 'there')
})

test('it outlasts leaving and coming back', async () => {
  const square = await newChannel(alice, { kind: 'PUBLIC', name: 'square' }, [bob])
  await silence(alice, square, bob, inAnHour())
  await bob.client.request(LeaveChannelDocument, { channelId: square })
  await bob.client.request(JoinChannelDocument, { channelId: square })
  expect(await refusal(say(bob, square, 'x'))).toEqual(forbidden)
})

test('it counts from the moment it is there, for who had begun to write before', async () => {
  const { id } = await say(bob, tea, 'mine')
  const ids = { tea: parseGlobalId(tea) as { channelId: string }, bob: parseGlobalId(bob.id) as { userId: string } }
  const editing = meanwhile(
    app,
    tea,
    () => edit(bob, id, 'yours'),
    `update members set silenced_until = now() + interval '1 hour' where channel_id = $1 and user_id = $2`,
    [ids.tea.channelId, ids.bob.userId],
  )
  expect((await failure(editing)).message).toMatch(/^You can read here, and write again after/)
  expect((await history(alice, tea)).map(({ content }) => content)).toEqual(['mine'])
})

describe('whoever becomes an owner may write, as nobody could let them', () => {
  const setRole = (person: Person, role: 'ADMIN' | 'OWNER' | 'MEMBER') =>
    alice.client.request(SetMemberRoleDocument, { channelId: tea, userId: person.id, role })
  const told = async (person: Person, channelId = tea) =>
    (await auditLogOf(person, channelId)).map(({ action, subject }) => [action, subject?.username])

  test('by the last one leaving', async () => {
    await silence(alice, tea, bob, inAnHour())
    await setRole(bob, 'ADMIN')
    expect(await refusal(say(bob, tea, 'x'))).toEqual(forbidden)
    await alice.client.request(LeaveChannelDocument, { channelId: tea })
    await say(bob, tea, 'hello')
    expect((await told(bob)).slice(0, 2)).toEqual([['SILENCE_ENDED', 'bob'], ['ROLE_CHANGED', 'bob']])
    // It is over, and not only kept from counting.
    await bob.client.request(SetMemberRoleDocument, { channelId: tea, userId: carol.id, role: 'OWNER' })
    await carol.client.request(SetMemberRoleDocument, { channelId: tea, userId: bob.id, role: 'MEMBER' })
    await say(bob, tea, 'still here')
  })

  test('by being made one, on all replicas', async () => {
    const there = { ...bob, client: replica.client(bob.token) }
    await silence(alice, tea, bob, inAnHour())
    expect(await refusal(say(there, tea, 'x'))).toEqual(forbidden)
    await setRole(bob, 'OWNER')
    await say(there, tea, 'hello')
    await edit(bob, (await say(bob, tea, 'hello')).id, 'hello again')
    expect((await told(alice)).slice(0, 2)).toEqual([['SILENCE_ENDED', 'bob'], ['ROLE_CHANGED', 'bob']])
    // Of who was not silenced nothing is told.
    await setRole(carol, 'OWNER')
    expect((await told(alice))[0]).toEqual(['ROLE_CHANGED', 'carol'])
  })

  test('by being the first to come back', async () => {
    const square = await newChannel(alice, { kind: 'PUBLIC', name: 'square' }, [bob])
    await silence(alice, square, bob, inAnHour())
    for (const person of [bob, alice]) await person.client.request(LeaveChannelDocument, { channelId: square })
    await bob.client.request(JoinChannelDocument, { channelId: square })
    await say(bob, square, 'hello')
  })
})

describe('silencing', () => {
  test('needs a higher role than theirs', async () => {
    expect(await refusal(silence(bob, tea, carol, inAnHour()))).toEqual(forbidden)
    await promote(bob)
    await promote(carol)
    expect(await refusal(silence(bob, tea, carol, inAnHour()))).toEqual(forbidden)
    expect(await refusal(silence(bob, tea, alice, inAnHour()))).toEqual(forbidden)
    await silence(alice, tea, carol, inAnHour())
    // Nor do they let themselves or each other speak.
    expect(await refusal(silence(carol, tea, carol, null))).toEqual(forbidden)
    expect(await refusal(silence(bob, tea, carol, null))).toEqual(forbidden)
  })

  test('says which input is at fault', async () => {
    const stranger = await app.signUp('stranger')
    expect(await refusal(silence(alice, tea, stranger, inAnHour()))).toEqual(missing('userId'))
    expect(await refusal(silence(alice, tea, bob, '2020-01-01T00:00:00Z'))).toEqual(bad('until'))
    expect(await refusal(silence(alice, tea, { id: 'x' }, null))).toEqual(bad('userId'))
    expect(await refusal(silence(alice, 'c1', bob, null))).toEqual(missing('channelId'))
    expect(await refusal(silence(alice, tea, bob, inAnHour(), 'x'.repeat(1_001)))).toEqual(bad('reason'))
  })

  test('is told to the members at once, and is in the log', async () => {
    const text = operation(`subscription Told {
      inbox { __typename ... on MembershipEvent { user { username } member { silencedUntil } } }
    }`)
    const told = listen<any, any>(app, carol, text, {})
    await expect.poll(() => told.events.length).toBeGreaterThan(0)
    const until = inAnHour()
    await silence(alice, tea, bob, until, 'caps')
    await silence(alice, tea, bob, until, 'caps')
    await silence(alice, tea, bob, null)
    await silence(alice, tea, bob, null)
    const events = () => told.events.map(({ inbox }) => inbox).filter(({ __typename }) => __typename === 'MembershipEvent')
    await expect.poll(events).toMatchObject([
      { user: { username: 'bob' }, member: { silencedUntil: until } },
      { user: { username: 'bob' }, member: { silencedUntil: null } },
    ])
    told.stop()
    expect(await auditLogOf(alice, tea)).toMatchObject([
      { action: 'SILENCE_ENDED', subject: { username: 'bob' }, until: null },
      { action: 'MEMBER_SILENCED', subject: { username: 'bob' }, until, reason: 'caps' },
    ])
  })
})
