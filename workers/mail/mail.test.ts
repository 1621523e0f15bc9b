import { afterAll, beforeAll, expect, test } from 'vitest'
import { SettingsDocument, TypingDocument, UpdateSettingsDocument } from '../../client-sdk/index.ts'
import { newChannel, say } from '../../schema/testing/operations.ts'
import { send } from '../../server/http/test-server.ts'
import { userIdOf } from '../../server/testing/devices.ts'
import { listen } from '../../server/testing/listen.ts'
import { type Person, startTestApp, type TestApp } from '../../server/testing/test-app.ts'
import { startSmtpServer, type TestSmtpServer } from './testing/smtp-server.ts'

let app: TestApp
let smtp: TestSmtpServer
let alice: Person
let bob: Person
beforeAll(async () => {
  smtp = await startSmtpServer()
  app = await startTestApp({ SMTP_URL: smtp.url, MAIL_FROM: 'Maru <chat@example.org>', MAIL_AWAY_HOURS: '1' })
  await app.startWorkers()
  ;[alice, bob] = await Promise.all([app.signUp('alice'), app.signUp('bob')])
})
afterAll(async () => {
  await app.stop()
  await smtp.stop()
})

/** Where a link of a mail leads, on this machine. */
const linkIn = (mail: { text?: string }) => /https?:\S+\/mail\/\S+/.exec(mail.text!)![0]

/** Adds the job by another key than the one that waits for its time. */
const writeTo = (person: Person) =>
  app.app.database.transaction((tx) =>
    app.app.jobs.add(tx, [{ kind: 'email-digest', data: { userId: userIdOf(person) }, key: 'now' }]),
  )

/** Mails that wait to be written. */
async function waiting() {
  const counts = (await app.app.jobs.operator.counts()).find(({ kind }) => kind === 'email-digest')
  return { now: (counts?.ready ?? 0) + (counts?.active ?? 0), later: counts?.deferred ?? 0 }
}

const presenceOf = async (person: Person) =>
  (await app.app.services.presence.look([userIdOf(person)])).get(userIdOf(person))!.status

const settle = (userId: string, more: string) =>
  app.app.database.run(`update settings set ${more} where user_id = $1`, [userId])

test('from naming a mailbox to having no more mail, over the wire', async () => {
  const input = { email: 'bob@example.org', locale: 'ko' }
  const { updateSettings } = await bob.client.request(UpdateSettingsDocument, { input })
  expect(updateSettings).toMatchObject({ email: 'bob@example.org', emailVerified: false })
  await expect.poll(() => smtp.received.length).toBe(1)
  expect(smtp.received[0]).toMatchObject({ from: 'chat@example.org', to: ['bob@example.org'] })
  expect((await send(linkIn(smtp.received[0]!.mail), { method: 'POST' })).status).toBe(200)
  expect((await bob.client.request(SettingsDocument)).settings.emailVerified).toBe(true)

  await app.app.database.run(`update users set last_active_at = now() - interval '2 hours'`, [])
  await settle(userIdOf(bob), `mailed_at = now() - interval '25 hours'`)
  await say(alice, await newChannel(alice, { name: '차' }, [bob]), '왔어?')

  // What has come is a reason to write to bob some time.
  await expect.poll(waiting).toEqual({ now: 0, later: 1 })

  await writeTo(bob)
  await expect.poll(() => smtp.received.length).toBe(2)
  const { mail, raw } = smtp.received[1]!
  expect(mail.subject).toBe('읽지 않은 메시지 1개')
  expect(mail.text).toContain('alice: 왔어?')

  // Not while bob is there.
  await settle(userIdOf(bob), `mailed_at = null`)
  const here = listen(app, bob, TypingDocument, { channelId: await newChannel(bob) })
  await expect.poll(() => presenceOf(bob)).toBe('ONLINE')
  await writeTo(bob)
  await expect.poll(waiting).toEqual({ now: 0, later: 1 })
  expect(smtp.received).toHaveLength(2)
  here.stop()

  const oneClick = /^List-Unsubscribe: <(.+)>\r$/m.exec(raw)![1]!
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  expect((await send(oneClick, { method: 'POST', headers, body: 'List-Unsubscribe=One-Click' })).status).toBe(200)
  const { settings } = await bob.client.request(SettingsDocument)
  expect(settings).toMatchObject({ emailVerified: true, emailWhenAway: false })
})
