import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  AddMembersDocument,
  DeleteMessageDocument,
  EditMessageDocument,
  JoinChannelDocument,
  LeaveChannelDocument,
  OpenDirectChannelDocument,
  RemoveMemberDocument,
  type SearchMessagesQueryVariables,
  UpdateChannelDocument,
} from '../client-sdk/index.ts'
import { lines } from '../server/import/testing/run-import.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { bad, newChannel, operation, refusal, say } from './testing/operations.ts'
import { find, findAll, importText, joinAll, search } from './testing/search.ts'

let app: TestApp
let alice: Person
let bob: Person
let carol: Person
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
})
afterAll(() => app.stop())

describe('a search', () => {
  let channelId: string
  beforeAll(async () => {
    channelId = await newChannel(alice, { name: 'general' }, [bob])
  })

  test('finds a message as soon as its send is acknowledged', async () => {
    for (let nth = 0; nth < 20; nth++) {
      const word = `word${nth}x`
      await say(nth % 2 === 0 ? alice : bob, channelId, `here is ${word}`)
      expect(await find(alice, word)).toEqual([`here is ${word}`])
    }
  })

  test.each([
    ['학교', '학교에서 만나요', ['학교']],
    ['점검', '긴급점검회의록', ['점검']],
    ['ㄱㄱㅈ', '긴급점검회의', ['긴급점']],
    ['ㅈㄱ', '긴급점검회의', []],
    ['ㄱㅈ', '공지입니다', ['공지']],
    ['東京', '来週は東京へ行く', ['東京']],
    ['サーバ', 'ｻｰﾊﾞが落ちた', ['ｻｰﾊﾞ']],
    ['DEPLOY', 'we deploy on Friday', ['deploy']],
    ['café', 'meet me at the Cafe\u0301', ['Cafe\u0301']],
    ['"on friday"', 'lunch on, Friday', ['on, Friday']],
    ['timeout setdeadline', 'setDeadline before the timeout', ['setDeadline', 'timeout']],
    ['deadline', 'call setDeadline', ['Deadline']],
    ['🐙', 'look 👀🐙', ['🐙']],
  ])('for %s finds “%s” and says where', async (query, content, parts) => {
    const place = await newChannel(carol)
    await say(carol, place, 'something else')
    await say(carol, place, content)
    const found = await search(carol, query, { channelId: place })
    const texts = found.edges.map(({ node, highlights }) => highlights!.map(({ start, end }) => node.content.slice(start, end)))
    expect(texts).toEqual(parts.length === 0 ? [] : [parts])
  })

  test('wants all of the words, and phrases in order', async () => {
    for (const text of ['red green blue', 'green red', 'blue green red', 'red, green']) await say(alice, channelId, text)
    expect(await find(alice, 'red green')).toEqual(['red, green', 'blue green red', 'green red', 'red green blue'])
    expect(await find(alice, '"red green"')).toEqual(['red, green', 'red green blue'])
    expect(await find(alice, '"green red" blue')).toEqual(['blue green red'])
    expect(await find(alice, 'red yellow')).toEqual([])
  })

  test('is narrowed by author', async () => {
    await say(alice, channelId, 'tulips from me')
    await say(bob, channelId, 'tulips, too')
    expect(await find(alice, 'tulips from:bob')).toEqual(['tulips, too'])
    expect(await find(alice, 'from:@BOB tulips from:alice')).toEqual(['tulips, too', 'tulips from me'])
    expect(await find(bob, 'tulips from:me')).toEqual(['tulips, too'])
    expect(await find(alice, 'tulips', { authorId: bob.id })).toEqual(['tulips, too'])
    expect(await find(alice, 'tulips from:alice', { authorId: bob.id })).toEqual([])
    expect((await find(alice, 'from:bob', { first: 1 }))[0]).toBe('tulips, too')
    expect(await refusal(find(alice, 'tulips from:nobody'))).toEqual(bad('query'))
  })

  test('is narrowed by channel', async () => {
    const other = await newChannel(alice, { name: 'Two Words' })
    const twin = await newChannel(alice, { name: 'General' })
    const { openDirectChannel } = await alice.client.request(OpenDirectChannelDocument, { userId: carol.id })
    await say(alice, channelId, 'roses in general')
    await say(alice, other, 'roses in two words')
    await say(alice, twin, 'roses in its twin')
    await say(alice, openDirectChannel.channel.id, 'roses for carol')
    expect(await find(alice, 'roses in:"two words"')).toEqual(['roses in two words'])
    expect(await find(alice, 'roses in:#general')).toEqual(['roses in its twin', 'roses in general'])
    expect(await find(alice, 'roses in:@carol')).toEqual(['roses for carol'])
    expect(await find(alice, 'roses', { channelId: other })).toEqual(['roses in two words'])
    expect(await refusal(find(alice, 'roses in:nowhere'))).toEqual(bad('query'))
    expect(await refusal(find(alice, 'roses in:@bob'))).toEqual(bad('query'))
    expect(await refusal(find(alice, 'roses in:general', { channelId: other }))).toEqual(bad('query'))
    // What others call their channels is nobody's business.
    expect(await refusal(find(bob, 'roses in:"two words"'))).toEqual(bad('query'))
  })

  test('finds edited messages by their new words, and deleted ones not at all', async () => {
    const message = await say(alice, channelId, 'the old wording')
    await alice.client.request(EditMessageDocument, { input: { messageId: message.id, content: 'a newer phrase' } })
    expect(await find(alice, 'wording')).toEqual([])
    expect(await find(alice, 'newer phrase')).toEqual(['a newer phrase'])
    await alice.client.request(DeleteMessageDocument, { messageId: message.id })
    expect(await find(alice, 'newer phrase')).toEqual([])
    expect(await find(alice, 'from:alice', { channelId, first: 1 })).not.toContain('')
  })

  test('lists nothing that nobody wrote', async () => {
    const quiet = await newChannel(alice, { name: 'before' }, [bob])
    await alice.client.request(UpdateChannelDocument, { input: { channelId: quiet, name: 'renamed' } })
    await say(alice, quiet, 'the only message')
    expect(await find(alice, '', { channelId: quiet })).toEqual(['the only message'])
    expect(await find(alice, 'renamed')).toEqual([])
  })

  test('finds long messages to their end, and shows few of them at once', async () => {
    const long = await newChannel(alice)
    const content = `${'가나다라 lorem ipsum '.repeat(5_000)} 마지막needle`
    for (let nth = 0; nth < 8; nth++) await say(alice, long, content)
    const found = await findAll(alice, '마지막needle', 8)
    expect(found).toHaveLength(8)
    expect(found[0]!.highlights).toEqual([{ start: content.length - 9, end: content.length }])
    const page = await search(alice, '마지막needle', { first: 8 })
    expect(page.edges.length).toBeLessThan(8)
    expect(page.pageInfo.hasNextPage).toBe(true)
  })
})

describe('whom a search serves', () => {
  test('only members, and only for as long', async () => {
    const open = await newChannel(alice, { kind: 'PUBLIC', name: 'open' })
    const closed = await newChannel(alice, { name: 'closed' }, [bob])
    await say(alice, open, 'secrets in the open')
    await say(alice, closed, 'secrets behind doors')
    expect(await find(carol, 'secrets')).toEqual([])
    expect(await refusal(find(carol, 'secrets', { channelId: closed }))).toMatchObject({ code: 'FORBIDDEN' })
    expect(await refusal(find(carol, 'secrets', { channelId: open }))).toMatchObject({ code: 'FORBIDDEN' })
    await carol.client.request(JoinChannelDocument, { channelId: open })
    expect(await find(carol, 'secrets')).toEqual(['secrets in the open'])
    await carol.client.request(LeaveChannelDocument, { channelId: open })
    expect(await find(carol, 'secrets')).toEqual([])
    expect(await find(bob, 'secrets')).toEqual(['secrets behind doors'])
    await alice.client.request(RemoveMemberDocument, { channelId: closed, userId: bob.id })
    expect(await find(bob, 'secrets')).toEqual([])
    await alice.client.request(AddMembersDocument, { channelId: closed, userIds: [bob.id] })
    expect(await find(bob, 'secrets')).toEqual(['secrets behind doors'])
  })

  test('nobody who is not signed in', async () => {
    const query = operation('query Nobody { searchMessages(query: "a") { edges { cursor } } }')
    expect(await refusal(app.client().request(query, {}))).toMatchObject({ code: 'UNAUTHENTICATED' })
  })
})

describe('what is refused', () => {
  test.each([
    ['', {}, 'query'],
    ['  ', {}, 'query'],
    ['???', {}, 'query'],
    ['"!" from:alice', {}, 'query'],
    ['a '.repeat(40), {}, 'query'],
    ['a'.repeat(600), {}, 'query'],
    [`a${'\u0301'.repeat(1_000_000)}`, {}, 'query'],
    ['a\u0000', {}, 'query'],
    ['before:yesterday', {}, 'query'],
    ['from:', {}, 'query'],
    ['a', { first: 0 }, 'first'],
    ['a', { first: 101 }, 'first'],
    ['a', { after: 'nothing' }, 'after'],
    ['a', { after: Buffer.from('["x"]').toString('base64url') }, 'after'],
    ['a', { channelId: 'nothing' }, 'channelId'],
    ['a', { authorId: 'nothing' }, 'authorId'],
  ])('%#: %j', async (query, more, field) => {
    expect(await refusal(find(alice, query.slice(0, 2_000_000), more))).toEqual(bad(field))
  })

  test('no query, where something else says what to search for', async () => {
    expect(await find(alice, '', { sentBefore: '2001-01-01T00:00:00Z' })).toEqual([])
    expect(await find(alice, 'before:1999 after:2068 x')).toEqual([])
  })
})

describe('through years', () => {
  let dave: Person
  const year = (nth: number) => Date.UTC(2012 + nth, 5, 15)
  beforeAll(async () => {
    dave = await app.signUp('dave')
    const said = Array.from({ length: 14 }, (_, nth) =>
      Array.from({ length: 12 }, (_, month) => ({
        channel: month % 3 === 0 ? 'even' : 'odd',
        time: Date.UTC(2012 + nth, month, 15),
        author: month % 2 === 0 ? 'writer' : 'reader',
        text: `report ${month === 5 ? 'anniversary ' : ''}number ${nth * 12 + month}`,
      })),
    ).flat()
    await importText(app, lines(...said))
    await joinAll(dave)
  }, 60_000)

  test('messages come newest first, over all buckets, once each', async () => {
    const numbers = Array.from({ length: 14 * 12 }, (_, nth) => `number ${nth}`).toReversed()
    for (const first of [7, 100]) {
      const found = await findAll(dave, 'report', first)
      expect(found.map(({ node }) => /number \d+/.exec(node.content)![0])).toEqual(numbers)
    }
    expect(await findAll(dave, 'anniversary', 3)).toHaveLength(14)
    expect(await findAll(dave, 'from:writer in:even', 10)).toHaveLength(14 * 2)
  })

  test('dates bound it on either side', async () => {
    const years = async (query: string, more: Partial<SearchMessagesQueryVariables> = {}) => {
      const found = await search(dave, `anniversary ${query}`, more)
      return found.edges.map(({ node }) => new Date(node.createdAt).getUTCFullYear())
    }
    expect(await years('before:2014')).toEqual([2013, 2012])
    expect(await years('after:2023')).toEqual([2025, 2024])
    expect(await years('after:2013-06-14 before:2015-06-15')).toEqual([2014, 2013])
    expect(await years('after:2013-06-15 before:2015-06-16')).toEqual([2015, 2014])
    expect(await years('on:2016-06')).toEqual([2016])
    expect(await years('on:2016-06-15')).toEqual([2016])
    expect(await years('', { sentAfter: new Date(year(1)).toISOString(), sentBefore: new Date(year(4)).toISOString() })).toEqual(
      [2015, 2014],
    )
    expect(await years('after:2014', { sentBefore: new Date(year(4)).toISOString() })).toEqual([2015])
    expect(await years('after:2015 before:2014')).toEqual([])
  })

  test('pages neither repeat nor leave out anything while more is sent', async () => {
    const channelId = await newChannel(dave, { name: 'live' })
    for (let nth = 0; nth < 20; nth++) await say(dave, channelId, `flood ${nth}`)
    let count = 20
    const found = await findAll(dave, 'flood', 3, async () => {
      await say(dave, channelId, `flood ${count++}`)
    })
    expect(found.map(({ node }) => node.content)).toEqual(Array.from({ length: 20 }, (_, nth) => `flood ${19 - nth}`))
  })
})
