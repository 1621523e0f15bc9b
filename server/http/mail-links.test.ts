import { SignJWT } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { createEmailVerificationJob } from '../../workers/mail/email-verification.ts'
import { keptLog } from '../../workers/mail/testing/digest.ts'
import { startSmtpServer, type TestSmtpServer } from '../../workers/mail/testing/smtp-server.ts'
import { createSettingsService, type SettingsService } from '../domain/settings.ts'
import { unavailable } from '../errors.ts'
import { createMailer, type Mailer } from '../lib/mail.ts'
import { createMailLinks, type MailLinks } from '../lib/mail-links.ts'
import { createTestDatabase } from '../testing/test-app.ts'
import { createMailPages } from './mail-links.ts'
import { send, startTestServer, type TestServer } from './test-server.ts'

const secret = 'the same for all replicas of a test'
let database: Database
let settings: SettingsService
let server: TestServer
let smtp: TestSmtpServer
let mailer: Mailer
let links: MailLinks
let ask: (data: { userId: string }) => Promise<void>
let userId: string
let users = 100

beforeAll(async () => {
  database = openDatabase({ url: await createTestDatabase(), poolSize: 4, unavailable })
  await migrate(database)
  settings = createSettingsService({ database }, () => Promise.resolve())
  links = createMailLinks({ secret, publicUrl: () => `${server.url}/` })
  server = await startTestServer({ mail: createMailPages({ links, settings }) })
  smtp = await startSmtpServer()
  mailer = createMailer({ url: smtp.url, from: 'Maru <chat@example.org>' })
  ask = createEmailVerificationJob({ database, mailer, publicUrl: () => server.url, secret, log: keptLog().log })
})
beforeEach(async () => {
  userId = String(++users)
  smtp.received.length = 0
  await database.run(
    `insert into users (id, username, display_name, created_at) values ($1, $2, 'Visit https://evil.example', now())`,
    [userId, `alice${userId}`],
  )
  await settings.update(userId, { email: `alice${userId}@example.org` })
})
afterAll(async () => {
  mailer.close()
  await Promise.all([server.drain(0), smtp.stop(), database.close()])
})

/** How browsers and mail programs post. */
const form = { 'content-type': 'application/x-www-form-urlencoded' }

const address = () => `alice${userId}@example.org`
const isVerified = async () => (await settings.find(userId)).emailVerified

describe('who sets an address', () => {
  test('gets a mail with a link, whose page has a button that confirms it', async () => {
    await ask({ userId })
    const [{ mail, to }] = smtp.received as [(typeof smtp.received)[number]]
    expect(to).toEqual([address()])
    expect(mail.subject).toBe('Is this your mailbox?')
    // It goes to whoever has that address: nothing stands there that the user can choose.
    expect(mail.text! + mail.html!).not.toContain('evil')
    const url = /https?:\S+/.exec(mail.text!)![0]
    expect(mail.html).toContain(`href="${url}"`)

    // Scanners fetch links, and more than once.
    for (const method of ['GET', 'HEAD', 'GET']) {
      const page = await send(url, { method })
      expect(page.status).toBe(200)
      const button = '<form method="post"><button>Confirm this address</button></form>'
      if (method === 'GET') expect(page.text).toContain(button)
    }
    expect(await isVerified()).toBe(false)
    for (let nth = 0; nth < 2; nth++) {
      const done = await send(url, { method: 'POST', headers: form, body: 'x=y' })
      expect([done.status, done.text.includes('Confirmed')]).toEqual([200, true])
    }
    expect(await isVerified()).toBe(true)
    // And nothing more is asked.
    await ask({ userId })
    expect(smtp.received).toHaveLength(1)
  })

  test('is asked again where the server was busy, and not where it knows nobody of that name', async () => {
    smtp.answerTo({ data: () => ({ code: 451, text: '4.3.0 Try again' }) })
    await expect(ask({ userId })).rejects.toThrow('Try again')
    smtp.answerTo({ rcpt: () => ({ code: 550, text: '5.1.1 No such user' }) })
    await ask({ userId })
    smtp.answerTo({})
    await ask({ userId })
    expect(smtp.received).toHaveLength(1)
  })

  test('reads Korean where that is their language, in the mail and on the page', async () => {
    await settings.update(userId, { locale: 'ko' })
    await ask({ userId })
    const { mail } = smtp.received[0]!
    expect(mail.subject).toBe('메일 주소를 확인해 주세요')
    const page = await send(/https?:\S+/.exec(mail.text!)![0], { headers: { 'accept-language': 'en' } })
    expect(page.text).toContain('<html lang="ko">')
    expect(page.text).toContain('주소 확인')
  })
})

describe('who wants no more mail', () => {
  test('presses a button on a page', async () => {
    const url = await links.unsubscribeUrl(userId, address())
    expect((await send(url)).text).toContain('Stop these mails')
    expect((await settings.find(userId)).emailWhenAway).toBe(true)
    expect((await send(url, { method: 'POST' })).status).toBe(200)
    expect((await settings.find(userId)).emailWhenAway).toBe(false)
    expect((await send(url, { method: 'POST' })).text).toContain('Done')
  })

  test('or one in their mail program, which posts by itself', async () => {
    const url = await links.unsubscribeUrl(userId, address())
    expect((await send(url, { method: 'POST', headers: form, body: 'List-Unsubscribe=One-Click' })).status).toBe(200)
    expect((await settings.find(userId)).emailWhenAway).toBe(false)
  })

  test('by the link of an address that is no longer set, the one that is stays as it is', async () => {
    const url = await links.unsubscribeUrl(userId, 'other@example.org')
    expect((await send(url, { method: 'POST' })).status).toBe(200)
    expect((await settings.find(userId)).emailWhenAway).toBe(true)
  })
})

describe('a link that is not good', () => {
  test('does nothing, and says so', async () => {
    const good = await links.verifyUrl(userId, address())
    const forger = createMailLinks({ secret: `${secret}!`, publicUrl: () => server.url })
    const token = new URL(good).searchParams.get('token')!
    const unsigned = Buffer.from('{"alg":"none"}').toString('base64url')
    const stale = [
      `${server.url}/mail/verify`,
      `${server.url}/mail/verify?token=`,
      `${server.url}/mail/verify?token=${'x'.repeat(8_000)}`,
      `${server.url}/mail/verify?token=%ff%00`,
      await forger.verifyUrl(userId, address()),
      // Meant for something else.
      good.replace('verify', 'unsubscribe'),
      (await links.unsubscribeUrl(userId, address())).replace('unsubscribe', 'verify'),
      // Of an address that is no longer set.
      await links.verifyUrl(userId, 'other@example.org'),
      // Of nobody.
      await links.verifyUrl('1', address()),
      `${server.url}/mail/verify?token=${token.split('.').with(0, unsigned).join('.')}`,
    ]
    for (const url of stale) {
      const page = await send(url, { method: 'POST' })
      expect([url, page.status]).toEqual([url, 410])
      expect(page.text).toContain('no longer good')
    }
    expect(await isVerified()).toBe(false)
    const korean = await send(stale[0]!, { headers: { 'accept-language': 'ko-KR,ko;q=0.9' } })
    expect(korean.text).toContain('사용할 수 없는 링크')
  })

  test('nor is one after a day', async () => {
    // An access token of the same secret is none of them either.
    const access = await new SignJWT({ iss: 'maru-mail', aud: 'verify', sub: userId })
      .setProtectedHeader({ alg: 'HS256' })
      .sign(Buffer.from(secret))
    expect(await links.read(access, 'verify')).toBeNull()
    const url = new URL(await links.verifyUrl(userId, address()))
    const claims = JSON.parse(Buffer.from(url.searchParams.get('token')!.split('.')[1]!, 'base64url').toString())
    const hours = (claims.exp * 1_000 - Date.now()) / 3_600_000
    expect(hours).toBeGreaterThan(23.9)
    expect(hours).toBeLessThanOrEqual(24)
    const unsubscribe = new URL(await links.unsubscribeUrl(userId, address())).searchParams.get('token')!
    expect(JSON.parse(Buffer.from(unsubscribe.split('.')[1]!, 'base64url').toString()).exp).toBeUndefined()
    // Neither names the address.
    expect(JSON.stringify(claims)).not.toContain('example.org')
  })
})

test('the page may do nothing but send its own form, and is kept by nobody', async () => {
  const page = await send(await links.verifyUrl(userId, address()))
  expect(page.headers).toMatchObject({
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'referrer-policy': 'no-referrer',
    'x-frame-options': 'DENY',
    'x-robots-tag': 'noindex',
  })
  expect(page.headers['content-security-policy']).toMatch(
    /^default-src 'none'; style-src 'sha256-[\w+/=]+'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'$/,
  )
  const refused = await send(await links.verifyUrl(userId, address()), { method: 'PUT' })
  expect([refused.status, refused.headers.allow]).toEqual([405, 'GET, HEAD, POST'])
})

test('without the store it says that it did not work', async () => {
  const url = await createTestDatabase()
  const away = openDatabase({ url, poolSize: 1, unavailable })
  const pages = createMailPages({ links, settings: createSettingsService({ database: away }, null) })
  const other = await startTestServer({ mail: pages })
  await away.close()
  const token = new URL(await links.verifyUrl(userId, address())).search
  const page = await send(`${other.url}/mail/verify${token}`, { method: 'POST', headers: { 'accept-language': 'ko' } })
  expect([page.status, page.text.includes('잠시 후 다시')]).toEqual([503, true])
  await other.drain(0)
})

test('where there is no mail there are no pages', async () => {
  const other = await startTestServer()
  expect((await send(`${other.url}/mail/verify?token=x`)).status).toBe(404)
  await other.drain(0)
})
