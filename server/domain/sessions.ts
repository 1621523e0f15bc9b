import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { and, eq, isNull, sql } from 'drizzle-orm'
import { LRUCache } from 'lru-cache'
import type { Orm } from '../../drizzle/connection.ts'
import { credentials, sessions, users as userRows } from '../../drizzle/tables/index.ts'
import { badInput, conflict, forbidden, unauthenticated } from '../errors.ts'
import type { AccessTokens } from '../lib/access-tokens.ts'
import { hashPassword, verifyPassword } from '../lib/passwords.ts'
import type { Viewer } from '../viewer.ts'
import type { Deps } from './deps.ts'
import { dropDevicesOfSession } from './devices.ts'
import { wholeAccount } from './ended-sessions.ts'
import { checkProfile, type UserRow, type UsersService } from './users.ts'

/** What a client holds after signing in. */
export type SignedIn = {
  accessToken: string
  accessTokenExpiresAt: Date
  refreshToken: string
  user: UserRow
  sessionId: string
}

export type SessionsService = ReturnType<typeof createSessionsService>

const minPasswordLength = 8
/** Argon2 hashes what it is given, so a bound keeps it from being given a book. */
const maxPasswordLength = 256

const cookieMinutes = 12 * 60

/** How long a session is taken to be live without asking, should the news of its end be lost. Milliseconds. */
const liveMs = 60_000

/** Sessions that are remembered as live: of those who are asking just now. */
const maxLive = 50_000

/** Refresh tokens hold this many random bytes. */
const secretBytes = 32

/** Signing up, in and out. Off where the deployment has its own accounts: `external` names their issuer. */
export function createSessionsService(
  { database, announce }: Deps,
  users: UsersService,
  options: { tokens: AccessTokens; refreshDays: number; external: boolean },
) {
  const { orm } = database
  const { tokens } = options
  /** Sessions that were live a moment ago. */
  const live = new LRUCache<string, true>({ max: maxLive, ttl: liveMs })
  /** Sessions that ended a moment ago: who has just read that one of them is live has read what was. */
  const ended = new LRUCache<string, true>({ max: maxLive, ttl: liveMs })

  function noteEnded(sessionId: string) {
    ended.set(sessionId, true)
    live.delete(sessionId)
  }

  function checkOwnAccounts() {
    if (options.external) throw forbidden('Sign in where this deployment keeps its accounts.')
  }

  const expiry = () => new Date(Date.now() + options.refreshDays * 86_400_000)

  async function signedIn(user: UserRow, sessionId: string, generation: number, secret: Buffer): Promise<SignedIn> {
    const access = await tokens.issue({ userId: user.id, sessionId })
    return {
      accessToken: access.token,
      accessTokenExpiresAt: access.expiresAt,
      refreshToken: [user.id, sessionId, generation, secret.toString('base64url')].join('.'),
      user,
      sessionId,
    }
  }

  async function startSession(user: UserRow): Promise<SignedIn> {
    // Not a Snowflake: whoever could guess the id could make up a token that counts as used, and so end the session.
    const id = (randomBytes(8).readBigUInt64BE() >> 1n).toString()
    const secret = randomBytes(secretBytes)
    await database.transaction(async (tx) => {
      await holdAccount(tx.orm, user.id)
      await tx.orm.insert(sessions).values({ userId: user.id, id, secretHash: sha256(secret), expiresAt: expiry() })
    })
    return signedIn(user, id, 0, secret)
  }

  async function end(userId: string, sessionId: string) {
    await database.transaction(async (tx) => {
      await tx.orm
        .update(sessions)
        // By the store's clock, as replicas ask for what has ended since they asked last.
        .set({ revokedAt: sql`now()` })
        .where(and(eq(sessions.userId, userId), eq(sessions.id, sessionId), isNull(sessions.revokedAt)))
      await dropDevicesOfSession(tx.orm, userId, sessionId)
    })
    noteEnded(sessionId)
    announce.sessionEnded(userId, sessionId)
  }

  async function findUser(userId: string): Promise<UserRow> {
    const [user] = await users.findMany([userId])
    if (user === undefined || user.deletedAt !== null) throw accountGone()
    return user
  }

  /**
   * Throws UNAUTHENTICATED where the account has been deleted, for tokens that name no session; asks the store once a
   * minute for each.
   */
  async function checkAccount(userId: string) {
    const account = wholeAccount(userId)
    if (live.has(account)) return
    await findUser(userId)
    if (ended.has(account)) throw accountGone()
    live.set(account, true)
  }

  /** Throws UNAUTHENTICATED where the session has ended; asks the store once a minute for each. */
  async function checkLive(userId: string, sessionId: string) {
    if (ended.has(wholeAccount(userId))) throw accountGone()
    if (live.has(sessionId)) return
    const [session] = await orm
      .select({ revokedAt: sessions.revokedAt })
      .from(sessions)
      .where(and(eq(sessions.userId, userId), eq(sessions.id, sessionId)))
    if (session === undefined || session.revokedAt !== null || ended.has(sessionId) || ended.has(wholeAccount(userId))) throw unauthenticated('Sign in again.')
    live.set(sessionId, true)
  }

  return {
    /** Makes an account and signs it in. Throws CONFLICT where the name is taken. */
    async signUp(input: { username: string; password: string; displayName?: string | null }): Promise<SignedIn> {
      checkOwnAccounts()
      const { username, displayName } = await users.filterProfile(checkProfile(input))
      const passwordHash = await hashPassword(checkPassword(input.password))
      const user = await database.transaction(async (tx) => {
        const created = await users.create(tx, username, { displayName })
        if (created === null) throw conflict('This username is taken.', 'input.username')
        await tx.orm.insert(credentials).values({ userId: created.id, passwordHash })
        return created
      })
      return startSession(user)
    },

    /** Signs in. A wrong name and a wrong password look the same, and take the same time. */
    async signIn(input: { username: string; password: string }): Promise<SignedIn> {
      checkOwnAccounts()
      const wrong = () => unauthenticated('The username or the password is wrong.')
      const user = await users.findByUsername(input.username)
      const [known] =
        user === null ? [] : await orm.select().from(credentials).where(eq(credentials.userId, user.id))
      const right = await verifyPassword(known?.passwordHash ?? (await decoy()), normalPassword(input.password))
      if (!right || user === null || known === undefined) throw wrong()
      return startSession(user)
    },

    /**
     * Exchanges a refresh token for new tokens. Each works once: one that was exchanged before has been copied, so the
     * whole session ends, on every device that holds a token of it.
     */
    async refresh(refreshToken: string): Promise<SignedIn> {
      checkOwnAccounts()
      const stale = () => unauthenticated('Sign in again.')
      const token = parseRefreshToken(refreshToken)
      if (token === null) throw stale()
      const secret = randomBytes(secretBytes)
      // Looked up first: what fails after the exchange costs the client its session, since the old token is used by then.
      const user = await findUser(token.userId)
      // Comparing and replacing is one statement: of two that come at once, one finds its token used.
      const rotated = await orm
        .update(sessions)
        .set({ generation: sql`${sessions.generation} + 1`, secretHash: sha256(secret), expiresAt: expiry() })
        .where(
          and(
            eq(sessions.userId, token.userId),
            eq(sessions.id, token.sessionId),
            eq(sessions.generation, token.generation),
            eq(sessions.secretHash, sha256(token.secret)),
            isNull(sessions.revokedAt),
            sql`${sessions.expiresAt} > now()`,
          ),
        )
        .returning({ generation: sessions.generation })
      if (rotated.length === 1) {
        return signedIn(user, token.sessionId, rotated[0]!.generation, secret)
      }
      const [session] = await orm
        .select()
        .from(sessions)
        .where(and(eq(sessions.userId, token.userId), eq(sessions.id, token.sessionId)))
      const used = session !== undefined && session.revokedAt === null && token.generation < session.generation
      if (used) await end(token.userId, token.sessionId)
      throw stale()
    },

    /** Ends the session that a refresh token belongs to; false where it had ended, or never was. */
    async signOut(refreshToken: string): Promise<boolean> {
      const token = parseRefreshToken(refreshToken)
      if (token === null) return false
      const [session] = await orm
        .select()
        .from(sessions)
        .where(and(eq(sessions.userId, token.userId), eq(sessions.id, token.sessionId)))
      if (session === undefined || session.revokedAt !== null) return false
      const own = token.generation < session.generation || timingSafeEqual(session.secretHash, sha256(token.secret))
      if (!own) return false
      await end(token.userId, token.sessionId)
      return true
    },

    /** An access token that keeps a page of the server's own signed in for a working day. */
    cookieToken: ({ user, sessionId }: SignedIn) => tokens.issue({ userId: user.id, sessionId, minutes: cookieMinutes }),

    /** A session was ended, or all of an account (`wholeAccount`), here or on another replica. */
    noteEnded,

    /** Who an access token speaks for; throws UNAUTHENTICATED, also where its session has ended. */
    async authenticate(token: string): Promise<Viewer> {
      const claims = await tokens.verify(token)
      if (!('identity' in claims)) {
        if (claims.sessionId !== null) await checkLive(claims.userId, claims.sessionId)
        return claims
      }
      const userId = await users.findOrCreateByIdentity(claims.identity)
      await checkAccount(userId).catch((error: unknown) => {
        // Some day it stands for somebody new.
        users.forgetIdentity(claims.identity)
        throw error
      })
      return { userId, sessionId: null, expiresAt: claims.expiresAt, signedInAt: claims.signedInAt }
    },
  }
}

export const accountGone = () => unauthenticated('This account is gone.')

/**
 * Throws UNAUTHENTICATED where an account has been deleted; otherwise it cannot be before the transaction is over: no
 * sign-in of the same moment is left when it goes.
 */
async function holdAccount(orm: Orm, userId: string): Promise<void> {
  const [user] = await orm.select({ deletedAt: userRows.deletedAt }).from(userRows).where(eq(userRows.id, userId)).for('share')
  if (user === undefined || user.deletedAt !== null) throw accountGone()
}

/** Whether this is the password of an account; null where it has none. */
export async function isPasswordOf(orm: Orm, userId: string, password: string): Promise<boolean | null> {
  const [known] = await orm.select().from(credentials).where(eq(credentials.userId, userId))
  return known === undefined ? null : verifyPassword(known.passwordHash, normalPassword(password))
}

const sha256 = (secret: Uint8Array): Uint8Array => createHash('sha256').update(secret).digest()

/** A hash that no password has, to spend the same time on names that do not exist. */
let decoyHash: string | null = null
const decoy = async () => (decoyHash ??= await hashPassword(randomBytes(16)))

/** Another keyboard may write the same letters in another form. What is cut off is too long for any password. */
const normalPassword = (password: string) => password.slice(0, 4 * (maxPasswordLength + 1)).normalize('NFC')

function checkPassword(password: string): string {
  const normal = normalPassword(password)
  if (normal.length < minPasswordLength || normal.length > maxPasswordLength) {
    throw badInput(`A password has ${minPasswordLength} to ${maxPasswordLength} characters.`, 'input.password')
  }
  if (!normal.isWellFormed()) throw badInput('This password cannot be typed again.', 'input.password')
  return normal
}

/** Snowflakes and session ids have 63 bits. */
const isId = (digits: string) => BigInt(digits) < 1n << 63n

function parseRefreshToken(token: string) {
  const parts = /^(\d{1,19})\.(\d{1,19})\.(\d{1,9})\.([\w-]{43})$/.exec(token)
  if (parts === null) return null
  const [, userId, sessionId, generation, secret] = parts as unknown as [string, string, string, string, string]
  if (!isId(userId) || !isId(sessionId)) return null
  return { userId, sessionId, generation: Number(generation), secret: Buffer.from(secret, 'base64url') }
}
