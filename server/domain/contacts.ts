import { and, count, desc, eq } from 'drizzle-orm'
import { contacts } from '../../drizzle/tables/index.ts'
import { badInput, conflict, notFound } from '../errors.ts'
import { isAfter, type Listed } from './blocks.ts'
import type { Deps } from './deps.ts'
import { whoExists } from './users.ts'

export type ContactsService = ReturnType<typeof createContactsService>

/** People whom one user may add: more than anybody knows. */
const maxContacts = 5_000

/**
 * Whom a user has added. A contact may see when the user is there, though they share no channel; that the user sees the
 * contact takes that the contact adds them, too.
 */
export function createContactsService({ database, announce }: Deps) {
  const { orm } = database
  return {
    /** Adds somebody; false where they were added before. They are not told. */
    async add(viewerId: string, userId: string): Promise<boolean> {
      if (userId === viewerId) throw badInput('Nobody can add themselves.', 'userId')
      if (!(await whoExists(orm, [userId])).has(userId)) throw notFound('user', 'userId')
      const isNew = await database.transaction(async (tx) => {
        const added = await tx.orm
          .insert(contacts)
          .values({ userId: viewerId, contactId: userId, addedAt: new Date() })
          .onConflictDoNothing()
          .returning({ userId: contacts.contactId })
        if (added.length === 0) return false
        const [all] = await tx.orm.select({ count: count() }).from(contacts).where(eq(contacts.userId, viewerId))
        if (all!.count > maxContacts) throw conflict(`At most ${maxContacts.toLocaleString('en')} contacts.`, 'userId')
        return true
      })
      // The contact may see the viewer from now on.
      if (isNew) announce.presence(viewerId)
      return isNew
    },

    /** Takes somebody off the list; false where they were not on it. */
    async remove(viewerId: string, userId: string): Promise<boolean> {
      const removed = await orm
        .delete(contacts)
        .where(and(eq(contacts.userId, viewerId), eq(contacts.contactId, userId)))
        .returning({ userId: contacts.contactId })
      if (removed.length > 0) announce.presence(viewerId)
      return removed.length > 0
    },

    /** The viewer's contacts, the latest first: `first` of them after the one of `after`. */
    list: (viewerId: string, first: number, after: Listed | null): Promise<Listed[]> =>
      orm
        .select({ userId: contacts.contactId, at: contacts.addedAt })
        .from(contacts)
        .where(and(eq(contacts.userId, viewerId), isAfter(contacts.addedAt, contacts.contactId, after)))
        .orderBy(desc(contacts.addedAt), desc(contacts.contactId))
        .limit(first),
  }
}
