import { createOutbound, type OutboundAnswer } from '../lib/outbound.ts'
import { fcmMessage } from './fcm-message.ts'
import { createGoogleToken, NoToken } from './google-token.ts'
import { asReason, noAnswer, outcomeOf, readObject } from './outcomes.ts'
import type { FcmOptions, PushOutcome, PushSender } from './push-sender.ts'

const defaultUrl = 'https://fcm.googleapis.com'

const maxAnswerBytes = 100_000

/** "ErrorCode" of FCM v1: what is wrong with the token, and stays so. The second is a token of another project. */
const deadCodes = new Set(['UNREGISTERED', 'SENDER_ID_MISMATCH'])

/** Google's services by way of HTTP v1. Throws an Error where the account's key cannot be read. */
export function createFcm(options: FcmOptions & { timeoutMs: number }): PushSender {
  const { serviceAccount, timeoutMs, isDataOnly = false } = options
  const url = new URL(`/v1/projects/${serviceAccount.project_id}/messages:send`, options.url ?? defaultUrl).href
  // The operator's own addresses: they may be anywhere.
  const allowed = [url, serviceAccount.token_uri].map((address) => new URL(address).host)
  const outbound = createOutbound({ allowed, userAgent: 'Maru' })
  const closing = new AbortController()
  const token = createGoogleToken({ serviceAccount, outbound, timeoutMs, signal: closing.signal })

  const post = (bearer: string, body: string, until: number): Promise<OutboundAnswer> =>
    outbound.fetch(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
      body,
      timeoutMs: Math.max(1, until - performance.now()),
      maxBytes: maxAnswerBytes,
      signal: closing.signal,
    })

  async function sendWithin(body: string, until: number): Promise<PushOutcome> {
    const bearer = await token.current()
    const answer = await post(bearer, body, until)
    const outcome = outcomeOfFcm(answer)
    // The third party is Apple, or a browser's service: no other token of ours changes what they think.
    if (answer.status !== 401 || reasonOf(outcome) === 'THIRD_PARTY_AUTH_ERROR') return outcome
    return outcomeOfFcm(await post(await token.after(bearer), body, until))
  }

  return {
    async send(target, notice) {
      if (target.appId !== null && target.appId !== serviceAccount.project_id) {
        return { outcome: 'refused', reason: 'APP_NOT_ALLOWED' }
      }
      const body = fcmMessage(target.token, notice, isDataOnly)
      if (body === null) return { outcome: 'refused', reason: 'PAYLOAD_TOO_LARGE' }
      const { promise: tooLate, reject } = Promise.withResolvers<never>()
      // A token that is fetched twice would take twice the time.
      const deadline = setTimeout(() => reject(new Error('TIMEOUT')), timeoutMs)
      try {
        return await Promise.race([sendWithin(body, performance.now() + timeoutMs), tooLate])
      } catch (error) {
        if (error instanceof NoToken) return error.outcome
        return noAnswer(closing.signal.aborted ? new Error('CLOSED') : error)
      } finally {
        clearTimeout(deadline)
      }
    },
    async close() {
      closing.abort()
      await outbound.close()
    },
  }
}

const reasonOf = (outcome: PushOutcome) => (outcome.outcome === 'accepted' ? null : outcome.reason)

type Violation = { field?: unknown }
type Detail = { '@type'?: unknown; errorCode?: unknown; fieldViolations?: Violation[] }

function outcomeOfFcm(answer: OutboundAnswer): PushOutcome {
  const said = readObject(answer.body.toString())
  if (answer.status === 200) {
    return { outcome: 'accepted', providerId: typeof said.name === 'string' ? said.name : null }
  }
  const error = (said.error ?? {}) as { status?: unknown; message?: unknown; details?: unknown }
  const details = Array.isArray(error.details) ? (error.details as (Detail | null)[]) : []
  const code = asReason(details.find((detail) => detail?.errorCode !== undefined)?.errorCode) ?? asReason(error.status)
  const reason = code ?? `HTTP ${answer.status}`
  if (deadCodes.has(reason) || (reason === 'INVALID_ARGUMENT' && isAboutToken(error.message, details))) {
    return { outcome: 'dead', reason }
  }
  const isPassing = reason === 'QUOTA_EXCEEDED' || reason === 'UNAVAILABLE' || reason === 'INTERNAL'
  const status = isPassing ? 503 : answer.status
  return outcomeOf({ status, retryAfter: answer.headers.get('retry-after'), body: '' }, reason)
}

/** INVALID_ARGUMENT may be about anything in the message; only where it is about the token does that have to go. */
function isAboutToken(message: unknown, details: (Detail | null)[]): boolean {
  const violations = details.flatMap((detail) => (Array.isArray(detail?.fieldViolations) ? detail.fieldViolations : []))
  if (violations.length > 0) return violations.every(({ field }) => field === 'message.token')
  return typeof message === 'string' && message.includes('not a valid FCM registration token')
}
