import { createHash, createHmac } from 'node:crypto'
import { createOutbound } from '../lib/outbound.ts'
import { renderWithin } from './fit.ts'
import { noAnswer, outcomeOf } from './outcomes.ts'
import type { PushNotice, PushSender, PushTarget, WebhookOptions } from './push-sender.ts'

const maxAnswerBytes = 100_000

/** Standard Webhooks: payloads are to stay below 20 kB. */
const maxPayloadBytes = 20_000

/** Standard Webhooks: "between 24 and 64 bytes". What is longer does no harm. */
const leastSecretBytes = 24

const encoded = 'whsec_'

/**
 * SMS and anything else: each notice is posted as JSON to one address of the operator's, signed as Standard Webhooks
 * has it (standardwebhooks.com, signature v1). Redirects are not followed. Throws an Error where address or secret
 * cannot be read.
 */
export function createWebhook(options: WebhookOptions & { timeoutMs: number }): PushSender {
  const { timeoutMs } = options
  const url = URL.parse(options.url)
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') {
    throw new Error('The webhook needs an address of http or https, without a name or password in it.')
  }
  readSecret(options.secret)
  // The operator's own address: it may be anywhere.
  const outbound = createOutbound({ allowed: [url.host], userAgent: 'Maru' })
  const closing = new AbortController()

  return {
    async send(target, notice) {
      const id = webhookId(target, notice)
      const timestamp = String(Math.floor(Date.now() / 1_000))
      const body = webhookPayload(target, notice)
      if (body === null) return { outcome: 'refused', reason: 'PAYLOAD_TOO_LARGE' }
      try {
        const answer = await outbound.fetch(url.href, {
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            'webhook-id': id,
            'webhook-timestamp': timestamp,
            'webhook-signature': signWebhook(options.secret, id, timestamp, body),
          },
          body,
          timeoutMs,
          maxBytes: maxAnswerBytes,
          signal: closing.signal,
        })
        const { status } = answer
        if (status >= 200 && status < 300) return { outcome: 'accepted', providerId: id }
        if (status === 410) return { outcome: 'dead', reason: 'HTTP 410' }
        return outcomeOf({ status, retryAfter: answer.headers.get('retry-after'), body: '' })
      } catch (error) {
        return noAnswer(closing.signal.aborted ? new Error('CLOSED') : error)
      }
    },
    async close() {
      closing.abort()
      await outbound.close()
    },
  }
}

/**
 * The same for each attempt at a notice, so that the receiver can tell a repeat, and another for any other: what was
 * shown and is shown again is the same, as long as it is about the same thing (`data`); what replaces is told by its
 * words, too, and a number by itself.
 */
export function webhookId(target: PushTarget, notice: PushNotice): string {
  const { kind, collapseId, title, body, badge, data } = notice
  const own = kind === 'replace' ? [title, body] : kind === 'badge' ? [badge] : []
  const about = Object.entries(data).toSorted(([one], [other]) => (one < other ? -1 : 1))
  const what = JSON.stringify([target.token, target.appId, kind, collapseId, about, own])
  return `msg_${createHash('sha256').update(what).digest('base64url')}`
}

function webhookPayload({ token, appId }: PushTarget, notice: PushNotice): string | null {
  const { kind, collapseId, threadId, badge, isUrgent, data, expiresAt } = notice
  const timestamp = new Date().toISOString()
  const isShown = kind === 'show' || kind === 'replace'
  return renderWithin(maxPayloadBytes, notice, (title, body) => {
    const words = isShown ? { title, body } : {}
    return JSON.stringify({
      type: `push.${kind}`,
      timestamp,
      data: { token, appId, kind, collapseId, ...words, threadId, badge, isUrgent, data, expiresAt },
    })
  })
}

/** The signature of a call, v1 of Standard Webhooks. `timestamp` is in seconds since 1970. Throws for a bad secret. */
export const signWebhook = (secret: string, id: string, timestamp: string, body: string): string =>
  `v1,${createHmac('sha256', readSecret(secret)).update(`${id}.${timestamp}.${body}`).digest('base64')}`

/** What the text of a secret stands for: base64 after `whsec_`, and else the text itself. */
function readSecret(text: string): Buffer {
  const isEncoded = text.startsWith(encoded)
  const secret = isEncoded ? Buffer.from(text.slice(encoded.length), 'base64') : Buffer.from(text)
  if (secret.length >= leastSecretBytes) return secret
  throw new Error(
    `The webhook secret needs at least ${leastSecretBytes} characters, or that many bytes after "${encoded}".`,
  )
}
