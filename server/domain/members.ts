import { and, asc, eq, isNull, sql } from 'drizzle-orm'
import { members } from '../../drizzle/tables/index.ts'
import { badInput, conflict, forbidden, notFound } from '../errors.ts'
import { answerTogether, isOneOf } from '../lib/sql.ts'
import type { LockedChannel } from '../message-store/channel-lock.ts'
import { type MemberRole, type MemberRow, type RawMember, toMemberRow } from '../message-store/rows.ts'
import { compareSnowflakes } from '../message-store/snowflake.ts'
import { accessChannel, authoriseLocked, findMember } from './access.ts'
import { touchAccounts } from './accounts.ts'
import { tellAdded } from './activities-writing.ts'
import { writeAudit } from './audit-log.ts'
import { checkNotBanned, findBanned } from './bans.ts'
import { whoBlocks } from './blocks.ts'
import type { Deps } from './deps.ts'
import { whoExists } from './users.ts'
import { changeMembers } from './membership.ts'
import { may, outranks } from './permissions.ts'

/** Somebody in a channel. */
export type MemberKey = { channelId: string; userId: string }

/** A page of a channel's members. */
export type MembersRequest = { channelId: string; first: number; afterUserId: string | null }

export type MembersService = ReturnType<typeof createMembersService>

/** People who may be added at once; the channel is locked meanwhile. */
const maxAdded = 100

/** Who is in a channel, and in which role. */
export function createMembersService(deps: Deps) {
  const { database, announce, jobs, limits } = deps
  const { orm } = database

  function checkRoom(channel: LockedChannel, coming: number) {
    if (channel.row.kind === 'GROUP' && channel.row.memberCount + coming > limits.groupMembers) {
      throw conflict(`A group has at most ${limits.groupMembers} members.`, 'userIds')
    }
  }

  /**
   * A channel is not left without an owner: whoever has been there longest, admins first, takes over. The channel's own
   * count says who came first, because the clocks of replicas may differ.
   */
  async function passOwnership(channel: LockedChannel, leaverId: string): Promise<string[]> {
    const [next] = await channel.tx.orm
      .select()
      .from(members)
      .where(and(eq(members.channelId, channel.row.id), isNull(members.leftAt)))
      .orderBy(sql`${members.role} = 'OWNER' desc, ${members.role} = 'ADMIN' desc`, asc(members.joinedChange))
      .limit(1)
    if (next === undefined || next.role === 'OWNER') return []
    const heir = await channel.setRole(next.userId, 'OWNER')
    await writeAudit(channel.tx, {
      channelId: channel.row.id,
      actorId: leaverId,
      action: 'ROLE_CHANGED',
      subjectId: next.userId,
      detail: { roleBefore: next.role, role: 'OWNER' },
    })
    await letOwnerSpeak(channel, leaverId, heir)
    return [next.userId]
  }

  /** Whoever has become an owner may write: nobody stands above them who could end a silence of before. */
  async function letOwnerSpeak(channel: LockedChannel, actorId: string, { userId, role, silencedUntil }: MemberRow) {
    if (role !== 'OWNER' || silencedUntil === null) return
    await channel.silence(userId, null)
    const entry = { channelId: channel.row.id, actorId, subjectId: userId }
    await writeAudit(channel.tx, { ...entry, action: 'SILENCE_ENDED' })
  }

  return {
    /** Enters a PUBLIC channel; being in it already changes nothing. */
    async join(viewerId: string, channelId: string): Promise<void> {
      const access = await accessChannel(orm, viewerId, channelId, 'join')
      if (access.member !== null) return
      await changeMembers(deps, channelId, async (channel) => {
        if ((await findMember(channel.tx.orm, channelId, viewerId)) !== undefined) return []
        await checkNotBanned(channel.tx.orm, channelId, viewerId)
        await channel.append('MEMBER_JOINED', viewerId, '')
        const member = await channel.admit(viewerId, channel.row.memberCount === 0 ? 'OWNER' : 'MEMBER')
        await letOwnerSpeak(channel, viewerId, member)
        return [viewerId]
      })
    },

    /** Leaves a channel. */
    async leave(viewerId: string, channelId: string): Promise<void> {
      await accessChannel(orm, viewerId, channelId, 'leave')
      await changeMembers(deps, channelId, async (channel) => {
        const own = await findMember(channel.tx.orm, channelId, viewerId)
        if (own === undefined) return []
        await channel.dismiss(viewerId)
        await channel.append('MEMBER_LEFT', viewerId, '')
        const heirs = own.role === 'OWNER' ? await passOwnership(channel, viewerId) : []
        return [viewerId, ...heirs]
      })
    },

    /**
     * Brings people in; who is in already stays as they are. FORBIDDEN where one of them has blocked the viewer or is
     * banned; those who may ban are told which of the two, as a CONFLICT.
     */
    async add(viewerId: string, channelId: string, userIds: readonly string[]): Promise<void> {
      await accessChannel(orm, viewerId, channelId, 'addMember')
      const wanted = [...new Set(userIds)]
      if (wanted.length === 0 || wanted.length > maxAdded) {
        throw badInput(`Between 1 and ${maxAdded} people at once.`, 'userIds')
      }
      if ((await whoExists(orm, wanted)).size !== wanted.length) throw notFound('user', 'userIds')
      await changeMembers(deps, channelId, async (channel) => {
        const actor = await authoriseLocked(channel.tx.orm, channel.row, viewerId, 'addMember')
        const present = await channel.tx.orm
          .select({ userId: members.userId })
          .from(members)
          .where(and(eq(members.channelId, channelId), isOneOf(members.userId, wanted), isNull(members.leftAt)))
        const there = new Set(present.map((row) => row.userId))
        const coming = wanted.filter((userId) => !there.has(userId))
        checkRoom(channel, coming.length)
        const unwilling = await whoBlocks(channel.tx.orm, coming, viewerId)
        const banned = await findBanned(channel.tx.orm, channelId, coming)
        const tellsOfBans = unwilling.size === 0 && may(actor, 'ban', channel.row.kind)
        if (banned.size > 0 && tellsOfBans) throw conflict('One of these people is banned from this channel.', 'userIds')
        if (unwilling.size + banned.size > 0) throw forbidden('You cannot add one of these people.')
        const changes: number[] = []
        for (const userId of coming) {
          await channel.append('MEMBER_JOINED', userId, '')
          changes.push((await channel.admit(userId, 'MEMBER')).joinedChange)
        }
        await tellAdded(channel.tx, jobs, { channelId, actorId: viewerId, userIds: coming, changes })
        return coming
      })
    },

    /** Puts somebody of a lower role out; nothing that happens afterwards reaches them. */
    async remove(viewerId: string, channelId: string, userId: string): Promise<void> {
      if (userId === viewerId) return this.leave(viewerId, channelId)
      await accessChannel(orm, viewerId, channelId, 'removeMember')
      await changeMembers(deps, channelId, async (channel) => {
        const actor = await authoriseLocked(channel.tx.orm, channel.row, viewerId, 'removeMember')
        const other = await findMember(channel.tx.orm, channelId, userId)
        if (other === undefined) return []
        if (!outranks(actor, other.role)) throw forbidden('Only somebody of a lower role can be removed.')
        await writeAudit(channel.tx, { channelId, actorId: viewerId, action: 'MEMBER_REMOVED', subjectId: userId })
        await channel.dismiss(userId)
        await channel.append('MEMBER_LEFT', userId, '')
        return [userId]
      })
    },

    /** Gives a member a role. The last owner stays one until there is another. */
    async setRole(viewerId: string, channelId: string, userId: string, role: MemberRole): Promise<void> {
      await accessChannel(orm, viewerId, channelId, 'setRole')
      await changeMembers(deps, channelId, async (channel) => {
        const tx = channel.tx.orm
        await authoriseLocked(tx, channel.row, viewerId, 'setRole')
        const other = await findMember(tx, channelId, userId)
        if (other === undefined) throw notFound('member', 'userId')
        if (other.role === role) return []
        if (other.role === 'OWNER') {
          const owners = await tx
            .select({ userId: members.userId })
            .from(members)
            .where(and(eq(members.channelId, channelId), eq(members.role, 'OWNER'), isNull(members.leftAt)))
            .limit(2)
          if (owners.length === 1) throw conflict('Make somebody else an owner first.', 'role')
        }
        const changed = await channel.setRole(userId, role)
        await writeAudit(channel.tx, {
          channelId,
          actorId: viewerId,
          action: 'ROLE_CHANGED',
          subjectId: userId,
          detail: { roleBefore: other.role, role },
        })
        await letOwnerSpeak(channel, viewerId, changed)
        return [userId]
      })
    },

    /** The memberships of these people in these channels, in no order; who is not in the channel now is left out. */
    async findMany(keys: readonly MemberKey[]): Promise<MemberRow[]> {
      const rows = await database.run<RawMember>(
        `/* memberships */ select m.* from unnest($1::bigint[], $2::bigint[]) as wanted (channel_id, user_id)
         join members m on m.channel_id = wanted.channel_id and m.user_id = wanted.user_id
         where m.left_at is null`,
        [keys.map((key) => key.channelId), keys.map((key) => key.userId)],
      )
      return rows.map(toMemberRow)
    },

    /** Pages of members, one for each request: in the order of their ids, after one of them. */
    list: (requests: readonly MembersRequest[]): Promise<MemberRow[][]> =>
      answerTogether(requests, ({ first, afterUserId }) => `${first} ${afterUserId}`, async (alike) => {
        const { first, afterUserId } = alike[0]!
        const rows = await database.run<RawMember>(
          `/* members */ select m.* from channels c
           cross join lateral (
             select * from members
             where channel_id = c.id and channel_id = any ($1::bigint[]) and user_id > $2 and left_at is null
             order by user_id limit $3
           ) m
           where c.id = any ($1::bigint[])`,
          // All ids are positive.
          [alike.map((request) => request.channelId), afterUserId ?? '0', first],
        )
        const pages = Map.groupBy(rows.map(toMemberRow), (member) => member.channelId)
        return alike.map(({ channelId }) =>
          (pages.get(channelId) ?? []).toSorted((one, other) => compareSnowflakes(one.userId, other.userId)),
        )
      }),

    /** Sets how much the viewer is told of a channel; an absent field keeps what is there. */
    async setNotifications(
      viewerId: string,
      channelId: string,
      input: { level?: MemberRow['notificationLevel'] | null | undefined; mutedUntil?: Date | null | undefined },
    ): Promise<void> {
      await accessChannel(orm, viewerId, channelId, 'read', 'input.channelId')
      const set = {
        ...(input.level === undefined ? {} : { notificationLevel: input.level ?? ('ALL' as const) }),
        ...(input.mutedUntil === undefined ? {} : { mutedUntil: input.mutedUntil }),
      }
      if (Object.keys(set).length === 0) return
      const noted = await database.transaction(async (tx) => {
        await tx.orm.update(members).set(set).where(and(eq(members.channelId, channelId), eq(members.userId, viewerId)))
        return touchAccounts(tx.orm, [viewerId], 'CHANNEL', channelId)
      })
      noted.forEach(announce.account)
    },
  }
}
