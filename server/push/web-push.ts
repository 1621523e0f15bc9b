import { createECDH, createHash } from 'node:crypto'
import webpush from 'web-push'
import { type Outbound, OutboundError } from '../lib/outbound.ts'
import { MaruError } from '../errors.ts'
import { renderWithin } from './fit.ts'
import { noAnswer, outcomeOf } from './outcomes.ts'
import type { PushNotice, PushOutcome, PushSender, WebPushOptions } from './push-sender.ts'
import { parseSubscription, type Subscription } from './push-tokens.ts'

export { checkPushToken, parseSubscription } from './push-tokens.ts'

/** RFC 8291, section 4: what is left of 4,096 bytes once it is encrypted. */
const maxPayloadBytes = 3_993

/** Push services keep nothing for longer. Seconds. */
const maxTtlSeconds = 28 * 24 * 60 * 60

/** RFC 8030, 5.4: a topic has at most 32 characters of base64url. */
const topicLength = 32

const maxAnswerBytes = 100_000

/**
 * The push services of browsers: encrypted for the subscription (RFC 8291), signed with the deployment's key (VAPID,
 * RFC 8292), and sent by way of `outbound`, because the address comes from a user. Throws an Error where the keys are
 * no pair.
 */
export function createWebPush(options: WebPushOptions & { outbound: Outbound; timeoutMs: number }): PushSender {
  const { subject, publicKey, privateKey, outbound, timeoutMs } = options
  checkVapid(options)
  const closing = new AbortController()

  async function post(subscription: Subscription, notice: PushNotice, payload: string): Promise<PushOutcome> {
    const details = webpush.generateRequestDetails(subscription, payload, {
      vapidDetails: { subject, publicKey, privateKey },
      TTL: Math.min(maxTtlSeconds, Math.max(0, Math.floor((notice.expiresAt.getTime() - Date.now()) / 1_000))),
      urgency: notice.isUrgent ? 'high' : 'normal',
      topic: createHash('sha256').update(notice.collapseId).digest('base64url').slice(0, topicLength),
    })
    const headers = Object.entries(details.headers).map(([name, value]) => [name.toLowerCase(), String(value)])
    const answer = await outbound.fetch(details.endpoint, {
      method: 'POST',
      headers: Object.fromEntries(headers.filter(([name]) => name !== 'content-length')) as Record<string, string>,
      body: details.body,
      timeoutMs,
      maxBytes: maxAnswerBytes,
      signal: closing.signal,
    })
    const { status } = answer
    if (status >= 200 && status < 300) return { outcome: 'accepted', providerId: answer.headers.get('location') }
    if (status === 404 || status === 410) return { outcome: 'dead', reason: `HTTP ${status}` }
    // Made for another key than ours, or than the one we have now: that does not pass, and says nothing of the others.
    if (status === 403) return { outcome: 'refused', reason: 'HTTP 403' }
    return outcomeOf({ status, retryAfter: answer.headers.get('retry-after'), body: '' })
  }

  return {
    async send(target, notice) {
      // Browsers let a site have pushes only if each shows something (`userVisibleOnly`), and show a notice of their
      // own where one does not; a number by itself cannot be set without the page.
      if (notice.kind === 'withdraw' || notice.kind === 'badge') return { outcome: 'refused', reason: 'NOT_POSSIBLE' }
      const payload = webPushPayload(notice)
      if (payload === null) return { outcome: 'refused', reason: 'PAYLOAD_TOO_LARGE' }
      try {
        return await post(parseSubscription(target.token), notice, payload)
      } catch (error) {
        if (closing.signal.aborted) return noAnswer(new Error('CLOSED'))
        if (error instanceof MaruError) return { outcome: 'dead', reason: 'BAD_SUBSCRIPTION' }
        if (error instanceof OutboundError && error.reason === 'refused') {
          return { outcome: 'dead', reason: 'ADDRESS_REFUSED' }
        }
        return noAnswer(error)
      }
    },
    async close() {
      closing.abort()
    },
  }
}

/** What the service worker gets, as the README describes it; null where the notice's data alone is too much. */
export function webPushPayload(notice: PushNotice): string | null {
  const { kind, collapseId, threadId, badge, isUrgent, data } = notice
  return renderWithin(maxPayloadBytes, notice, (title, body) =>
    JSON.stringify({ kind, title, body, collapseId, threadId, badge, isUrgent, data }),
  )
}

function checkVapid({ publicKey, privateKey, subject }: WebPushOptions): void {
  if (!/^(mailto:.+@.+|https:\/\/.+)$/.test(subject)) {
    throw new Error('The Web Push subject must be an address that push services can write to: mailto: or https:.')
  }
  const curve = createECDH('prime256v1')
  try {
    curve.setPrivateKey(Buffer.from(privateKey, 'base64url'))
    if (curve.getPublicKey('base64url') === publicKey) return
  } catch {
    // Said below.
  }
  throw new Error('The Web Push keys are no pair: make one with `npx web-push generate-vapid-keys` and give both.')
}
