import { and, type AnyColumn, count, desc, eq, type SQL, sql } from 'drizzle-orm'
import type { Orm, Transaction } from '../../drizzle/connection.ts'
import { blocks, channels, directChannels, users } from '../../drizzle/tables/index.ts'
import { badInput, conflict, notFound } from '../errors.ts'
import { isOneOf } from '../lib/sql.ts'
import type { Deps } from './deps.ts'
import { whoExists } from './users.ts'

/** Somebody on a list of people that a user keeps, and when they came on it. */
export type Listed = { userId: string; at: Date }

export type BlocksService = ReturnType<typeof createBlocksService>

/** People whom one user may block; whoever needs more needs moderators. */
const maxBlocked = 5_000

/** What comes after a place of a list that is sorted by these columns, the greatest first. */
export const isAfter = (at: AnyColumn, userId: AnyColumn, place: Listed | null): SQL | undefined =>
  place === null
    ? undefined
    : sql`(${at}, ${userId}) < (${place.at.toISOString()}::timestamptz, ${place.userId}::bigint)`

/** The two of a pair, the lower id first: how DIRECT channels name them. */
export function orderedPair(one: string, other: string): [low: string, high: string] {
  return BigInt(one) < BigInt(other) ? [one, other] : [other, one]
}

/**
 * Takes turns with whatever else is about to change how these two stand to each other, until the transaction is over:
 * a block must find the DIRECT channel that is just being made, and who makes one the block.
 */
export async function lockPair(tx: Transaction, one: string, other: string): Promise<void> {
  const pair = `pair ${orderedPair(one, other).join(' ')}`
  await tx.run('/* pair */ select pg_advisory_xact_lock(hashtextextended($1, 0))', [pair])
}

/** Those of these people who have blocked a user. */
export async function whoBlocks(orm: Orm, userIds: readonly string[], blockedId: string): Promise<Set<string>> {
  if (userIds.length === 0) return new Set()
  const rows = await orm
    .select({ userId: blocks.userId })
    .from(blocks)
    .where(and(isOneOf(blocks.userId, userIds), eq(blocks.blockedId, blockedId)))
  return new Set(rows.map((row) => row.userId))
}

/** Whether one of these two has blocked the other. */
export async function isEitherBlocked(orm: Orm, one: string, other: string): Promise<boolean> {
  const pair = [one, other]
  const rows = await orm
    .select({ userId: blocks.userId })
    .from(blocks)
    .where(and(isOneOf(blocks.userId, pair), isOneOf(blocks.blockedId, pair)))
  return rows.length > 0
}

/** The DIRECT channel of two people; null where there is none. */
export async function findDirect(orm: Orm, one: string, other: string): Promise<string | null> {
  const [low, high] = orderedPair(one, other)
  const [found] = await orm
    .select({ channelId: directChannels.channelId })
    .from(directChannels)
    .where(and(eq(directChannels.lowUserId, low), eq(directChannels.highUserId, high)))
  return found?.channelId ?? null
}

/**
 * Whom a user has blocked. It shuts their DIRECT channel, which both go on reading; neither sees whether the other is
 * there; what the blocked one says mentions the other no more; and the blocked one cannot bring the other into a
 * channel. In channels that they share messages still come.
 */
export function createBlocksService({ database, announce }: Deps) {
  const { orm } = database

  /**
   * Says in the channel what sends are to know. A send that was allowed before names the version of then, and is
   * looked at anew: what is acknowledged after the block was acknowledged did not come from one of the two.
   */
  async function setShut(tx: Transaction, viewerId: string, userId: string): Promise<void> {
    const channelId = await findDirect(tx.orm, viewerId, userId)
    if (channelId === null) return
    // Who was deleted does not come back, whatever becomes of a block.
    const areThere = (await whoExists(tx.orm, [viewerId, userId])).size === 2
    const shut = !areThere || (await isEitherBlocked(tx.orm, viewerId, userId))
    await tx.orm
      .update(channels)
      .set({ shut, membershipVersion: sql`${channels.membershipVersion} + 1` })
      .where(and(eq(channels.id, channelId), eq(channels.shut, !shut)))
  }

  async function change(viewerId: string, userId: string, write: (tx: Transaction) => Promise<boolean>) {
    const hasChanged = await database.transaction(async (tx) => {
      await lockPair(tx, viewerId, userId)
      const changed = await write(tx)
      if (changed) await setShut(tx, viewerId, userId)
      return changed
    })
    // Each may see the other no more, or again.
    if (hasChanged) for (const moved of [viewerId, userId]) announce.presence(moved)
    return hasChanged
  }

  return {
    /** Blocks somebody; false where that was so already. Whoever is blocked is not told. */
    async add(viewerId: string, userId: string): Promise<boolean> {
      if (userId === viewerId) throw badInput('Nobody can block themselves.', 'userId')
      const [known] = await orm.select({ id: users.id }).from(users).where(eq(users.id, userId))
      if (known === undefined) throw notFound('user', 'userId')
      return change(viewerId, userId, async (tx) => {
        const added = await tx.orm
          .insert(blocks)
          .values({ userId: viewerId, blockedId: userId, blockedAt: new Date() })
          .onConflictDoNothing()
          .returning({ userId: blocks.blockedId })
        if (added.length === 0) return false
        const [all] = await tx.orm.select({ count: count() }).from(blocks).where(eq(blocks.userId, viewerId))
        if (all!.count > maxBlocked) {
          throw conflict(`At most ${maxBlocked.toLocaleString('en')} blocked people.`, 'userId')
        }
        return true
      })
    },

    /** Takes a block back; false where there was none. */
    remove: (viewerId: string, userId: string): Promise<boolean> =>
      change(viewerId, userId, async (tx) => {
        const removed = await tx.orm
          .delete(blocks)
          .where(and(eq(blocks.userId, viewerId), eq(blocks.blockedId, userId)))
          .returning({ userId: blocks.blockedId })
        return removed.length > 0
      }),

    /** Whom the viewer has blocked, the latest first: `first` of them after the one of `after`. */
    list: (viewerId: string, first: number, after: Listed | null): Promise<Listed[]> =>
      orm
        .select({ userId: blocks.blockedId, at: blocks.blockedAt })
        .from(blocks)
        .where(and(eq(blocks.userId, viewerId), isAfter(blocks.blockedAt, blocks.blockedId, after)))
        .orderBy(desc(blocks.blockedAt), desc(blocks.blockedId))
        .limit(first),
  }
}
