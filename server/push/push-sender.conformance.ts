import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { createOutbound, type Outbound } from '../lib/outbound.ts'
import {
  createPushSender,
  type PushNotice,
  type PushOptions,
  type PushOutcome,
  type PushPlatform,
  type PushTarget,
} from './push-sender.ts'
import type { Provider, Trouble } from './testing/provider.ts'

/** An engine under test, and the provider that it speaks to. */
export type SenderEngine = {
  provider: Provider
  /** How the sender is configured for this provider, and nothing else. */
  options: Partial<PushOptions>
  /** How it gets out. */
  outbound?: { allowed: string[]; ca: string }
  /** The token of one more device, which is known to the provider. */
  newToken(): string
}

/** No provider but the one under test. */
export const nothingConfigured = { apns: null, fcm: null, webPush: null, webhook: null }

/** A notice of alice to bob. */
export function noticeOf(over: Partial<PushNotice> = {}): PushNotice {
  return {
    kind: 'show',
    collapseId: 'message 1',
    title: 'alice',
    body: 'hello',
    badge: 3,
    threadId: 'general',
    data: { channelId: 'c1', messageId: 'm1', seq: '1' },
    isUrgent: false,
    expiresAt: new Date(Date.now() + 60 * 60_000),
    ...over,
  }
}

/** Opens the way out that engines for addresses of users take; it ends with the test. */
export function openOutbound(how: { allowed?: string[]; ca?: string } = {}): Outbound {
  const outbound = createOutbound({ userAgent: 'Maru', ...how })
  onTestFinished(() => outbound.close())
  return outbound
}

/** What `push-sender.ts` promises of every engine. */
export function describePushSender(platform: PushPlatform, start: () => Promise<SenderEngine>): void {
  describe(`${platform}, as every sender`, () => {
    let engine: SenderEngine
    let provider: Provider
    beforeAll(async () => {
      engine = await start()
      provider = engine.provider
    })
    afterAll(() => provider.stop())
    beforeEach(() => {
      provider.log.length = 0
    })

    const target = (token = engine.newToken()): PushTarget => ({ platform, token, appId: null, sandbox: false })

    function open({ timeoutMs = 5_000 } = {}) {
      const outbound = openOutbound(engine.outbound)
      const sender = createPushSender({ ...nothingConfigured, outbound, timeoutMs, ...engine.options })
      onTestFinished(() => sender.close())
      return sender
    }

    test('takes a notice to the provider, as it was given', async () => {
      const to = target()
      const notice = noticeOf({ title: '앨리스 👩‍👩‍👧‍👦', body: '안녕하세요, "마루" \\ 🇰🇷 \u2028 e\u0301', badge: 12 })
      expect(await open().send(to, notice)).toMatchObject({ outcome: 'accepted' })
      expect(provider.log).toHaveLength(1)
      const { title, body, badge, data } = notice
      expect(provider.log[0]).toMatchObject({ token: to.token, kind: 'show', title, body, badge, data })
      expect(provider.complaints).toEqual([])
    })

    test('what replaces a notice has its collapse id, other notices have others, of whatever length', async () => {
      const [sender, to] = [open(), target()]
      const ids = ['1', 'x'.repeat(64), `${'x'.repeat(64)}y`, '마루 🪵'.repeat(40)]
      for (const collapseId of ids) {
        await sender.send(to, noticeOf({ collapseId }))
        await sender.send(to, noticeOf({ collapseId, kind: 'replace', body: 'edited' }))
      }
      const seen = provider.log.map(({ collapseId }) => collapseId)
      expect(seen).toHaveLength(8)
      for (let place = 0; place < 8; place += 2) expect(seen[place]).toBe(seen[place + 1])
      expect(new Set(seen).size).toBe(4)
      expect(provider.log.map(({ kind }) => kind).slice(0, 2)).toEqual(['show', 'replace'])
      expect(provider.complaints).toEqual([])
    })

    test.each([
      ['of ASCII', 'a'.repeat(100_000)],
      ['of Hangul', '가'.repeat(100_000)],
      ['of what JSON must escape', '"\\\n\u0001'.repeat(25_000)],
      ['of families', '👩‍👩‍👧‍👦'.repeat(10_000)],
      ['of halves of characters', '\ud83d'.repeat(50_000)],
      ['of one letter with many accents', `a${'\u0301'.repeat(50_000)}`],
    ])('cuts a body %s where it is too long, between characters, and no shorter than must be', async (_, body) => {
      expect(await open().send(target(), noticeOf({ body }))).toMatchObject({ outcome: 'accepted' })
      const [{ body: told } = { body: '' }] = provider.log
      expect(told.endsWith('…')).toBe(true)
      const kept = told.slice(0, -1)
      expect(body.toWellFormed().startsWith(kept)).toBe(true)
      if (body.startsWith('👩')) expect(kept.length % '👩‍👩‍👧‍👦'.length).toBe(0)
      if (body.startsWith('가')) expect(kept.length).toBeGreaterThan(500)
      expect(provider.complaints).toEqual([])
    })

    test('cuts a title that is too long, too, and refuses what is too much besides', async () => {
      const sender = open()
      const title = '제목'.repeat(20_000)
      expect(await sender.send(target(), noticeOf({ title, body: title }))).toMatchObject({ outcome: 'accepted' })
      const told = provider.log[0]!.title
      expect(told.endsWith('…') && title.startsWith(told.slice(0, -1))).toBe(true)
      const tooMuch = noticeOf({ data: { channelId: 'x'.repeat(30_000) } })
      expect(await sender.send(target(), tooMuch)).toEqual({ outcome: 'refused', reason: 'PAYLOAD_TOO_LARGE' })
      expect(provider.log).toHaveLength(1)
    })

    test('says what the provider says', async () => {
      const sender = open()
      const outcomes: [Trouble, Partial<PushOutcome>][] = [
        ['dead', { outcome: 'dead' }],
        ['refused', { outcome: 'refused' }],
        ['later', { outcome: 'later', retryAfterMs: 7_000 }],
        ['throttled', { outcome: 'later', retryAfterMs: 7_000 }],
        ['cut', { outcome: 'later', retryAfterMs: null }],
        [{ status: 500 }, { outcome: 'later', retryAfterMs: null }],
        [{ status: 503, headers: { 'retry-after': new Date(Date.now() - 5_000).toUTCString() } }, { retryAfterMs: 0 }],
        [{ status: 503, headers: { 'retry-after': '9'.repeat(30) } }, { retryAfterMs: 86_400_000 }],
        [{ status: 503, headers: { 'retry-after': 'soon' } }, { outcome: 'later', retryAfterMs: null }],
        [{ status: 302, headers: { location: `${provider.url}/elsewhere` } }, { outcome: 'refused' }],
        [{ status: 418 }, { outcome: 'refused' }],
      ]
      for (const [trouble, expected] of outcomes) {
        provider.next(trouble)
        const requests = provider.requests()
        expect(await sender.send(target(), noticeOf()), JSON.stringify(trouble)).toMatchObject(expected)
        expect(provider.requests()).toBe(requests + 1)
      }
      expect(provider.log).toEqual([])
      expect(await sender.send(target(), noticeOf())).toMatchObject({ outcome: 'accepted' })
    })

    test('an answer that is lost on the way is no yes', async () => {
      const sender = open()
      provider.next('lost')
      expect(await sender.send(target(), noticeOf())).toMatchObject({ outcome: 'later' })
      expect(provider.log).toHaveLength(1)
    })

    test('a provider that is down is tried later, and one that is up again is spoken to at once', async () => {
      const sender = open()
      await sender.send(target(), noticeOf())
      await provider.wire.down()
      const outcomes = await Promise.all(Array.from({ length: 20 }, () => sender.send(target(), noticeOf())))
      for (const outcome of outcomes) expect(outcome).toMatchObject({ outcome: 'later', retryAfterMs: null })
      expect(await sender.send(target(), noticeOf())).toMatchObject({ reason: 'ECONNREFUSED' })
      await provider.wire.up()
      expect(await sender.send(target(), noticeOf())).toMatchObject({ outcome: 'accepted' })
      expect(provider.log).toHaveLength(2)
    })

    test('a connection that breaks under many notices loses none without saying so', async () => {
      const sender = open()
      const targets = Array.from({ length: 100 }, () => target())
      const sending = targets.map((to) => sender.send(to, noticeOf()))
      await expect.poll(() => provider.log.length, { interval: 1 }).toBeGreaterThan(0)
      provider.wire.cut()
      const outcomes = await Promise.all(sending)
      const taken = new Set(provider.log.map(({ token }) => token))
      for (const [place, { outcome }] of outcomes.entries()) {
        expect(outcome).toMatch(/accepted|later/)
        if (outcome === 'accepted') expect(taken).toContain(targets[place]!.token)
      }
    })

    test.each(['fresh', 'used'])('a %s connection that freezes is given up in time, and replaced', async (state) => {
      const sender = open({ timeoutMs: 700 })
      if (state === 'used') await sender.send(target(), noticeOf())
      provider.wire.freeze()
      const started = performance.now()
      const outcomes = await Promise.all(Array.from({ length: 5 }, () => sender.send(target(), noticeOf())))
      expect(performance.now() - started).toBeLessThan(5_000)
      for (const outcome of outcomes) expect(outcome).toMatchObject({ outcome: 'later', reason: 'TIMEOUT' })
      // What is frozen stays so: whoever speaks again does it on another wire.
      provider.wire.cut()
      provider.wire.thaw()
      await expect.poll(() => sender.send(target(), noticeOf())).toMatchObject({ outcome: 'accepted' })
    })

    test('a request that is never answered ends in time, and the others do not wait for it', async () => {
      const sender = open({ timeoutMs: 2_000 })
      await sender.send(target(), noticeOf())
      provider.next('held')
      const held = sender.send(target(), noticeOf({ collapseId: 'held' }))
      await expect.poll(() => provider.log.length).toBe(2)
      for (let sent = 0; sent < 10; sent++) {
        expect(await sender.send(target(), noticeOf())).toMatchObject({ outcome: 'accepted' })
      }
      expect(await held).toEqual({ outcome: 'later', reason: 'TIMEOUT', retryAfterMs: null })
      expect(await sender.send(target(), noticeOf())).toMatchObject({ outcome: 'accepted' })
    })

    test('200 notices at once each arrive once', async () => {
      const sender = open({ timeoutMs: 15_000 })
      const targets = Array.from({ length: 200 }, () => target())
      const outcomes = await Promise.all(targets.map((to) => sender.send(to, noticeOf())))
      expect(outcomes.filter(({ outcome }) => outcome !== 'accepted')).toEqual([])
      expect(provider.log.map(({ token }) => token).toSorted()).toEqual(targets.map(({ token }) => token).toSorted())
      expect(provider.complaints).toEqual([])
    })

    test('with a third of all requests failing each notice arrives by trying again', async () => {
      const sender = open({ timeoutMs: 15_000 })
      provider.failShare(1 / 3, 20_260_101)
      onTestFinished(() => provider.failShare(0, 0))
      const targets = Array.from({ length: 100 }, () => target())
      await Promise.all(
        targets.map(async (to) => {
          for (;;) {
            const { outcome } = await sender.send(to, noticeOf())
            if (outcome === 'accepted') return
            expect(outcome).toBe('later')
          }
        }),
      )
      expect(new Set(provider.log.map(({ token }) => token)).size).toBe(100)
      expect(provider.complaints).toEqual([])
    })

    test('never throws, whatever it is given', async () => {
      const sender = open()
      const odd = ['', ' ', '../x', '한글', 'a\r\nb', '{}', 'null', 'x'.repeat(10_000), '\0', '\ud800']
      for (const text of odd) {
        const notice = noticeOf({ collapseId: text, title: text, body: text, threadId: text, data: { [text]: text } })
        expect((await sender.send(target(), notice)).outcome).toMatch(/accepted|refused/)
        const sent = await sender.send({ ...target(), token: text, appId: text || null }, notice)
        expect(sent.outcome).toMatch(/accepted|refused|dead/)
      }
      expect(await sender.send(target(), noticeOf())).toMatchObject({ outcome: 'accepted' })
    })

    test('what has expired is not sent', async () => {
      const sender = open()
      for (const expiresAt of [new Date(Date.now() - 1), new Date(0), new Date(Number.NaN)]) {
        const outcome = await sender.send(target(), noticeOf({ expiresAt }))
        expect(outcome).toEqual({ outcome: 'refused', reason: 'EXPIRED' })
      }
      expect(provider.log).toEqual([])
    })

    test('other platforms are not configured, and this one is', async () => {
      const sender = open()
      for (const other of ['APNS', 'FCM', 'WEB_PUSH', 'WEBHOOK'] as const) {
        expect(sender.isConfigured(other)).toBe(other === platform)
        if (other === platform) continue
        const outcome = await sender.send({ ...target(), platform: other }, noticeOf())
        expect(outcome).toEqual({ outcome: 'refused', reason: 'NOT_CONFIGURED' })
      }
    })

    test('close ends what is under way at once, and nothing is sent afterwards', async () => {
      const sender = open({ timeoutMs: 60_000 })
      provider.next('held')
      const held = sender.send(target(), noticeOf())
      await expect.poll(() => provider.log.length).toBe(1)
      const started = performance.now()
      await sender.close()
      expect(await held).toEqual({ outcome: 'later', reason: 'CLOSED', retryAfterMs: null })
      expect(performance.now() - started).toBeLessThan(3_000)
      expect(await sender.send(target(), noticeOf())).toMatchObject({ outcome: 'later', reason: 'CLOSED' })
      await sender.close()
      expect(provider.log).toHaveLength(1)
    })
  })
}
