import { ECDH } from 'node:crypto'
import { badInput } from '../errors.ts'
import type { PushPlatform } from './push-sender.ts'

/** What a browser's `PushSubscription` is in JSON. Keys are in base64url without padding. */
export type Subscription = { endpoint: string; keys: { p256dh: string; auth: string } }

const field = 'input.token'

/** Push services' addresses have 150 to 500 characters. */
const maxEndpointLength = 2_000

/** RFC 8291, 3.2: "at least 128 bits"; browsers make 16 bytes, as section 3.1 of it has them. */
const authBytes = 16

/** Google's first push service for browsers, gone since 2019: it knows no VAPID. */
const goneService = 'https://android.googleapis.com/gcm/send'

/**
 * Returns the token of a device as it is to be kept, so that the same device is always the same text: APNs tokens in
 * lower case, subscriptions with their members in order. Throws BAD_USER_INPUT where it is none of the platform's.
 */
export function checkPushToken(platform: PushPlatform, token: string, appId: string | null): string {
  // A bundle id or a project's; both are letters, digits, dots, dashes.
  if (appId !== null && !/^[\w.:-]{1,155}$/.test(appId)) {
    throw badInput('The app id is a bundle id (APNs) or a project id (FCM).', 'input.appId')
  }
  if (platform === 'WEB_PUSH') return JSON.stringify(parseSubscription(token))
  if (platform === 'APNS') {
    // Apple: "Do not assume a specific length"; today it is 64.
    if (/^[0-9a-fA-F]{64,200}$/.test(token)) return token.toLowerCase()
    throw badInput('An APNs token is 64 to 200 hexadecimal digits.', field)
  }
  if (platform === 'FCM') {
    if (/^[\x21-\x7e]{1,4096}$/.test(token)) return token
    throw badInput('An FCM token is 1 to 4,096 letters, digits and signs, without space.', field)
  }
  if (/^[\x20-\x7e]{1,200}$/.test(token) && token.trim() === token) return token
  throw badInput('A webhook token is 1 to 200 letters, digits and signs.', field)
}

/**
 * Reads a browser's push subscription: an address of https, its key a point on P-256, its secret 16 bytes. Throws
 * BAD_USER_INPUT for anything else. Where the address leads is checked when it is asked, every time.
 */
export function parseSubscription(json: string): Subscription {
  const { endpoint, keys } = readMembers(json)
  const { p256dh, auth } = (typeof keys === 'object' && keys !== null ? keys : {}) as Record<string, unknown>
  return {
    endpoint: checkEndpoint(endpoint),
    keys: { p256dh: checkPublicKey(p256dh), auth: checkAuth(auth) },
  }
}

function readMembers(json: string): Record<string, unknown> {
  let value: unknown = null
  try {
    value = JSON.parse(json)
  } catch {
    // Said below.
  }
  if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  throw badInput('A Web Push token is the subscription as JSON: JSON.stringify(subscription).', field)
}

function checkEndpoint(endpoint: unknown): string {
  const url = typeof endpoint === 'string' && endpoint.length <= maxEndpointLength ? URL.parse(endpoint) : null
  if (url === null || url.protocol !== 'https:' || url.username !== '' || url.password !== '' || url.hash !== '') {
    throw badInput(`The endpoint must be an https address of at most ${maxEndpointLength} characters.`, field)
  }
  if (url.href.startsWith(goneService)) throw badInput('This push service is no more: subscribe again.', field)
  return url.href
}

function checkPublicKey(text: unknown): string {
  const point = readBase64(text)
  try {
    // 65 bytes of which the first is 4: not compressed (RFC 8291, 3.1). OpenSSL refuses what is not on the curve.
    if (point?.length === 65 && point[0] === 4 && ECDH.convertKey(point, 'prime256v1').length > 0) {
      return point.toString('base64url')
    }
  } catch {
    // Said below.
  }
  throw badInput("The subscription's p256dh must be a point on P-256 in base64url.", field)
}

function checkAuth(text: unknown): string {
  const auth = readBase64(text)
  if (auth?.length === authBytes) return auth.toString('base64url')
  throw badInput(`The subscription's auth must be ${authBytes} bytes in base64url.`, field)
}

const readBase64 = (text: unknown): Buffer | null =>
  typeof text === 'string' && /^[\w-]{1,100}={0,2}$/.test(text) ? Buffer.from(text, 'base64url') : null
