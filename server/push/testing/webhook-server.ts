import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import type { WebhookOptions } from '../push-sender.ts'
import { createLedger, plainHeaders, type Provider, retryAfterSeconds, serveBehindWire } from './provider.ts'

/** What an operator has at the end of a webhook: it checks signature and age, and knows repeats. */
export type WebhookServer = Provider & {
  /** What a sender is to be given. */
  options: WebhookOptions
  /** How many in the log were known by their id to have come before. */
  repeats(): number
}

const statuses = { dead: 410, refused: 400, later: 503, throttled: 429 } as const

/** Standard Webhooks leaves it to the receiver how old a call may be; its libraries have five minutes. Seconds. */
const tolerance = 5 * 60

/** Starts one. */
export async function startWebhookServer(): Promise<WebhookServer> {
  const secret = randomBytes(32)
  const ledger = createLedger()
  const seen = new Set<string>()
  let repeats = 0

  const server = createServer((request, response) => {
    void answer(request, response).catch(() => request.socket.destroy())
  })

  async function answer(request: IncomingMessage, response: ServerResponse) {
    const body = await text(request)
    const headers = plainHeaders(request.headers)
    const fault = check(request, headers, body)
    if (fault !== null) {
      ledger.complain(fault)
      return response.writeHead(401).end()
    }
    const payload = JSON.parse(body)
    const trouble = ledger.trouble(payload.data.token)
    if (trouble === 'cut' || trouble === 'unseen') return request.socket.destroy()
    if (typeof trouble === 'object' && trouble !== null) {
      return response.writeHead(trouble.status, trouble.headers).end()
    }
    if (trouble !== null && trouble !== 'lost' && trouble !== 'held') {
      const retry = trouble === 'later' || trouble === 'throttled'
      return response.writeHead(statuses[trouble], retry ? { 'retry-after': String(retryAfterSeconds) } : {}).end()
    }
    const { token, kind, collapseId, title = '', body: words = '', badge, data } = payload.data
    if (seen.has(headers['webhook-id']!)) repeats++
    ledger.take({ token, kind, collapseId, title, body: words, badge, data, payload, headers })
    seen.add(headers['webhook-id']!)
    if (trouble === 'held') return
    if (trouble === 'lost') return request.socket.destroy()
    response.writeHead(204).end()
  }

  function check(request: IncomingMessage, headers: Record<string, string>, body: string): string | null {
    if (request.method !== 'POST' || headers['content-type'] !== 'application/json') return 'no JSON'
    const { 'webhook-id': id = '', 'webhook-timestamp': at = '', 'webhook-signature': signatures = '' } = headers
    if (id === '' || id.includes('.')) return 'webhook-id'
    if (!/^\d+$/.test(at) || Math.abs(Date.now() / 1_000 - Number(at)) > tolerance) return 'webhook-timestamp'
    const due = createHmac('sha256', secret).update(`${id}.${at}.${body}`).digest()
    const isSigned = signatures.split(' ').some((signature) => {
      const [version, code = ''] = signature.split(',')
      const given = Buffer.from(code, 'base64')
      return version === 'v1' && given.length === due.length && timingSafeEqual(given, due)
    })
    if (!isSigned) return 'webhook-signature'
    return JSON.parse(body).type?.startsWith('push.') ? null : 'type'
  }

  const { wire, stop } = await serveBehindWire(server)
  const url = `http://127.0.0.1:${wire.port}/push`
  return {
    ...ledger,
    url,
    ca: null,
    wire,
    options: { url, secret: `whsec_${secret.toString('base64')}` },
    repeats: () => repeats,
    async stop() {
      server.closeAllConnections()
      await stop()
    },
  }
}
