import { createECDH } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { describePushSender, noticeOf, openOutbound } from './push-sender.conformance.ts'
import type { PushTarget, WebPushOptions } from './push-sender.ts'
import { decrypt, type PushService, startPushService } from './testing/push-service.ts'
import { createWebPush } from './web-push.ts'

describePushSender('WEB_PUSH', async () => {
  const provider = await startPushService()
  return {
    provider,
    options: { webPush: provider.options },
    outbound: { allowed: [provider.host], ca: provider.ca! },
    newToken: () => provider.subscribe(),
  }
})

describe('Web Push', () => {
  let service: PushService
  beforeAll(async () => {
    service = await startPushService()
  })
  afterAll(() => service.stop())
  beforeEach(() => {
    service.log.length = 0
    service.complaints.length = 0
  })

  const device = { platform: 'WEB_PUSH', appId: null, sandbox: false } as const
  const target = (token = service.subscribe()): PushTarget => ({ ...device, token })

  function open({ allowed = [service.host], ca = service.ca!, ...over }: Partial<WebPushOptions> & Way = {}) {
    const outbound = openOutbound({ allowed, ca })
    const sender = createWebPush({ ...service.options, ...over, outbound, timeoutMs: 5_000 })
    onTestFinished(() => sender.close())
    return sender
  }
  type Way = { allowed?: string[]; ca?: string }

  test('the service worker gets what the README says', async () => {
    const [sender, to] = [open(), target()]
    const expiresAt = new Date(Date.now() + 60_500)
    const accepted = await sender.send(to, noticeOf({ isUrgent: true, expiresAt }))
    expect(accepted).toMatchObject({ outcome: 'accepted', providerId: expect.stringContaining('/message/') })
    await sender.send(to, noticeOf({ kind: 'replace' }))
    const [shown, replaced] = service.log
    expect(shown!.payload).toEqual({
      kind: 'show',
      title: 'alice',
      body: 'hello',
      collapseId: 'message 1',
      threadId: 'general',
      badge: 3,
      isUrgent: true,
      data: { channelId: 'c1', messageId: 'm1', seq: '1' },
    })
    expect(shown!.headers).toMatchObject({ ttl: '60', urgency: 'high' })
    expect(replaced!.headers).toMatchObject({ urgency: 'normal', topic: shown!.headers.topic })
    expect(service.complaints).toEqual([])
  })

  test('a payload is as long as a push service must take', async () => {
    await open().send(target(), noticeOf({ body: 'x'.repeat(5_000) }))
    expect(Buffer.byteLength(JSON.stringify(service.log[0]!.payload))).toBe(3_993)
    expect(service.log[0]!.headers['content-length']).toBe('4096')
  })

  test('what browsers cannot do is refused', async () => {
    for (const kind of ['withdraw', 'badge'] as const) {
      expect(await open().send(target(), noticeOf({ kind }))).toEqual({ outcome: 'refused', reason: 'NOT_POSSIBLE' })
    }
    expect(service.log).toEqual([])
  })

  test.each([
    [404, 'dead'],
    [410, 'dead'],
    [400, 'refused'],
    [403, 'refused'],
    [413, 'refused'],
    [429, 'later'],
    [502, 'later'],
  ])('%i: %s', async (status, outcome) => {
    service.next({ status })
    expect(await open().send(target(), noticeOf())).toMatchObject({ outcome, reason: `HTTP ${status}` })
  })

  test('a subscription that was made for other keys is not dead: ours may be the wrong ones', async () => {
    const keys = createECDH('prime256v1')
    keys.generateKeys()
    const [publicKey, privateKey] = [keys.getPublicKey('base64url'), keys.getPrivateKey('base64url')]
    const outcome = await open({ publicKey, privateKey }).send(target(), noticeOf())
    expect(outcome).toEqual({ outcome: 'refused', reason: 'HTTP 403' })
  })

  test('an address that is not of the open Internet is dead, and not asked', async () => {
    const sender = open({ allowed: [] })
    const requests = service.requests()
    const outcome = { outcome: 'dead', reason: 'ADDRESS_REFUSED' }
    expect(await sender.send(target(), noticeOf())).toEqual(outcome)
    const { keys } = JSON.parse(service.subscribe())
    for (const endpoint of ['https://10.0.0.1/push', 'https://localhost/push', 'https://[::1]/push']) {
      expect(await sender.send(target(JSON.stringify({ endpoint, keys })), noticeOf())).toEqual(outcome)
    }
    expect(service.requests()).toBe(requests)
  })

  test('a subscription that cannot be read is dead', async () => {
    const outcome = await open().send(target('{"endpoint":"http://example.org"}'), noticeOf())
    expect(outcome).toEqual({ outcome: 'dead', reason: 'BAD_SUBSCRIPTION' })
  })

  test('a push service that nobody vouches for is told nothing', async () => {
    const other = await startPushService()
    onTestFinished(() => other.stop())
    const outcome = await open({ ca: other.ca! }).send(target(), noticeOf())
    expect(outcome).toMatchObject({ outcome: 'later', reason: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
  })

  test('keys that are no pair, and a subject that is no address, are refused at the start', () => {
    const keys = createECDH('prime256v1')
    expect(() => open({ publicKey: keys.generateKeys('base64url') })).toThrow(/no pair/)
    expect(() => open({ privateKey: '' })).toThrow(/no pair/)
    expect(() => open({ subject: 'Maru' })).toThrow(/subject/)
  })
})

test('the push service decrypts the example of RFC 8291, section 5', () => {
  const keys = createECDH('prime256v1')
  keys.setPrivateKey('q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94', 'base64url')
  const auth = Buffer.from('BTBZMqHH6r4Tts7J_aSIgg', 'base64url')
  const body = Buffer.from(
    'DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6Tlz' +
      'AC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN',
    'base64url',
  )
  expect(decrypt(body, keys, auth).toString()).toBe('When I grow up, I want to be a watermelon')
})
