import { and, eq, isNull } from 'drizzle-orm'
import type { Database, Orm } from '../../drizzle/connection.ts'
import { users } from '../../drizzle/tables/index.ts'
import { badInput, forbidden } from '../errors.ts'
import { storeTime } from '../lib/store-time.ts'
import { checkText } from '../lib/text.ts'
import { accessChannel } from './access.ts'
import type { Action } from './permissions.ts'

/** Characters of a reason: a paragraph, which is read by whoever comes to decide. */
const maxReasonLength = 1_000

/** Returns a reason that may be absent; what is blank is. Throws BAD_USER_INPUT. */
export const checkReason = (reason: string | null, field: string): string | null =>
  reason === null || reason.trim() === '' ? null : needReason(reason, field)

/** The same for a reason that must be there. */
export const needReason = (reason: string, field: string): string =>
  checkText(reason.trim(), 'A reason', field, maxReasonLength)

/** Throws BAD_USER_INPUT, about `until`, where a moment is over already, by the store's clock. */
export async function checkAhead(database: Database, until: Date | null): Promise<void> {
  if (until !== null && until <= (await storeTime(database))) throw badInput('This moment is over already.', 'until')
}

/** Whether somebody keeps order in the whole deployment. */
export async function isModerator(orm: Orm, userId: string): Promise<boolean> {
  const [user] = await orm
    .select({ moderator: users.moderator })
    .from(users)
    .where(and(eq(users.id, userId), isNull(users.deletedAt)))
  return user?.moderator === true
}

/**
 * Throws FORBIDDEN or NOT_FOUND unless somebody may do `action` in a channel or keeps order in the whole deployment;
 * where no channel is named, unless they do the latter.
 */
export async function authoriseKeeper(orm: Orm, viewerId: string, channelId: string | null, action: Action): Promise<void> {
  if (await isModerator(orm, viewerId)) return
  if (channelId === null) throw forbidden('Only moderators of the whole deployment see all channels.')
  await accessChannel(orm, viewerId, channelId, action)
}
