import { randomUUID } from 'node:crypto'
import { apnsCollapseId, apnsPayload, apnsPush } from './apns-payload.ts'
import { createApnsHost, type ApnsHost } from './apns-host.ts'
import { createProviderToken } from './apns-token.ts'
import { type Answer, asReason, noAnswer, outcomeOf, readObject } from './outcomes.ts'
import type { ApnsOptions, PushOutcome, PushSender } from './push-sender.ts'

const productionUrl = 'https://api.push.apple.com'
const sandboxUrl = 'https://api.sandbox.push.apple.com'

/** "Handling notification responses from APNs": what is wrong with the token, and stays so. */
const deadReasons = new Set(['BadDeviceToken', 'DeviceTokenNotForTopic', 'Unregistered', 'ExpiredToken'])

/** Reasons that are about the moment, whatever the status. */
const passingReasons = new Set(['IdleTimeout', 'ExpiredProviderToken'])

/**
 * Apple's push service over HTTP/2, signed in to by a token. `timeoutMs` is what a notice may take in all; `pingMs` is
 * after what silence a connection is asked for a sign of life. Throws an Error where the key cannot be read.
 */
export function createApns(options: ApnsOptions & { timeoutMs: number; pingMs?: number }): PushSender {
  const { timeoutMs } = options
  const token = createProviderToken(options)
  const topics = new Set([options.topic, ...options.topics])
  const hostAt = (url: string) => createApnsHost({ url, ca: options.ca, timeoutMs, pingMs: options.pingMs })
  const production = hostAt(options.url ?? productionUrl)
  const sandbox = hostAt(options.sandboxUrl ?? sandboxUrl)

  /** Posts with the token in use, and once more where Apple says that it is too old. */
  async function post(host: ApnsHost, headers: Record<string, string>, payload: string): Promise<Answer> {
    const until = performance.now() + timeoutMs
    const jwt = await token.current()
    const answer = await host.post({ ...headers, authorization: `bearer ${jwt}` }, payload, timeoutMs)
    if (answer.status !== 403 || reasonOf(answer) !== 'ExpiredProviderToken') return answer
    const renewed = await token.after(jwt)
    if (renewed === null) return answer
    return host.post({ ...headers, authorization: `bearer ${renewed}` }, payload, until - performance.now())
  }

  return {
    async send(target, notice) {
      if (!/^[0-9a-f]+$/i.test(target.token)) return { outcome: 'dead', reason: 'BadDeviceToken' }
      const topic = target.appId ?? options.topic
      if (!topics.has(topic)) return { outcome: 'refused', reason: 'APP_NOT_ALLOWED' }
      const payload = apnsPayload(notice)
      if (payload === null) return { outcome: 'refused', reason: 'PAYLOAD_TOO_LARGE' }
      const { pushType, priority } = apnsPush(notice, '', '')
      const id = randomUUID()
      const headers = {
        ':path': `/3/device/${target.token}`,
        'apns-id': id,
        'apns-topic': topic,
        'apns-push-type': pushType,
        'apns-priority': String(priority),
        'apns-expiration': String(Math.floor(notice.expiresAt.getTime() / 1_000)),
        // A withdrawal has it too: for a device that is off it takes the place of the notice that is kept for it.
        ...(notice.kind === 'badge' ? {} : { 'apns-collapse-id': apnsCollapseId(notice.collapseId) }),
      }
      try {
        return outcomeOfApns(id, await post(target.sandbox ? sandbox : production, headers, payload))
      } catch (error) {
        return noAnswer(error)
      }
    },
    async close() {
      production.close()
      sandbox.close()
    },
  }
}

const reasonOf = (answer: Answer) => asReason(readObject(answer.body).reason)

function outcomeOfApns(id: string, answer: Answer): PushOutcome {
  if (answer.status === 200) return { outcome: 'accepted', providerId: id }
  const reason = reasonOf(answer) ?? `HTTP ${answer.status}`
  if (answer.status === 410 || deadReasons.has(reason)) return { outcome: 'dead', reason }
  if (passingReasons.has(reason)) return { outcome: 'later', reason, retryAfterMs: null }
  return outcomeOf(answer, reason)
}
