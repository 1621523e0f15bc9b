import { randomUUID } from 'node:crypto'
import { createRemoteJWKSet, errors, type JWTPayload, jwtVerify, SignJWT } from 'jose'
import { unauthenticated, unavailable } from '../errors.ts'
import type { Viewer } from '../viewer.ts'

/** A person as the deployment's own accounts describe them; the fields are those of `Identity` in the users service. */
type ExternalIdentity = {
  issuer: string
  subject: string
  username: string
  displayName: string | undefined
  avatarUrl: string | undefined
}

export type AccessTokens = {
  /** Good for `minutes`, or as long as such tokens usually are. */
  issue(claims: { userId: string; sessionId: string; minutes?: number }): Promise<{ token: string; expiresAt: Date }>
  /** Who a token speaks for: a viewer, or a person that another system knows. Throws UNAUTHENTICATED. */
  verify(token: string): Promise<Viewer | { identity: ExternalIdentity; expiresAt: Date | null }>
}

const issuer = 'maru'

const refuse = (error: unknown) => {
  if (error instanceof errors.JWTExpired) return unauthenticated('The access token has expired.')
  // Their keys cannot be fetched: not the token's fault, and worth another try.
  if (error instanceof errors.JWKSTimeout || !(error instanceof errors.JOSEError)) return unavailable(error)
  return unauthenticated('The access token is not valid.')
}

const expiryOf = (payload: JWTPayload) => (payload.exp === undefined ? null : new Date(payload.exp * 1_000))

/** Access tokens of Maru's own: HS256 under one secret. */
export function createAccessTokens(options: { secret: string; minutes: number }): AccessTokens {
  const key = new TextEncoder().encode(options.secret)
  return {
    async issue({ userId, sessionId, minutes = options.minutes }) {
      const expiresAt = new Date(Math.floor(Date.now() / 1_000) * 1_000 + minutes * 60_000)
      const token = await new SignJWT({ sid: sessionId })
        .setProtectedHeader({ alg: 'HS256' })
        .setIssuer(issuer)
        .setSubject(userId)
        .setIssuedAt()
        // Two tokens of one second are still two: a client that had one refused must not take the next for it.
        .setJti(randomUUID())
        .setExpirationTime(expiresAt)
        .sign(key)
      return { token, expiresAt }
    },
    async verify(token) {
      const { payload } = await jwtVerify(token, key, { algorithms: ['HS256'], issuer }).catch((error: unknown) => {
        throw refuse(error)
      })
      const { sub, sid } = payload as { sub?: unknown; sid?: unknown }
      if (typeof sub !== 'string' || typeof sid !== 'string' || !/^\d+$/.test(sub)) {
        throw unauthenticated('The access token is not valid.')
      }
      return { userId: sub, sessionId: sid, expiresAt: expiryOf(payload) }
    },
  }
}

/** Access tokens of a deployment that has its own accounts: checked against the keys its issuer publishes. */
export function createExternalTokens(options: {
  jwksUrl: string
  issuer: string
  audience: string | null
}): AccessTokens {
  const keys = createRemoteJWKSet(new URL(options.jwksUrl), { timeoutDuration: 5_000 })
  const expected = {
    issuer: options.issuer,
    ...(options.audience === null ? {} : { audience: options.audience }),
    // Only what is signed with a public key: a secret that both sides hold is not published at an address.
    algorithms: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'],
    requiredClaims: ['sub', 'exp'],
  }
  return {
    issue: () => Promise.reject(new Error('Tokens of another issuer cannot be issued here')),
    async verify(token) {
      const { payload } = await jwtVerify(token, keys, expected).catch((error: unknown) => {
        throw refuse(error)
      })
      const text = (claim: string) => {
        const value = payload[claim]
        return typeof value === 'string' && value !== '' ? value : undefined
      }
      const subject = payload.sub!
      const username =
        text('preferred_username') ?? text('nickname') ?? text('email')?.split('@')[0] ?? text('name') ?? subject
      return {
        identity: {
          issuer: options.issuer,
          subject,
          username,
          displayName: text('name'),
          avatarUrl: text('picture')?.startsWith('https://') ? text('picture') : undefined,
        },
        expiresAt: expiryOf(payload),
      }
    },
  }
}
