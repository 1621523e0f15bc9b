import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { unavailable } from '../errors.ts'
import { channelGlobalId, userGlobalId } from '../lib/global-id.ts'
import { createOutbound } from '../lib/outbound.ts'
import { cleanText, firstCodePoints, isBlank } from '../lib/text.ts'
import { signWebhook } from '../push/webhook.ts'
import { createHookTrust } from './hook-trust.ts'
import { allowed, type Checked, type ContentFilter, type Verdict } from './content-filter.ts'

export type ContentHookOptions = {
  url: string
  /** Signs what is asked, as Standard Webhooks has it. */
  secret: string
  /** For one answer, from the first look-up to the last byte. */
  timeoutMs: number
  /** What counts where there is no answer: `open` lets everything through, `closed` nothing. */
  fails: 'open' | 'closed'
  onError?: (error: unknown) => void
}

/** Two of the longest messages, each character escaped. */
const maxAnswerBytes = 2_500_000

/** A sentence of the operator's that is shown to people; what is longer is cut. */
const maxReasonLength = 200
const refusal = 'This is not allowed here.'

/** A refusal is one whatever is given as its reason: it must not let through what was refused. */
const answer = z.union([
  z.object({ verdict: z.literal('allow') }),
  z.object({ verdict: z.literal('refuse'), reason: z.unknown().optional() }),
  z.object({ verdict: z.literal('replace'), content: z.string() }),
])

/** What can be shown of a reason, and stored where nobody is there to read it now. */
function reasonOf(given: unknown): string {
  const reason = typeof given === 'string' ? firstCodePoints(cleanText(given).trim(), maxReasonLength) : ''
  return isBlank(reason) ? refusal : reason
}

/** What tells whether the service is there, where that is doubtful: something that nobody has said. */
const probe: Checked = { kind: 'MESSAGE', authorId: null, channelId: null, content: 'Hello?' }

/**
 * Asks a service of the operator's, which gets a POST of JSON that is signed as Standard Webhooks has it:
 *
 *     { "type": "content.check", "timestamp": "…",
 *       "data": { "kind": "MESSAGE", "authorId": "…", "channelId": "…", "content": "…" } }
 *
 * and answers 200 with `{ "verdict": "allow" }`, `{ "verdict": "refuse", "reason": "…" }` (the reason is shown to the
 * author, and may be left out) or `{ "verdict": "replace", "content": "…" }`. Anything else is no answer. Where there was
 * none several times it is probed with a message of nobody, and whatever it says to that is an answer: `createHookTrust`.
 *
 * Throws an Error where address or secret cannot be used.
 */
export function createContentHook({ url, secret, timeoutMs, fails, onError = () => {} }: ContentHookOptions): ContentFilter {
  signWebhook(secret, '', '', '')
  // The operator's own address: it may be anywhere.
  const outbound = createOutbound({ allowed: [new URL(url).host], userAgent: 'Maru' })
  const trust = createHookTrust(() =>
    ask(probe).catch((error: unknown) => {
      onError(error)
      throw error
    }),
  )

  async function ask({ kind, authorId, channelId, content }: Checked): Promise<Verdict> {
    const id = `msg_${randomUUID()}`
    const now = Date.now()
    const timestamp = String(Math.floor(now / 1_000))
    const body = JSON.stringify({
      type: 'content.check',
      timestamp: new Date(now).toISOString(),
      data: {
        kind,
        authorId: authorId === null ? null : userGlobalId(authorId),
        channelId: channelId === null ? null : channelGlobalId(channelId),
        content,
      },
    })
    const { status, body: said } = await outbound.fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'webhook-id': id,
        'webhook-timestamp': timestamp,
        'webhook-signature': signWebhook(secret, id, timestamp, body),
      },
      body,
      timeoutMs,
      maxBytes: maxAnswerBytes,
    })
    if (status !== 200) throw new Error(`The content hook answered ${status}.`)
    const verdict = answer.parse(JSON.parse(said.toString()))
    return verdict.verdict === 'refuse' ? { verdict: 'refuse', reason: reasonOf(verdict.reason) } : verdict
  }

  function withoutAnswer(cause: unknown): Verdict {
    if (fails === 'closed') throw unavailable(cause)
    return allowed
  }

  return {
    async check(checked) {
      if (!(await trust.mayAsk())) return withoutAnswer(new Error('The content hook did not answer lately.'))
      try {
        const verdict = await ask(checked)
        trust.succeeded()
        return verdict
      } catch (error) {
        trust.failed(checked.authorId, error)
        onError(error)
        return withoutAnswer(error)
      }
    },
    close: () => outbound.close(),
  }
}
