import { and, eq, isNull } from 'drizzle-orm'
import type { Database, Transaction } from '../../drizzle/connection.ts'
import { credentials, sessions, usernames, users } from '../../drizzle/tables/index.ts'
import { badInput, forbidden } from '../errors.ts'
import type { JobData, NewJob } from '../jobs/jobs.ts'
import { storeTime } from '../lib/store-time.ts'
import { usernameKey } from '../lib/text.ts'
import type { Viewer } from '../viewer.ts'
import { leaveChannels, shutDirectChannels } from './account-deletion-channels.ts'
import { formerChannels } from './account-deletion-messages.ts'
import { typedUsernameKey } from './account-deletion-name.ts'
import { dropAttachments, dropFromOthers, dropOwnRows, holdIdentities } from './account-deletion-rows.ts'
import { setAvatar } from './avatars.ts'
import type { Deps } from './deps.ts'
import { dropDevicesOfAccount } from './devices.ts'
import { wholeAccount } from './ended-sessions.ts'
import type { MembersService } from './members.ts'
import { dropNameKeys } from './name-keys.ts'
import { accountGone, isPasswordOf, type SessionsService } from './sessions.ts'
import type { UserRow } from './users.ts'

export type DeleteAccountInput = { username: string; password?: string | null; deleteMessages?: boolean | null }

export type AccountDeletionService = ReturnType<typeof createAccountDeletionService>

/**
 * How long ago somebody may have signed in with the issuer that keeps their account: long enough to come back from its
 * page, and no token that lies on a phone somewhere will do. Milliseconds.
 */
const freshMs = 10 * 60_000

/** How far the issuer's clock may be ahead. Milliseconds. */
const skewMs = 60_000

/**
 * For so long nobody else can have the name: what mentions it is about somebody who has just gone, and whoever took it at
 * once would be taken for them. Milliseconds.
 */
export const nameHeldMs = 30 * 86_400_000

/**
 * What was under way on other replicas when the account was deleted may still write a moment later (a draft, a channel
 * entered); nothing that was asked for takes as long as this. Then everything is gone through once more. Milliseconds.
 */
const secondRoundMs = 10 * 60_000

/**
 * While another step fails, jobs for the messages are added by each of so many attempts: they are one for each channel,
 * and attempts come five minutes apart in the end.
 */
const messagesEach = 12

/** What anybody who looks still sees of who has gone. */
const neutral = {
  avatarUrl: null,
  avatarAttachmentId: null,
  avatarKey: null,
  // Whoever holds their connections, they are not there.
  presenceStatus: 'OFFLINE',
  presenceText: null,
  lastActiveAt: null,
  moderator: false,
} as const satisfies Partial<UserRow>

/**
 * How accounts end. At once, in one transaction: nobody can sign in, every token is refused, nothing is pushed or mailed
 * any more, and whatever shows the account does so without its name; what people have typed, as `@alice`, stays. What is
 * spread over many places follows by a job, which may begin anew as often as it likes. The row of the user stays, for
 * those whose conversations it is in.
 */
export function createAccountDeletionService(
  deps: Deps,
  members: Pick<MembersService, 'leave'>,
  others: Pick<SessionsService, 'noteEnded'>,
) {
  const { database, announce, jobs } = deps
  const { orm } = database

  /** Throws BAD_USER_INPUT or FORBIDDEN where it is not sure that it is the viewer who asks, now. */
  async function checkIsThem({ userId, sessionId, signedInAt }: Viewer, password: string | null | undefined) {
    if (sessionId === null) {
      const since = signedInAt == null ? Infinity : Date.now() - +signedInAt
      if (since > freshMs || since < -skewMs) throw forbidden('Sign in anew, and delete the account within ten minutes.')
      return
    }
    // An account that has none cannot be deleted by whoever holds one of its sessions, either.
    const isRight = await isPasswordOf(orm, userId, password ?? '')
    if (isRight !== true) throw badInput(password == null ? 'Give the password.' : 'The password is wrong.', 'password')
  }

  /** Empties the row within the transaction; throws UNAUTHENTICATED where somebody was faster. */
  async function anonymise(tx: Transaction, userId: string): Promise<void> {
    const self = eq(users.id, userId)
    const [user] = await tx.orm.select().from(users).where(self).for('no key update')
    if (user === undefined || user.deletedAt !== null) throw accountGone()
    await setAvatar(tx, jobs, userId, null)
    await dropNameKeys(tx, [userId])
    const username = await takeNeutralName(tx, userId)
    const now = await storeTime(tx)
    await tx.orm.update(users).set({ ...neutral, username, displayName: username, deletedAt: now }).where(self)
    await tx.orm
      .update(usernames)
      .set({ userId: '0', heldUntil: new Date(+now + nameHeldMs) })
      .where(and(eq(usernames.key, usernameKey(user.username)), eq(usernames.userId, userId)))
  }

  /** Ends every session, and says so to replicas that the news does not reach (`watchEndedSessions`). */
  async function endSessions(tx: Transaction, userId: string): Promise<void> {
    const now = await storeTime(tx)
    await tx.orm.delete(credentials).where(eq(credentials.userId, userId))
    await tx.orm
      .update(sessions)
      .set({ revokedAt: now })
      .where(and(eq(sessions.userId, userId), isNull(sessions.revokedAt)))
    await tx.orm
      .insert(sessions)
      .values({ userId, id: wholeAccount(userId), secretHash: new Uint8Array(), expiresAt: now, revokedAt: now })
      .onConflictDoNothing()
    await dropDevicesOfAccount(tx.orm, userId)
  }

  return {
    /**
     * Deletes the viewer's account. They confirm it with their username, and by their password, or by having signed in
     * within ten minutes where another issuer keeps it. Throws BAD_USER_INPUT about what does not fit, FORBIDDEN where
     * the sign-in is too long ago, and UNAUTHENTICATED where the account is gone already.
     */
    async delete(viewer: Viewer, input: DeleteAccountInput): Promise<void> {
      const { userId } = viewer
      const [user] = await orm.select().from(users).where(eq(users.id, userId))
      if (user === undefined || user.deletedAt !== null) throw accountGone()
      if (typedUsernameKey(input.username) !== usernameKey(user.username)) {
        throw badInput('This is not your username.', 'username')
      }
      await checkIsThem(viewer, input.password)
      const data = { userId, deleteMessages: input.deleteMessages ?? false }
      const job: NewJob = { kind: 'account-deletion', data }
      await database.transaction(async (tx) => {
        await anonymise(tx, userId)
        await endSessions(tx, userId)
        await jobs.add(tx, [job, { ...job, startAfter: new Date(Date.now() + secondRoundMs) }])
      })
      others.noteEnded(wholeAccount(userId))
      announce.sessionEnded(userId, wholeAccount(userId))
      announce.presence(userId)
    },

    /**
     * Takes away what is left of a deleted account, for the job that says so: step by step, each of which finds only
     * what is still there. One that fails keeps no other from being tried; what it threw is thrown in the end.
     * `maintenance` is a database whose statements may take long. Stops where `signal` says so. `retries`: how often it
     * was tried before.
     */
    async finish(
      { userId, deleteMessages }: JobData['account-deletion'],
      maintenance: Database,
      signal: AbortSignal,
      retries = 0,
    ): Promise<void> {
      const [user] = await orm.select().from(users).where(eq(users.id, userId))
      // Only what was deleted is taken apart, whoever has made the job.
      if (user === undefined || user.deletedAt === null) return
      const failures: unknown[] = []
      const steps: (() => Promise<unknown>)[] = [
        // Of a moment later, too.
        () => database.transaction((tx) => setAvatar(tx, jobs, userId, null)),
        () => database.transaction((tx) => dropNameKeys(tx, [userId])),
        () => orm.update(users).set({ ...neutral, displayName: user.username }).where(eq(users.id, userId)),
        () => database.transaction((tx) => dropDevicesOfAccount(tx.orm, userId)),
        () => leaveChannels(maintenance, members, userId, signal),
        () => shutDirectChannels(maintenance, userId, signal),
        () => dropFromOthers(maintenance, userId),
        () => holdIdentities(maintenance, userId, new Date(+user.deletedAt! + nameHeldMs)),
        () => dropAttachments(maintenance, jobs, userId),
        // After the channels, as to leave them is told to the account, too.
        () => dropOwnRows(maintenance, jobs, userId),
        // Nothing can be added to any of them any more.
        async () => {
          if (!deleteMessages || (failures.length > 0 && retries % messagesEach !== 0)) return
          for await (const channelIds of formerChannels(maintenance, userId)) {
            await database.transaction((tx) =>
              jobs.add(tx, channelIds.map((channelId) => ({ kind: 'account-messages', data: { userId, channelId, after: null } }))),
            )
          }
        },
      ]
      for (const step of steps) {
        signal.throwIfAborted()
        await step().catch((error: unknown) => failures.push(error))
      }
      announce.presence(userId)
      if (failures.length > 0) throw failures[0]
    },

    /** Lets go of names and accounts elsewhere that were held long enough. Returns how many there were. */
    async sweep(maintenance: Pick<Database, 'run'>): Promise<number> {
      const names = await maintenance.run(`/* free names */ delete from usernames where held_until < now() returning key`, [])
      const identities = await maintenance.run(
        `/* free identities */ delete from identities where held_until < now() returning subject`,
        [],
      )
      return names.length + identities.length
    },
  }
}

/** A name that says nothing, and is nobody else's: somebody may have called themselves that before. */
async function takeNeutralName(tx: Transaction, userId: string): Promise<string> {
  const name = `deleted-${BigInt(userId).toString(36)}`
  for (let attempt = 1; ; attempt++) {
    const username = attempt === 1 ? name : `${name}-${attempt}`
    const taken = await tx.orm
      .insert(usernames)
      .values({ key: usernameKey(username), userId })
      .onConflictDoNothing()
      .returning()
    if (taken.length > 0) return username
  }
}
