import { and, count, desc, eq, gt, isNull, lt, or, sql } from 'drizzle-orm'
import type { Orm } from '../../drizzle/connection.ts'
import { channels, invites, inviteUses, members } from '../../drizzle/tables/index.ts'
import { badInput, conflict, MaruError } from '../errors.ts'
import { answerTogether } from '../lib/sql.ts'
import type { LockedChannel } from '../message-store/channel-lock.ts'
import type { ChannelRow, MemberRow } from '../message-store/rows.ts'
import { accessChannel, authorise, findMember } from './access.ts'
import { checkNotBanned } from './bans.ts'
import type { Deps } from './deps.ts'
import { checkAhead, lockPerson } from './later.ts'
import { changeMembers } from './membership.ts'
import { may, outranks } from './permissions.ts'
import { findShortLink, giveCode } from './short-links.ts'

export type InviteRow = typeof invites.$inferSelect
export type InviteUseRow = typeof inviteUses.$inferSelect

export type CreateInviteInput = { channelId: string; maxUses?: number | null; expiresAt?: Date | null }

/** A page of those who came by an invite, the latest first. */
export type InviteUsesRequest = { channelId: string; inviteId: string; first: number; beforeNth: number | null }

export type InvitesService = ReturnType<typeof createInvitesService>

/** Uses that an invite may be limited to; whoever needs more needs no limit. */
const maxMaxUses = 10_000

/** Invites of one person to one channel that are good at the same time: one for each place where they are handed out. */
const maxLive = 100

/** The same for what never was, has expired or was taken back: an invite that is not good says nothing of itself. */
const notGood = () => new MaruError('NOT_FOUND', 'This invite is not good, or not any more.', { field: 'code' })

const usedUp = () => conflict('This invite has been used up.', 'code')

/** The condition that an invite has neither expired, by the store's clock, nor been taken back. */
const isOpen = () => and(isNull(invites.revokedAt), or(isNull(invites.expiresAt), gt(invites.expiresAt, sql`now()`)))

/** The condition that it has not been used up. */
const isLeft = () => or(isNull(invites.maxUses), lt(invites.uses, invites.maxUses))

/** Whether somebody may see who came by an invite, and take it back: its maker, and those who keep order. */
export const managesInvite = (member: MemberRow | null | undefined, invite: InviteRow): boolean =>
  member != null && (member.userId === invite.createdBy || outranks(member.role, 'MEMBER'))

/**
 * Whether an invite's maker still stands behind it: they are there as they were when they made it, and may bring people
 * in. Whoever has gone, or was put out, invites nobody any more, and does not again by coming back.
 */
const isBacked = (invite: InviteRow, maker: MemberRow | null | undefined, kind: ChannelRow['kind']): boolean =>
  maker != null &&
  maker.leftAt === null &&
  maker.joinedChange === invite.createdByJoinedChange &&
  may(maker.role, 'addMember', kind)

const hasUsesLeft = ({ maxUses, uses }: InviteRow): boolean => maxUses === null || uses < maxUses

/** Whether one can join by an invite now, of which `maker` is the maker's membership in a channel of this kind. */
export const isGood = (invite: InviteRow, maker: MemberRow | null, kind: ChannelRow['kind']): boolean =>
  isBacked(invite, maker, kind) &&
  invite.revokedAt === null &&
  (invite.expiresAt === null || invite.expiresAt > new Date()) &&
  hasUsesLeft(invite)

/** Links that let people into a channel. */
export function createInvitesService(deps: Deps) {
  const { database, snowflakes, limits } = deps
  const { orm } = database

  const one = (channelId: string, id: string) => and(eq(invites.channelId, channelId), eq(invites.id, id))

  async function lookUp(code: string) {
    const link = await findShortLink(orm, code)
    return link?.kind === 'INVITE' ? link : null
  }

  /** An invite that is neither expired nor taken back, used up or not, and its channel; null for any other. */
  async function findOpen(from: Orm, channelId: string, id: string) {
    const [found] = await from
      .select({ invite: invites, channel: channels, maker: members })
      .from(invites)
      .innerJoin(channels, and(eq(channels.id, invites.channelId), eq(channels.id, channelId)))
      .innerJoin(
        members,
        and(
          eq(members.channelId, invites.channelId),
          eq(members.channelId, channelId),
          eq(members.userId, invites.createdBy),
          isNull(members.leftAt),
        ),
      )
      .where(and(one(channelId, id), isOpen()))
    if (found === undefined || !isBacked(found.invite, found.maker, found.channel.kind)) return null
    return { invite: found.invite, channel: found.channel }
  }

  /** Takes one use of an invite for somebody who is about to come; the channel is locked, and so its maker stays. */
  async function use({ tx, row }: LockedChannel, inviteId: string, userId: string): Promise<void> {
    const channelId = row.id
    if ((await findOpen(tx.orm, channelId, inviteId)) === null) throw notGood()
    // Whoever takes it back at this moment waits for the one who comes; or it is back already, and nobody does.
    const [used] = await tx.orm
      .update(invites)
      .set({ uses: sql`${invites.uses} + 1` })
      .where(and(one(channelId, inviteId), isOpen(), isLeft()))
      .returning()
    if (used === undefined) throw (await findOpen(tx.orm, channelId, inviteId)) === null ? notGood() : usedUp()
    await tx.orm.insert(inviteUses).values({ channelId, inviteId, nth: used.uses, userId, joinedAt: new Date() })
  }

  return {
    /**
     * Makes an invite, as those may who may bring people in. Throws FORBIDDEN or NOT_FOUND about the channel,
     * BAD_USER_INPUT about the rest, and CONFLICT where the viewer has too many that are good.
     */
    async create(viewerId: string, input: CreateInviteInput): Promise<InviteRow> {
      const { channelId, maxUses = null, expiresAt = null } = input
      const { channel } = await accessChannel(orm, viewerId, channelId, 'addMember', 'input.channelId')
      if (maxUses !== null && !(maxUses >= 1 && maxUses <= maxMaxUses)) {
        throw badInput(`Between 1 and ${maxMaxUses.toLocaleString('en')} uses, or null for any number.`, 'input.maxUses')
      }
      return database.transaction(async (tx) => {
        await lockPerson(tx, viewerId)
        if (expiresAt !== null) await checkAhead(tx, expiresAt, 'input.expiresAt')
        const maker = await findMember(tx.orm, channelId, viewerId)
        authorise(maker?.role ?? 'NONE', 'addMember', channel.kind)
        const { joinedChange } = maker!
        const [live] = await tx.orm
          .select({ count: count() })
          .from(invites)
          .where(
            and(
              eq(invites.channelId, channelId),
              eq(invites.createdBy, viewerId),
              eq(invites.createdByJoinedChange, joinedChange),
              isOpen(),
              isLeft(),
            ),
          )
        if (live!.count >= maxLive) {
          throw conflict(`At most ${maxLive} invites at the same time; take one back first.`, 'input.channelId')
        }
        const id = snowflakes.next()
        const code = await giveCode(tx.orm, { kind: 'INVITE', channelId, targetId: id })
        const [made] = await tx.orm
          .insert(invites)
          .values({
            channelId,
            id,
            code,
            createdBy: viewerId,
            createdByJoinedChange: joinedChange,
            createdAt: new Date(),
            maxUses,
            expiresAt,
          })
          .returning()
        return made!
      })
    },

    /** An invite that one can join by now, and its channel, whoever asks; null for any other. */
    async findGood(channelId: string, id: string): Promise<{ invite: InviteRow; channel: ChannelRow } | null> {
      const found = await findOpen(orm, channelId, id)
      return found !== null && hasUsesLeft(found.invite) ? found : null
    },

    /**
     * Joins by an invite, and returns the channel's id. Each time that somebody comes uses it once; for who is there
     * already, by whatever way, nothing happens and nothing is used. Whom its maker has blocked may come, too: a block is
     * between two people. Throws NOT_FOUND where the invite is not good, and CONFLICT where it is used up or the group
     * is full.
     */
    async join(viewerId: string, code: string): Promise<string> {
      const link = await lookUp(code)
      if (link === null) throw notGood()
      const { channelId, targetId } = link
      if ((await findMember(orm, channelId, viewerId)) !== undefined) return channelId
      // What is not good is found without a lock on the channel, which others wait for.
      if ((await findOpen(orm, channelId, targetId)) === null) throw notGood()
      await changeMembers(deps, channelId, async (channel) => {
        if ((await findMember(channel.tx.orm, channelId, viewerId)) !== undefined) return []
        await checkNotBanned(channel.tx.orm, channelId, viewerId)
        await use(channel, targetId, viewerId)
        if (channel.row.kind === 'GROUP' && channel.row.memberCount >= limits.groupMembers) {
          throw conflict(`A group has at most ${limits.groupMembers} members.`, 'code')
        }
        await channel.append('MEMBER_JOINED', viewerId, '')
        await channel.admit(viewerId, 'MEMBER')
        return [viewerId]
      })
      return channelId
    },

    /**
     * Takes an invite back: once this is done nobody comes by it any more. Doing so again changes nothing. Throws
     * NOT_FOUND, also where there is one that is not the viewer's to take back.
     */
    async revoke(viewerId: string, code: string): Promise<InviteRow> {
      const link = await lookUp(code)
      if (link === null) throw notGood()
      const itself = one(link.channelId, link.targetId)
      const [[invite], member] = await Promise.all([
        orm.select().from(invites).where(itself),
        findMember(orm, link.channelId, viewerId),
      ])
      if (invite === undefined || !managesInvite(member, invite)) throw notGood()
      await orm.update(invites).set({ revokedAt: new Date() }).where(and(itself, isNull(invites.revokedAt)))
      const [revoked] = await orm.select().from(invites).where(itself)
      return revoked!
    },

    /**
     * The invites to a channel, good or not, the latest first: `first` of them before the one of this id. Those who keep
     * order see all, others their own. Throws FORBIDDEN or NOT_FOUND.
     */
    async list(viewerId: string, channelId: string, first: number, beforeId: string | null): Promise<InviteRow[]> {
      const { member } = await accessChannel(orm, viewerId, channelId, 'read')
      return orm
        .select()
        .from(invites)
        .where(
          and(
            eq(invites.channelId, channelId),
            outranks(member!.role, 'MEMBER') ? undefined : eq(invites.createdBy, viewerId),
            beforeId === null ? undefined : lt(invites.id, beforeId),
          ),
        )
        .orderBy(desc(invites.id))
        .limit(first)
    },

    /** Pages of those who came, one for each request. Permission is the caller's affair. */
    uses: (requests: readonly InviteUsesRequest[]): Promise<InviteUseRow[][]> =>
      answerTogether(requests, ({ first, beforeNth }) => `${first} ${beforeNth}`, async (alike) => {
        const { first, beforeNth } = alike[0]!
        const rows = await database.run<RawUse>(
          `/* who came by invites */ select u.* from invites i
           cross join lateral (
             select * from invite_uses
             where channel_id = i.channel_id and channel_id = any ($1::bigint[]) and invite_id = i.id and nth < $3
             order by nth desc limit $4
           ) u
           where i.channel_id = any ($1::bigint[]) and i.id = any ($2::bigint[])`,
          [alike.map(({ channelId }) => channelId), alike.map(({ inviteId }) => inviteId), beforeNth ?? 0x7fff_ffff, first],
        )
        const pages = Map.groupBy(rows.map(toUse), ({ inviteId }) => inviteId)
        return alike.map(({ inviteId }) => (pages.get(inviteId) ?? []).toSorted((a, b) => b.nth - a.nth))
      }),
  }
}

type RawUse = { channel_id: string; invite_id: string; nth: number; user_id: string; joined_at: Date }

const toUse = (raw: RawUse): InviteUseRow => ({
  channelId: raw.channel_id,
  inviteId: raw.invite_id,
  nth: raw.nth,
  userId: raw.user_id,
  joinedAt: raw.joined_at,
})
