import { randomBytes, randomInt } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { describePushSender, noticeOf } from './push-sender.conformance.ts'
import type { PushTarget, WebhookOptions } from './push-sender.ts'
import { startWebhookServer, type WebhookServer } from './testing/webhook-server.ts'
import { createWebhook, signWebhook } from './webhook.ts'

const newToken = () => `+82 10 ${randomInt(1e12)}`
const target = (token = newToken()): PushTarget => ({ platform: 'WEBHOOK', token, appId: 'sms', sandbox: false })

describePushSender('WEBHOOK', async () => {
  const provider = await startWebhookServer()
  return { provider, options: { webhook: provider.options }, newToken }
})

describe('the webhook', () => {
  let operator: WebhookServer
  beforeAll(async () => {
    operator = await startWebhookServer()
  })
  afterAll(() => operator.stop())
  beforeEach(() => {
    operator.log.length = 0
    operator.complaints.length = 0
  })

  function open(over: Partial<WebhookOptions> = {}) {
    const sender = createWebhook({ timeoutMs: 5_000, ...operator.options, ...over })
    onTestFinished(() => sender.close())
    return sender
  }

  test('the operator gets what the README says', async () => {
    const [sender, to] = [open(), target()]
    const notice = noticeOf({ isUrgent: true, expiresAt: new Date(Date.UTC(2100, 0, 1)) })
    for (const kind of ['show', 'replace', 'withdraw', 'badge'] as const) await sender.send(to, { ...notice, kind })
    expect(operator.log.map(({ payload }) => payload.type)).toEqual([
      'push.show',
      'push.replace',
      'push.withdraw',
      'push.badge',
    ])
    const [shown, , withdrawn] = operator.log.map(({ payload }) => payload)
    expect(shown).toEqual({
      type: 'push.show',
      timestamp: expect.stringMatching(/^\d{4}-.*Z$/),
      data: {
        token: to.token,
        appId: 'sms',
        kind: 'show',
        collapseId: 'message 1',
        title: 'alice',
        body: 'hello',
        threadId: 'general',
        badge: 3,
        isUrgent: true,
        data: { channelId: 'c1', messageId: 'm1', seq: '1' },
        expiresAt: '2100-01-01T00:00:00.000Z',
      },
    })
    expect(withdrawn!.data).not.toHaveProperty('title')
    expect(withdrawn!.data).not.toHaveProperty('body')
  })

  test('each attempt at a notice has the same id, and any other notice another', async () => {
    const [sender, to] = [open(), target()]
    operator.next('lost')
    expect(await sender.send(to, noticeOf())).toMatchObject({ outcome: 'later' })
    const expiresAt = new Date(Date.now() + 5_000)
    const again = await sender.send(to, noticeOf({ badge: 4, body: 'edited since', expiresAt }))
    expect(operator.repeats()).toBe(1)
    expect(again).toEqual({ outcome: 'accepted', providerId: operator.log[0]!.headers['webhook-id'] })
    const others = [
      noticeOf({ collapseId: 'message 2' }),
      noticeOf({ data: { messageId: 'm2' } }),
      noticeOf({ kind: 'replace' }),
      noticeOf({ kind: 'replace', body: 'edited' }),
      noticeOf({ kind: 'badge' }),
      noticeOf({ kind: 'badge', badge: 0 }),
      noticeOf({ kind: 'withdraw' }),
    ]
    for (const notice of others) await sender.send(to, notice)
    await sender.send(target(), noticeOf())
    expect(operator.repeats()).toBe(1)
    expect(operator.complaints).toEqual([])
  })

  test.each([
    [200, 'accepted'],
    [202, 'accepted'],
    [307, 'refused'],
    [401, 'later'],
    [404, 'refused'],
    [408, 'later'],
    [410, 'dead'],
    [429, 'later'],
    [502, 'later'],
  ])('%i: %s', async (status, outcome) => {
    operator.next({ status })
    expect(await open().send(target(), noticeOf())).toMatchObject({ outcome })
  })

  test('who has another secret does not believe it', async () => {
    const secret = `whsec_${randomBytes(32).toString('base64')}`
    expect(await open({ secret }).send(target(), noticeOf())).toMatchObject({ outcome: 'later', reason: 'HTTP 401' })
    expect(operator.complaints).toEqual(['webhook-signature'])
  })

  test('an address or a secret that is none is refused at the start', () => {
    for (const url of ['', 'ftp://example.org', 'https://user:password@example.org']) {
      expect(() => open({ url })).toThrow(/webhook needs an address/)
    }
    for (const secret of ['', 'whsec_', 'whsec_c2hvcnQ=', 'twenty-three-characters', `whsec_${'x'.repeat(24)}`]) {
      expect(() => open({ secret })).toThrow(/secret/)
    }
  })
})

test('signatures are those of Standard Webhooks, as in the example of its libraries', () => {
  const id = 'msg_p5jXN8AQM9LWM0D4loKWxJek'
  const signature = signWebhook('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', id, '1614265330', '{"test": 2432232314}')
  expect(signature).toBe('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=')
})

test('a secret without its prefix is taken as it is written', () => {
  const text = 'a secret that is a sentence'
  const encoded = `whsec_${Buffer.from(text).toString('base64')}`
  expect(signWebhook(text, 'msg_1', '1', '{}')).toBe(signWebhook(encoded, 'msg_1', '1', '{}'))
})
