import { generateKeyPairSync } from 'node:crypto'
import {
  constants,
  createSecureServer,
  type Http2Session,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import { decodeProtectedHeader, jwtVerify } from 'jose'
import type { ApnsOptions } from '../push-sender.ts'
import { makeCertificate } from './certificate.ts'
import { createLedger, plainHeaders, type Provider, retryAfterSeconds, type Said, serveBehindWire } from './provider.ts'

/** Apple's push service, as far as a provider sees it. */
export type ApnsServer = Provider & {
  /** What a sender is to be given. */
  options: ApnsOptions
  /** The tokens that were presented, each once. */
  tokens: Set<string>
  /** Says goodbye on all connections, and finishes what is under way. */
  goAway(): void
  /** Takes tokens that are younger than this only. Seconds. */
  maxTokenAge(seconds: number): void
  /** The most requests that were under way at a time on one connection. */
  mostStreams(): number
  sessions(): number
}

const topic = 'org.example.maru'
const keyId = 'ABC123DEFG'
const teamId = 'DEF123GHIJ'

/** Said with the status that Apple says it with. */
const statuses = { dead: 410, refused: 400, later: 503, throttled: 429 } as const
const reasons = {
  dead: 'Unregistered',
  refused: 'BadMessageId',
  later: 'ServiceUnavailable',
  throttled: 'TooManyRequests',
} as const

/**
 * Starts one. `streams` is how many requests it takes at a time once it has seen a good token; before that it is one.
 */
export async function startApnsServer({ streams = 100 } = {}): Promise<ApnsServer> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const certificate = makeCertificate()
  const ledger = createLedger()
  const tokens = new Set<string>()
  const sessions = new Set<Http2Session>()
  const trusted = new WeakSet<Http2Session>()
  const open = new WeakMap<Http2Session, number>()
  let mostStreams = 0
  let maxAge = 60 * 60

  const server = createSecureServer({ ...certificate, settings: { maxConcurrentStreams: 1 } })
  server.on('session', (session: ServerHttp2Session) => {
    sessions.add(session)
    session.on('error', () => undefined)
    session.on('close', () => sessions.delete(session))
  })
  server.on('sessionError', () => undefined)
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    const session = stream.session!
    open.set(session, (open.get(session) ?? 0) + 1)
    mostStreams = Math.max(mostStreams, open.get(session)!)
    const parts: Buffer[] = []
    stream.on('error', () => undefined)
    stream.on('close', () => open.set(session, open.get(session)! - 1))
    stream.on('data', (part: Buffer) => parts.push(part))
    stream.on('end', () => void answer(stream, plainHeaders(headers), Buffer.concat(parts)))
  })

  async function answer(stream: ServerHttp2Stream, headers: Record<string, string>, body: Buffer) {
    const token = /^\/3\/device\/([0-9a-f]+)$/.exec(headers[':path']!)?.[1] ?? ''
    const trouble = ledger.trouble(token)
    if (trouble === 'cut') return stream.close(constants.NGHTTP2_INTERNAL_ERROR)
    if (trouble === 'unseen') return stream.close(constants.NGHTTP2_REFUSED_STREAM)
    const fault = (await checkToken(headers)) ?? check(token, headers, body)
    if (fault !== null) {
      ledger.complain(`${fault.status} ${fault.reason}`)
      return say(stream, headers, fault)
    }
    const { session } = stream
    if (session !== undefined && !trusted.has(session)) {
      trusted.add(session)
      session.settings({ maxConcurrentStreams: streams })
    }
    if (typeof trouble === 'object' && trouble !== null) return say(stream, headers, trouble)
    if (trouble !== null && trouble !== 'lost' && trouble !== 'held') {
      const retry = trouble === 'later' || trouble === 'throttled'
      return say(stream, headers, {
        status: statuses[trouble],
        reason: reasons[trouble],
        ...(retry ? { headers: { 'retry-after': String(retryAfterSeconds) } } : {}),
      })
    }
    const payload = JSON.parse(body.toString())
    const { kind, collapseId: _, threadId: __, badge, ...data } = payload.maru
    ledger.take({
      token,
      kind,
      collapseId: headers['apns-collapse-id'] ?? '',
      title: payload.aps.alert?.title ?? '',
      body: payload.aps.alert?.body ?? '',
      badge: payload.aps.badge ?? Number(badge),
      data,
      payload,
      headers,
    })
    if (trouble === 'held') return
    if (trouble === 'lost') return stream.close(constants.NGHTTP2_INTERNAL_ERROR)
    say(stream, headers, { status: 200 })
  }

  async function checkToken(headers: Record<string, string>): Promise<Said | null> {
    const jwt = /^bearer (.+)$/.exec(headers.authorization ?? '')?.[1]
    if (jwt === undefined) return { status: 403, reason: 'MissingProviderToken' }
    tokens.add(jwt)
    try {
      const demands = { algorithms: ['ES256'], issuer: teamId, requiredClaims: ['iat'] }
      const { payload } = await jwtVerify(jwt, publicKey, demands)
      if (decodeProtectedHeader(jwt).kid !== keyId) return { status: 403, reason: 'InvalidProviderToken' }
      const age = Date.now() / 1_000 - payload.iat!
      return age > maxAge || age < -60 ? { status: 403, reason: 'ExpiredProviderToken' } : null
    } catch {
      return { status: 403, reason: 'InvalidProviderToken' }
    }
  }

  const { wire, stop } = await serveBehindWire(server)
  const url = `https://127.0.0.1:${wire.port}`
  return {
    ...ledger,
    url,
    ca: certificate.cert,
    wire,
    tokens,
    options: {
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      keyId,
      teamId,
      topic,
      topics: [`${topic}.beta`],
      url,
      sandboxUrl: url,
      ca: certificate.cert,
    },
    goAway() {
      for (const session of sessions) session.close()
    },
    maxTokenAge(seconds) {
      maxAge = seconds
    },
    mostStreams: () => mostStreams,
    sessions: () => sessions.size,
    async stop() {
      for (const session of sessions) session.destroy()
      await stop()
    },
  }
}

function say(stream: ServerHttp2Stream, asked: Record<string, string>, { status, reason, headers = {} }: Said): void {
  if (stream.destroyed) return
  stream.respond({ ':status': status, 'apns-id': asked['apns-id'] ?? '', ...headers })
  stream.end(reason === undefined ? undefined : JSON.stringify({ reason, timestamp: Date.now() }))
}

/** What Apple finds wrong with a request: "Sending notification requests to APNs", and its table of reasons. */
function check(token: string, headers: Record<string, string>, body: Buffer): Said | null {
  const bad = (reason: string, status = 400): Said => ({ status, reason })
  if (headers[':method'] !== 'POST') return bad('MethodNotAllowed', 405)
  if (!headers[':path']!.startsWith('/3/device/')) return bad('BadPath', 404)
  if (token.length < 64) return bad('BadDeviceToken')
  if (headers['apns-topic'] === undefined) return bad('MissingTopic')
  if (!headers['apns-topic'].startsWith(topic)) return bad('DeviceTokenNotForTopic')
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(headers['apns-id'] ?? '')) return bad('BadMessageId')
  if (!/^\d+$/.test(headers['apns-expiration'] ?? '')) return bad('BadExpirationDate')
  if (!/^(1|5|10)$/.test(headers['apns-priority'] ?? '')) return bad('BadPriority')
  if (Buffer.byteLength(headers['apns-collapse-id'] ?? '') > 64) return bad('BadCollapseId')
  if (body.length === 0) return bad('PayloadEmpty')
  if (body.length > 4_096) return bad('PayloadTooLarge', 413)
  const { aps } = JSON.parse(body.toString())
  const isSilent = JSON.stringify(Object.keys(aps)) === '["content-available"]'
  const type = headers['apns-push-type']
  if (type !== 'alert' && type !== 'background') return bad('InvalidPushType')
  if (isSilent !== (type === 'background')) return bad('InvalidPushType')
  if (isSilent && headers['apns-priority'] === '10') return bad('BadPriority')
  return null
}
