import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  BlockUserDocument,
  DeleteMessageDocument,
  MarkReadDocument,
  SetChannelNotificationsDocument,
  SetPresenceDocument,
  UpdateProfileDocument,
  UpdateSettingsDocument,
} from '../../client-sdk/index.ts'
import { newChannel, say } from '../../schema/testing/operations.ts'
import { createMailLinks } from '../../server/lib/mail-links.ts'
import { parseGlobalId } from '../../server/lib/global-id.ts'
import { userIdOf } from '../../server/testing/devices.ts'
import { type Person, startTestApp, type TestApp } from '../../server/testing/test-app.ts'
import { openDigest, publicUrl, secret, sendAway } from './testing/digest.ts'
import { startSmtpServer, type TestSmtpServer } from './testing/smtp-server.ts'

let app: TestApp
let server: TestSmtpServer
let digest: ReturnType<typeof openDigest>
let alice: Person
let bob: Person
let carol: Person
let channelId: string
let names = 0
beforeAll(async () => {
  ;[app, server] = await Promise.all([startTestApp(), startSmtpServer()])
  digest = openDigest(app, server)
})
beforeEach(async () => {
  server.received.length = 0
  server.answerTo({})
  digest.lines.length = 0
  names++
  ;[alice, bob, carol] = await Promise.all([
    app.signUp(`alice${names}`),
    app.signUp(`bob${names}`),
    app.signUp(`carol${names}`),
  ])
  channelId = await newChannel(alice, { name: 'tea' }, [bob, carol])
  await sendAway(app, bob)
})
afterAll(async () => {
  digest.close()
  await Promise.all([app.stop(), server.stop()])
})

/** The one mail that has come. */
function theMail() {
  expect(server.received).toHaveLength(1)
  return server.received[0]!
}

const notify = (person: Person, input: { level?: 'ALL' | 'MENTIONS' | 'NONE'; mutedUntil?: string }, id = channelId) =>
  person.client.request(SetChannelNotificationsDocument, { input: { channelId: id, ...input } })

test('tells who is away for long what is unread, and how to have it no more', async () => {
  await say(alice, channelId, 'good morning')
  await say(carol, channelId, 'hello\nall  of you')
  const direct = await newChannel(alice, { kind: 'DIRECT', name: null }, [bob])
  await say(alice, direct, 'waves', {})
  await digest.run(bob)
  const { mail, raw, to } = theMail()
  expect(to).toEqual([`bob${names}@example.org`])
  expect(mail.subject).toBe('3 unread messages in 2 conversations')
  const link = `${publicUrl}/mail/unsubscribe?token=`
  for (const part of [mail.text!, mail.html!.replaceAll(/<[^>]*>/g, '')]) {
    expect(part).toContain(`Hello bob${names},`)
    expect(part).toContain('tea: 2 unread messages')
    expect(part).toContain(`alice${names}: good morning`)
    expect(part).toContain(`carol${names}: hello all of you`)
    expect(part).toContain(`alice${names}: 1 unread message`)
    expect(part.indexOf('waves')).toBeLessThan(part.indexOf('good morning'))
  }
  expect(mail.text).toContain(link)
  expect(mail.html).toContain(`href="${link}`)
  const url = /^List-Unsubscribe: <(.+)>\r$/m.exec(raw)![1]!
  expect(raw).toContain('List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n')
  expect(raw).toContain('Auto-Submitted: auto-generated\r\n')
  const links = createMailLinks({ secret, publicUrl: () => publicUrl })
  const token = new URL(url).searchParams.get('token')!
  expect(await links.read(token, 'unsubscribe')).toMatchObject({ userId: userIdOf(bob) })
  expect(digest.lines.join()).not.toContain('example.org')
})

test('in Korean', async () => {
  await bob.client.request(UpdateSettingsDocument, { input: { locale: 'ko-KR' } })
  await say(alice, channelId, '안녕')
  await digest.run(bob)
  const { mail } = theMail()
  expect(mail.subject).toBe('읽지 않은 메시지 1개')
  expect(mail.text).toContain('tea: 읽지 않은 메시지 1개')
  expect(mail.html).toContain('<html lang="ko">')
})

test('what people write is text, also in HTML', async () => {
  const evil = `<img src=x onerror="alert('1')"> & <a href='https://evil.example'>`
  await alice.client.request(UpdateProfileDocument, { input: { displayName: '<b>alice</b>' } })
  const other = await newChannel(alice, { name: '"><script>' }, [bob])
  await say(alice, other, evil)
  await digest.run(bob)
  const { mail, raw } = theMail()
  expect(mail.html).not.toMatch(/<(img|script|b>|a href='https:\/\/evil)/)
  expect(mail.html).toContain('&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt; &amp;')
  expect(mail.text).toContain(evil)
  expect(raw.match(/^subject:/gim)).toHaveLength(1)
})

test('long messages are cut, and only the last are shown', async () => {
  for (const text of ['first of four', 'second', 'third', '👩‍👩‍👧 '.repeat(1_000)]) await say(alice, channelId, text)
  await digest.run(bob)
  const text = theMail().mail.text!
  expect(text).toContain('tea: 4 unread messages')
  expect(text).toContain(': second')
  expect(text).not.toContain('first of four')
  expect(text).toMatch(/ 👩‍👩‍👧…$/m)
  expect(text.length).toBeLessThan(1_500)
  await sendAway(app, bob)
  await say(alice, channelId, `wide${' \n'.repeat(1_000)}apart`)
  await say(alice, channelId, `wide${' \n'.repeat(100)}enough`)
  await digest.run(bob)
  const wide = server.received[1]!.mail.text
  expect(wide).toContain(': wide …\n')
  expect(wide).toContain(': wide enough\n')
})

test('of many conversations the latest are named, and of these the first show lines', async () => {
  await say(alice, channelId, 'the oldest')
  for (let nth = 1; nth <= 11; nth++) {
    await say(alice, await newChannel(alice, { name: `room ${nth}` }, [bob]), `in ${nth}`)
  }
  await digest.run(bob)
  const { subject, text } = theMail().mail
  expect(subject).toBe('12 unread messages in 12 conversations')
  expect(text).toContain('room 2: 1 unread message')
  expect(text).not.toContain('room 1:')
  expect(text).toContain('And 2 more conversations.')
  expect(text).toContain(': in 7')
  expect(text).not.toContain(': in 6')
})

test('without previews it shows nothing of what was said, by whom or where', async () => {
  await bob.client.request(UpdateSettingsDocument, { input: { pushPreviews: false } })
  await say(alice, channelId, 'a secret')
  await digest.run(bob)
  expect(theMail().mail.text).toContain('1 unread message')
  expect(theMail().raw + theMail().mail.html).not.toMatch(/secret|tea/)
})

test('what is deleted, to disappear, or said by somebody who is blocked is not shown', async () => {
  const { id } = await say(alice, channelId, 'taken back')
  await alice.client.request(DeleteMessageDocument, { messageId: id })
  await say(carol, channelId, 'unwelcome')
  await say(alice, channelId, 'welcome')
  await bob.client.request(BlockUserDocument, { userId: carol.id })
  const fleeting = await newChannel(alice, { name: 'fleeting' }, [bob])
  const parsed = parseGlobalId(fleeting) as { channelId: string }
  await app.app.database.run('update channels set expire_after_seconds = 3600 where id = $1', [parsed.channelId])
  await say(alice, fleeting, 'for now')
  await digest.run(bob)
  const { text } = theMail().mail
  expect(text).toContain('welcome')
  for (const hidden of ['taken back', 'unwelcome', 'for now']) expect(text).not.toContain(`: ${hidden}`)
})

test('channels that are muted, at NONE, read or left to mentions say nothing', async () => {
  await say(alice, channelId, 'hi')
  await notify(bob, { mutedUntil: new Date(Date.now() + 60_000).toISOString() })
  await digest.run(bob)
  await notify(bob, { level: 'NONE', mutedUntil: new Date(Date.now() - 60_000).toISOString() })
  await digest.run(bob)
  await notify(bob, { level: 'MENTIONS' })
  await digest.run(bob)
  expect(server.received).toEqual([])
  await say(alice, channelId, `@bob${names} look`)
  await say(alice, channelId, 'and then?')
  await digest.run(bob)
  expect(theMail().mail.text).toContain(`tea: 1 message that mentions you`)
  expect(theMail().mail.text).not.toContain('and then?')
  await sendAway(app, bob)
  await bob.client.request(MarkReadDocument, { channelId, seq: 100 })
  await digest.run(bob)
  expect(server.received).toHaveLength(1)
})

describe('nothing is sent', () => {
  beforeEach(async () => {
    await say(alice, channelId, 'hi')
  })

  test.each([
    ['to an address that nobody has confirmed', `update settings set email_verified_at = null`],
    ['to nowhere', `update settings set email = null`],
    ['to who wants none', `update settings set email_when_away = false`],
    ['to who had one today', `update settings set mailed_at = now() - interval '23 hours'`],
    ['to who was there today', `update users set last_active_at = now() - interval '11 hours'`],
    ['to who came today', `update users set last_active_at = null`],
    ['to somebody without settings', `delete from settings`],
  ])('%s', async (_, change) => {
    await app.app.database.run(change, [])
    await digest.run(bob)
    expect(server.received).toEqual([])
  })

  test('to who is connected', async () => {
    const connected = openDigest(app, server, { isConnected: () => Promise.resolve(true) })
    await connected.run(bob)
    expect(server.received).toEqual([])
    // There is something unread: whoever is away by then is written to.
    const [until] = connected.putOff
    expect(+until! - Date.now()).toBeGreaterThan(11 * 3_600_000)
    connected.close()
  })

  test('to who hides, of what has only just come', async () => {
    await bob.client.request(SetPresenceDocument, { status: 'OFFLINE' })
    await sendAway(app, bob)
    await digest.run(bob)
    expect(server.received).toEqual([])
    const soon = openDigest(app, server, { awayMs: 1 })
    await soon.run(bob)
    theMail()
    soon.close()
  })
})
