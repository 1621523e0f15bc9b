import { LRUCache } from 'lru-cache'
import type { Database } from '../../drizzle/connection.ts'
import type { SoughtKey } from '../lib/hangul-keys.ts'
import type { Candidate } from './autocomplete-nodes.ts'
import { keysOfChannel, keysOfPerson, scoreOf } from './name-keys.ts'

type Runner = Pick<Database, 'run'>

/** Somebody or something, and what it was found by when it was read. */
export type Keyed = Candidate & { keys: readonly string[] }

/** Whom a viewer talks with and the channels that they are in, both with the nearest first. */
export type Near = { people: readonly Keyed[]; channels: readonly Keyed[] }

/** Channels of a viewer that are looked at, those where something was said last: more than anybody follows. */
const maxChannels = 1_000

/** Of these the GROUPs whose members one is taken to talk with, and how many people that may make in all. */
const nearGroups = 50
const maxGroupMembers = 2_000

const maxContacts = 1_000

/** For how long it is remembered whom a viewer is near: while somebody types. Milliseconds. */
const nearMs = 30_000

/** No change comes after it: the largest that the store counts to. */
const maxChange = 2_147_483_647

/** Entries that a process remembers, of all viewers together: about 300 bytes each. */
const maxEntries = 50_000

/**
 * Whom viewers talk with and where, remembered while they type. A channel that somebody has come into or left counts at
 * once: the account says so. What else moves in it, as drafts and reads do while somebody types, changes nothing.
 */
export function createNear(database: Runner) {
  const known = new LRUCache<string, { change: number; asked: Promise<Near>; size: number }>({
    maxSize: maxEntries,
    ttl: nearMs,
    sizeCalculation: ({ size }) => size,
  })

  return async function nearOf(viewerId: string): Promise<Near> {
    const found = known.get(viewerId)
    // All that has moved since, which is little, in the order of changes: by kinds it would be all memberships ever.
    const [account] = await database.run<{ last_change: number; has_moved: boolean | null }>(
      `/* account moved */ select last_change, (
         select bool_or(kind = 'MEMBERSHIP') from account_changes where user_id = $1 and change > $2
       ) as has_moved from accounts where user_id = $1`,
      [viewerId, found?.change ?? maxChange],
    )
    const change = account?.last_change ?? 0
    if (found !== undefined && account?.has_moved !== true) return found.asked
    const entry = { change, asked: loadNear(database, viewerId), size: 1 }
    known.set(viewerId, entry)
    try {
      const near = await entry.asked
      // Now that it is known how much it is.
      const size = 1 + near.people.length + near.channels.length
      if (known.peek(viewerId) === entry) known.set(viewerId, { ...entry, size })
      return near
    } catch (error) {
      if (known.peek(viewerId) === entry) known.delete(viewerId)
      throw error
    }
  }
}

type RawChannel = { id: string; kind: 'DIRECT' | 'GROUP' | 'PUBLIC'; name: string | null }

async function loadNear(database: Runner, viewerId: string): Promise<Near> {
  const [channels, contacts] = await Promise.all([
    database.run<RawChannel>(
      `/* channels near */ select c.id, c.kind, c.name from members m join channels c on c.id = m.channel_id
       where m.user_id = $1 and m.left_at is null order by greatest(c.last_id, c.id) desc limit $2`,
      [viewerId, maxChannels],
    ),
    database.run<{ id: string }>(
      '/* contacts near */ select contact_id as id from contacts where user_id = $1 order by added_at desc limit $2',
      [viewerId, maxContacts],
    ),
  ])
  const direct = channels.filter(({ kind }) => kind === 'DIRECT').map(({ id }) => id)
  const groups = channels.filter(({ kind }) => kind === 'GROUP').slice(0, nearGroups).map(({ id }) => id)
  // Apart, so that people of groups never take the places of those one talks with.
  const [peers, fellows] = await Promise.all([
    findFellows(database, viewerId, direct, direct.length),
    findFellows(database, viewerId, groups, maxGroupMembers),
  ])
  // Peers of DIRECT channels by when they last talked, contacts, and then people of groups.
  const peopleIds = new Set([
    ...direct.flatMap((id) => peers.get(id) ?? []),
    ...contacts.map(({ id }) => id),
    ...groups.flatMap((id) => fellows.get(id) ?? []),
  ])
  return {
    people: await namePeople(database, [...peopleIds]),
    // Those of two people are found as the other one, and what has no name as nothing.
    channels: channels
      .filter(({ kind, name }) => kind !== 'DIRECT' && name !== null)
      .map(({ id, name }) => ({ kind: 'CHANNEL', id, score: 0, keys: keysOfChannel({ name }) })),
  }
}

/** Who else is in these channels, by channel; at most so many people in all. */
async function findFellows(database: Runner, viewerId: string, channelIds: readonly string[], most: number) {
  if (channelIds.length === 0) return new Map<string, string[]>()
  const rows = await database.run<{ channel_id: string; user_id: string }>(
    `/* people near */ select channel_id, user_id from members
     where channel_id = any ($1::bigint[]) and user_id <> $2 and left_at is null limit $3`,
    [channelIds, viewerId, most],
  )
  const byChannel = new Map<string, string[]>()
  for (const { channel_id: channelId, user_id: userId } of rows) {
    byChannel.set(channelId, [...(byChannel.get(channelId) ?? []), userId])
  }
  return byChannel
}

/** These people with what they are found by, in the same order; who was deleted is left out. */
export async function namePeople(database: Runner, ids: readonly string[]): Promise<Keyed[]> {
  if (ids.length === 0) return []
  const rows = await database.run<{ id: string; username: string; display_name: string; last_active_at: Date | null }>(
    `/* names */ select id, username, display_name, last_active_at from users
     where id = any ($1::bigint[]) and deleted_at is null`,
    [ids],
  )
  const byId = new Map(rows.map((row) => [row.id, row]))
  return ids.flatMap((id) => {
    const row = byId.get(id)
    if (row === undefined) return []
    const keys = keysOfPerson({ username: row.username, displayName: row.display_name })
    return [{ kind: 'USER', id, score: scoreOf(0, row.last_active_at), keys }]
  })
}

/** Those that are found by a prefix, in the same order; all of them by the empty one. */
export const matching = (keyed: readonly Keyed[], sought: SoughtKey): Keyed[] =>
  keyed.filter(({ keys }) => begins(keys, sought))

/** Whether what has these whole keys is found. */
export const begins = (keys: readonly string[], { key, also }: SoughtKey): boolean =>
  [key, also].every((prefix) => prefix === '' || keys.some((each) => each.startsWith(prefix)))
