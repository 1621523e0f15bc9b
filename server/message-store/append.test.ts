import { afterAll, beforeAll, expect, test } from 'vitest'
import { CreateChannelDocument, HistoryDocument, SendMessageDocument } from '../../client-sdk/index.ts'
import { parseGlobalId } from '../lib/global-id.ts'
import { storedMessages } from '../testing/stored-messages.ts'
import { type Person, startTestApp, type TestApp } from '../testing/test-app.ts'
import { admitAll, type Append, appendBatch } from './append.ts'
import { bucketAt } from './bucket-time.ts'
import { ensureBuckets } from './partitions.ts'
import { snowflakeAt } from './snowflake.ts'

let app: TestApp
let alice: Person
let bob: Person
beforeAll(async () => {
  app = await startTestApp()
  await ensureBuckets(app.app.database, bucketAt(start), bucketAt(start))
  alice = await app.signUp('alice')
  bob = await app.signUp('bob')
})
afterAll(() => app.stop())

const userIdOf = (person: Person) => (parseGlobalId(person.id) as { userId: string }).userId
const channelIdOf = (id: string) => (parseGlobalId(id) as { channelId: string }).channelId

/** A new channel with alice and bob in it: its id in the API. */
async function newChannel(): Promise<string> {
  const input = { kind: 'GROUP' as const, name: 'tea', memberIds: [bob.id] }
  return (await alice.client.request(CreateChannelDocument, { input })).createChannel.channel.id
}

/** A conversation: who says what, and which of the lines before it answers. */
const said: [who: 'alice' | 'bob', text: string, replyTo?: number][] = [
  ['alice', 'tea?'],
  ['bob', '@alice yes', 0],
  ['bob', 'green', 0],
  ['alice', 'which green?', 2],
  ['bob', '@alice @bob sencha', 3],
  ['alice', 'here', 0],
  ['bob', 'thank you', 5],
]

const start = Date.UTC(2020, 0, 1)
const idOf = (place: number) => snowflakeAt(start + place * 1_000)

function toAppend(place: number): Append {
  const [who, content, replyTo] = said[place]!
  const people = { alice: userIdOf(alice), bob: userIdOf(bob) }
  const mentionIds = Object.entries(people).filter(([name]) => content.includes(`@${name}`)).map(([, id]) => id)
  return {
    id: idOf(place),
    kind: 'USER',
    authorId: people[who],
    content,
    replyToId: replyTo === undefined ? null : idOf(replyTo),
    mentionIds: mentionIds.toSorted(),
    deletedAt: null,
  }
}

const append = (channelId: string, from: number, to: number) => {
  const batch = said.slice(from, to).map((_, place) => toAppend(from + place)) as [Append, ...Append[]]
  return app.app.database.transaction((tx) => appendBatch(tx, channelIdOf(channelId), batch))
}

async function sendAll(channelId: string) {
  const ids: string[] = []
  for (const [who, content, replyTo] of said) {
    const input = { channelId, content, replyToId: replyTo === undefined ? null : ids[replyTo]! }
    const { sendMessage } = await { alice, bob }[who].client.request(SendMessageDocument, { input })
    ids.push(sendMessage.message.id)
  }
}

/** All that the store holds of a channel, but for ids and the numbers of changes. */
async function contents(channelId: string) {
  const rows = (text: string) => app.app.database.run<Record<string, unknown>>(text, [channelIdOf(channelId)])
  return {
    channel: await rows('select first_seq, last_seq, member_count from channels where id = $1'),
    messages: await rows(
      `select stored.seq, stored.kind, stored.author_id, stored.content, r.seq as reply_to, stored.reply_count,
              stored.mention_ids, stored.deleted_at
       from ${storedMessages} left join messages r on r.channel_id = stored.channel_id and r.id = stored.reply_to_id
       where stored.channel_id = $1 order by stored.seq`,
    ),
    mentions: await rows('select user_id, seq from mentions where channel_id = $1 order by seq, user_id'),
    threads: await rows(
      `select m.seq, t.user_id, t.last_read_seq from threads t join messages m on m.id = t.message_id
       where t.channel_id = $1 and m.channel_id = $1 order by m.seq, t.user_id`,
    ),
    members: await rows('select user_id, role, last_read_seq from members where channel_id = $1 order by user_id'),
  }
}

test.each([[[7]], [[1, 2, 3, 4, 5, 6, 7]], [[3, 7]], [[6, 7]]])(
  'batches that end at %o leave what sends one by one would have left',
  async (ends) => {
    const sent = await newChannel()
    await sendAll(sent)
    const appended = await newChannel()
    let from = 0
    for (const to of ends) {
      expect(await append(appended, from, to)).toMatchObject({ firstSeq: from + 1, lastSeq: to })
      from = to
    }
    expect(await contents(appended)).toEqual(await contents(sent))
  },
)

test('each change takes the next number: of the messages first, then of those that were answered', async () => {
  const channelId = await newChannel()
  await append(channelId, 0, 3)
  await append(channelId, 3, 7)
  const messages = await app.app.database.run<{ change: number; version: number }>(
    `select change, version from ${storedMessages} where channel_id = $1 order by seq`,
    [channelIdOf(channelId)],
  )
  // 1 and 2 let alice and bob in.
  expect(messages.map((message) => message.change)).toEqual([3, 4, 5, 6, 7, 8, 9])
  expect(messages.map((message) => message.version)).toEqual([10, 4, 11, 6, 7, 8, 9])
  const head = await app.app.database.run('select last_change, last_seq, last_id from channels where id = $1', [
    channelIdOf(channelId),
  ])
  expect(head).toEqual([{ last_change: 11, last_seq: 7, last_id: idOf(6) }])
})

test('who watches gets what is appended, in order, and the messages that it answers again', async () => {
  const channelId = await newChannel()
  const { channel } = await alice.client.request(HistoryDocument, { channelId, last: 10 })
  const stream = alice.client.messages({ channelId, after: channel!.cursor })
  const next = async () => {
    const { value } = await stream.next()
    return `${value!.kind} ${value!.message.seq}`
  }
  await append(channelId, 0, 3)
  expect([await next(), await next(), await next()]).toEqual(['CREATED 1', 'CREATED 2', 'CREATED 3'])
  // Live by now: what comes next is found by the channel's head.
  await append(channelId, 3, 7)
  const events: string[] = []
  while (events.length < 6) events.push(await next())
  expect(events).toEqual(['CREATED 4', 'CREATED 5', 'CREATED 6', 'CREATED 7', 'ENRICHED 1', 'ENRICHED 3'])
  await stream.return!()
})

test('nothing is put before a message that is there, and nothing is written then', async () => {
  const channelId = await newChannel()
  await append(channelId, 2, 4)
  const before = await contents(channelId)
  expect(await append(channelId, 0, 1)).toBeNull()
  expect(await append(channelId, 3, 7)).toBeNull()
  expect(await contents(channelId)).toEqual(before)
  expect(await append(channelId, 4, 7)).not.toBeNull()
})

test('what was deleted elsewhere is stored as deleted, and is no answer that counts', async () => {
  const channelId = await newChannel()
  const deletedAt = new Date(start + 1_000)
  const batch: [Append, ...Append[]] = [toAppend(0), { ...toAppend(1), content: '', mentionIds: [], deletedAt }]
  await app.app.database.transaction((tx) => appendBatch(tx, channelIdOf(channelId), batch))
  const { channel } = await alice.client.request(HistoryDocument, { channelId, last: 10 })
  const messages = channel!.messages.edges.map((edge) => edge.node)
  expect(messages[0]).toMatchObject({ replyCount: 0 })
  expect(messages[1]).toMatchObject({ content: '', deletedAt: deletedAt.toISOString(), replyTo: { seq: 1 } })
})

test('many people come in at once, each once; who left stays out', async () => {
  const carol = await app.signUp('carol')
  const channelId = channelIdOf(await newChannel())
  const [member] = await app.app.database.run<{ user_id: string }>(
    'update members set left_at = now() where channel_id = $1 and user_id = $2 returning user_id',
    [channelId, userIdOf(bob)],
  )
  expect(member).toBeDefined()
  const joinedAt = new Date(start)
  const people = [alice, carol, bob].map((person) => ({ userId: userIdOf(person), joinedAt }))
  const came = await app.app.database.transaction((tx) => admitAll(tx, channelId, people))
  expect(came).toEqual([userIdOf(carol)])
  const [head] = await app.app.database.run('select member_count, last_change from channels where id = $1', [channelId])
  expect(head).toEqual({ member_count: 3, last_change: 3 })
  const [row] = await app.app.database.run(
    'select role, joined_at, change, joined_change, left_at from members where channel_id = $1 and user_id = $2',
    [channelId, userIdOf(carol)],
  )
  expect(row).toEqual({ role: 'MEMBER', joined_at: joinedAt, change: 3, joined_change: 3, left_at: null })
})
