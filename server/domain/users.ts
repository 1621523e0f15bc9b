import { eq, inArray, sql } from 'drizzle-orm'
import type { Orm } from '../../drizzle/connection.ts'
import { identities, usernames, users } from '../../drizzle/tables/index.ts'
import { badInput, unauthenticated } from '../errors.ts'
import { checkName, checkUsername, cleanText, usernameKey } from '../lib/text.ts'
import type { Deps } from './deps.ts'

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

/** People and their names. */
export function createUsersService({ database, snowflakes }: Deps) {
  const { orm } = database

  /** Makes a user under a name; null where the name is taken. */
  async function create(
    tx: Orm,
    username: string,
    profile: { displayName: string; avatarUrl?: string | null; bot?: boolean },
  ): Promise<UserRow | null> {
    const id = snowflakes.next()
    const taken = await tx
      .insert(usernames)
      .values({ key: usernameKey(username), userId: id })
      .onConflictDoNothing()
      .returning()
    if (taken.length === 0) return null
    const [user] = await tx
      .insert(users)
      .values({ id, username, createdAt: new Date(), ...profile })
      .returning()
    return user!
  }

  /** Makes a user under the nearest name that is free. */
  async function createNear(tx: Orm, wish: string, profile: Parameters<typeof create>[2]): Promise<UserRow> {
    const base = toUsername(wish)
    for (let attempt = 1; ; attempt++) {
      // Numbers first, as people do; later at random, so that a crowd of equal names does not walk the whole row.
      const suffix = attempt === 1 ? '' : attempt < 10 ? `-${attempt}` : `-${Math.floor(Math.random() * 1e9)}`
      const user = await create(tx, base.slice(0, 32 - suffix.length) + suffix, profile)
      if (user !== null) return user
    }
  }

  return {
    create,

    /** These users by id, in no order; who does not exist is left out. */
    findMany: (ids: readonly string[]): Promise<UserRow[]> => orm.select().from(users).where(inArray(users.id, [...ids])),

    /** The user of this name, whatever its case. */
    async findByUsername(username: string): Promise<UserRow | null> {
      const [row] = await orm
        .select({ user: users })
        .from(usernames)
        .innerJoin(users, eq(users.id, usernames.userId))
        .where(eq(usernames.key, usernameKey(username)))
      return row?.user ?? null
    },

    /** The user that another system's account stands for, made on first sight. */
    async findOrCreateByIdentity(identity: Identity): Promise<UserRow> {
      const known = async (from: Orm) => {
        const [row] = await from
          .select({ user: users })
          .from(identities)
          .innerJoin(users, eq(users.id, identities.userId))
          .where(sql`${identities.issuer} = ${identity.issuer} and ${identities.subject} = ${identity.subject}`)
        return row?.user ?? null
      }
      const found = await known(orm)
      if (found !== null) return found
      return database.transaction(async (tx) => {
        // Two first sights at once: the lock lets the second find what the first has made.
        await tx.run('select pg_advisory_xact_lock(hashtextextended($1, 0))', [`${identity.issuer} ${identity.subject}`])
        const meanwhile = await known(tx.orm)
        if (meanwhile !== null) return meanwhile
        const displayName = cleanText(identity.displayName ?? identity.username).trim().slice(0, 80)
        const user = await createNear(tx.orm, identity.username, {
          displayName: displayName === '' ? 'Somebody' : displayName,
          avatarUrl: identity.avatarUrl ?? null,
        })
        await tx.orm.insert(identities).values({ issuer: identity.issuer, subject: identity.subject, userId: user.id })
        return user
      })
    },

    /** Changes what others see of the viewer; an absent field keeps what is there, null puts the username. */
    async updateProfile(viewerId: string, input: { displayName?: string | null | undefined }): Promise<UserRow> {
      const [user] =
        input.displayName === undefined
          ? await orm.select().from(users).where(eq(users.id, viewerId))
          : await orm
              .update(users)
              .set({
                displayName:
                  input.displayName === null
                    ? sql`${users.username}`
                    : checkName(input.displayName, 'A display name', 'input.displayName'),
              })
              .where(eq(users.id, viewerId))
              .returning()
      if (user === undefined) throw unauthenticated('This account is gone.')
      return user
    },
  }
}

/** The username nearest to a name from elsewhere: what is not allowed in one becomes an underscore. */
export function toUsername(name: string): string {
  const spelt = name
    .normalize('NFC')
    .replaceAll(/[^\p{L}\p{M}\p{N}._-]+/gu, '_')
    .replace(/^[^\p{L}\p{N}]+/u, '')
    .slice(0, 32)
  try {
    return checkUsername(spelt, 'username')
  } catch {
    return 'user'
  }
}

/** Usernames and display names for a new account; throws BAD_USER_INPUT. */
export function checkProfile(input: { username: string; displayName?: string | null | undefined }) {
  const username = checkUsername(input.username, 'input.username')
  const displayName =
    input.displayName == null ? username : checkName(input.displayName, 'A display name', 'input.displayName')
  if (/^(here|channel|everyone|all)$/i.test(username)) throw badInput('This name is reserved.', 'input.username')
  return { username, displayName }
}
