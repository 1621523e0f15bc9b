import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { AddReactionDocument, DeleteMessageDocument, RemoveReactionDocument } from '../client-sdk/index.ts'
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
let channelId: string
let messageId: string
beforeAll(async () => {
  app = await startTestApp()
  replica = await app.addReplica()
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
  channelId = await newChannel(alice, { kind: 'PUBLIC', name: 'tea' }, [bob])
})
beforeEach(async () => {
  messageId = (await say(alice, channelId, 'tea?')).id
})
afterAll(() => app.stop())

async function add(person: Person, emoji: string, client = person.client) {
  const { addReaction } = await client.request(AddReactionDocument, { messageId, emoji })
  return addReaction.message
}

async function remove(person: Person, emoji: string) {
  const { removeReaction } = await person.client.request(RemoveReactionDocument, { messageId, emoji })
  return removeReaction.message
}

const withReactions = operation(`query Reactions($id: ID!, $first: Int) {
  node(id: $id) { ... on Message { reactions { emoji count userIds(first: $first) viewerHasReacted } } }
}`)

describe('an emoji is', () => {
  test.each([
    '👍',
    '👍🏽',
    '❤️',
    '🇰🇷',
    '🏴󠁧󠁢󠁥󠁮󠁧󠁿',
    '🏳️‍🌈',
    '👨‍👩‍👧‍👦',
    '👩🏻‍❤️‍💋‍👩🏿',
    '1️⃣',
    '#️⃣',
    '⛹🏻‍♂️',
    '©️',
    '\u{1faf9}',
    // Set aside for a picture that nobody has drawn yet.
    '\u{1fadf}',
  ])('%s', async (emoji) => {
    expect((await add(alice, emoji)).reactions).toEqual([{ emoji, count: 1, userIds: [alice.id] }])
  })

  test.each([
    ['❤', '❤️'],
    ['🏳‍🌈', '🏳️‍🌈'],
    ['1⃣', '1️⃣'],
    ['👍\ufe0f', '👍'],
    ['👁‍🗨', '👁️‍🗨️'],
  ])('%s, which is drawn like %s and counts as that', async (given, emoji) => {
    await add(alice, given)
    expect((await add(bob, emoji)).reactions).toMatchObject([{ emoji, count: 2 }])
    expect((await remove(bob, given)).reactions).toMatchObject([{ emoji, count: 1 }])
  })

  test.each([
    ['nothing', ''],
    ['a letter', 'a'],
    ['a digit', '1'],
    ['a word', ':thumbsup:'],
    ['a star that is text', '★'],
    ['two', '👍👍'],
    ['one with a space', '👍 '],
    ['half a flag', '🇰'],
    ['a flag of no country', '🇽🇽'],
    ['half a pair', '\ud83d'],
    ['NUL', '\u0000'],
    ['what only joins', '\u200d'],
    ['what only chooses', '\ufe0f'],
    ['drawn as text', '❤\ufe0e'],
    ['a family without end', Array(50).fill('👩').join('\u200d')],
  ])('not %s', async (_, emoji) => {
    expect(await refusal(add(alice, emoji))).toEqual(bad('emoji'))
  })
})

test('each member gives each emoji once; the first come first', async () => {
  await add(bob, '🍵')
  await add(alice, '👍')
  const twice = await add(alice, '🍵')
  expect(twice.reactions).toEqual([
    { emoji: '🍵', count: 2, userIds: [bob.id, alice.id] },
    { emoji: '👍', count: 1, userIds: [alice.id] },
  ])
  expect(await add(alice, '🍵')).toEqual(twice)
  await remove(bob, '🍵')
  const left = await remove(bob, '🍵')
  expect(left.reactions).toEqual([
    { emoji: '👍', count: 1, userIds: [alice.id] },
    { emoji: '🍵', count: 1, userIds: [alice.id] },
  ])
  expect(left.version).toBeGreaterThan(twice.version)
})

test('everybody sees which are their own, and as many of the others as they ask for', async () => {
  await add(alice, '🍵')
  await add(bob, '🍵')
  await add(bob, '👍')
  const seenBy = async (person: Person, first: number) =>
    (await person.client.request(withReactions, { id: messageId, first })).node.reactions
  expect(await seenBy(alice, 1)).toEqual([
    { emoji: '🍵', count: 2, userIds: [alice.id], viewerHasReacted: true },
    { emoji: '👍', count: 1, userIds: [bob.id], viewerHasReacted: false },
  ])
  const both = { emoji: '🍵', count: 2, userIds: [alice.id, bob.id], viewerHasReacted: true }
  expect((await seenBy(bob, 100))[0]).toEqual(both)
  for (const first of [0, -1, 101]) {
    expect(await refusal(seenBy(alice, first))).toEqual(bad('first'))
  }
})

test('many at once, on two replicas, are all counted, each once', async () => {
  const give = (emoji: string) =>
    [alice, bob].flatMap((person) => [app, replica].map((on) => add(person, emoji, on.client(person.token))))
  await Promise.all(['🍵', '👍', '🎉'].flatMap(give))
  const [message] = (await history(alice, channelId)).slice(-1)
  expect(message!.reactions.map(({ count }) => count)).toEqual([2, 2, 2])
})

test('a message takes fifty different emoji, and any number of each', async () => {
  // Fruit, food and drink: there are more than fifty in a row.
  const emoji = Array.from({ length: 50 }, (_, place) => String.fromCodePoint(0x1f345 + place))
  await Promise.all(emoji.map((flag) => add(alice, flag)))
  expect(await refusal(add(alice, '👍'))).toEqual(conflicting('emoji'))
  const { reactions } = await add(bob, emoji[0]!)
  expect(reactions).toHaveLength(50)
  expect(reactions.find((reaction) => reaction.emoji === emoji[0])!.count).toBe(2)
})

test('says which input is at fault', async () => {
  const give = (id: string) => refusal(alice.client.request(AddReactionDocument, { messageId: id, emoji: '👍' }))
  expect(await give(channelId)).toEqual(bad('messageId'))
  expect(await give('m1_1')).toEqual(missing('messageId'))
  expect(await give(`m${channelId.slice(1)}_1`)).toEqual(missing('messageId'))
  expect((await failure(add(carol, '👍'))).code).toBe('FORBIDDEN')
  await alice.client.request(DeleteMessageDocument, { messageId })
  expect(await give(messageId)).toEqual(conflicting('messageId'))
})
