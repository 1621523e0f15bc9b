import { and, eq, isNull, or } from 'drizzle-orm'
import type { Orm } from '../../drizzle/connection.ts'
import { blocks, channels, members, users } from '../../drizzle/tables/index.ts'
import type { SoughtKey } from '../lib/hangul-keys.ts'
import { isOneOf } from '../lib/sql.ts'
import type { ChannelRow } from '../message-store/rows.ts'
import type { Candidate } from './autocomplete-nodes.ts'
import { begins } from './autocomplete-near.ts'
import { keysOfChannel, keysOfPerson } from './name-keys.ts'
import { may } from './permissions.ts'
import type { UserRow } from './users.ts'

/** A candidate, and what it is found by. */
export type Wanted = Pick<Candidate, 'kind' | 'id'> & SoughtKey

/** What has been looked at, and may be shown. */
export type Looked =
  | { kind: 'USER'; text: string; user: UserRow }
  | { kind: 'CHANNEL'; text: string; channel: ChannelRow }

/**
 * Looks at candidates as they are now, in three statements at once at the most: what they were found by may be minutes
 * old. Gives, in the same order, those that still have a name that begins with their key and that the viewer may see.
 */
export function createLook(orm: Orm) {
  async function people(viewerId: string, ids: readonly string[]): Promise<UserRow[]> {
    if (ids.length === 0) return []
    const [rows, shut] = await Promise.all([
      orm.select().from(users).where(and(isOneOf(users.id, ids), isNull(users.deletedAt))),
      orm
        .select({ userId: blocks.userId, blockedId: blocks.blockedId })
        .from(blocks)
        .where(
          or(
            and(eq(blocks.userId, viewerId), isOneOf(blocks.blockedId, ids)),
            and(isOneOf(blocks.userId, ids), eq(blocks.blockedId, viewerId)),
          ),
        ),
    ])
    const away = new Set(shut.flatMap(({ userId, blockedId }) => [userId, blockedId]))
    return rows.filter(({ id }) => !away.has(id))
  }

  async function places(viewerId: string, ids: readonly string[]): Promise<ChannelRow[]> {
    if (ids.length === 0) return []
    const rows = await orm
      .select({ channel: channels, role: members.role })
      .from(channels)
      .leftJoin(members, and(eq(members.channelId, channels.id), eq(members.userId, viewerId), isNull(members.leftAt)))
      .where(isOneOf(channels.id, ids))
    return rows.filter(({ channel, role }) => may(role ?? 'NONE', 'see', channel.kind)).map(({ channel }) => channel)
  }

  return async function look(viewerId: string, wanted: readonly Wanted[]): Promise<Looked[]> {
    const idsOf = (kind: Wanted['kind']) => wanted.filter((each) => each.kind === kind).map(({ id }) => id)
    const [foundPeople, foundPlaces] = await Promise.all([
      people(viewerId, idsOf('USER')),
      places(viewerId, idsOf('CHANNEL')),
    ])
    const persons = new Map(foundPeople.map((user) => [user.id, user]))
    const rooms = new Map(foundPlaces.map((channel) => [channel.id, channel]))
    return wanted.flatMap(({ kind, id, ...sought }): Looked[] => {
      if (kind === 'USER') {
        const user = persons.get(id)
        return user !== undefined && begins(keysOfPerson(user), sought) ? [{ kind, text: user.displayName, user }] : []
      }
      const channel = rooms.get(id)
      if (channel === undefined || channel.name === null || !begins(keysOfChannel(channel), sought)) return []
      return [{ kind, text: channel.name, channel }]
    })
  }
}
