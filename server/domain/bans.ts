import { and, desc, eq, gt, isNull, lt, or, type SQL, sql } from 'drizzle-orm'
import type { Orm } from '../../drizzle/connection.ts'
import { bans } from '../../drizzle/tables/index.ts'
import { badInput, forbidden, notFound } from '../errors.ts'
import { isOneOf } from '../lib/sql.ts'
import { accessChannel, authoriseLocked, findMember } from './access.ts'
import { writeAudit } from './audit-log.ts'
import { isAfter, type Listed } from './blocks.ts'
import type { Deps } from './deps.ts'
import { changeMembers } from './membership.ts'
import { checkAhead, checkReason } from './moderation.ts'
import { outranks } from './permissions.ts'
import { whoExists } from './users.ts'

export type BanRow = typeof bans.$inferSelect

export type BansService = ReturnType<typeof createBansService>

/** Bans that are not over, by the store's clock. */
const isInForce = (): SQL => or(isNull(bans.until), gt(bans.until, sql`now()`))!

/** Those of these people who are banned from a channel now. To be asked while it is locked by whoever lets them in. */
export async function findBanned(orm: Orm, channelId: string, userIds: readonly string[]): Promise<Set<string>> {
  if (userIds.length === 0) return new Set()
  const rows = await orm
    .select({ userId: bans.userId })
    .from(bans)
    .where(and(eq(bans.channelId, channelId), isOneOf(bans.userId, userIds), isInForce()))
  return new Set(rows.map((row) => row.userId))
}

/**
 * Throws FORBIDDEN where somebody is banned from a channel now. To be asked while the channel is locked, by whoever is
 * about to let them in: a ban takes the same lock.
 */
export async function checkNotBanned(orm: Orm, channelId: string, userId: string): Promise<void> {
  const banned = await findBanned(orm, channelId, [userId])
  if (banned.size > 0) throw forbidden('You have been banned from this channel.')
}

/**
 * Who is kept out of a channel. It is in force from the moment that it is answered: whoever was in has been put out, and
 * nobody, not even an owner, lets them in before the ban is over or taken back.
 */
export function createBansService(deps: Deps) {
  const { database } = deps
  const { orm } = database

  return {
    /**
     * Bans somebody of a lower role, in the channel or not, until a moment that is yet to come; null for good. A ban
     * that is there already gets the new end and reason. Throws FORBIDDEN, NOT_FOUND or BAD_USER_INPUT.
     */
    async add(viewerId: string, channelId: string, userId: string, until: Date | null, given: string | null): Promise<void> {
      await accessChannel(orm, viewerId, channelId, 'ban')
      if (userId === viewerId) throw badInput('Nobody can ban themselves.', 'userId')
      const reason = checkReason(given, 'reason')
      await checkAhead(database, until)
      if ((await whoExists(orm, [userId])).size === 0) throw notFound('user', 'userId')
      await changeMembers(deps, channelId, async (channel) => {
        const tx = channel.tx.orm
        const actor = await authoriseLocked(tx, channel.row, viewerId, 'ban')
        const other = await findMember(tx, channelId, userId)
        if (other !== undefined && !outranks(actor, other.role)) throw forbidden('Only somebody of a lower role can be banned.')
        const key = and(eq(bans.channelId, channelId), eq(bans.userId, userId))
        const [before] = await tx.select().from(bans).where(key)
        const isSame = before !== undefined && before.reason === reason && +(before.until ?? 0) === +(until ?? 0)
        if (isSame && other === undefined) return []
        const row = { channelId, userId, bannedBy: viewerId, bannedAt: new Date(), until, reason }
        await tx.delete(bans).where(key)
        await tx.insert(bans).values(row)
        await writeAudit(channel.tx, {
          channelId,
          actorId: viewerId,
          action: 'MEMBER_BANNED',
          subjectId: userId,
          reason,
          detail: { until: until?.toISOString() ?? null },
        })
        if (other === undefined) return []
        await channel.dismiss(userId)
        await channel.append('MEMBER_LEFT', userId, '')
        return [userId]
      })
    },

    /** Takes a ban back; who was banned may come in again. Where there is none nothing changes. */
    async remove(viewerId: string, channelId: string, userId: string): Promise<void> {
      await accessChannel(orm, viewerId, channelId, 'ban')
      await changeMembers(deps, channelId, async (channel) => {
        const tx = channel.tx.orm
        await authoriseLocked(tx, channel.row, viewerId, 'ban')
        const removed = await tx
          .delete(bans)
          .where(and(eq(bans.channelId, channelId), eq(bans.userId, userId)))
          .returning()
        if (removed.length === 0) return []
        await writeAudit(channel.tx, { channelId, actorId: viewerId, action: 'MEMBER_UNBANNED', subjectId: userId })
        return []
      })
    },

    /** Bans that are in force, the latest first: `first` of them after the one of `after`. */
    async list(viewerId: string, channelId: string, first: number, after: Listed | null): Promise<BanRow[]> {
      await accessChannel(orm, viewerId, channelId, 'ban')
      return orm
        .select()
        .from(bans)
        .where(and(eq(bans.channelId, channelId), isInForce(), isAfter(bans.bannedAt, bans.userId, after)))
        .orderBy(desc(bans.bannedAt), desc(bans.userId))
        .limit(first)
    },

    /** Takes away those that are over, so that nobody has to read past them. Returns how many there were. */
    async sweep(): Promise<number> {
      const gone = await orm
        .delete(bans)
        .where(lt(bans.until, sql`now()`))
        .returning({ userId: bans.userId })
      return gone.length
    },
  }
}
