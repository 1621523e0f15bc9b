import { Parser } from 'htmlparser2'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DeleteMessageDocument, JoinChannelDocument, LeaveChannelDocument, UpdateChannelDocument, UpdateProfileDocument } from '../../client-sdk/index.ts'
import { openDatabase } from '../../drizzle/connection.ts'
import { history, newChannel, operation, say } from '../../schema/testing/operations.ts'
import { createShortLinksService } from '../domain/short-links.ts'
import { unavailable } from '../errors.ts'
import { newShortCode } from '../lib/short-codes.ts'
import { type Person, startTestApp, type TestApp } from '../testing/test-app.ts'
import { createShortLinkPages } from './short-links.ts'
import { send, startTestServer } from './test-server.ts'

let app: TestApp
let alice: Person
let bob: Person
let carol: Person
beforeAll(async () => {
  app = await startTestApp({ PUBLIC_URL: 'https://chat.example.org' })
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
})
afterAll(() => app.stop())

const browser = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36'
const create = operation(`mutation Create($input: CreateInviteInput!) { createInvite(input: $input) { code } }`)
const revoke = operation(`mutation Revoke($code: String!) { revokeInvite(code: $code) { code } }`)
const link = operation(`mutation Link($messageId: ID!) { createMessageLink(messageId: $messageId) { code } }`)

const inviteCode = async (by: Person, channelId: string): Promise<string> =>
  (await by.client.request(create, { input: { channelId } })).createInvite.code
const messageCode = async (by: Person, messageId: string): Promise<string> =>
  (await by.client.request(link, { messageId })).createMessageLink.code

const get = (path: string, headers: Record<string, string> = {}, { method = 'GET' } = {}) =>
  send(new URL(path, app.url).href, { method, headers: { 'user-agent': browser, ...headers } })
const signedIn = (person: Person) => ({ cookie: `maru_session=${person.token}`, 'sec-fetch-site': 'none' })

/** What a page holds, as a parser that is not ours reads it. */
function read(html: string) {
  const elements: string[] = []
  const meta: Record<string, string> = {}
  const attributes = new Set<string>()
  const texts: string[] = []
  let within = ''
  const parser = new Parser({
    onopentag(name, given) {
      within = name
      elements.push(name)
      for (const attribute of Object.keys(given)) attributes.add(attribute)
      if (name === 'meta') meta[given.property ?? given.name ?? 'charset'] = given.content ?? given.charset!
    },
    ontext(text) {
      if (within !== 'style' && text.trim() !== '') texts.push(text)
    },
  })
  parser.end(html)
  return { elements, meta, attributes: [...attributes].toSorted(), text: texts.join('') }
}

const plain = (text: string) => text.replaceAll(/[\u2068\u2069]/g, '')

describe('the page of an invite', () => {
  test('shows where it leads to everybody, and to what makes previews', async () => {
    const channelId = await newChannel(alice, { name: 'Tea & cake', topic: 'green\n\nand black' }, [bob])
    const code = await inviteCode(alice, channelId)
    const { status, headers, text } = await get(`/i/${code}`)
    expect(status).toBe(200)
    expect(headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'content-language': 'en',
      'cache-control': 'private, no-store',
      'referrer-policy': 'no-referrer',
      'x-robots-tag': 'noindex',
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      vary: 'accept-language, authorization, cookie',
    })
    expect(headers['content-security-policy']).toMatch(/^default-src 'none'; style-src 'sha256-[\w+/=]+'; form-action 'none'; /)
    const page = read(text)
    expect(page.elements).toEqual([
      'html', ...Array.from({ length: 2 }, () => 'meta'), 'title', ...Array.from({ length: 10 }, () => 'meta'), 'style', 'h1', 'p', 'p', 'bdi', 'p',
    ])
    expect(Object.fromEntries(Object.entries(page.meta).map(([name, value]) => [name, plain(value)]))).toEqual({
      charset: 'utf-8',
      viewport: 'width=device-width',
      robots: 'noindex',
      description: 'alice invites you · 2 members — green and black',
      'og:type': 'website',
      'og:locale': 'en_US',
      'og:title': 'You are invited to Tea & cake',
      'og:description': 'alice invites you · 2 members — green and black',
      'og:url': `https://chat.example.org/i/${code}`,
      'twitter:card': 'summary',
      'twitter:title': 'You are invited to Tea & cake',
      'twitter:description': 'alice invites you · 2 members — green and black',
    })
    expect(plain(page.text)).toContain('Open this link in the app to join.')
  })

  test('speaks Korean to those who would rather have it', async () => {
    const code = await inviteCode(alice, await newChannel(alice, { name: '마루', topic: null }))
    for (const wish of ['ko', 'ko-KR,ko;q=0.9,en-US;q=0.8', 'fr, ko;q=0.5', 'en;q=0.1, KO-kr;q=0.2']) {
      const { headers, text } = await get(`/i/${code}`, { 'accept-language': wish })
      expect([headers['content-language'], plain(read(text).meta['og:title']!)]).toEqual(['ko', '마루에 초대받았습니다'])
    }
    for (const wish of ['en', 'fr', 'ko;q=0', 'en, ko;q=0.9', ';;q=,,', 'constructor', 'ko'.repeat(5_000)]) {
      expect((await get(`/i/${code}`, { 'accept-language': wish })).headers['content-language']).toBe('en')
    }
  })

  test('takes nothing that people write for its own', async () => {
    const evil = `"><script>alert(1)</script><img src=x onerror='alert(2)'> \u202egnp.exe\u2066 &amp; </title></style>`
    const channelId = await newChannel(alice, { name: evil.slice(0, 80), topic: `${evil}\r\nLocation: https://evil.example\r\n\r\n<svg/onload=alert(3)>` })
    await alice.client.request(UpdateProfileDocument, { input: { displayName: `<b>"'alice\u202e` } })
    const { status, headers, text } = await get(`/i/${await inviteCode(alice, channelId)}`)
    await alice.client.request(UpdateProfileDocument, { input: { displayName: 'alice' } })
    expect([status, headers.location]).toEqual([200, undefined])
    const { elements, attributes, meta } = read(text)
    expect(new Set(elements)).toEqual(new Set(['html', 'meta', 'title', 'style', 'h1', 'p', 'bdi']))
    expect(attributes).toEqual(['charset', 'class', 'content', 'dir', 'lang', 'name', 'property'])
    // What turns the direction of a line is taken out, and what is left is isolated.
    expect(text).not.toMatch(/[\u202a-\u202e\u2066\u2067]/)
    expect(meta['og:title']).toMatch(/^You are invited to \u2068[^\u2068]*\u2069$/)
    expect(meta['og:title']).toContain('<script>alert(1)</script>')
    expect(meta['og:description']).not.toMatch(/[\r\n]/)
  })

  test('is the same for every invite that is no longer good, and for none', async () => {
    const codes = await Promise.all(Array.from({ length: 3 }, async () => inviteCode(alice, await newChannel(alice))))
    await alice.client.request(revoke, { code: codes[0] })
    await app.app.database.run(`update invites set expires_at = now() - interval '1 second' where code = $1`, [codes[1]])
    await app.app.database.run(`update invites set max_uses = 1, uses = 1 where code = $1`, [codes[2]])
    const message = await messageCode(alice, (await say(alice, await newChannel(alice), 'hi')).id)
    const odd = ['', '%00', '%0d%0aset-cookie:a=b', '...', '%2e%2e%2f', 'a'.repeat(5_000), '<script>', `${codes[0]}x`, "'--"]
    const never = await get(`/i/${newShortCode()}`)
    expect(never.status).toBe(404)
    for (const code of [...codes, message, ...odd]) {
      const { status, text, headers } = await get(`/i/${code}`)
      expect([status, text, headers['set-cookie']], code).toEqual([404, never.text, undefined])
    }
  })

  test('answers HEAD as it would GET, and nothing else', async () => {
    const path = `/i/${await inviteCode(alice, await newChannel(alice))}`
    const [whole, head] = [await get(path), await get(path, {}, { method: 'HEAD' })]
    expect([head.status, head.text]).toEqual([200, ''])
    const { date: _, 'x-request-id': __, ...expected } = whole.headers
    expect(head.headers).toMatchObject(expected)
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      const { status, headers } = await get(path, {}, { method })
      expect([status, headers.allow]).toEqual([405, 'GET, HEAD'])
    }
  })
})

describe('the page of a message', () => {
  test('shows it to who may read it', async () => {
    const channelId = await newChannel(alice, { name: 'tea' }, [bob])
    const { id, createdAt } = await say(alice, channelId, '<i>first</i> line\nsecond \u202eline')
    const code = await messageCode(alice, id)
    for (const headers of [signedIn(bob), { authorization: `Bearer ${bob.token}` }] as Record<string, string>[]) {
      const { status, text } = await get(`/m/${code}`, headers)
      const page = read(text)
      expect(status).toBe(200)
      expect(plain(page.text)).toMatch(/^\s*alice\s*alice\s*tea/)
      expect(page.text).toContain('<i>first</i> line\nsecond line')
      expect(text).toContain(`<time datetime="${createdAt}">`)
      // What a preview would show is shown to others.
      expect(page.meta['og:title']).toBe('A message in a conversation')
      expect(JSON.stringify(page.meta)).not.toContain('first')
    }
    const long = await say(alice, channelId, '가'.repeat(5_000))
    const { text } = await get(`/m/${await messageCode(alice, long.id)}`, signedIn(bob))
    expect(read(text).text.match(/가+…/)?.[0]).toHaveLength(401)
    await alice.client.request(DeleteMessageDocument, { messageId: id })
    expect(read((await get(`/m/${code}`, signedIn(bob))).text).text).toContain('This message has been deleted.')
  })

  test('says what has happened where nothing was written', async () => {
    const channelId = await newChannel(alice, { kind: 'PUBLIC', topic: 'tea' }, [bob])
    await carol.client.request(JoinChannelDocument, { channelId })
    await alice.client.request(UpdateChannelDocument, { input: { channelId, topic: null } })
    await carol.client.request(LeaveChannelDocument, { channelId })
    const shown = new Map<string, string>()
    for (const { id, kind } of await history(alice, channelId)) {
      const { text } = await get(`/m/${await messageCode(alice, id)}`, { ...signedIn(alice), 'accept-language': 'ko' })
      shown.set(kind, plain(read(text).text))
    }
    expect([...shown.keys()]).toEqual(['MEMBER_JOINED', 'CHANNEL_UPDATED', 'MEMBER_LEFT'])
    expect(shown.get('MEMBER_JOINED')).toMatch(/^\s*carol[^]*대화에 들어왔습니다\./)
    expect(shown.get('CHANNEL_UPDATED')).toMatch(/^\s*alice[^]*대화 이름이나 주제를 바꿨습니다\./)
    expect(shown.get('MEMBER_LEFT')).toMatch(/^\s*carol[^]*대화에서 나갔습니다\./)
  })

  test('is one and the same to all others, whether there is a message or not', async () => {
    const channelId = await newChannel(alice, { name: 'secrets' }, [bob])
    const code = await messageCode(alice, (await say(alice, channelId, 'the password')).id)
    const invite = await inviteCode(alice, channelId)
    await bob.client.request(LeaveChannelDocument, { channelId })
    const never = newShortCode()
    const { status, text, headers } = await get(`/m/${never}`)
    expect(status).toBe(200)
    expect(headers['content-type']).toBe('text/html; charset=utf-8')
    expect(read(text).text).toContain('Sign in to see it.')
    const visitors: Record<string, string>[] = [
      {},
      signedIn(bob),
      signedIn(carol),
      { cookie: 'maru_session=nonsense', 'sec-fetch-site': 'none' },
      { authorization: 'Bearer nonsense' },
      { 'user-agent': 'Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)' },
      // What another site puts into a page of its own, and asks for in the visitor's name.
      { ...signedIn(alice), 'sec-fetch-dest': 'iframe' },
      { ...signedIn(alice), 'sec-fetch-dest': 'empty' },
    ]
    for (const given of visitors) {
      for (const each of [code, never, invite]) {
        const answer = await get(`/m/${each}`, given)
        expect([answer.status, answer.text, answer.headers.location]).toEqual([200, text, undefined])
      }
    }
    for (const odd of ['', '%00', '...', 'a'.repeat(5_000), '"><script>']) {
      expect((await get(`/m/${odd}`)).text).toBe(text)
    }
    // By a link on another site the browser keeps the cookie back; pressed here, it sends it.
    const elsewhere = { ...signedIn(alice), 'sec-fetch-site': 'cross-site' }
    const answers = await Promise.all([code, never].map((each) => get(`/m/${each}`, elsewhere)))
    expect(answers[0]!.text).toBe(answers[1]!.text)
    expect(answers[0]!.text).toContain('<a href="">I am signed in here</a>')
    expect((await get(`/m/${code}`, { ...signedIn(alice), 'sec-fetch-site': 'same-origin' })).text).toContain('the password')
  })
})

test('while the store is away the pages say so, and nothing of its insides', async () => {
  const database = openDatabase({ url: 'postgres://nobody:secret@127.0.0.1:1/none', poolSize: 1, deadlineMs: 500, unavailable })
  const { users, settings, sessions, invites, messages } = app.app.services
  const links = createShortLinksService({ database }, { invites, messages, publicUrl: () => 'http://localhost' })
  const pages = createShortLinkPages({ links, users, settings, authenticate: sessions.authenticate, appUrl: null })
  const server = await startTestServer({ shortLinks: pages })
  for (const kind of ['i', 'm']) {
    const answer = await send(`${server.url}/${kind}/${newShortCode()}`, { headers: { 'accept-language': 'ko' } })
    expect([answer.status, answer.headers['retry-after'], answer.headers['cache-control']]).toEqual([503, '1', 'private, no-store'])
    expect(answer.text).toContain('지금은 서비스를 이용할 수 없습니다.')
    expect(answer.text).not.toMatch(/postgres|127\.0|ECONN/i)
  }
  await server.drain(0)
  await database.close()
})

test('a channel that is renamed is shown by its new name', async () => {
  const channelId = await newChannel(alice, { name: 'old' })
  const code = await inviteCode(alice, channelId)
  await alice.client.request(UpdateChannelDocument, { input: { channelId, name: 'new' } })
  expect(plain(read((await get(`/i/${code}`)).text).meta['og:title']!)).toBe('You are invited to new')
})
