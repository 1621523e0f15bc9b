import { and, eq, isNull, sql } from 'drizzle-orm'
import type { Orm, Transaction } from '../../drizzle/connection.ts'
import { identities, usernames, users } from '../../drizzle/tables/index.ts'
import { badInput, unauthenticated } from '../errors.ts'
import { isOneOf } from '../lib/sql.ts'
import {
  checkName,
  checkUsername,
  cleanText,
  findableKey,
  firstCodePoints,
  maxUsernameLength,
  usernameKey,
} from '../lib/text.ts'
import type { AttachmentKey } from './attachments-rows.ts'
import { avatarAddress, setAvatar } from './avatars.ts'
import type { Deps } from './deps.ts'
import { filterContent } from './moderation-filter.ts'
import { addNameKeys, changeNameKeys, newPerson } from './name-keys.ts'

export type UserRow = typeof users.$inferSelect

/** A person as another system describes them. */
export type Identity = {
  issuer: string
  subject: string
  /** Wished for; changed where it is taken or not one that Maru allows. */
  username: string
  displayName?: string | undefined
  avatarUrl?: string | undefined
}

export type UsersService = ReturnType<typeof createUsersService>

/** Accounts of other systems that are remembered, a few hundred bytes each. */
const maxSeen = 10_000

/** People and their names. */
export function createUsersService({ database, snowflakes, files, jobs, filter }: Deps) {
  const { orm } = database

  /** A display name as it is stored; throws BAD_USER_INPUT where it cannot be, or the deployment's filter refuses it. */
  async function checkedDisplayName(authorId: string | null, given: string): Promise<string> {
    const checked = { kind: 'DISPLAY_NAME' as const, authorId, channelId: null, content: checkDisplayName(given) }
    return checkDisplayName(await filterContent(filter, checked, 'input.displayName'))
  }

  /** Makes a user under a name; null where the name is taken. */
  async function create(
    tx: Transaction,
    username: string,
    profile: { displayName: string; avatarUrl?: string | null; bot?: boolean },
  ): Promise<UserRow | null> {
    const id = snowflakes.next()
    const taken = await tx.orm
      .insert(usernames)
      .values({ key: usernameKey(username), userId: id })
      .onConflictDoNothing()
      .returning()
    if (taken.length === 0) return null
    const [user] = await tx.orm
      .insert(users)
      .values({ id, username, createdAt: new Date(), ...profile })
      .returning()
    await addNameKeys(tx, [newPerson(user!)])
    return user!
  }

  /** Makes a user under the nearest name that is free. */
  async function createNear(tx: Transaction, wish: string, profile: Parameters<typeof create>[2]): Promise<UserRow> {
    const base = toUsername(wish)
    for (let attempt = isReserved(base) ? 2 : 1; ; attempt++) {
      // Numbers first, as people do; later at random, so that a crowd of equal names does not walk the whole row.
      const suffix = attempt === 1 ? '' : attempt < 10 ? `-${attempt}` : `-${Math.floor(Math.random() * 1e9)}`
      const user = await create(tx, firstCodePoints(base, maxUsernameLength - suffix.length) + suffix, profile)
      if (user !== null) return user
    }
  }

  async function findIdentity(from: Orm, issuer: string, subject: string): Promise<string | null> {
    const [row] = await from
      .select({ userId: identities.userId })
      .from(identities)
      .where(and(eq(identities.issuer, issuer), eq(identities.subject, subject)))
    return row?.userId ?? null
  }

  function createByIdentity({ issuer, subject, username, displayName, avatarUrl }: Identity, account: string) {
    return database.transaction(async (tx) => {
      // Two first sights at once: the lock lets the second find what the first has made.
      await tx.run('select pg_advisory_xact_lock(hashtextextended($1, 0))', [account])
      const meanwhile = await findIdentity(tx.orm, issuer, subject)
      if (meanwhile !== null) return meanwhile
      const profile = { displayName: toDisplayName(displayName ?? username), avatarUrl: avatarUrl ?? null }
      const user = await createNear(tx, username, profile)
      await tx.orm.insert(identities).values({ issuer, subject, userId: user.id })
      return user.id
    })
  }

  /** Whom accounts of other systems stand for, as far as they were seen lately: that never changes. */
  const seen = new Map<string, string>()

  return {
    create,

    /**
     * What somebody who signs up is called, as far as the deployment's filter allows it. A name to sign in with is refused
     * or taken as it is, and never replaced by another.
     */
    async filterProfile({ username, displayName }: ReturnType<typeof checkProfile>): Promise<ReturnType<typeof checkProfile>> {
      if (filter === null) return { username, displayName }
      const checked = { kind: 'USERNAME' as const, authorId: null, channelId: null, content: username }
      const filtered = await filterContent(filter, checked, 'input.username')
      if (filtered !== username) throw badInput('This name is not allowed here.', 'input.username')
      return { username, displayName: await checkedDisplayName(null, displayName) }
    },

    /** These users by id, in no order; who does not exist is left out. */
    findMany: (ids: readonly string[]): Promise<UserRow[]> => orm.select().from(users).where(isOneOf(users.id, ids)),

    /** The user of this name, whatever its case; one who was deleted has none. */
    async findByUsername(username: string): Promise<UserRow | null> {
      const key = findableKey(username)
      if (key === null) return null
      const [name] = await orm.select({ userId: usernames.userId }).from(usernames).where(eq(usernames.key, key))
      if (name === undefined) return null
      const [user] = await orm.select().from(users).where(and(eq(users.id, name.userId), isNull(users.deletedAt)))
      return user ?? null
    },

    /** The id of the user that another system's account stands for, who is made on first sight. */
    async findOrCreateByIdentity(identity: Identity): Promise<string> {
      const { issuer, subject } = identity
      const account = `${issuer} ${subject}`
      const remembered = seen.get(account)
      if (remembered !== undefined) return remembered
      const userId = (await findIdentity(orm, issuer, subject)) ?? (await createByIdentity(identity, account))
      if (seen.size >= maxSeen) seen.delete(seen.keys().next().value!)
      seen.set(account, userId)
      return userId
    },

    /** Asks the store anew when this account of another system comes next. */
    forgetIdentity: ({ issuer, subject }: Pick<Identity, 'issuer' | 'subject'>) => void seen.delete(`${issuer} ${subject}`),

    /** Where somebody's picture can be fetched; null where there is none. */
    avatarUrl: (user: UserRow): Promise<string | null> => avatarAddress(user, files),

    /**
     * Changes what others see of the viewer; an absent field keeps what is there, null puts the username, and no
     * picture. All of it or, where something cannot be taken, nothing.
     */
    async updateProfile(
      viewerId: string,
      input: { displayName?: string | null | undefined; avatar?: AttachmentKey | null | undefined },
    ): Promise<UserRow> {
      const { displayName, avatar } = input
      const name = displayName == null ? displayName : await checkedDisplayName(viewerId, displayName)
      return database.transaction(async (tx) => {
        if (avatar !== undefined) await setAvatar(tx, jobs, viewerId, avatar)
        const self = and(eq(users.id, viewerId), isNull(users.deletedAt))
        if (name !== undefined) await tx.orm.update(users).set({ displayName: name ?? sql`${users.username}` }).where(self)
        const [user] = await tx.orm.select().from(users).where(self)
        // Within the transaction, so that nothing is put onto an account that has been deleted meanwhile.
        if (user === undefined) throw unauthenticated('This account is gone.')
        if (name !== undefined) await changeNameKeys(tx, newPerson(user))
        return user
      })
    },
  }
}

/** Those of these people who are there: who was deleted is not, nor who never was. */
export async function whoExists(orm: Orm, ids: readonly string[]): Promise<Set<string>> {
  if (ids.length === 0) return new Set()
  const rows = await orm.select({ id: users.id }).from(users).where(and(isOneOf(users.id, ids), isNull(users.deletedAt)))
  return new Set(rows.map(({ id }) => id))
}

/** The username nearest to a name from elsewhere: what is not allowed in one becomes an underscore. */
export function toUsername(name: string): string {
  // The first of a very long name is enough, and all of it would take long to normalise.
  const spelt = firstCodePoints(name.trim(), 8 * maxUsernameLength)
    .normalize('NFC')
    .replaceAll(/[[^\p{L}\p{M}\p{N}._\-]\p{Default_Ignorable_Code_Point}]+/gv, '_')
    .replace(/^[^\p{L}\p{N}]+/u, '')
  try {
    return checkUsername(firstCodePoints(spelt, maxUsernameLength), 'username')
  } catch {
    return 'user'
  }
}

/** The display name nearest to a name from elsewhere: one line, without what cannot be shown. */
export function toDisplayName(name: string): string {
  const line = firstCodePoints(cleanText(name).replaceAll(/\s+/g, ' ').trim(), 80)
  try {
    return checkName(line, 'A display name', 'displayName')
  } catch {
    return 'Somebody'
  }
}

/** Names that mean everybody, and are nobody's. */
const reserved = new Set(['here', 'channel', 'everyone', 'all'])
const isReserved = (username: string) => reserved.has(usernameKey(username))

const checkDisplayName = (name: string) => checkName(name, 'A display name', 'input.displayName')

/** Usernames and display names for a new account; throws BAD_USER_INPUT. */
export function checkProfile(input: { username: string; displayName?: string | null | undefined }) {
  const username = checkUsername(input.username, 'input.username')
  const displayName =
    input.displayName == null ? username : checkDisplayName(input.displayName)
  if (isReserved(username)) throw badInput('This name is reserved.', 'input.username')
  return { username, displayName }
}
