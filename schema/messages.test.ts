import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  AddMembersDocument,
  AddReactionDocument,
  ChannelDocument,
  DeleteMessageDocument,
  EditMessageDocument,
  HistoryDocument,
  MessageDocument,
  PinMessageDocument,
  SendMessageDocument,
} from '../client-sdk/index.ts'
import { type Person, type Replica, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { bad, conflicting, failure, history, missing, newChannel, refusal, say } from './testing/operations.ts'

let app: TestApp
let replica: Replica
let alice: Person
let bob: Person
let carol: Person
let channelId: string
beforeAll(async () => {
  app = await startTestApp()
  replica = await app.addReplica()
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
})
beforeEach(async () => {
  channelId = await newChannel(alice, {}, [bob])
})
afterAll(() => app.stop())

async function edit(person: Person, messageId: string, content: string) {
  const { editMessage } = await person.client.request(EditMessageDocument, { input: { messageId, content } })
  return editMessage.message
}

async function remove(person: Person, messageId: string) {
  const { deleteMessage } = await person.client.request(DeleteMessageDocument, { messageId })
  return deleteMessage.message
}

const unreadOf = async (person: Person) => {
  const { channel } = await person.client.request(ChannelDocument, { id: channelId })
  return { messages: channel!.unreadCount, mentions: channel!.unreadMentionCount }
}

test('two people talk: what alice sends, bob hears live and finds in the history', async () => {
  const { channel } = await bob.client.request(HistoryDocument, { channelId, last: 1 })
  await using live = bob.client.messages({ channelId, after: channel!.cursor })
  const sent = await say(alice, channelId, '안녕, @bob!')
  expect(sent).toMatchObject({ seq: 1, kind: 'USER', content: '안녕, @bob!', mentions: [{ username: 'bob' }] })
  const { value: event } = await live.next()
  expect(event).toMatchObject({ kind: 'CREATED', message: { id: sent.id, content: '안녕, @bob!' } })
  expect(await history(bob, channelId)).toEqual([sent])
})

describe('sending', () => {
  test('keeps what was written, to the character', async () => {
    const contents = [' two  spaces\n\tand a tab ', '👨‍👩‍👧‍👦 🇰🇷 한글', '한글'.normalize('NFD'), '<b>&amp;</b>', "'; drop --"]
    for (const content of contents) expect((await say(alice, channelId, content)).content).toBe(content)
    expect((await history(bob, channelId)).map((message) => message.content)).toEqual(contents)
  })

  test('takes 100,000 characters, however many bytes they have', async () => {
    expect((await say(alice, channelId, '🦉'.repeat(100_000))).content.length).toBe(200_000)
    expect(await refusal(say(alice, channelId, '🦉'.repeat(100_001)))).toEqual(bad('input.content'))
  })

  test.each([
    ['nothing', ''],
    ['space', ' \n\t\u3000'],
    ['what cannot be seen', '\u200b\u2060\u3164'],
    ['NUL', 'a\u0000b'],
    ['half a pair', 'a\ud83db'],
    ['the other half', 'a\udc00b'],
    ['a control character', 'a\u0007b'],
    ['what is no character', 'a\uffffb'],
    ['what is no character', 'a\ufdd0b'],
    ['what is no character', 'a\u{10fffe}b'],
  ])('refuses %s', async (_, content) => {
    expect(await refusal(say(alice, channelId, content))).toEqual(bad('input.content'))
  })

  test('with /me is an ACTION', async () => {
    expect(await say(alice, channelId, 'waves', { kind: 'ACTION' })).toMatchObject({ kind: 'ACTION', content: 'waves' })
  })

  test('the same key gives the same message, also when many copies arrive at once on two replicas', async () => {
    const input = { channelId, content: 'once', idempotencyKey: 'key 1' }
    const clients = [app, replica].map((on) => on.client(alice.token))
    const sent = await Promise.all(
      Array.from({ length: 50 }, (_, copy) => clients[copy % 2]!.request(SendMessageDocument, { input })),
    )
    expect(new Set(sent.map(({ sendMessage }) => sendMessage.message.id)).size).toBe(1)
    expect(await history(bob, channelId)).toHaveLength(1)
    const again = await say(alice, channelId, 'once', { idempotencyKey: 'key 1' })
    expect(again).toEqual(sent[0]!.sendMessage.message)
  })

  test('the same key with another body is a CONFLICT; of another author, or elsewhere, it is another key', async () => {
    const first = await say(alice, channelId, 'once', { idempotencyKey: 'k' })
    const conflict = conflicting('input.idempotencyKey')
    expect(await refusal(say(alice, channelId, 'twice', { idempotencyKey: 'k' }))).toEqual(conflict)
    expect(await refusal(say(alice, channelId, 'once', { idempotencyKey: 'k', kind: 'ACTION' }))).toEqual(conflict)
    expect(await refusal(say(alice, channelId, 'once', { idempotencyKey: 'k', replyToId: first.id }))).toEqual(conflict)
    expect((await say(bob, channelId, 'mine', { idempotencyKey: 'k' })).seq).toBe(2)
    const elsewhere = await newChannel(alice)
    expect((await say(alice, elsewhere, 'there', { idempotencyKey: 'k' })).seq).toBe(1)
  })

  test('a key gives back its message in its latest state', async () => {
    const { id } = await say(alice, channelId, 'once', { idempotencyKey: 'k' })
    await edit(alice, id, 'better')
    expect(await say(alice, channelId, 'once', { idempotencyKey: 'k' })).toMatchObject({ id, content: 'better' })
  })

  test.each(['', 'k'.repeat(129), '키', 'a\u0000', '\ud800', 'a\nb'])('there is no key %j', async (idempotencyKey) => {
    const outcome = await refusal(say(alice, channelId, 'hi', { idempotencyKey }))
    expect(outcome).toEqual(bad('input.idempotencyKey'))
  })

  test('64 at once, on two replicas, take numbers without a hole or a repeat', async () => {
    const clients = [app, replica].flatMap((on) => [on.client(alice.token), on.client(bob.token)])
    const sent = await Promise.all(
      Array.from({ length: 64 }, (_, n) => {
        return clients[n % 4]!.request(SendMessageDocument, { input: { channelId, content: String(n) } })
      }),
    )
    const seqs = sent.map(({ sendMessage }) => sendMessage.message.seq).toSorted((a, b) => a - b)
    expect(seqs).toEqual(Array.from({ length: 64 }, (_, n) => n + 1))
    const kept = await history(bob, channelId, 64)
    expect(kept.map(({ seq }) => seq)).toEqual(seqs)
    expect(kept.map(({ createdAt }) => createdAt)).toEqual(kept.map(({ createdAt }) => createdAt).toSorted())
  })

  test('says which input is at fault', async () => {
    const elsewhere = await say(alice, await newChannel(alice), 'there')
    expect(await refusal(say(alice, 'c1', 'hi'))).toEqual(missing('input.channelId'))
    expect(await refusal(say(alice, alice.id, 'hi'))).toEqual(bad('input.channelId'))
    expect(await refusal(say(alice, channelId, 'hi', { replyToId: channelId }))).toEqual(bad('input.replyToId'))
    expect(await refusal(say(alice, channelId, 'hi', { replyToId: elsewhere.id }))).toEqual(bad('input.replyToId'))
    const nothing = `m${channelId.slice(1)}_1`
    expect(await refusal(say(alice, channelId, 'hi', { replyToId: nothing }))).toEqual(missing('input.replyToId'))
    expect((await failure(say(carol, channelId, 'hi'))).code).toBe('FORBIDDEN')
  })
})

describe('editing', () => {
  test('replaces what was said, and gives the next version', async () => {
    const sent = await say(alice, channelId, 'helo')
    const edited = await edit(alice, sent.id, 'hello')
    expect(edited).toMatchObject({ id: sent.id, seq: sent.seq, content: 'hello', createdAt: sent.createdAt })
    expect(edited.version).toBeGreaterThan(sent.version)
    expect(Date.parse(edited.editedAt!)).toBeGreaterThanOrEqual(Date.parse(sent.createdAt))
    expect(await edit(alice, sent.id, 'hello')).toEqual(edited)
    expect(await history(bob, channelId)).toEqual([edited])
  })

  test('is its author’s alone, and not for what the system says or what is gone', async () => {
    const { id } = await say(bob, channelId, 'his')
    expect((await failure(edit(alice, id, 'hers'))).code).toBe('FORBIDDEN')
    await remove(bob, id)
    expect(await refusal(edit(bob, id, 'back'))).toEqual(conflicting('input.messageId'))
    await alice.client.request(AddMembersDocument, { channelId, userIds: [carol.id] })
    const joined = (await history(carol, channelId)).find(({ kind }) => kind === 'MEMBER_JOINED')!
    expect((await failure(edit(carol, joined.id, 'no'))).code).toBe('FORBIDDEN')
    expect((await failure(remove(carol, joined.id))).code).toBe('FORBIDDEN')
  })

  test('says which input is at fault', async () => {
    const { id } = await say(alice, channelId, 'hi')
    for (const content of ['', '\u0000', '\ud800', 'x'.repeat(100_001)]) {
      expect(await refusal(edit(alice, id, content))).toEqual(bad('input.content'))
    }
    expect(await refusal(edit(alice, channelId, 'hi'))).toEqual(bad('input.messageId'))
    expect(await refusal(edit(alice, `m${channelId.slice(1)}_1`, 'hi'))).toEqual(missing('input.messageId'))
    expect(await refusal(edit(alice, 'm1_1', 'hi'))).toEqual(missing('input.messageId'))
  })
})

describe('deleting', () => {
  test('leaves an empty place, without reactions, mentions or pin', async () => {
    const sent = await say(bob, channelId, 'oops @alice')
    await alice.client.request(AddReactionDocument, { messageId: sent.id, emoji: '👍' })
    await alice.client.request(PinMessageDocument, { messageId: sent.id })
    expect(await unreadOf(alice)).toEqual({ messages: 1, mentions: 1 })
    const gone = await remove(bob, sent.id)
    expect(gone).toMatchObject({ id: sent.id, seq: 1, content: '', mentions: [], reactions: [], pinnedAt: null })
    expect(gone.deletedAt).not.toBeNull()
    expect(gone.version).toBeGreaterThan(sent.version)
    expect(await unreadOf(alice)).toEqual({ messages: 1, mentions: 0 })
    expect(await remove(bob, sent.id)).toEqual(gone)
    expect(await history(alice, channelId)).toEqual([gone])
    const { channel } = await alice.client.request(ChannelDocument, { id: channelId })
    expect(channel!.lastMessage).toEqual(gone)
  })

  test('nothing of it is left in the store', async () => {
    const { id } = await say(bob, channelId, 'a secret that must go')
    await remove(bob, id)
    const rows = await app.app.database.run(`select content from messages where content like '%secret%'`, [])
    expect(rows).toEqual([])
  })

  test('says which input is at fault', async () => {
    expect(await refusal(remove(alice, channelId))).toEqual(bad('messageId'))
    expect(await refusal(remove(alice, `m${channelId.slice(1)}_1`))).toEqual(missing('messageId'))
    expect(await refusal(remove(alice, 'm1_1'))).toEqual(missing('messageId'))
  })
})

test('a message shows itself by its id to members alone', async () => {
  const sent = await say(alice, channelId, 'hi')
  const found = async (person: Person) => (await person.client.request(MessageDocument, { id: sent.id })).node
  expect(await found(bob)).toEqual({ __typename: 'Message', ...sent })
  expect(await found(carol)).toBeNull()
})
