import { LRUCache } from 'lru-cache'
import type { Database } from '../../drizzle/connection.ts'
import type { ChannelRow } from '../message-store/rows.ts'
import { type Keyed, namePeople } from './autocomplete-near.ts'

type Runner = Pick<Database, 'run'>

/** Who is in a channel, by what they are found by, as of one of its changes. */
type Roster = { membershipVersion: number; change: number; people: Map<string, Keyed> }

/**
 * Members up to which a channel's are all read, and remembered. Beyond, those are asked about who are found anyhow:
 * so many of a channel's members are a good part of everybody that some of those are in it.
 */
export const maxRoster = 3_000

/** Members that a process remembers, of all channels together: about 300 bytes each. */
const maxEntries = 30_000

/** For how long names of members are remembered; what is shown is compared with what they are called now. Milliseconds. */
const rosterMs = 60_000

/** Newest members of a large channel that are named before anything is typed. */
const newest = 50

/** Reads who is in a channel. */
export function createRosters(database: Runner) {
  const known = new LRUCache<string, { roster: Promise<Roster>; size: number }>({
    maxSize: maxEntries,
    ttl: rosterMs,
    sizeCalculation: ({ size }) => size,
  })

  /** Reads those whose membership was touched after a change. */
  async function readSince(channelId: string, change: number) {
    const rows = await database.run<{ user_id: string; change: number; is_here: boolean }>(
      `/* roster */ select user_id, change, left_at is null as is_here from members
       where channel_id = $1 and change > $2 and ($2 > 0 or left_at is null)`,
      [channelId, change],
    )
    const here = rows.filter((row) => row.is_here).map((row) => row.user_id)
    return {
      change: rows.reduce((last, row) => Math.max(last, row.change), change),
      here: await namePeople(database, here),
      gone: rows.filter((row) => !row.is_here).map((row) => row.user_id),
    }
  }

  async function next(channel: ChannelRow, before: Roster | null): Promise<Roster> {
    const { change, here, gone } = await readSince(channel.id, before?.change ?? 0)
    const people = new Map(before?.people)
    for (const person of here) people.set(person.id, person)
    for (const id of gone) people.delete(id)
    return { membershipVersion: channel.membershipVersion, change, people }
  }

  return {
    /** The members of a channel, which must not have more than `maxRoster`; what has moved since is read. */
    async all(channel: ChannelRow): Promise<Keyed[]> {
      const found = await known.get(channel.id)?.roster
      if (found?.membershipVersion === channel.membershipVersion) return [...found.people.values()]
      const roster = next(channel, found ?? null)
      const entry = { roster, size: 1 + channel.memberCount }
      known.set(channel.id, entry)
      try {
        return [...(await roster).people.values()]
      } catch (error) {
        if (known.peek(channel.id) === entry) known.delete(channel.id)
        throw error
      }
    },

    /** Those who came last. */
    async newest(channelId: string): Promise<string[]> {
      const rows = await database.run<{ user_id: string }>(
        `/* newest members */ select user_id from members
         where channel_id = $1 and left_at is null order by change desc limit $2`,
        [channelId, newest],
      )
      return rows.map((row) => row.user_id)
    },

    /** Those of these people who are in a channel now. */
    async present(channelId: string, userIds: readonly string[]): Promise<Set<string>> {
      if (userIds.length === 0) return new Set()
      const rows = await database.run<{ user_id: string }>(
        `/* who is in it */ select user_id from members
         where channel_id = $1 and user_id = any ($2::bigint[]) and left_at is null`,
        [channelId, userIds],
      )
      return new Set(rows.map((row) => row.user_id))
    },
  }
}
