import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { checkPushToken, parseSubscription } from './push-tokens.ts'

// From RFC 8291, section 5.
const p256dh = 'BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4'
const auth = 'BTBZMqHH6r4Tts7J_aSIgg'
const endpoint = 'https://push.example.net/send/1'
const subscription = { endpoint, keys: { p256dh, auth } }

function hybrid(first: number): string {
  const point = Buffer.from(p256dh, 'base64url')
  point[0] = first
  return point.toString('base64url')
}

test('a subscription is kept in one form, whatever the browser adds to it', () => {
  const json = JSON.stringify({ keys: { auth: `${auth}==`, p256dh, more: 1 }, expirationTime: null, endpoint })
  expect(parseSubscription(json)).toEqual(subscription)
  expect(checkPushToken('WEB_PUSH', json, null)).toBe(JSON.stringify(subscription))
})

test.each([
  ['no JSON', 'token'],
  ['no object', '[]'],
  ['null', 'null'],
  ['no keys', JSON.stringify({ endpoint })],
  ['keys that are none', JSON.stringify({ endpoint, keys: 'x' })],
  ['http', JSON.stringify({ ...subscription, endpoint: 'http://push.example.net/1' })],
  ['no address', JSON.stringify({ ...subscription, endpoint: 'push' })],
  ['a number for an address', JSON.stringify({ ...subscription, endpoint: 1 })],
  ['a name in the address', JSON.stringify({ ...subscription, endpoint: 'https://alice@push.example.net/1' })],
  ['a long address', JSON.stringify({ ...subscription, endpoint: `${endpoint}${'x'.repeat(2_000)}` })],
  ['a service that is gone', JSON.stringify({ ...subscription, endpoint: 'https://android.googleapis.com/gcm/send' })],
  ['a short key', JSON.stringify({ endpoint, keys: { p256dh: p256dh.slice(4), auth } })],
  ['a point beside the curve', JSON.stringify({ endpoint, keys: { p256dh: `${p256dh.slice(0, -1)}0`, auth } })],
  ['a compressed point', JSON.stringify({ endpoint, keys: { p256dh: `A${p256dh.slice(1, 44)}`, auth } })],
  // The other ways to write the same point: 65 bytes that begin with 6 or 7.
  ['a hybrid point', JSON.stringify({ endpoint, keys: { p256dh: hybrid(6), auth } })],
  ['the other hybrid point', JSON.stringify({ endpoint, keys: { p256dh: hybrid(7), auth } })],
  ['a short secret', JSON.stringify({ endpoint, keys: { p256dh, auth: auth.slice(2) } })],
  ['a secret that is no base64url', JSON.stringify({ endpoint, keys: { p256dh, auth: `${auth.slice(1)}*` } })],
])('a subscription with %s is refused', (_, json) => {
  const refusal = expect.objectContaining({ code: 'BAD_USER_INPUT', field: 'input.token' })
  expect(() => parseSubscription(json)).toThrow(refusal)
  expect(() => checkPushToken('WEB_PUSH', json, null)).toThrow(refusal)
})

test('tokens are those of their platform', () => {
  const hex = randomBytes(32).toString('hex')
  expect(checkPushToken('APNS', hex.toUpperCase(), 'org.example.maru')).toBe(hex)
  expect(checkPushToken('FCM', 'dQw:APA91b-_x', 'maru-test')).toBe('dQw:APA91b-_x')
  expect(checkPushToken('WEBHOOK', '+82 10 1234 5678', null)).toBe('+82 10 1234 5678')
  const bad: [Parameters<typeof checkPushToken>[0], string][] = [
    ['APNS', ''],
    ['APNS', hex.slice(1)],
    ['APNS', `${hex}/`],
    ['APNS', `${hex}\n`],
    ['APNS', '0'.repeat(201)],
    ['FCM', ''],
    ['FCM', 'a b'],
    ['FCM', 'a\n'],
    ['FCM', 'x'.repeat(4_097)],
    ['WEBHOOK', ''],
    ['WEBHOOK', ' '],
    ['WEBHOOK', 'a\u0000'],
    ['WEBHOOK', 'x'.repeat(201)],
  ]
  for (const [platform, token] of bad) {
    expect(() => checkPushToken(platform, token, null), `${platform} ${token}`).toThrow(
      expect.objectContaining({ code: 'BAD_USER_INPUT', field: 'input.token' }),
    )
  }
})

test('an app id is a name', () => {
  const hex = randomBytes(32).toString('hex')
  for (const appId of ['', 'a b', 'a\r\nb', '../x', 'x'.repeat(156)]) {
    expect(() => checkPushToken('APNS', hex, appId)).toThrow(expect.objectContaining({ field: 'input.appId' }))
  }
})
