import { createSecretKey, randomUUID } from 'node:crypto'
import { createRemoteJWKSet, errors, type JWTPayload, jwtVerify, SignJWT } from 'jose'
import { LRUCache } from 'lru-cache'
import { type MaruError, unauthenticated, unavailable } from '../errors.ts'
import type { Viewer } from '../viewer.ts'
import { isFit } from './text.ts'

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
  verify(token: string): Promise<Viewer | { identity: ExternalIdentity; expiresAt: Date | null; signedInAt: Date | null }>
}

const issuer = 'maru'

/** Tokens that are remembered as good: of those who are asking just now. About 5 MB when full. */
const maxVerified = 10_000

/** Whether the key set could not be had or read, which is not the token's fault. */
function isAboutTheKeySet(error: unknown): boolean {
  if (!(error instanceof errors.JOSEError)) return true
  // jose says by its plainest error that the answer was no success, or no JSON.
  return [errors.JWKSTimeout.code, errors.JWKSInvalid.code, errors.JOSEError.code].includes(error.code)
}

function refuse(error: unknown): MaruError {
  if (error instanceof errors.JWTExpired) return unauthenticated('The access token has expired.')
  return isAboutTheKeySet(error) ? unavailable(error) : unauthenticated('The access token is not valid.')
}

/** When the person signed in (OpenID Connect, section 2); else when the token was made, which the issuer may do without them. */
function signInOf({ auth_time: signIn, iat }: JWTPayload): Date | null {
  const seconds = typeof signIn === 'number' ? signIn : iat
  return seconds === undefined || !Number.isFinite(seconds) ? null : new Date(seconds * 1_000)
}

const expiryOf = (payload: JWTPayload) => (payload.exp === undefined ? null : new Date(payload.exp * 1_000))

/** Access tokens of Maru's own: HS256 under one secret. */
export function createAccessTokens(options: { secret: string; minutes: number }): AccessTokens {
  // A key object, which is made ready for use once and not for every token.
  const key = createSecretKey(options.secret, 'utf8')
  // A token that was good is good until it expires; checking it anew was a twelfth of a send's time.
  const verified = new LRUCache<string, Viewer>({ max: maxVerified })
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
      const known = verified.get(token)
      if (known !== undefined && known.expiresAt! > new Date()) return known
      const { payload } = await jwtVerify(token, key, { algorithms: ['HS256'], issuer }).catch((error: unknown) => {
        throw refuse(error)
      })
      const { sub, sid } = payload as { sub?: unknown; sid?: unknown }
      if (typeof sub !== 'string' || typeof sid !== 'string' || !/^\d+$/.test(sub)) {
        throw unauthenticated('The access token is not valid.')
      }
      const viewer = { userId: sub, sessionId: sid, expiresAt: expiryOf(payload) }
      if (viewer.expiresAt !== null) verified.set(token, viewer)
      return viewer
    },
  }
}

/** OpenID Connect allows a subject this many characters. */
const maxSubject = 255
/** As browsers and proxies have it. */
const maxAddress = 2_000

/** The address as it may be put into a page; undefined where it is none, or not one to be fetched in safety. */
function webAddress(text: string | undefined): string | undefined {
  const url = text === undefined ? null : URL.parse(text)
  return url?.protocol === 'https:' && url.href.length <= maxAddress ? url.href : undefined
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
      if (subject === '' || subject.length > maxSubject || !isFit(subject)) {
        throw unauthenticated('The access token is not valid.')
      }
      const username =
        text('preferred_username') ?? text('nickname') ?? text('email')?.split('@')[0] ?? text('name') ?? subject
      return {
        identity: {
          issuer: options.issuer,
          subject,
          username,
          displayName: text('name'),
          avatarUrl: webAddress(text('picture')),
        },
        expiresAt: expiryOf(payload),
        signedInAt: signInOf(payload),
      }
    },
  }
}
