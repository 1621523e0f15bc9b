import {
  createDecipheriv,
  createECDH,
  createPublicKey,
  type ECDH,
  hkdfSync,
  randomBytes,
  randomUUID,
} from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import { buffer } from 'node:stream/consumers'
import { jwtVerify } from 'jose'
import type { WebPushOptions } from '../push-sender.ts'
import type { Subscription } from '../push-tokens.ts'
import { makeCertificate } from './certificate.ts'
import { createLedger, plainHeaders, type Provider, retryAfterSeconds, type Said, serveBehindWire } from './provider.ts'

/** A browser's push service (RFC 8030), and the browsers that use it. */
export type PushService = Provider & {
  /** What a sender is to be given, but for the way out. */
  options: WebPushOptions
  /** `host:port`, for the list of those that may be reached although private. */
  host: string
  /** A browser subscribes. The token in the log is the whole subscription as JSON. */
  subscribe(): string
}

const statuses = { dead: 410, refused: 413, later: 503, throttled: 429 } as const

/** Starts one, with VAPID keys for the deployment that sends. */
export async function startPushService(): Promise<PushService> {
  const vapid = createECDH('prime256v1')
  vapid.generateKeys()
  const certificate = makeCertificate()
  const ledger = createLedger()
  const browsers = new Map<string, { keys: ECDH; auth: Buffer; token: string }>()

  const server = createServer(certificate, (request, response) => {
    void answer(request, response).catch(() => request.socket.destroy())
  })
  server.on('tlsClientError', () => undefined)

  async function answer(request: IncomingMessage, response: ServerResponse) {
    const body = await buffer(request)
    const browser = browsers.get(request.url ?? '')
    const trouble = ledger.trouble(browser?.token ?? '')
    if (trouble === 'cut' || trouble === 'unseen') return request.socket.destroy()
    const headers = plainHeaders(request.headers)
    if (browser === undefined) return say(response, { status: 404 })
    const fault = (await checkVapid(headers.authorization ?? '')) ?? check(request, headers, body)
    if (fault !== null) {
      ledger.complain(`${fault.status} ${fault.reason}`)
      return say(response, fault)
    }
    if (typeof trouble === 'object' && trouble !== null) return say(response, trouble)
    if (trouble !== null && trouble !== 'lost' && trouble !== 'held') {
      const retry = trouble === 'later' || trouble === 'throttled'
      const wait = retry ? { headers: { 'retry-after': String(retryAfterSeconds) } } : {}
      return say(response, { status: statuses[trouble], ...wait })
    }
    const payload = JSON.parse(decrypt(body, browser.keys, browser.auth).toString())
    const { kind, title, body: words, badge, data } = payload
    const collapseId = headers.topic ?? ''
    ledger.take({ token: browser.token, kind, collapseId, title, body: words, badge, data, payload, headers })
    if (trouble === 'held') return
    if (trouble === 'lost') return request.socket.destroy()
    say(response, { status: 201, headers: { location: `${url}/message/${randomUUID()}` } })
  }

  /** RFC 8292: a token of the key that was given with it, which is the one that browsers were given. */
  async function checkVapid(authorization: string): Promise<Said | null> {
    const [, jwt, key] = /^vapid t=([\w.-]+), k=([\w-]+)$/.exec(authorization) ?? []
    if (jwt === undefined || key === undefined) return { status: 401, reason: 'no VAPID' }
    if (key !== vapid.getPublicKey('base64url')) return { status: 403, reason: 'another key than subscribed with' }
    const point = Buffer.from(key, 'base64url')
    const publicKey = createPublicKey({
      format: 'jwk',
      key: {
        kty: 'EC',
        crv: 'P-256',
        x: point.subarray(1, 33).toString('base64url'),
        y: point.subarray(33).toString('base64url'),
      },
    })
    try {
      const { payload } = await jwtVerify(jwt, publicKey, {
        algorithms: ['ES256'],
        audience: url,
        requiredClaims: ['exp', 'sub'],
      })
      if (payload.exp! - Date.now() / 1_000 > 24 * 60 * 60) return { status: 403, reason: 'exp beyond a day' }
      return /^(mailto|https):/.test(payload.sub!) ? null : { status: 403, reason: 'sub' }
    } catch (error) {
      return { status: 403, reason: (error as Error).message }
    }
  }

  const { wire, stop } = await serveBehindWire(server)
  const url = `https://127.0.0.1:${wire.port}`
  return {
    ...ledger,
    url,
    ca: certificate.cert,
    host: `127.0.0.1:${wire.port}`,
    wire,
    options: {
      publicKey: vapid.getPublicKey('base64url'),
      privateKey: vapid.getPrivateKey('base64url'),
      subject: 'mailto:admin@example.org',
    },
    subscribe() {
      const keys = createECDH('prime256v1')
      keys.generateKeys()
      const auth = randomBytes(16)
      const path = `/push/${randomUUID()}`
      const subscription: Subscription = {
        endpoint: url + path,
        keys: { p256dh: keys.getPublicKey('base64url'), auth: auth.toString('base64url') },
      }
      const token = JSON.stringify(subscription)
      browsers.set(path, { keys, auth, token })
      return token
    },
    async stop() {
      server.closeAllConnections()
      await stop()
    },
  }
}

function say(response: ServerResponse, { status, headers = {} }: Said): void {
  response.writeHead(status, headers).end()
}

/** RFC 8030, 5: what a push service refuses. */
function check(request: IncomingMessage, headers: Record<string, string>, body: Buffer): Said | null {
  if (request.method !== 'POST') return { status: 405, reason: 'method' }
  if (!/^\d+$/.test(headers.ttl ?? '')) return { status: 400, reason: 'TTL' }
  if (!/^(very-low|low|normal|high)$/.test(headers.urgency ?? 'normal')) return { status: 400, reason: 'Urgency' }
  if (!/^[\w-]{1,32}$/.test(headers.topic ?? 'none')) return { status: 400, reason: 'Topic' }
  if (headers['content-encoding'] !== 'aes128gcm') return { status: 400, reason: 'Content-Encoding' }
  if (Number(headers['content-length']) !== body.length) return { status: 400, reason: 'Content-Length' }
  return body.length > 4_096 ? { status: 413, reason: 'too large' } : null
}

/** RFC 8291, 3.4, and RFC 8188 with the one record that it allows. Throws where it was not meant for this browser. */
export function decrypt(body: Buffer, keys: ECDH, auth: Buffer): Buffer {
  const salt = body.subarray(0, 16)
  const recordSize = body.readUInt32BE(16)
  const senderKey = body.subarray(21, 21 + body[20]!)
  const record = body.subarray(21 + body[20]!)
  if (senderKey.length !== 65 || record.length > recordSize) throw new Error('not one record')
  const derive = (secret: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number) =>
    Buffer.from(hkdfSync('sha256', secret, salt, info, length))
  const info = Buffer.concat([Buffer.from('WebPush: info\0'), keys.getPublicKey(), senderKey])
  const secret = derive(keys.computeSecret(senderKey), auth, info, 32)
  const key = derive(secret, salt, Buffer.from('Content-Encoding: aes128gcm\0'), 16)
  const nonce = derive(secret, salt, Buffer.from('Content-Encoding: nonce\0'), 12)
  const decipher = createDecipheriv('aes-128-gcm', key, nonce)
  decipher.setAuthTag(record.subarray(-16))
  const padded = Buffer.concat([decipher.update(record.subarray(0, -16)), decipher.final()])
  // The last record ends with a 2, and as many zeros as the sender likes.
  const end = padded.findLastIndex((byte) => byte !== 0)
  if (padded[end] !== 2) throw new Error('padding')
  return padded.subarray(0, end)
}
