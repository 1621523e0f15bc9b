import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { createApns } from './apns.ts'
import { createProviderToken } from './apns-token.ts'
import { describePushSender, noticeOf } from './push-sender.conformance.ts'
import type { ApnsOptions, PushTarget } from './push-sender.ts'
import { type ApnsServer, startApnsServer } from './testing/apns-server.ts'

const newToken = () => randomBytes(32).toString('hex')
const target = (over: Partial<PushTarget> = {}): PushTarget => ({
  platform: 'APNS',
  token: newToken(),
  appId: null,
  sandbox: false,
  ...over,
})

describePushSender('APNS', async () => {
  const provider = await startApnsServer()
  return { provider, options: { apns: provider.options }, newToken }
})

describe('APNs', () => {
  let apple: ApnsServer
  beforeAll(async () => {
    apple = await startApnsServer({ streams: 5 })
  })
  afterAll(() => apple.stop())
  beforeEach(() => {
    apple.log.length = 0
    apple.tokens.clear()
  })

  function open(over: Partial<ApnsOptions> & { timeoutMs?: number; pingMs?: number } = {}) {
    const sender = createApns({ timeoutMs: 5_000, ...apple.options, ...over })
    onTestFinished(() => sender.close())
    return sender
  }

  test('a new message is an alert at once, one that changes goes to its place quietly', async () => {
    const [sender, to] = [open(), target()]
    const notice = noticeOf({ expiresAt: new Date(1_900_000_000_000) })
    await sender.send(to, notice)
    await sender.send(to, { ...notice, isUrgent: true })
    await sender.send(to, { ...notice, kind: 'replace' })
    const [plain, urgent, replaced] = apple.log
    expect(plain!.headers).toMatchObject({
      'apns-topic': 'org.example.maru',
      'apns-push-type': 'alert',
      'apns-priority': '10',
      'apns-expiration': '1900000000',
    })
    expect(plain!.payload).toEqual({
      aps: {
        alert: { title: 'alice', body: 'hello' },
        badge: 3,
        sound: 'default',
        'thread-id': 'general',
        'mutable-content': 1,
        'interruption-level': 'active',
      },
      maru: {
        channelId: 'c1',
        messageId: 'm1',
        seq: '1',
        kind: 'show',
        collapseId: 'message 1',
        threadId: 'general',
        badge: '3',
      },
    })
    expect(urgent!.payload.aps['interruption-level']).toBe('time-sensitive')
    expect(replaced!.payload.aps).not.toHaveProperty('sound')
    expect(replaced!.payload.aps['interruption-level']).toBe('passive')
    expect(replaced!.headers['apns-priority']).toBe('5')
    expect(new Set(apple.log.map(({ collapseId }) => collapseId)).size).toBe(1)
    expect(apple.complaints).toEqual([])
  })

  test('a withdrawal is a background push in the place of what has not come yet; a number is alone', async () => {
    const [sender, to] = [open(), target()]
    await sender.send(to, noticeOf())
    await sender.send(to, noticeOf({ kind: 'withdraw', badge: 2 }))
    await sender.send(to, noticeOf({ kind: 'badge', badge: 0 }))
    const [shown, withdrawn, badge] = apple.log
    expect(withdrawn!.headers).toMatchObject({ 'apns-push-type': 'background', 'apns-priority': '5' })
    expect(withdrawn!.payload.aps).toEqual({ 'content-available': 1 })
    const ids = { collapseId: 'message 1', messageId: 'm1' }
    expect(withdrawn!.payload.maru).toMatchObject({ kind: 'withdraw', badge: '2', ...ids })
    expect(withdrawn!.collapseId).toBe(shown!.collapseId)
    expect(badge!.payload.aps).toEqual({ badge: 0 })
    expect(badge!.headers).toMatchObject({ 'apns-push-type': 'alert', 'apns-priority': '5' })
    expect(badge!.collapseId).toBe('')
    expect(apple.complaints).toEqual([])
  })

  test('a payload is as long as Apple takes', async () => {
    await open().send(target(), noticeOf({ body: 'x'.repeat(5_000) }))
    expect(Buffer.byteLength(JSON.stringify(apple.log[0]!.payload))).toBe(4_096)
  })

  test('devices of the sandbox and of other apps get theirs, and unknown apps are refused', async () => {
    const sandbox = await startApnsServer()
    onTestFinished(() => sandbox.stop())
    const sender = open({ sandboxUrl: sandbox.url, ca: [apple.ca!, sandbox.ca!], key: sandbox.options.key })
    const beta = target({ sandbox: true, appId: 'org.example.maru.beta' })
    expect(await sender.send(beta, noticeOf())).toMatchObject({ outcome: 'accepted' })
    expect(sandbox.log[0]!.headers['apns-topic']).toBe('org.example.maru.beta')
    // Signed with a key that only the sandbox knows.
    expect(await sender.send(target(), noticeOf())).toMatchObject({ outcome: 'later', reason: 'InvalidProviderToken' })
    expect(await sender.send(target({ appId: 'org.example.other' }), noticeOf())).toEqual({
      outcome: 'refused',
      reason: 'APP_NOT_ALLOWED',
    })
    apple.complaints.length = 0
  })

  test.each([
    [410, 'Unregistered', 'dead'],
    [410, 'ExpiredToken', 'dead'],
    [410, 'SomethingNew', 'dead'],
    [400, 'BadDeviceToken', 'dead'],
    [400, 'DeviceTokenNotForTopic', 'dead'],
    [400, 'TopicDisallowed', 'refused'],
    [400, 'IdleTimeout', 'later'],
    [403, 'InvalidProviderToken', 'later'],
    [413, 'PayloadTooLarge', 'refused'],
    [429, 'TooManyProviderTokenUpdates', 'later'],
    [429, 'TooManyRequests', 'later'],
    [500, 'InternalServerError', 'later'],
    [503, 'Shutdown', 'later'],
  ])('%i %s: %s', async (status, reason, outcome) => {
    apple.next({ status, reason })
    expect(await open().send(target(), noticeOf())).toMatchObject({ outcome, reason })
  })

  test('all requests share a connection and a token, and are as many at a time as Apple takes', async () => {
    const sender = open()
    const sends = () => Promise.all(Array.from({ length: 60 }, () => sender.send(target(), noticeOf())))
    await sends()
    await sends()
    expect(apple.log).toHaveLength(120)
    expect(apple.mostStreams()).toBe(5)
    expect(apple.sessions()).toBe(1)
    expect(apple.tokens.size).toBe(1)
  })

  test('a token that Apple calls too old is renewed once for all, and not with every request', async () => {
    const sender = open()
    await sender.send(target(), noticeOf())
    const expired = { status: 403, reason: 'ExpiredProviderToken' }
    apple.next(expired)
    expect(await sender.send(target(), noticeOf())).toMatchObject({ outcome: 'accepted' })
    expect(apple.tokens.size).toBe(2)
    // As with a clock that is an hour behind: no new token helps.
    apple.maxTokenAge(-1)
    const sends = () => Promise.all(Array.from({ length: 20 }, () => sender.send(target(), noticeOf())))
    for (const outcome of await sends()) expect(outcome).toMatchObject({ outcome: 'later', reason: expired.reason })
    apple.maxTokenAge(3_600)
    expect(apple.tokens.size).toBe(2)
    for (const { outcome } of await sends()) expect(outcome).toBe('accepted')
    apple.complaints.length = 0
  })

  test('after a goodbye what is under way ends well, and the rest takes another connection', async () => {
    const sender = open()
    await sender.send(target(), noticeOf())
    const sending = Array.from({ length: 50 }, () => sender.send(target(), noticeOf()))
    await expect.poll(() => apple.log.length, { interval: 1 }).toBeGreaterThan(5)
    apple.goAway()
    for (const outcome of await Promise.all(sending)) expect(outcome).toMatchObject({ outcome: 'accepted' })
    expect(new Set(apple.log.map(({ token }) => token)).size).toBe(51)
    await expect.poll(() => apple.sessions()).toBe(1)
  })

  test('who waits in line does not wait for what is under way at a goodbye', async () => {
    const sender = open({ timeoutMs: 3_000 })
    await sender.send(target(), noticeOf())
    apple.next('held', 'held', 'held', 'held', 'held')
    const sending = Array.from({ length: 25 }, () => sender.send(target(), noticeOf()))
    await expect.poll(() => apple.log.length).toBe(6)
    apple.goAway()
    const outcomes = (await Promise.all(sending)).map(({ outcome }) => outcome)
    expect(outcomes).toEqual([...Array(5).fill('later'), ...Array(20).fill('accepted')])
  })

  test('what waits in line when a connection breaks takes the next one', async () => {
    const sender = open()
    await sender.send(target(), noticeOf())
    apple.next('held', 'held', 'held', 'held', 'held')
    const sending = Array.from({ length: 25 }, () => sender.send(target(), noticeOf()))
    await expect.poll(() => apple.log.length).toBe(6)
    apple.wire.cut()
    const outcomes = (await Promise.all(sending)).map(({ outcome }) => outcome)
    expect(outcomes).toEqual([...Array(5).fill('later'), ...Array(20).fill('accepted')])
  })

  test('what Apple has not looked at goes out again, a few times', async () => {
    const sender = open()
    apple.next('unseen', 'unseen', 'unseen')
    expect(await sender.send(target(), noticeOf())).toMatchObject({ outcome: 'accepted' })
    apple.next('unseen', 'unseen', 'unseen', 'unseen')
    expect(await sender.send(target(), noticeOf())).toMatchObject({ outcome: 'later' })
    expect(apple.log).toHaveLength(1)
  })

  test('an idle connection that has died is found out without a request, and one that lives is kept', async () => {
    const sender = open({ pingMs: 50, timeoutMs: 500 })
    await sender.send(target(), noticeOf())
    // Many pings, each answered.
    await sleep(1_500)
    expect(apple.sessions()).toBe(1)
    apple.wire.freeze()
    await sleep(1_500)
    // Only now it comes through that the sender has hung up.
    apple.wire.thaw()
    await expect.poll(() => apple.sessions()).toBe(0)
    expect(await sender.send(target(), noticeOf())).toMatchObject({ outcome: 'accepted' })
  })

  test('an Apple whose certificate nobody vouches for is told nothing', async () => {
    const outcome = await open({ ca: undefined }).send(target(), noticeOf())
    expect(outcome).toMatchObject({ outcome: 'later', reason: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
    expect(apple.log).toEqual([])
  })

  test('keys that are none are refused at the start', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' })
    const other = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    for (const key of ['', 'secret', other]) expect(() => open({ key })).toThrow(/The APNs key is no .*\.p8/)
  })
})

test('a token is good for all who ask at the same time', async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const token = createProviderToken({ key, keyId: 'ABC123DEFG', teamId: 'DEF123GHIJ' })
  const [first, second] = await Promise.all([token.current(), token.current()])
  expect(first).toBe(second)
  const renewed = await Promise.all([token.after(first), token.after(first), token.after(first)])
  expect(new Set(renewed).size).toBe(1)
  expect(renewed[0]).not.toBe(first)
  expect(await token.current()).toBe(renewed[0])
  expect(await token.after(renewed[0]!)).toBeNull()
})

test('a token is renewed after 40 minutes, before Apple finds it too old', async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const token = createProviderToken({ key, keyId: 'ABC123DEFG', teamId: 'DEF123GHIJ' })
  vi.useFakeTimers({ toFake: ['performance'] })
  onTestFinished(() => void vi.useRealTimers())
  const first = await token.current()
  vi.advanceTimersByTime(39 * 60_000)
  expect(await token.current()).toBe(first)
  vi.advanceTimersByTime(2 * 60_000)
  expect(await token.current()).not.toBe(first)
})
