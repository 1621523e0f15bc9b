import { getChoseong } from 'es-hangul'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  AddContactDocument, AddMembersDocument, JoinChannelDocument, LeaveChannelDocument, RemoveMemberDocument,
  UpdateChannelDocument, UpdateProfileDocument,
} from '../client-sdk/index.ts'
import { koreanWords } from '../server/lib/testing/korean-words.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { channelSnowflake } from '../server/testing/watch-changes.ts'
import { countNames } from '../workers/suggestions-names.ts'
import { suggest, suggestions } from './testing/autocomplete.ts'
import { block, openDirect, unblock } from './testing/blocks.ts'
import { bad, missing, newChannel, operation, refusal, say } from './testing/operations.ts'

let app: TestApp
let alice: Person
let bob: Person
let carol: Person
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
})
afterAll(() => app.stop())

const newPublic = (owner: Person, name: string) => newChannel(owner, { kind: 'PUBLIC', name })
const rename = (person: Person, displayName: string | null) =>
  person.client.request(UpdateProfileDocument, { input: { displayName } })

/** Takes a name away from everybody: who has been there is not to be in the way of the next test. */
let people = 0
const newPerson = (name: string) => app.signUp(`${name}.${++people}`)

describe('what is typed', () => {
  let channelId: string
  beforeAll(async () => {
    channelId = await newPublic(bob, '한국')
    await newPublic(bob, '학교')
    await newPublic(bob, 'hello world')
  })

  test.each([
    ['하', ['#한국', '#학교']],
    ['한', ['#한국']],
    ['한ㄱ', ['#한국']],
    ['한구', ['#한국']],
    ['학', ['#학교']],
    ['ㅎ', ['#한국', '#학교']],
    ['ㅎㄱ', ['#한국', '#학교']],
    ['gksrnr', ['#한국']],
    ['GKSRNR', ['#한국']],
    ['gr', ['#한국', '#학교']],
    ['한국'.normalize('NFD'), ['#한국']],
    ['hel', ['#hello world']],
    ['HELLO w', ['#hello world']],
    ['ｈｅｌ', ['#hello world']],
    ['helloworld', ['#hello world']],
    ['wor', ['#hello world']],
    ['ㅗ디ㅣㅐ', ['#hello world']],
    ['#hel', ['#hello world']],
    ['orld', []],
    ['ㄱㅎ', []],
    ['!?', []],
    ['\u3164', []],
    ['nobody', []],
  ])('“%s” finds %j', async (prefix, found) => {
    expect((await suggest(alice, prefix, { kinds: ['CHANNEL'] })).toSorted()).toEqual(found.toSorted())
  })

  test('is found once, however many of its words begin so', async () => {
    await newPublic(bob, 'tick tick ticket')
    expect(await suggest(alice, 'tick')).toEqual(['#tick tick ticket'])
  })

  test('gives what there is to show', async () => {
    expect(await suggestions(alice, '한국')).toEqual([
      { kind: 'CHANNEL', text: '한국', user: null, channel: { id: channelId, name: '한국', kind: 'PUBLIC' } },
    ])
    const dana = await newPerson('dana')
    await rename(dana, '다나 Scully')
    expect(await suggestions(alice, 'scul')).toEqual([
      { kind: 'USER', text: '다나 Scully', user: { id: dana.id, username: dana.username }, channel: null },
    ])
  })

  test('a person is found by username, display name, and Koreans without the name of the family', async () => {
    const minsu = await newPerson('minsu.kim')
    await rename(minsu, '김민수')
    for (const typed of ['mins', 'kim', '@minsu', '김', '김민ㅅ', '김ㅁㅅ', '김ㅁㅅ'.normalize('NFD'), 'ㄱㅁㅅ', 'rlaals', '민수', 'ㅁㅅ', 'als']) {
      expect(await suggest(alice, typed), typed).toContain(`@${minsu.username}`)
    }
    for (const typed of ['강ㅁㅅ', '김ㅁㄱ', '김수ㅁㅅ']) expect(await suggest(alice, typed), typed).toEqual([])
    const channelId = await newChannel(minsu, { name: 'small' }, [alice])
    expect(await suggest(alice, '김ㅁㅅ', { channelId })).toEqual([`@${minsu.username}`])
    expect(await suggest(alice, '강ㅁㅅ', { channelId })).toEqual([])
  })

  test.each([
    ['a'.repeat(101), {}, bad('prefix')],
    ['한'.normalize('NFD').repeat(40), {}, bad('prefix')],
    ['a\u0000', {}, bad('prefix')],
    ['a', { first: 0 }, bad('first')],
    ['a', { first: 21 }, bad('first')],
    ['a', { first: -1 }, bad('first')],
    ['a', { channelId: 'nonsense' }, bad('channelId')],
  ])('“%s” with %j is refused', async (prefix, more, answer) => {
    expect(await refusal(suggest(alice, prefix, more))).toEqual(answer)
  })

  test('of odd inputs nothing goes wrong', async () => {
    for (const odd of ['%', '_', '\\', "'", '{', '\ud800'.toWellFormed(), '👍', '🏳️‍🌈', '뷁뷁뷁', 'ㅋ'.repeat(100), 'a\u0301\u0302', '\u{10fffd}']) {
      expect(await suggest(alice, odd), odd).toEqual([])
    }
  })

  test('nobody who is not signed in is suggested anything', async () => {
    const asked = app.client().request(operation('query Nobody { autocomplete(prefix: "a") { text } }'))
    expect(await refusal(asked)).toEqual({ code: 'UNAUTHENTICATED', field: undefined })
  })
})

describe('fifty Korean words', () => {
  beforeAll(async () => {
    for (const [word] of koreanWords) await newPublic(bob, word)
  }, 60_000)

  test.each(koreanWords)('%s is found by half-typed syllables, initials, and %s', async (word, strokes) => {
    const half = Array.from(word).slice(0, -1).join('') + String.fromCharCode(halfOf(word.at(-1)!))
    for (const typed of [half, getChoseong(word), strokes, strokes.slice(0, -1), word.normalize('NFD')]) {
      // Others may begin alike; of fifty never so many as one is shown.
      expect(await suggest(alice, typed, { kinds: ['CHANNEL'], first: 20 }), typed).toContain(`#${word}`)
    }
  })

  /** A syllable without its final consonant, or else its first consonant alone. */
  function halfOf(syllable: string): number {
    const place = syllable.charCodeAt(0) - 0xac00
    if (place % 28 > 0) return 0xac00 + place - (place % 28)
    return 'ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ'.charCodeAt(Math.floor(place / 588))
  }
})

describe('who and what comes first', () => {
  test('those whom one talks with, the latest first; then contacts, then people of one’s groups, then strangers', async () => {
    const me = await newPerson('viewer')
    const [first, second, contact, fellow, stranger] = [
      await newPerson('zoe-a'), await newPerson('zoe-b'), await newPerson('zoe-c'), await newPerson('zoe-d'), await newPerson('zoe-e'),
    ]
    const early = await openDirect(me, first)
    await say(me, early, 'hi')
    await say(me, await openDirect(me, second), 'hi')
    await me.client.request(AddContactDocument, { userId: contact.id })
    await newChannel(me, { name: 'zoo' }, [fellow])
    const names = [second, first, contact, fellow, stranger].map(({ username }) => `@${username}`)
    expect(await suggest(me, 'zo', { kinds: ['USER'] })).toEqual(names)
    // People and channels in turns.
    expect(await suggest(me, 'zo')).toEqual([names[0], '#zoo', ...names.slice(1)])
    expect(await suggest(me, 'zo', { first: 2 })).toEqual([names[0], '#zoo'])
    // Before anything is typed there are only those.
    expect(await suggest(me, '')).toEqual([names[0], '#zoo', ...names.slice(1, 4)])
    expect(await suggest(me, '@', { kinds: ['USER'] })).toEqual(names.slice(0, 4))
    await say(me, early, 'hi again')
    // Nothing of it has moved in the account, so that it is remembered for a while.
    expect((await suggest(me, 'zo', { kinds: ['USER'] })).slice(0, 2).toSorted()).toEqual(names.slice(0, 2).toSorted())
  })

  test('the viewer is not suggested to themselves', async () => {
    const me = await newPerson('only')
    const channelId = await newPublic(me, 'onlyhere')
    expect(await suggest(me, 'only')).toEqual(['#onlyhere'])
    expect(await suggest(me, 'only', { channelId })).toEqual([])
  })

  test('who is typed in full comes before who is known better', async () => {
    await Promise.all(['quine', 'quinea', 'quineb'].map((name) => app.signUp(name)))
    await Promise.all(['quine', 'quinea', 'quineb'].map((name) => newPublic(bob, `${name} fans`)))
    expect((await suggest(alice, 'quine', { kinds: ['USER'] }))[0]).toBe('@quine')
    expect((await suggest(alice, '@Quine'))[0]).toBe('@quine')
  })

  test('a channel of many comes before one of few', async () => {
    await newPublic(bob, 'walrus few')
    const many = await newPublic(bob, 'walrus many')
    for (let nth = 0; nth < 6; nth++) {
      await (await newPerson('joiner')).client.request(JoinChannelDocument, { channelId: many })
    }
    await countNames(app.app.database)
    expect(await suggest(alice, 'walrus')).toEqual(['#walrus many', '#walrus few'])
  })
})

describe('who may see what', () => {
  test('a GROUP is found by its members alone, at once, and by nobody who has left', async () => {
    const groupId = await newChannel(bob, { name: 'secret plan' })
    expect(await suggest(bob, 'secret')).toEqual(['#secret plan'])
    expect(await suggest(alice, 'secret')).toEqual([])
    await bob.client.request(AddMembersDocument, { channelId: groupId, userIds: [alice.id] })
    expect(await suggest(alice, 'plan')).toEqual(['#secret plan'])
    await bob.client.request(RemoveMemberDocument, { channelId: groupId, userId: alice.id })
    expect(await suggest(alice, 'secret')).toEqual([])
    await bob.client.request(LeaveChannelDocument, { channelId: groupId })
    expect(await suggest(bob, 'secret')).toEqual([])
  })

  test('of two of whom one has blocked the other neither finds the other, until it is over', async () => {
    const [one, other] = [await newPerson('blockone'), await newPerson('blockother')]
    const channelId = await newChannel(one, { name: 'both' }, [other])
    await openDirect(one, other)
    const mutual = async () => [
      await suggest(one, 'blocko', { kinds: ['USER'] }),
      await suggest(other, 'blocko', { kinds: ['USER'] }),
      await suggest(one, 'blocko', { channelId }),
      await suggest(other, '', { channelId }),
      await suggest(one, other.username),
    ]
    const open = [[other], [one], [other], [one], [other]].map((found) => found.map(({ username }) => `@${username}`))
    const shut = open.map(() => [])
    expect(await mutual()).toEqual(open)
    await block(one, other)
    expect(await mutual()).toEqual(shut)
    await unblock(one, other)
    await block(other, one)
    expect(await mutual()).toEqual(shut)
    await unblock(other, one)
    expect(await mutual()).toEqual(open)
  })

  test('who is renamed is found by the new name and not by the old one', async () => {
    const dana = await newPerson('dd')
    await rename(dana, '루시 Before')
    await openDirect(alice, dana)
    expect(await suggest(alice, 'befo')).toEqual([`@${dana.username}`])
    await rename(dana, 'After 루시')
    for (const gone of ['befo', '루시b']) expect(await suggest(alice, gone), gone).toEqual([])
    for (const typed of ['afte', 'ㄹㅅ', 'dd.']) expect(await suggest(bob, typed, { kinds: ['USER'] }), typed).toEqual([`@${dana.username}`])
    const channelId = await newPublic(bob, 'oldname')
    await bob.client.request(UpdateChannelDocument, { input: { channelId, name: 'newname' } })
    expect(await suggest(alice, 'oldn')).toEqual([])
    expect(await suggest(alice, 'newn')).toEqual(['#newname'])
    const { rows } = await keysOf(channelId)
    expect(rows).toBe(1)
  })

  test('who was deleted is not found', async () => {
    const gone = await newPerson('vanishing')
    const channelId = await newChannel(gone, { name: 'left behind' }, [alice])
    await openDirect(alice, gone)
    expect(await suggest(alice, 'vanish')).toHaveLength(1)
    await app.app.database.run('update users set deleted_at = now() where username = $1', [gone.username])
    expect(await suggest(alice, 'vanish')).toEqual([])
    expect(await suggest(alice, '', { channelId })).toEqual([])
    expect(await suggest(alice, gone.username)).toEqual([])
    expect(await countNames(app.app.database)).toMatchObject({ dropped: 1 })
    expect(await suggest(alice, 'vanish')).toEqual([])
  })

  async function keysOf(channelId: string) {
    const rows = await app.app.database.run('select from name_keys where subject_id = $1', [channelSnowflake(channelId)])
    return { rows: rows.length }
  }
})

describe('in a channel', () => {
  test('only its people are suggested, those one talks with first, and whoever comes at once', async () => {
    const me = await newPerson('mentioner')
    const [near, far, outside] = [await newPerson('mia-near'), await newPerson('mia-far'), await newPerson('mia-outside')]
    const channelId = await newChannel(me, { name: 'mia’s' }, [far, near])
    await openDirect(me, near)
    await openDirect(me, outside)
    const [nearName, farName, outsideName] = [near, far, outside].map(({ username }) => `@${username}`)
    expect(await suggest(me, 'mia', { channelId })).toEqual([nearName, farName])
    expect(await suggest(me, 'mia', { channelId, kinds: ['USER', 'CHANNEL'] })).toEqual([nearName, '#mia’s', farName])
    expect(await suggest(me, outside.username, { channelId })).toEqual([])
    expect(await suggest(me, '', { channelId })).toEqual([nearName, farName])
    await me.client.request(AddMembersDocument, { channelId, userIds: [outside.id] })
    expect((await suggest(me, 'mia', { channelId })).toSorted()).toEqual([nearName, farName, outsideName].toSorted())
    await me.client.request(RemoveMemberDocument, { channelId, userId: far.id })
    expect((await suggest(me, 'mia', { channelId })).toSorted()).toEqual([nearName, outsideName].toSorted())
    expect(await suggest(me, 'alk', { channelId })).toEqual([])
  })

  test('whoever may not read it is refused', async () => {
    const [groupId, publicId] = [await newChannel(bob), await newPublic(bob, 'mentions')]
    for (const channelId of [groupId, publicId]) {
      expect(await refusal(suggest(carol, 'b', { channelId }))).toEqual({ code: 'FORBIDDEN', field: undefined })
    }
    expect(await refusal(suggest(carol, 'b', { channelId: 'c1' }))).toEqual(missing('channelId'))
  })
})
