import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  AddMembersDocument,
  AddReactionDocument,
  DeleteMessageDocument,
  EditMessageDocument,
  JoinChannelDocument,
  LeaveChannelDocument,
  MarkThreadReadDocument,
  OpenDirectChannelDocument,
  RemoveMemberDocument,
  RemoveReactionDocument,
  SetChannelNotificationsDocument,
} from '../client-sdk/index.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { activityOf, activityPage, markActivityRead, unreadOf, untilMade } from './testing/activities.ts'
import { block, unblock } from './testing/blocks.ts'
import { bad, newChannel, operation, refusal, say } from './testing/operations.ts'

let app: TestApp
beforeAll(async () => {
  app = await startTestApp()
  await app.startWorkers()
})
afterAll(() => app.stop())

/** People whom no other test knows, as names are counted. */
let alice: Person
let bob: Person
let carol: Person
let channelId: string
let tests = 0
beforeEach(async () => {
  tests++
  ;[alice, bob, carol] = (await Promise.all(
    ['alice', 'bob', 'carol'].map((name) => app.signUp(`${name}${tests}`)),
  )) as [Person, Person, Person]
  channelId = await newChannel(alice, { kind: 'PUBLIC', name: 'general' }, [bob, carol])
})

const edit = (person: Person, messageId: string, content: string) =>
  person.client.request(EditMessageDocument, { input: { messageId, content } })
const remove = (person: Person, messageId: string) => person.client.request(DeleteMessageDocument, { messageId })
const react = (person: Person, messageId: string, emoji = '👍') =>
  person.client.request(AddReactionDocument, { messageId, emoji })
const unreact = (person: Person, messageId: string, emoji = '👍') =>
  person.client.request(RemoveReactionDocument, { messageId, emoji })
const at = (person: Person) => `@${person.username}`

/** What is about somebody, the newest first, once all is written: in short, and without having been brought in. */
async function about(person: Person): Promise<string[]> {
  await untilMade(app)
  const found = (await activityOf(person)).filter(({ kind }) => kind !== 'ADDED_TO_CHANNEL')
  return found.map(({ kind, actor, message, emoji }) =>
    [kind, actor.username.replace(/\d/g, ''), emoji, message?.content.replace(/\d/g, '')].filter(Boolean).join(' '),
  )
}

test('who is mentioned, answered, reacted to or brought in finds it, newest first, and nobody else does', async () => {
  await untilMade(app)
  const { id: rootId } = await say(alice, channelId, 'tea?')
  await say(bob, channelId, `yes ${at(alice)} ${at(bob)}`)
  await untilMade(app)
  await say(carol, channelId, 'no', { replyToId: rootId })
  await untilMade(app)
  await react(bob, rootId)
  await untilMade(app)
  expect(await about(alice)).toEqual(['REACTION bob 👍 tea?', 'REPLY carol no', 'MENTION bob yes @alice @bob'])
  expect(await about(bob)).toEqual([])
  const found = await activityOf(bob)
  expect(found).toMatchObject([
    {
      kind: 'ADDED_TO_CHANNEL',
      actor: { username: alice.username },
      channel: { id: channelId },
      message: null,
      emoji: null,
      read: false,
    },
  ])
  expect(await unreadOf(bob)).toBe(1)
  const all = await activityOf(alice)
  expect(all.map(({ order }) => order)).toEqual(all.map(({ order }) => order).toSorted((a, b) => b - a))
  for (const { at: when } of all) expect(Math.abs(Date.now() - +new Date(when))).toBeLessThan(60_000)
  expect(new Set(all.map(({ id }) => id)).size).toBe(3)
})

test('an answer that names its reader is one activity; one’s own doings are none', async () => {
  const { id: rootId } = await say(alice, channelId, 'tea?')
  await say(bob, channelId, `for ${at(alice)}`, { replyToId: rootId })
  await say(alice, channelId, `${at(alice)} again`, { replyToId: rootId })
  await react(alice, rootId)
  expect(await about(alice)).toEqual(['MENTION bob for @alice'])
  expect(await about(bob)).toEqual(['REPLY alice @alice again'])
})

test('replies are told to who follows: who was answered, who answered, and who reads along', async () => {
  const dan = await app.signUp(`dan${tests}`)
  await dan.client.request(JoinChannelDocument, { channelId })
  const { id: rootId } = await say(alice, channelId, 'tea?')
  await say(bob, channelId, 'one', { replyToId: rootId })
  await untilMade(app)
  await carol.client.request(MarkThreadReadDocument, { messageId: rootId, seq: 1 })
  await say(bob, channelId, 'two', { replyToId: rootId })
  await untilMade(app)
  await say(alice, channelId, 'three', { replyToId: rootId })
  expect(await about(alice)).toEqual(['REPLY bob two', 'REPLY bob one'])
  expect(await about(bob)).toEqual(['REPLY alice three'])
  expect(await about(carol)).toEqual(['REPLY alice three', 'REPLY bob two'])
  expect(await about(dan)).toEqual([])
})

test('an edit mentions, and takes a mention back', async () => {
  const { id } = await say(alice, channelId, `hi ${at(bob)}`)
  expect(await about(bob)).toEqual(['MENTION alice hi @bob'])
  await edit(alice, id, `hi ${at(carol)}`)
  expect(await activityOf(bob)).toHaveLength(1)
  expect(await about(bob)).toEqual([])
  expect(await about(carol)).toEqual(['MENTION alice hi @carol'])
  await edit(alice, id, `hi ${at(bob)} ${at(carol)}`)
  expect(await about(bob)).toEqual(['MENTION alice hi @bob @carol'])
  expect(await about(carol)).toEqual(['MENTION alice hi @bob @carol'])

  const { id: answer } = await say(bob, channelId, 'yes', { replyToId: id })
  expect((await about(alice))[0]).toBe('REPLY bob yes')
  await edit(bob, answer, `yes ${at(alice)}`)
  expect(await about(alice)).toEqual(['MENTION bob yes @alice'])
  await edit(bob, answer, 'yes!')
  expect(await about(alice)).toEqual(['REPLY bob yes!'])
})

test('what one person gives a message is one activity, for as long as something of it stands', async () => {
  const { id } = await say(alice, channelId, 'tea?')
  await react(bob, id, '👍')
  await untilMade(app)
  await react(bob, id, '🍵')
  await react(carol, id, '🍵')
  expect(await about(alice)).toEqual(['REACTION carol 🍵 tea?', 'REACTION bob 👍 tea?'])
  const [, first] = await activityOf(alice)
  await unreact(bob, id, '👍')
  expect(await about(alice)).toEqual(['REACTION carol 🍵 tea?', 'REACTION bob 🍵 tea?'])
  await unreact(bob, id, '🍵')
  expect(await activityOf(alice)).toHaveLength(1)
  expect(await about(alice)).toEqual(['REACTION carol 🍵 tea?'])
  await react(bob, id, '👍')
  // In its old place, so that nobody can draw attention over and over.
  expect(await about(alice)).toEqual(['REACTION carol 🍵 tea?', 'REACTION bob 👍 tea?'])
  expect((await activityOf(alice))[1]).toEqual(first)
})

test('what is deleted is gone at once, with all that was done to it', async () => {
  const { id } = await say(alice, channelId, `hi ${at(bob)}`)
  const { id: answer } = await say(bob, channelId, `yes ${at(carol)}`, { replyToId: id })
  await react(carol, id)
  expect(await about(alice)).toHaveLength(2)
  await remove(bob, answer)
  expect((await activityOf(alice)).map(({ kind }) => kind)).toEqual(['REACTION'])
  expect((await activityOf(carol)).map(({ kind }) => kind)).toEqual(['ADDED_TO_CHANNEL'])
  await remove(alice, id)
  for (const person of [alice, bob, carol]) expect(await unreadOf(person)).toBe(person === alice ? 0 : 1)
  await untilMade(app)
  for (const person of [alice, bob, carol]) expect(await unreadOf(person)).toBe(person === alice ? 0 : 1)
})

test('what has disappeared or expired is gone', async () => {
  await say(alice, channelId, `one ${at(bob)}`)
  await say(alice, channelId, `two ${at(bob)}`)
  expect(await about(bob)).toHaveLength(2)
  await app.app.database.run('update channels set first_seq = last_seq where last_seq = 2', [])
  expect(await about(bob)).toEqual(['MENTION alice two @bob'])
})

test('a channel that one has left or was put out of shows nothing; back in it, what was said is there again', async () => {
  await say(alice, channelId, `hi ${at(bob)} ${at(carol)}`)
  await untilMade(app)
  expect(await activityOf(bob)).toHaveLength(2)
  await bob.client.request(LeaveChannelDocument, { channelId })
  await alice.client.request(RemoveMemberDocument, { channelId, userId: carol.id })
  for (const person of [bob, carol]) {
    expect(await activityOf(person)).toEqual([])
    expect(await unreadOf(person)).toBe(0)
  }
  await bob.client.request(JoinChannelDocument, { channelId })
  expect((await activityOf(bob)).map(({ kind }) => kind)).toEqual(['MENTION'])
  await alice.client.request(AddMembersDocument, { channelId, userIds: [carol.id] })
  await untilMade(app)
  expect((await activityOf(carol)).map(({ kind }) => kind)).toEqual(['ADDED_TO_CHANNEL', 'MENTION'])
  // Jobs of what was done while somebody was away come to nothing.
  await bob.client.request(LeaveChannelDocument, { channelId })
  await say(alice, channelId, `gone? ${at(bob)}`)
  await untilMade(app)
  await bob.client.request(JoinChannelDocument, { channelId })
  expect(await about(bob)).toEqual(['MENTION alice hi @bob @carol'])
})

test('who comes by themselves, or opens a direct channel, is brought by nobody', async () => {
  const dan = await app.signUp(`dan${tests}`)
  await dan.client.request(JoinChannelDocument, { channelId })
  await alice.client.request(OpenDirectChannelDocument, { userId: dan.id })
  await untilMade(app)
  expect(await activityOf(dan)).toEqual([])
})

test.each(['who is reading', 'who did it'])('a block by %s hides what was done, until it is taken back', async (by) => {
  const { id } = await say(bob, channelId, `hi ${at(carol)}`)
  await react(alice, id)
  await say(alice, channelId, 'yes', { replyToId: id })
  expect(await about(bob)).toHaveLength(2)
  const [one, other] = by === 'who did it' ? [alice, bob] : [bob, alice]
  await block(one, other)
  expect(await activityOf(bob)).toEqual([])
  expect(await unreadOf(bob)).toBe(0)
  // What is done meanwhile is about nobody.
  await say(alice, channelId, `no ${at(bob)}`, { replyToId: id })
  await react(alice, id, '🍵')
  expect(await about(bob)).toEqual([])
  await unblock(one, other)
  expect((await about(bob)).toSorted()).toEqual(['REACTION alice 👍 hi @carol', 'REPLY alice yes'])
  expect(await about(carol)).toEqual(['MENTION bob hi @carol'])
})

test('muting hides nothing', async () => {
  const mutedUntil = new Date(Date.now() + 3_600_000).toISOString()
  await bob.client.request(SetChannelNotificationsDocument, { input: { channelId, level: 'NONE', mutedUntil } })
  await say(alice, channelId, `hi ${at(bob)}`)
  expect(await about(bob)).toEqual(['MENTION alice hi @bob'])
  expect(await unreadOf(bob)).toBe(2)
})

test('an account that was deleted is still who did it', async () => {
  await say(alice, channelId, `hi ${at(bob)}`)
  await app.app.database.run(`update users set deleted_at = now() where username = $1`, [alice.username])
  await untilMade(app)
  expect((await activityOf(bob)).map(({ kind }) => kind)).toEqual(['MENTION', 'ADDED_TO_CHANNEL'])
})

test('reading up to one marks all before it, and never goes back', async () => {
  for (const word of ['one', 'two', 'three']) {
    await say(alice, channelId, `${word} ${at(bob)}`)
    await untilMade(app)
  }
  const [three, two, one, added] = await activityOf(bob)
  expect(await unreadOf(bob)).toBe(4)
  expect(await markActivityRead(bob, two!.id)).toBe(1)
  const isRead = async () => (await activityOf(bob)).map(({ read }) => read)
  expect(await isRead()).toEqual([false, true, true, true])
  expect(await markActivityRead(bob, added!.id)).toBe(1)
  expect(await markActivityRead(bob, one!.id)).toBe(1)
  expect(await isRead()).toEqual([false, true, true, true])
  const answers = await Promise.all([two, three, added].map((each) => markActivityRead(bob, each!.id)))
  expect(answers.at(-1)).toBeLessThanOrEqual(1)
  expect(await unreadOf(bob)).toBe(0)
  await say(alice, channelId, `four ${at(bob)}`)
  await untilMade(app)
  expect(await unreadOf(bob)).toBe(1)
  // A number that is yet to come marks no more than there is.
  expect(await markActivityRead(bob, `${three!.id.split('_')[0]}_zzzz`)).toBe(0)
  await say(alice, channelId, `five ${at(bob)}`)
  await untilMade(app)
  expect(await unreadOf(bob)).toBe(1)
})

test('says which input is at fault', async () => {
  await untilMade(app)
  const [own] = await activityOf(bob)
  for (const id of ['', 'y', channelId, `${own!.id}0_1`, 'y1_zzzzzzzz', own!.id.replace('y', 'd')]) {
    expect(await refusal(markActivityRead(bob, id))).toEqual(bad('upTo'))
  }
  expect(await refusal(markActivityRead(alice, own!.id))).toEqual(bad('upTo'))
  for (const first of [0, 101, -1]) expect(await refusal(activityPage(alice, first))).toEqual(bad('first'))
  for (const text of ['', 'x', '["1","2"]', '["-1"]', '["99999999999"]', '["1.5"]']) {
    expect(await refusal(activityPage(alice, 5, Buffer.from(text).toString('base64url')))).toEqual(bad('after'))
  }
  const nobody = app.client()
  expect(await refusal(nobody.request(operation('query Nobody { activity { edges { cursor } } }'), {}))).toMatchObject({
    code: 'UNAUTHENTICATED',
  })
  expect(await refusal(nobody.request(operation('query Nobody { activityUnreadCount }'), {}))).toMatchObject({
    code: 'UNAUTHENTICATED',
  })
  const find = operation('query Find($id: ID!) { node(id: $id) { id } }')
  expect(await bob.client.request(find, { id: own!.id })).toEqual({ node: null })
})
