import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { newChannel, operation, say } from '../../schema/testing/operations.ts'
import { newShortCode } from '../lib/short-codes.ts'
import { type Person, type Replica, startTestApp, type TestApp } from '../testing/test-app.ts'
import { send } from './test-server.ts'

let app: TestApp
/** The same store, with an app that short links open. */
let opening: Replica
let alice: Person
let bob: Person
let carol: Person
beforeAll(async () => {
  app = await startTestApp()
  opening = await app.addReplica({ APP_URL: 'https://app.example.org/open?from=link' })
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
})
afterAll(() => app.stop())

const browser = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36'
const create = operation(`mutation Create($input: CreateInviteInput!) { createInvite(input: $input) { code } }`)
const link = operation(`mutation Link($messageId: ID!) { createMessageLink(messageId: $messageId) { code } }`)

const inviteCode = async (by: Person, channelId: string): Promise<string> =>
  (await by.client.request(create, { input: { channelId } })).createInvite.code
const messageCode = async (by: Person, messageId: string): Promise<string> =>
  (await by.client.request(link, { messageId })).createMessageLink.code

const get = (path: string, headers: Record<string, string> = {}, { on = app as Replica, method = 'GET' } = {}) =>
  send(new URL(path, on.url).href, { method, headers: { 'user-agent': browser, ...headers } })
const signedIn = (person: Person) => ({ cookie: `maru_session=${person.token}`, 'sec-fetch-site': 'none' })

describe('where there is an app', () => {
  const at = (path: string, headers: Record<string, string> = {}, method = 'GET') => get(path, headers, { on: opening, method })

  test('who is signed in is led there, and others have a button', async () => {
    const channelId = await newChannel(alice, {}, [bob])
    const { id } = await say(alice, channelId, 'hi')
    const [invite, message] = [await inviteCode(alice, channelId), await messageCode(alice, id)]
    for (const method of ['GET', 'HEAD']) {
      const joining = await at(`/i/${invite}`, signedIn(carol), method)
      expect([joining.status, joining.headers.location]).toEqual([302, `https://app.example.org/open?from=link&invite=${invite}`])
      expect(joining.headers).toMatchObject({ 'cache-control': 'private, no-store', 'referrer-policy': 'no-referrer' })
      const reading = await at(`/m/${message}`, signedIn(bob), method)
      expect([reading.status, reading.headers.location]).toEqual([302, `https://app.example.org/open?from=link&channel=${channelId}&message=${id}`])
    }
    expect((await at(`/i/${invite}`)).text).toContain(`<a class="button" href="https://app.example.org/open?from=link&amp;invite=${invite}">Open</a>`)
    // Whether there is a message is for the app to find out, which knows who asks.
    for (const code of [message, newShortCode()]) {
      for (const headers of [{}, signedIn(carol), { ...signedIn(alice), 'sec-fetch-site': 'cross-site' }] as Record<string, string>[]) {
        const answer = await at(`/m/${code}`, headers)
        expect(answer.status).toBe(200)
        expect(answer.text).toContain(`<a class="button" href="https://app.example.org/open?from=link&amp;link=${code}">Open</a>`)
      }
    }
    expect((await at(`/i/${newShortCode()}`, signedIn(carol))).status).toBe(404)
    expect((await at('/m/odd', signedIn(carol))).text).not.toContain('<a')
  })

  test('one with a scheme of its own is opened by whoever presses the button, as it may not be installed', async () => {
    const on = await app.addReplica({ APP_URL: 'myapp://open' })
    const channelId = await newChannel(alice, { name: 'tea' }, [bob])
    const { id } = await say(alice, channelId, 'green')
    const [invite, message] = [await inviteCode(alice, channelId), await messageCode(alice, id)]
    const joining = await get(`/i/${invite}`, signedIn(carol), { on })
    expect([joining.status, joining.headers.location]).toEqual([200, undefined])
    expect(joining.text).toContain(`<a class="button" href="myapp://open?invite=${invite}">Open</a>`)
    const reading = await get(`/m/${message}`, signedIn(bob), { on })
    expect([reading.status, reading.headers.location]).toEqual([200, undefined])
    expect(reading.text).toContain('green')
    expect(reading.text).toContain(`<a class="button" href="myapp://open?channel=${channelId}&amp;message=${id}">Open</a>`)
  })
})

describe('visits', () => {
  const uses = operation(`query Uses($code: String!) { invite(code: $code) { visits } }`)
  const visitsOf = async (code: string) => (await alice.client.request(uses, { code })).invite.visits

  test('are those of people, gathered and written', async () => {
    const code = await inviteCode(alice, await newChannel(alice))
    const others = [
      'facebookexternalhit/1.1; kakaotalk-scrap/1.0; +https://devtalk.kakao.com/t/scrap/33984',
      'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)',
      'TelegramBot (like TwitterBot)', 'WhatsApp/2.23.20.0', 'Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)',
      'Slackbot-LinkExpanding 1.0', 'Mozilla/5.0 (compatible; Yeti/1.1; +https://naver.me/spd)', 'curl/8.5.0', 'MaruBot/1.0', '',
    ]
    for (const agent of others) await get(`/i/${code}`, { 'user-agent': agent })
    await get(`/i/${code}`, {}, { method: 'HEAD' })
    await get(`/i/${code}`, { 'sec-purpose': 'prefetch;prerender' })
    const people = [
      browser,
      'Mozilla/5.0 (Linux; Android 9; CUBOT_X18_Plus) AppleWebKit/537.36 Chrome/120.0.0.0 Mobile Safari/537.36',
      'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/22A3354 KAKAOTALK 11.4.0',
    ]
    for (const agent of people) await get(`/i/${code}`, { 'user-agent': agent })
    const before = app.statements.length
    await Promise.all(Array.from({ length: 40 }, () => get(`/i/${code}`)))
    await Promise.all(Array.from({ length: 40 }, () => get(`/i/${code}`, {}, { on: opening })))
    await expect.poll(() => visitsOf(code)).toBe(83)
    const writes = app.statements.slice(before).filter((text) => text.startsWith('/* visits */'))
    expect(writes.length).toBeLessThan(20)
  })

  test('of messages are counted for those who may read them, whoever opened the link', async () => {
    const message = await say(alice, await newChannel(alice), 'hi')
    const code = await messageCode(alice, message.id)
    for (const headers of [{}, signedIn(carol), signedIn(alice)] as Record<string, string>[]) await get(`/m/${code}`, headers)
    const read = operation(`query Read($code: String!) { shortLink(code: $code) { ... on MessageLink { visits } } }`)
    await expect.poll(async () => (await alice.client.request(read, { code })).shortLink.visits).toBe(3)
  })

  test('of the last moment are written as the process ends', async () => {
    const code = await inviteCode(alice, await newChannel(alice))
    const passing = await app.addReplica()
    await get(`/i/${code}`, {}, { on: passing })
    await passing.server.drain(1_000)
    expect(await visitsOf(code)).toBe(1)
  })
})

test('apps that open short links by themselves are named where their systems ask for it', async () => {
  const paths = ['/.well-known/apple-app-site-association', '/.well-known/assetlinks.json']
  for (const path of paths) expect((await get(path)).status).toBe(404)
  const fingerprint = Array.from({ length: 32 }, (_, nth) => (nth + 160).toString(16)).join(':')
  const on = await app.addReplica({
    APP_IOS_IDS: 'ABCDE12345.org.example.chat, ABCDE12345.org.example.beta',
    APP_ANDROID_IDS: `org.example.chat=${fingerprint},org.example.chat=${fingerprint.replace('a0', '01')}`,
  })
  const [ios, android] = await Promise.all(paths.map((path) => get(path, {}, { on })))
  expect([ios!.status, ios!.headers['content-type']]).toEqual([200, 'application/json; charset=utf-8'])
  expect(ios!.json).toEqual({
    applinks: {
      details: [{ appIDs: ['ABCDE12345.org.example.chat', 'ABCDE12345.org.example.beta'], components: [{ '/': '/i/*' }, { '/': '/m/*' }] }],
    },
  })
  expect(android!.json).toEqual([
    {
      relation: ['delegate_permission/common.handle_all_urls'],
      target: {
        namespace: 'android_app',
        package_name: 'org.example.chat',
        sha256_cert_fingerprints: [fingerprint.toUpperCase(), fingerprint.toUpperCase().replace('A0', '01')],
      },
    },
  ])
})
