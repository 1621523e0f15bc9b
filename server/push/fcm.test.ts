import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { createFcm } from './fcm.ts'
import { describePushSender, noticeOf } from './push-sender.conformance.ts'
import type { FcmOptions, PushTarget } from './push-sender.ts'
import { type FcmServer, startFcmServer } from './testing/fcm-server.ts'

const newToken = () => `${randomBytes(11).toString('base64url')}:${randomBytes(90).toString('base64url')}`
const target = (over: Partial<PushTarget> = {}): PushTarget => ({
  platform: 'FCM',
  token: newToken(),
  appId: null,
  sandbox: false,
  ...over,
})

describePushSender('FCM', async () => {
  const provider = await startFcmServer()
  return { provider, options: { fcm: provider.options }, newToken }
})

describePushSender('FCM', async () => {
  const provider = await startFcmServer()
  return { provider, options: { fcm: { ...provider.options, isDataOnly: true } }, newToken }
})

describe('FCM', () => {
  let google: FcmServer
  beforeAll(async () => {
    google = await startFcmServer()
  })
  afterAll(() => google.stop())
  beforeEach(() => {
    google.log.length = 0
  })

  function open(over: Partial<FcmOptions> & { timeoutMs?: number } = {}) {
    const sender = createFcm({ timeoutMs: 5_000, ...google.options, ...over })
    onTestFinished(() => sender.close())
    return sender
  }

  test('a new message is shown by Android at once, one that changes goes to its place quietly', async () => {
    const [sender, to] = [open(), target({ appId: 'maru-test' })]
    const accepted = await sender.send(to, noticeOf({ isUrgent: true, expiresAt: new Date(Date.now() + 60_500) }))
    const providerId = expect.stringMatching(/^projects\/.*messages\/./)
    expect(accepted).toMatchObject({ outcome: 'accepted', providerId })
    await sender.send(to, noticeOf({ kind: 'replace' }))
    const [shown, replaced] = google.log.map(({ payload }) => payload)
    expect(shown).toMatchObject({
      token: to.token,
      notification: { title: 'alice', body: 'hello' },
      data: { channelId: 'c1', messageId: 'm1', seq: '1', kind: 'show', threadId: 'general', badge: '3' },
      android: {
        priority: 'HIGH',
        ttl: '60s',
        notification: {
          tag: 'message 1',
          notification_count: 3,
          default_sound: true,
          notification_priority: 'PRIORITY_HIGH',
        },
      },
      apns: { headers: { 'apns-push-type': 'alert' }, payload: { aps: { badge: 3, sound: 'default' } } },
    })
    expect(shown!.apns.payload.aps).not.toHaveProperty('alert')
    const quiet = { tag: 'message 1', default_sound: false }
    expect(replaced!.android).toMatchObject({ priority: 'NORMAL', notification: quiet })
    expect(replaced!.android.collapse_key).toBe(shown!.android.collapse_key)
  })

  test('withdrawals and numbers are for the app', async () => {
    const [sender, to] = [open(), target()]
    for (const kind of ['withdraw', 'badge'] as const) await sender.send(to, noticeOf({ kind }))
    for (const [place, kind] of ['withdraw', 'badge'].entries()) {
      const { payload } = google.log[place]!
      expect(payload).not.toHaveProperty('notification')
      expect(payload.data).toMatchObject({ kind, collapseId: 'message 1', badge: '3', messageId: 'm1' })
      expect(payload.data).not.toHaveProperty('title')
      expect(payload.android).toMatchObject({ priority: 'NORMAL' })
      expect(payload.android).not.toHaveProperty('notification')
    }
  })

  test('an app that shows its notices itself gets the words as data, and none takes the place of another', async () => {
    await open({ isDataOnly: true }).send(target(), noticeOf())
    const { payload } = google.log[0]!
    expect(payload).not.toHaveProperty('notification')
    expect(payload.data).toMatchObject({ title: 'alice', body: 'hello', kind: 'show' })
    expect(payload.android).toEqual({ priority: 'HIGH', ttl: expect.any(String) })
    expect(payload.apns.payload.aps.alert).toEqual({ title: 'alice', body: 'hello' })
  })

  test("names that are Google's own do not spoil a notice", async () => {
    const data = { from: 'x', google: 'x', 'gcm.n': 'x', message_type: 'x', messageId: 'm1' }
    expect(await open().send(target(), noticeOf({ data }))).toMatchObject({ outcome: 'accepted' })
    expect(google.log[0]!.data).toEqual({ messageId: 'm1' })
  })

  test.each([
    [404, 'UNREGISTERED', undefined, 'dead'],
    [403, 'SENDER_ID_MISMATCH', undefined, 'dead'],
    [400, 'INVALID_ARGUMENT', 'message.token', 'dead'],
    [400, 'INVALID_ARGUMENT', 'message.android.ttl', 'refused'],
    [400, 'INVALID_ARGUMENT', undefined, 'refused'],
    [401, 'THIRD_PARTY_AUTH_ERROR', undefined, 'later'],
    [403, 'PERMISSION_DENIED', undefined, 'later'],
    [404, 'NOT_FOUND', undefined, 'refused'],
    [429, 'QUOTA_EXCEEDED', undefined, 'later'],
    [500, 'INTERNAL', undefined, 'later'],
    [503, 'UNAVAILABLE', undefined, 'later'],
  ])('%i %s about %s: %s', async (status, reason, about, outcome) => {
    google.next({ status, reason, about })
    expect(await open().send(target(), noticeOf())).toMatchObject({ outcome, reason })
  })

  test('a device of another project is refused', async () => {
    const outcome = await open().send(target({ appId: 'other-project' }), noticeOf())
    expect(outcome).toEqual({ outcome: 'refused', reason: 'APP_NOT_ALLOWED' })
  })

  test('one token serves all until its last minute', async () => {
    const sender = open()
    const before = google.exchanges()
    const sends = () => Promise.all(Array.from({ length: 50 }, () => sender.send(target(), noticeOf())))
    for (const { outcome } of [...(await sends()), ...(await sends())]) expect(outcome).toBe('accepted')
    expect(google.exchanges()).toBe(before + 1)

    google.lifetime(60)
    onTestFinished(() => google.lifetime(3_600))
    const other = open()
    await other.send(target(), noticeOf())
    await other.send(target(), noticeOf())
    expect(google.exchanges()).toBe(before + 3)
  })

  test('a token that Google no longer takes is fetched anew once, for all', async () => {
    const sender = open()
    await sender.send(target(), noticeOf())
    const before = google.exchanges()
    google.revoke()
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => sender.send(target(), noticeOf())))
    for (const { outcome } of outcomes) expect(outcome).toBe('accepted')
    expect(google.exchanges()).toBe(before + 1)
    google.next({ status: 401, reason: 'UNAUTHENTICATED' }, { status: 401, reason: 'UNAUTHENTICATED' })
    const outcome = await sender.send(target(), noticeOf())
    expect(outcome).toEqual({ outcome: 'later', reason: 'UNAUTHENTICATED', retryAfterMs: 60_000 })
  })

  test('what goes wrong with the token goes wrong with the notice, and is over with it', async () => {
    const sender = open({ timeoutMs: 500 })
    const send = () => sender.send(target(), noticeOf())
    google.nextExchange({ status: 503, headers: { 'retry-after': '7' } })
    expect(await send()).toEqual({ outcome: 'later', reason: 'HTTP 503', retryAfterMs: 7_000 })
    google.nextExchange({ status: 400, reason: 'invalid_grant' })
    expect(await send()).toEqual({ outcome: 'later', reason: 'invalid_grant', retryAfterMs: 60_000 })
    google.nextExchange('held')
    expect(await send()).toEqual({ outcome: 'later', reason: 'TIMEOUT', retryAfterMs: null })
    expect(google.log).toEqual([])
    await expect.poll(send).toMatchObject({ outcome: 'accepted' })
  })

  test('an account without a key is refused at the start', () => {
    const serviceAccount = { ...google.options.serviceAccount, private_key: 'secret' }
    expect(() => open({ serviceAccount })).toThrow(/private_key is no RSA key/)
  })
})
