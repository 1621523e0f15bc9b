import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  DeleteMessageDocument,
  JoinChannelDocument,
  LeaveChannelDocument,
  RemoveMemberDocument,
  SetChannelNotificationsDocument,
} from '../client-sdk/index.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { block, openDirect, unblock } from './testing/blocks.ts'
import { entriesOf, expectedFeed, feedPage, feedsWritten, wholeFeed } from './testing/feed.ts'
import { bad, newChannel, refusal, say } from './testing/operations.ts'

let app: TestApp
let nth = 0
let alice: Person
let bob: Person
let carol: Person
beforeAll(async () => {
  app = await startTestApp({ FEED_WRITTEN_MEMBERS: '3' })
  await app.startWorkers()
})
beforeEach(async () => {
  nth++
  ;[alice, bob, carol] = (await Promise.all(['alice', 'bob', 'carol'].map((name) => app.signUp(`${name}${nth}`)))) as [
    Person,
    Person,
    Person,
  ]
})
afterAll(() => app.stop())

const contents = async (person: Person) => (await feedPage(person)).edges.map(({ node }) => node.content)

/** A public channel with more members than are written to. */
async function large(owner: Person, members: Person[]) {
  const channelId = await newChannel(owner, { kind: 'PUBLIC', name: `square ${nth}` })
  const others = await Promise.all([1, 2].map((number) => app.signUp(`passer-by ${nth} ${number}`.replaceAll(' ', '-'))))
  for (const person of [...members, ...others]) await person.client.request(JoinChannelDocument, { channelId })
  return channelId
}

const isMerged = async (name: string) =>
  (await app.app.database.run<{ feed_merged: boolean }>('select feed_merged from channels where name = $1', [name]))[0]!
    .feed_merged

test('what others say in all channels, newest first, whatever their size', async () => {
  const group = await newChannel(alice, {}, [bob])
  const direct = await openDirect(alice, carol)
  const square = await large(alice, [bob, carol])
  await say(bob, group, 'one')
  await say(carol, direct, 'two')
  await say(bob, square, 'three')
  await say(alice, group, 'my own')
  await say(bob, group, 'four')
  expect(await contents(alice)).toEqual(['four', 'three', 'two', 'one'])
  await feedsWritten(app)
  expect(await contents(alice)).toEqual(['four', 'three', 'two', 'one'])
  expect(await contents(bob)).toEqual(['my own'])
  // Of what is large nothing is written.
  expect(await isMerged(`square ${nth}`)).toBe(true)
  expect(await entriesOf(app, alice)).toBe(3)
})

test('who comes sees what is said from then on, and who comes back what is said after that', async () => {
  const channelId = await newChannel(alice, { kind: 'PUBLIC' })
  await say(alice, channelId, 'before')
  await bob.client.request(JoinChannelDocument, { channelId })
  await say(alice, channelId, 'while there')
  await feedsWritten(app)
  expect(await contents(bob)).toEqual(['while there'])
  await bob.client.request(LeaveChannelDocument, { channelId })
  expect(await contents(bob)).toEqual([])
  await say(alice, channelId, 'away')
  await bob.client.request(JoinChannelDocument, { channelId })
  expect(await contents(bob)).toEqual([])
  await say(alice, channelId, 'back')
  expect(await contents(bob)).toEqual(['back'])
})

describe.each(['written out', 'merged'])('what counts at once, %s', (how) => {
  let channelId: string
  let tea: { id: string }
  beforeEach(async () => {
    channelId =
      how === 'merged' ? await large(alice, [bob, carol]) : await newChannel(alice, { kind: 'GROUP' }, [bob, carol])
    tea = await say(alice, channelId, 'tea')
    await say(bob, channelId, 'coffee')
    await feedsWritten(app)
  })

  test('deleting', async () => {
    expect(await contents(carol)).toEqual(['coffee', 'tea'])
    await alice.client.request(DeleteMessageDocument, { messageId: tea.id })
    expect(await contents(carol)).toEqual(['coffee'])
  })

  test('blocking, and taking it back', async () => {
    await block(carol, bob)
    expect(await contents(carol)).toEqual(['tea'])
    await unblock(carol, bob)
    expect(await contents(carol)).toEqual(['coffee', 'tea'])
  })

  test('being removed', async () => {
    await alice.client.request(RemoveMemberDocument, { channelId, userId: carol.id })
    expect(await contents(carol)).toEqual([])
  })

  test('following no more, and again; being quiet for a while is nothing of the kind', async () => {
    const set = (input: object) => carol.client.request(SetChannelNotificationsDocument, { input: { channelId, ...input } } as never)
    await set({ level: 'NONE' })
    expect(await contents(carol)).toEqual([])
    await say(alice, channelId, 'meanwhile')
    await feedsWritten(app)
    await set({ level: 'MENTIONS', mutedUntil: new Date(Date.now() + 3_600_000).toISOString() })
    expect(await contents(carol)).toEqual(['meanwhile', 'coffee', 'tea'])
  })
})

test('pages repeat nothing and leave nothing out while new messages come', async () => {
  const group = await newChannel(alice, {}, [bob])
  const square = await large(alice, [bob, carol])
  for (let number = 0; number < 12; number++) await say(bob, number % 3 === 0 ? square : group, `${number}`)
  await feedsWritten(app)
  const before = await expectedFeed(app.app.database, alice)
  expect(before).toHaveLength(12)
  for (const size of [1, 5, 12, 13]) {
    const expected = await expectedFeed(app.app.database, alice)
    const read = await wholeFeed(alice, size, async () => void (await say(bob, size === 5 ? square : group, 'later')))
    expect(read).toEqual(expected)
  }
})

test('what is written is all that is read where nothing is large', async () => {
  const ids = []
  for (let number = 0; number < 5; number++) ids.push(await newChannel(alice, { name: `room ${number}` }, [bob]))
  for (const id of ids) for (const word of ['a', 'b', 'c']) await say(bob, id, word)
  await feedsWritten(app)
  const start = app.statements.length
  const { edges } = await feedPage(alice, 10)
  expect(edges).toHaveLength(10)
  const ran = app.statements.slice(start).flatMap((text) => /^\/\* (.*?) \*\//.exec(text)?.[1] ?? [])
  expect(ran).toContain('feed')
  expect(ran).not.toContain('feed of channels')
})

test('cursors and sizes that are none', async () => {
  expect(await refusal(feedPage(alice, 0))).toEqual(bad('first'))
  expect(await refusal(feedPage(alice, 1_000))).toEqual(bad('first'))
  expect(await refusal(feedPage(alice, 10, 'tea'))).toEqual(bad('after'))
  for (const place of [['0', '0'], ['000', '5'], ['9223372036854775807', '9223372036854775807']]) {
    const cursor = Buffer.from(JSON.stringify(place)).toString('base64url')
    expect((await feedPage(alice, 10, cursor)).edges).toEqual([])
  }
  expect(await refusal(app.client().request({ name: 'Feed', text: 'query Feed { feed { edges { cursor } } }' } as never, {}))).toMatchObject({ code: 'UNAUTHENTICATED' })
})
