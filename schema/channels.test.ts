import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  ChannelDocument,
  type ChannelsQuery,
  ChannelsDocument,
  CreateChannelDocument,
  JoinChannelDocument,
  LeaveChannelDocument,
  OpenDirectChannelDocument,
  UpdateChannelDocument,
} from '../client-sdk/index.ts'
import { type Person, type Replica, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { bad, failure, history, missing, newChannel, operation, refusal, say } from './testing/operations.ts'

let app: TestApp
let replica: Replica
let alice: Person
let bob: Person
let carol: Person
beforeAll(async () => {
  app = await startTestApp({ GROUP_MAX_MEMBERS: '4' })
  replica = await app.addReplica()
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
})
afterAll(() => app.stop())

const signUpMany = (count: number, name: string) =>
  Promise.all(Array.from({ length: count }, (_, number) => app.signUp(`${name}${number}`)))

async function openDirect(person: Person, other: Person, client = person.client) {
  const { openDirectChannel } = await client.request(OpenDirectChannelDocument, { userId: other.id })
  return openDirectChannel.channel
}

async function find(person: Person, id: string) {
  const { channel } = await person.client.request(ChannelDocument, { id })
  return channel
}

describe('a direct channel', () => {
  test('is the same for both, and shows each the other', async () => {
    const channel = await openDirect(alice, bob)
    expect(channel).toMatchObject({ kind: 'DIRECT', name: null, memberCount: 2, directPeer: { username: 'bob' } })
    expect(channel.viewerMembership).toMatchObject({ role: 'MEMBER' })
    const same = await openDirect(bob, alice)
    expect(same).toMatchObject({ id: channel.id, directPeer: { username: 'alice' } })
    const input = { kind: 'DIRECT' as const, memberIds: [bob.id, alice.id] }
    const { createChannel } = await alice.client.request(CreateChannelDocument, { input })
    expect(createChannel.channel.id).toBe(channel.id)
  })

  test('is one for each pair, also when both open it at once on two replicas', async () => {
    const people = await signUpMany(6, 'peer')
    const pairs = people.flatMap((one, place) => people.slice(place + 1).map((other) => [one, other] as const))
    const opened = await Promise.all(
      pairs.map(async ([one, other]) => {
        const channels = await Promise.all([
          openDirect(one, other),
          openDirect(other, one, replica.client(other.token)),
          openDirect(one, other, replica.client(one.token)),
          openDirect(other, one),
        ])
        return channels.map(({ id }) => id)
      }),
    )
    for (const ids of opened) expect(new Set(ids).size).toBe(1)
    expect(new Set(opened.flat()).size).toBe(15)
    const [{ count } = { count: -1 }] = await app.app.database.run<{ count: number }>(
      `select count(*)::int as count from channels
       where kind = 'DIRECT' and id not in (select channel_id from direct_channels)`,
      [],
    )
    expect(count).toBe(0)
  })

  test('is between two people who exist, and bears no name', async () => {
    const nobody = 'u1'
    expect(await refusal(openDirect(alice, alice))).toEqual(bad('userId'))
    expect(await refusal(openDirect(alice, { ...bob, id: nobody }))).toEqual(missing('userId'))
    const create = (input: object) =>
      refusal(alice.client.request(CreateChannelDocument, { input: { kind: 'DIRECT', memberIds: [bob.id], ...input } }))
      expect(await create({ memberIds: [alice.id] })).toEqual(bad('input.memberIds'))
    expect(await create({ memberIds: [bob.id, carol.id] })).toEqual(bad('input.memberIds'))
    expect(await create({ memberIds: null })).toEqual(bad('input.memberIds'))
    expect(await create({ memberIds: [nobody] })).toEqual(missing('input.memberIds'))
    expect(await create({ name: 'us' })).toEqual(bad('input.name'))
    expect(await create({ topic: 'us' })).toEqual(bad('input.topic'))
  })
})

describe('making a channel', () => {
  test('its maker owns it, and all who are named are in it', async () => {
    const id = await newChannel(alice, { name: ' tea '.normalize('NFD'), topic: 'Oolong' }, [bob, bob, alice])
    expect(await find(alice, id)).toMatchObject({
      kind: 'GROUP',
      name: 'tea',
      topic: 'Oolong',
      memberCount: 2,
      firstSeq: 0,
      lastSeq: 0,
      lastMessage: null,
      unreadCount: 0,
      viewerMembership: { role: 'OWNER', lastReadSeq: 0 },
    })
    expect((await find(bob, id))!.viewerMembership).toMatchObject({ role: 'MEMBER' })
    expect(await find(carol, id)).toBeNull()
  })

  test.each([
    [{ kind: 'PUBLIC' }, 'input.name'],
    [{ kind: 'PUBLIC', name: null }, 'input.name'],
    [{ kind: 'GROUP', name: ' ' }, 'input.name'],
    [{ kind: 'GROUP', name: '\u3164\u200b' }, 'input.name'],
    [{ kind: 'GROUP', name: 'two\nlines' }, 'input.name'],
    [{ kind: 'GROUP', name: 'two\u2028lines' }, 'input.name'],
    [{ kind: 'GROUP', name: 'n'.repeat(81) }, 'input.name'],
    [{ kind: 'GROUP', name: `n${'\u0301'.repeat(1_000_000)}` }, 'input.name'],
    [{ kind: 'GROUP', name: 'half \udc00' }, 'input.name'],
    [{ kind: 'GROUP', topic: 't'.repeat(1_001) }, 'input.topic'],
    [{ kind: 'GROUP', topic: `t${'\u0301'.repeat(1_000_000)}` }, 'input.topic'],
    [{ kind: 'GROUP', topic: '\u0000' }, 'input.topic'],
    [{ kind: 'GROUP', memberIds: ['c1'] }, 'input.memberIds'],
  ] as const)('refuses input %#', async (input, field) => {
    const outcome = await refusal(alice.client.request(CreateChannelDocument, { input: input as never }))
    expect(outcome).toEqual(bad(field))
  })

  test('a group has room for as many as the deployment allows', async () => {
    const people = await signUpMany(4, 'guest')
    await newChannel(alice, {}, people.slice(0, 3))
    const memberIds = people.map(({ id }) => id)
    const tooMany = alice.client.request(CreateChannelDocument, { input: { kind: 'GROUP', memberIds } })
    expect(await refusal(tooMany)).toEqual(bad('input.memberIds'))
    const id = await newChannel(alice, { kind: 'PUBLIC', name: 'roomy' }, people)
    expect((await find(alice, id))!.memberCount).toBe(5)
  })
})

describe('changing a channel', () => {
  let id: string
  beforeEach(async () => {
    id = await newChannel(alice, { name: 'tea', topic: 'Oolong' }, [bob])
  })
  const update = (input: object, person = alice, channelId = id) =>
    person.client.request(UpdateChannelDocument, { input: { channelId, ...input } })

  test('an absent field keeps what is there, and null clears it', async () => {
    const updated = async (input: object) => (await update(input)).updateChannel.channel
    expect(await updated({ name: 'coffee' })).toMatchObject({ name: 'coffee', topic: 'Oolong' })
    expect(await updated({ topic: null })).toMatchObject({ name: 'coffee', topic: null })
    expect(await updated({ name: null, topic: 'Mocha' })).toMatchObject({ name: null, topic: 'Mocha' })
  })

  test('is told in the channel, once for each change', async () => {
    await update({ name: 'coffee' })
    await update({ name: 'coffee' })
    await update({})
    await update({ topic: 'Mocha' })
    const told = await history(bob, id)
    expect(told.map(({ kind, content, author, seq }) => [seq, kind, author.username, content])).toEqual([
      [1, 'CHANNEL_UPDATED', 'alice', 'coffee'],
      [2, 'CHANNEL_UPDATED', 'alice', 'Mocha'],
    ])
    expect((await find(bob, id))!.unreadCount).toBe(2)
    expect((await find(alice, id))!.unreadCount).toBe(0)
  })

  test('a public channel keeps a name; a name is a name', async () => {
    const open = await newChannel(alice, { kind: 'PUBLIC', name: 'square' })
    expect(await refusal(update({ name: null }, alice, open))).toEqual(bad('input.name'))
    expect(await refusal(update({ name: '' }))).toEqual(bad('input.name'))
    expect(await refusal(update({ topic: '\ud800' }))).toEqual(bad('input.topic'))
    expect(await refusal(update({}, alice, 'c1'))).toEqual(missing('input.channelId'))
    expect(await refusal(update({}, alice, alice.id))).toEqual(bad('input.channelId'))
    expect((await failure(update({ name: 'mine' }, bob))).code).toBe('FORBIDDEN')
  })

  test('what several mutations of one request answer is what each of them has left', async () => {
    const { first, second } = await alice.client.request(
      operation(`mutation Twice($id: ID!) {
        first: updateChannel(input: { channelId: $id, name: "one" }) { channel { name lastSeq } }
        second: updateChannel(input: { channelId: $id, name: "two" }) { channel { name lastSeq } }
      }`),
      { id },
    )
    expect([first.channel, second.channel]).toEqual([
      { name: 'one', lastSeq: 1 },
      { name: 'two', lastSeq: 2 },
    ])
  })
})

test('a stranger learns nothing of a group', async () => {
  const id = await newChannel(alice, { name: 'secret' }, [bob])
  expect(await find(carol, id)).toBeNull()
  expect((await failure(carol.client.request(JoinChannelDocument, { channelId: id }))).code).toBe('FORBIDDEN')
  expect((await failure(carol.client.request(LeaveChannelDocument, { channelId: id }))).code).toBe('FORBIDDEN')
})

test('a public channel shows strangers its name and size, and nothing that was said in it', async () => {
  const id = await newChannel(alice, { kind: 'PUBLIC', name: 'plaza' }, [bob])
  await say(alice, id, 'hi')
  expect(await find(carol, id)).toMatchObject({
    name: 'plaza',
    memberCount: 2,
    lastSeq: 1,
    lastMessage: null,
    viewerMembership: null,
    unreadCount: 0,
    unreadMentionCount: 0,
    viewerDraft: null,
  })
  for (const field of ['messages', 'members', 'pinnedMessages']) {
    const query = operation(`query Peep($id: ID!) { channel(id: $id) { ${field} { edges { cursor } } } }`)
    expect((await failure(carol.client.request(query, { id }))).code).toBe('FORBIDDEN')
  }
})

describe('the list of one’s channels', () => {
  async function pages(person: Person, first: number) {
    const found: ChannelsQuery['channels']['edges'] = []
    for (let after: string | null = null; ; ) {
      const { channels }: ChannelsQuery = await person.client.request(ChannelsDocument, { first, after })
      found.push(...channels.edges)
      expect(channels.edges.length).toBeLessThanOrEqual(first)
      if (!channels.pageInfo.hasNextPage) return found.map(({ node }) => node.name)
      after = channels.pageInfo.endCursor
    }
  }

  test('has the latest activity first, and is paged without a repeat', async () => {
    const dan = await app.signUp('dan')
    const ids: string[] = []
    for (let number = 0; number < 7; number++) ids.push(await newChannel(dan, { name: `room ${number}` }))
    await newChannel(alice, { name: 'not in it' })
    await say(dan, ids[2]!, 'hi')
    await say(dan, ids[5]!, 'hi')
    await say(dan, ids[2]!, 'hi again')
    const inOrder = ['room 2', 'room 5', 'room 6', 'room 4', 'room 3', 'room 1', 'room 0']
    for (const first of [1, 2, 3, 7, 100]) expect(await pages(dan, first)).toEqual(inOrder)
  })

  test('does not repeat a channel that comes to life between two pages', async () => {
    const erin = await app.signUp('erin')
    const ids: string[] = []
    for (let number = 0; number < 4; number++) ids.push(await newChannel(erin, { name: `room ${number}` }))
    const top = await erin.client.request(ChannelsDocument, { first: 2 })
    await say(erin, ids[3]!, 'hi')
    const rest = await erin.client.request(ChannelsDocument, { first: 2, after: top.channels.pageInfo.endCursor })
    const names = [...top.channels.edges, ...rest.channels.edges].map(({ node }) => node.name)
    expect(names).toEqual(['room 3', 'room 2', 'room 1', 'room 0'])
  })

  test('is forgotten of a channel that one has left', async () => {
    const frank = await app.signUp('frank')
    const id = await newChannel(alice, { name: 'left' }, [frank])
    expect(await pages(frank, 10)).toEqual(['left'])
    await frank.client.request(LeaveChannelDocument, { channelId: id })
    expect(await pages(frank, 10)).toEqual([])
  })
})
