import type { Database } from '../../../drizzle/connection.ts'
import { authorise } from '../../domain/access.ts'
import { notFound } from '../../errors.ts'
import type { Position } from '../../message-store/changes.ts'
import type { ChannelKind, MemberRole, MemberRow, RawMember } from '../../message-store/rows.ts'
import { toMemberRow } from '../../message-store/rows.ts'
import type { Admission } from './admission.ts'
import { createTogether } from './together.ts'

/** Users in one query about a channel. Each takes a look at an index, and a row of eight numbers. */
const usersAtOnce = 1_000

/** Users whose channels are found in one query: with twenty channels each, four thousand rows. */
const returningAtOnce = 200

/** How somebody stands to a channel, and where that stands, as one snapshot. */
export type ChannelStanding = {
  kind: ChannelKind
  head: Position & { expiredChange: number }
  /** Null for who is not in it now. */
  member: { role: MemberRole; joined: Position } | null
}

/**
 * What streams must know of their viewers as they open and as they read on. Nothing is kept: each answer is of a moment
 * after it was asked for.
 */
export type Standings = {
  /** How a user stands to a channel; null where there is none. One query for all who ask of one channel together. */
  find(channelId: string, userId: string): Promise<ChannelStanding | null>
  /** The same for who wants to read. Throws NOT_FOUND, about the input at `field`, or FORBIDDEN: as `accessChannel`. */
  accessToRead(userId: string, channelId: string, field?: string): Promise<ChannelStanding>
  /** Where a user is a member now. One query for all who ask together. */
  memberships(userId: string): Promise<MemberRow[]>
}

/** Reads standings from the store, in the turns of those who come back. */
export function createStandings(database: Pick<Database, 'run'>, admission: Pick<Admission, 'run'>): Standings {
  async function standingsIn(channelId: string, userIds: readonly string[]): Promise<(ChannelStanding | null)[]> {
    const rows = await database.run<{
      kind: ChannelKind
      last_change: number
      last_seq: number
      expired_change: number
      /** These are null where none of them is a member. */
      user_id: string | null
      role: MemberRole
      joined_change: number
      joined_seq: number
    }>(
      `/* standings */ select c.kind, c.last_change, c.last_seq, c.expired_change,
              m.user_id, m.role, m.joined_change, m.joined_seq
       from channels c
       left join members m on m.channel_id = $1 and m.user_id = any ($2::bigint[]) and m.left_at is null
       where c.id = $1`,
      [channelId, `{${[...new Set(userIds)].join(',')}}`],
    )
    const [channel] = rows
    if (channel === undefined) return userIds.map(() => null)
    const { kind } = channel
    const head = { change: channel.last_change, seq: channel.last_seq, expiredChange: channel.expired_change }
    const members = new Map(rows.map((row) => [row.user_id, row]))
    return userIds.map((userId) => {
      const row = members.get(userId)
      if (row === undefined) return { kind, head, member: null }
      return { kind, head, member: { role: row.role, joined: { change: row.joined_change, seq: row.joined_seq } } }
    })
  }

  async function membershipsOf(_: string, userIds: readonly string[]): Promise<MemberRow[][]> {
    const rows = await database.run<RawMember>(
      '/* memberships */ select * from members where user_id = any ($1::bigint[]) and left_at is null',
      [`{${[...new Set(userIds)].join(',')}}`],
    )
    const byUser = Map.groupBy(rows.map(toMemberRow), (member) => member.userId)
    return userIds.map((userId) => byUser.get(userId) ?? [])
  }

  const findTogether = createTogether({ admission, read: standingsIn, most: usersAtOnce })
  const membershipsTogether = createTogether({ admission, read: membershipsOf, most: returningAtOnce })
  const find: Standings['find'] = (channelId, userId) => findTogether(channelId, userId, userId)

  return {
    find,
    async accessToRead(userId, channelId, field = 'channelId') {
      const standing = await find(channelId, userId)
      if (standing === null) throw notFound('channel', field)
      authorise(standing.member?.role ?? 'NONE', 'read', standing.kind)
      return standing
    },
    memberships: (userId) => membershipsTogether('memberships', userId, userId),
  }
}
