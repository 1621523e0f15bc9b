import { createPublicKey } from 'node:crypto'
import { generateKeyPair, type JWTPayload, SignJWT, UnsecuredJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import {
  RefreshSessionDocument,
  SignInDocument,
  SignUpDocument,
  UserDocument,
  ViewerDocument,
} from '../../client-sdk/index.ts'
import { failure, refusal } from '../../schema/testing/operations.ts'
import { openRawSocket } from '../../schema/testing/raw-socket.ts'
import { type IdentityProvider, startIdentityProvider } from '../testing/identity-provider.ts'
import { type Replica, startTestApp, type TestApp } from '../testing/test-app.ts'

let provider: IdentityProvider
let app: TestApp
let replica: Replica
beforeAll(async () => {
  provider = await startIdentityProvider()
  app = await startTestApp(provider.env)
  replica = await app.addReplica()
})
afterAll(async () => {
  await app.stop()
  await provider.stop()
})

let subjects = 100
const nextSubject = () => String(++subjects)

/** Who the API takes the bearer of a token for. */
async function viewerOf(token: string, on: Replica = app) {
  const { viewer } = await on.client(token).request(ViewerDocument)
  return viewer!
}

describe('users of another system', () => {
  test('appear when they are first seen, and are the same from then on', async () => {
    const picture = 'https://id.example.org/alice.png'
    const claims = { preferred_username: 'alice', name: 'Alice Liddell', picture }
    const alice = await viewerOf(await provider.token('1', claims))
    expect(alice).toMatchObject({ username: 'alice', displayName: 'Alice Liddell', avatarUrl: picture, bot: false })
    expect(await viewerOf(await provider.token('1', { preferred_username: 'renamed' }), replica)).toEqual(alice)
    const { user } = await app.client(await provider.token('1')).request(UserDocument, { username: 'Alice' })
    expect(user!.id).toBe(alice.id)
  })

  test('appear once, also when they are first seen at many places at once', async () => {
    const token = await provider.token('2', { preferred_username: 'bob' })
    const seen = await Promise.all(Array.from({ length: 12 }, (_, n) => viewerOf(token, n % 2 === 0 ? app : replica)))
    expect(new Set(seen.map(({ id }) => id)).size).toBe(1)
    expect(seen[0]!.username).toBe('bob')
  })

  test('get the nearest name that is free, also when several want one at once', async () => {
    const tokens = await Promise.all(['3', '4', '5'].map((sub) => provider.token(sub, { preferred_username: 'Bob' })))
    const seen = await Promise.all(tokens.map((token, n) => viewerOf(token, n % 2 === 0 ? app : replica)))
    expect(seen.map(({ username }) => username).toSorted()).toEqual(['Bob-2', 'Bob-3', 'Bob-4'])
  })

  test.each<[JWTPayload, string, string]>([
    [{ nickname: 'nick' }, 'nick', 'nick'],
    [{ email: 'mail.name@example.org' }, 'mail.name', 'mail.name'],
    [{ name: 'Jane  Roe\n' }, 'Jane_Roe', 'Jane Roe'],
    [{ preferred_username: 'everyone' }, 'everyone-2', 'everyone'],
    [{ preferred_username: '\u0000\u3164' }, 'user', '\ufffd\u3164'],
    [{ preferred_username: 'odd', name: '\u200b' }, 'odd', 'Somebody'],
    [{ preferred_username: '𠮷'.repeat(40), name: '𠮷'.repeat(100) }, '𠮷'.repeat(32), '𠮷'.repeat(80)],
    [{ preferred_username: '𠮷'.repeat(40) }, `${'𠮷'.repeat(30)}-2`, '𠮷'.repeat(40)],
    [{ preferred_username: 'long', name: `a${'\u0301'.repeat(3_000)}` }, 'long', `á${'\u0301'.repeat(78)}`],
  ])('are named after what their token says: %j', async (claims, username, displayName) => {
    const viewer = await viewerOf(await provider.token(nextSubject(), claims))
    expect(viewer).toMatchObject({ username, displayName })
  })

  test.each([
    'http://id.example.org/a.png',
    'javascript:alert(1)',
    'https://',
    `https://a/${'a'.repeat(2_000)}`,
    '\u0000',
  ])('have no picture at %s', async (picture) => {
    const viewer = await viewerOf(await provider.token(nextSubject(), { picture }))
    expect(viewer.avatarUrl).toBeNull()
  })

  test('sign up and in where their accounts are, and not here', async () => {
    const input = { username: 'mallory', password: 'long enough' }
    const attempts = [
      app.client().request(SignUpDocument, { input }),
      app.client().request(SignInDocument, { input }),
      app.client().request(RefreshSessionDocument, { refreshToken: '1.1.0.x' }),
    ]
    for (const attempt of attempts) expect((await failure(attempt)).code).toBe('FORBIDDEN')
  })
})

describe('a token is refused', () => {
  const payload = (): JWTPayload => ({
    iss: provider.issuer,
    aud: 'maru',
    sub: 'mallory',
    exp: Math.floor(Date.now() / 1_000) + 300,
  })
  const past = Math.floor(Date.now() / 1_000) - 1

  test.each<[string, () => Promise<string>]>([
    ['of another issuer', () => provider.token('mallory', { iss: 'https://id.example.com' })],
    ['for another audience', () => provider.token('mallory', { aud: 'other' })],
    ['for no audience', () => provider.token('mallory', { aud: undefined })],
    ['that has expired', () => provider.token('mallory', { exp: past })],
    ['that never expires', () => provider.token('mallory', { exp: undefined })],
    ['that is not good yet', () => provider.token('mallory', { nbf: past + 600 })],
    ['without a subject', () => provider.token('mallory', { sub: undefined })],
    ['of an empty subject', () => provider.token('')],
    ['of a subject that cannot be stored', () => provider.token('mal\u0000lory')],
    ['of a subject without end', () => provider.token('m'.repeat(256))],
    ['without a signature', async () => new UnsecuredJWT(payload()).encode()],
    [
      'signed with the public key as if it were a secret',
      async () => {
        const key = createPublicKey({ key: provider.publicKey(), format: 'jwk' })
        const pem = key.export({ type: 'spki', format: 'pem' })
        return new SignJWT(payload()).setProtectedHeader({ alg: 'HS256', kid: '1' }).sign(Buffer.from(pem))
      },
    ],
    [
      'signed with another key under the same name',
      async () => {
        const { privateKey } = await generateKeyPair('ES256')
        return new SignJWT(payload()).setProtectedHeader({ alg: 'ES256', kid: '1' }).sign(privateKey)
      },
    ],
    [
      'signed as Maru signs its own',
      async () => {
        const secret = new TextEncoder().encode('the same for all replicas of a test')
        const claims = { ...payload(), iss: 'maru', sid: '1', sub: '1' }
        return new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(secret)
      },
    ],
    ['that is none', async () => 'a.b.c'],
  ])('%s', async (_, make) => {
    const token = await make()
    const outcome = await refusal(app.client(token).request(ViewerDocument))
    expect(outcome).toEqual({ code: 'UNAUTHENTICATED', field: undefined })
    await expect(openRawSocket(app.url, token)).rejects.toThrow('closed with 4403')
  })
})

test('a key that was published later is found', async () => {
  const old = await provider.token('1')
  await provider.rotate()
  // The set is not fetched anew for each unknown key: half a minute must have passed.
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 31_000 })
  try {
    expect(await viewerOf(await provider.token('1'))).toMatchObject({ username: 'alice' })
    expect((await failure(app.client(old).request(ViewerDocument))).code).toBe('UNAUTHENTICATED')
  } finally {
    vi.useRealTimers()
  }
})

describe('while the key set cannot be had, nobody is told that their token is bad', () => {
  test.each([
    ['500', 500, 'oops'],
    ['a page that is no JSON', 200, '<html>'],
    ['JSON that is no key set', 200, '{"keys":1}'],
  ])('it answers with %s', async (_, status, body) => {
    const token = await provider.token('1')
    provider.answer(status, body)
    const fresh = await app.addReplica()
    const { code, retryAfterMs } = await failure(fresh.client(token).request(ViewerDocument))
    expect({ code, retryAfterMs }).toEqual({ code: 'UNAVAILABLE', retryAfterMs: 1_000 })
    await expect(openRawSocket(fresh.url, token)).rejects.toThrow('closed with 1013')
  })

  test('nobody answers', async () => {
    const token = await provider.token('1')
    await provider.stop()
    const fresh = await app.addReplica()
    expect((await failure(fresh.client(token).request(ViewerDocument))).code).toBe('UNAVAILABLE')
  })
})
