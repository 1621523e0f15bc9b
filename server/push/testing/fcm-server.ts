import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { jwtVerify } from 'jose'
import type { FcmOptions } from '../push-sender.ts'
import { createLedger, plainHeaders, type Provider, retryAfterSeconds, type Said, serveBehindWire } from './provider.ts'

/** Google's push service, HTTP v1, and where it gives out tokens. */
export type FcmServer = Provider & {
  /** What a sender is to be given. */
  options: FcmOptions
  /** How often a token was asked for. */
  exchanges(): number
  /** The next tokens that are asked for end so; `held` is never answered. */
  nextExchange(...answers: (Said | 'held')[]): void
  /** For how long tokens are said to be good from now on. Seconds. */
  lifetime(seconds: number): void
  /** No token given out so far is good any more. */
  revoke(): void
}

const projectId = 'maru-test'
const clientEmail = 'push@maru-test.iam.gserviceaccount.com'
const errorType = 'type.googleapis.com/google.firebase.fcm.v1.FcmError'

/** What Google says, by the code that says it. */
const statuses: Record<string, { status: number; canonical: string } | undefined> = {
  UNREGISTERED: { status: 404, canonical: 'NOT_FOUND' },
  SENDER_ID_MISMATCH: { status: 403, canonical: 'PERMISSION_DENIED' },
  INVALID_ARGUMENT: { status: 400, canonical: 'INVALID_ARGUMENT' },
  QUOTA_EXCEEDED: { status: 429, canonical: 'RESOURCE_EXHAUSTED' },
  UNAVAILABLE: { status: 503, canonical: 'UNAVAILABLE' },
  INTERNAL: { status: 500, canonical: 'INTERNAL' },
  THIRD_PARTY_AUTH_ERROR: { status: 401, canonical: 'UNAUTHENTICATED' },
}

const codes = { dead: 'UNREGISTERED', refused: 'INVALID_ARGUMENT', later: 'UNAVAILABLE', throttled: 'QUOTA_EXCEEDED' }

/** Starts one. */
export async function startFcmServer(): Promise<FcmServer> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const ledger = createLedger()
  const exchangeTroubles: (Said | 'held')[] = []
  /** Until when each token is good, by `Date.now()`. */
  const given = new Map<string, number>()
  let exchanges = 0
  let lifetime = 3_600

  const server = createServer((request, response) => {
    void answer(request, response).catch(() => request.socket.destroy())
  })

  async function answer(request: IncomingMessage, response: ServerResponse) {
    const body = await text(request)
    if (request.method !== 'POST') return respond(response, 405, {})
    if (request.url === '/token') return exchange(request, response, new URLSearchParams(body))
    if (request.url !== `/v1/projects/${projectId}/messages:send`) return respond(response, 404, {})
    await deliver(request, response, body)
  }

  async function exchange(request: IncomingMessage, response: ServerResponse, form: URLSearchParams) {
    exchanges++
    const trouble = exchangeTroubles.shift()
    if (trouble === 'held') return
    if (trouble !== undefined) return respond(response, trouble.status, { error: trouble.reason }, trouble.headers)
    try {
      if (request.headers['content-type'] !== 'application/x-www-form-urlencoded') throw new Error('content-type')
      if (form.get('grant_type') !== 'urn:ietf:params:oauth:grant-type:jwt-bearer') throw new Error('grant_type')
      const { payload } = await jwtVerify(form.get('assertion') ?? '', publicKey, {
        algorithms: ['RS256'],
        issuer: clientEmail,
        audience: `http://127.0.0.1:${wire.port}/token`,
        requiredClaims: ['iat', 'exp'],
        maxTokenAge: 3_600,
      })
      if (payload.exp! - payload.iat! > 3_600) throw new Error('exp')
      if (payload.scope !== 'https://www.googleapis.com/auth/firebase.messaging') throw new Error('scope')
    } catch (error) {
      ledger.complain(`token: ${(error as Error).message}`)
      return respond(response, 400, { error: 'invalid_grant' })
    }
    const token = randomUUID()
    given.set(token, Date.now() + lifetime * 1_000)
    respond(response, 200, { access_token: token, expires_in: lifetime, token_type: 'Bearer' })
  }

  async function deliver(request: IncomingMessage, response: ServerResponse, body: string) {
    const { message } = JSON.parse(body) as { message: Record<string, any> }
    const token = String(message.token)
    const trouble = ledger.trouble(token)
    if (trouble === 'cut' || trouble === 'unseen') return request.socket.destroy()
    const bearer = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? ''
    if ((given.get(bearer) ?? 0) < Date.now()) return refuse(response, { status: 401, reason: 'UNAUTHENTICATED' })
    const fault = check(message)
    if (fault !== null) {
      ledger.complain(`INVALID_ARGUMENT ${fault}`)
      return refuse(response, { status: 400, reason: 'INVALID_ARGUMENT', about: fault })
    }
    if (typeof trouble === 'object' && trouble !== null) return refuse(response, trouble)
    if (trouble !== null && trouble !== 'lost' && trouble !== 'held') {
      const retry = trouble === 'later' || trouble === 'throttled'
      const reason = codes[trouble]
      return refuse(response, {
        status: statuses[reason]!.status,
        reason,
        ...(trouble === 'refused' ? { about: 'message.data' } : {}),
        ...(retry ? { headers: { 'retry-after': String(retryAfterSeconds) } } : {}),
      })
    }
    const { kind, collapseId: _, threadId: __, badge, title, body: words, ...data } = message.data
    ledger.take({
      token,
      kind,
      collapseId: message.android.notification?.tag ?? message.data.collapseId,
      title: message.notification?.title ?? title ?? '',
      body: message.notification?.body ?? words ?? '',
      badge: Number(badge),
      data,
      payload: message,
      headers: plainHeaders(request.headers),
    })
    if (trouble === 'held') return
    if (trouble === 'lost') return request.socket.destroy()
    respond(response, 200, { name: `projects/${projectId}/messages/${randomUUID()}` })
  }

  const { wire, stop } = await serveBehindWire(server)
  const url = `http://127.0.0.1:${wire.port}`
  return {
    ...ledger,
    url,
    ca: null,
    wire,
    options: {
      serviceAccount: {
        project_id: projectId,
        client_email: clientEmail,
        private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
        token_uri: `${url}/token`,
      },
      url,
    },
    exchanges: () => exchanges,
    nextExchange: (...answers) => void exchangeTroubles.push(...answers),
    lifetime(seconds) {
      lifetime = seconds
    },
    revoke: () => given.clear(),
    async stop() {
      server.closeAllConnections()
      await stop()
    },
  }
}

function respond(response: ServerResponse, status: number, body: object, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
}

/** An error as Google writes it. */
function refuse(response: ServerResponse, { status, reason = '', about, headers }: Said): void {
  const violation = { '@type': 'type.googleapis.com/google.rpc.BadRequest', fieldViolations: [{ field: about }] }
  const known = statuses[reason]
  const details = [
    ...(known === undefined ? [] : [{ '@type': errorType, errorCode: reason }]),
    ...(about === undefined ? [] : [violation]),
  ]
  const error = { code: status, message: reason, status: known?.canonical ?? reason, details }
  respond(response, status, { error }, headers)
}

/** The member of a message that Google would not take; null where all are fine. */
function check(message: Record<string, any>): string | null {
  const { token, data, notification, android, apns, ...others } = message
  if (Object.keys(others).length > 0) return Object.keys(others)[0]!
  if (!/^[\w:-]{20,4096}$/.test(token)) return 'message.token'
  if (Buffer.byteLength(JSON.stringify({ data, notification, android, apns })) > 4_096) return 'message'
  for (const [name, value] of Object.entries(data)) {
    if (typeof value !== 'string' || /^(from|message_type|google|gcm)/.test(name)) return `message.data[${name}]`
  }
  if (notification !== undefined && typeof notification.body !== 'string') return 'message.notification'
  if (!/^(NORMAL|HIGH)$/.test(android.priority)) return 'message.android.priority'
  if (!/^\d+s$/.test(android.ttl) || Number.parseInt(android.ttl, 10) > 28 * 86_400) return 'message.android.ttl'
  const count = android.notification?.notification_count ?? 0
  return Number.isInteger(count) && count >= 0 ? null : 'message.android.notification.notification_count'
}
