import { and, eq, isNull, or, sql } from 'drizzle-orm'
import { channels, directChannels, members, usernames } from '../../drizzle/tables/index.ts'
import { badInput } from '../errors.ts'
import { matches, parseSearchQuery, type SearchQuery } from '../lib/search-query.ts'
import { findableKey, usernameKey } from '../lib/text.ts'
import type { ChannelRow, MessageRow } from '../message-store/rows.ts'
import { beforeId, placeOf, type SearchPlace } from '../message-store/search.ts'
import { compareSnowflakes, snowflakeAt } from '../message-store/snowflake.ts'
import { accessChannel } from './access.ts'
import type { Deps } from './deps.ts'
import type { SearchSamplesService } from './search-samples.ts'
import { may } from './permissions.ts'

export type SearchRequest = {
  /** What somebody typed: see `parseSearchQuery`. */
  query: string
  channelId: string | null
  authorId: string | null
  /** Messages created before and after these moments. */
  sentBefore: Date | null
  sentAfter: Date | null
  size: number
  /** Only messages before this place. */
  before: SearchPlace | null
}

export type SearchPage = {
  /** The newest first. */
  messages: MessageRow[]
  /** Before which place a next page goes on; null where there is nothing more. */
  next: SearchPlace | null
  /** What was looked for in their contents, for `highlight`. */
  needles: SearchQuery['needles']
}

export type SearchService = ReturnType<typeof createSearchService>

/** What `from:` takes for the viewer, unless somebody is called so. */
const self = 'me'

/** Finds messages by what they say. */
export function createSearchService({ database, store }: Deps, samples: SearchSamplesService) {
  const { orm } = database

  /** The channels that the viewer may read; or this one of them, else NOT_FOUND or FORBIDDEN. */
  async function readableChannels(viewerId: string, channelId: string | null): Promise<ChannelRow[]> {
    if (channelId !== null) return [(await accessChannel(orm, viewerId, channelId, 'read')).channel]
    const rows = await orm
      .select({ channel: channels, role: members.role })
      .from(members)
      .innerJoin(channels, eq(channels.id, members.channelId))
      .where(and(eq(members.userId, viewerId), isNull(members.leftAt)))
    return rows.filter(({ channel, role }) => may(role, 'read', channel.kind)).map(({ channel }) => channel)
  }

  /** The users of these names, by key. */
  async function findUsers(names: readonly string[]): Promise<Map<string, string>> {
    const keys = names.map(findableKey).filter((key) => key !== null)
    if (keys.length === 0) return new Map()
    const rows = await orm.select().from(usernames).where(sql`${usernames.key} = any (${sql.param(keys)}::text[])`)
    return new Map(rows.map((row) => [row.key, row.userId]))
  }

  /** Who a name in the query stands for; throws BAD_USER_INPUT where there is nobody. */
  function userOf(users: Map<string, string>, name: string, part: string): string {
    const key = findableKey(name)
    const id = key === null ? undefined : users.get(key)
    if (id === undefined) throw badInput(`“${part}”: nobody has this username.`, 'query')
    return id
  }

  /** Of the viewer's channels those that `in:` names: by name, all that have it; by `@` the direct one with somebody. */
  async function narrow(viewerId: string, own: ChannelRow[], names: readonly string[]): Promise<ChannelRow[]> {
    if (names.length === 0) return own
    const peers = names.filter((name) => name.startsWith('@')).map((name) => name.slice(1))
    const users = await findUsers(peers)
    const wanted = new Set<ChannelRow>()
    for (const name of names) {
      const part = `in:${name}`
      const found = name.startsWith('@')
        ? await findDirect(viewerId, userOf(users, name.slice(1), part), own)
        : own.filter((channel) => channel.name !== null && usernameKey(channel.name) === usernameKey(name))
      if (found.length === 0) throw badInput(`“${part}”: none of the channels that are searched is called so.`, 'query')
      for (const channel of found) wanted.add(channel)
    }
    return [...wanted]
  }

  async function findDirect(viewerId: string, peerId: string, own: readonly ChannelRow[]): Promise<ChannelRow[]> {
    const pairOf = (low: string, high: string) => and(eq(directChannels.lowUserId, low), eq(directChannels.highUserId, high))
    const [row] = await orm
      .select()
      .from(directChannels)
      .where(or(pairOf(viewerId, peerId), pairOf(peerId, viewerId)))
    return own.filter((channel) => channel.id === row?.channelId)
  }

  /** Whose messages are looked for; null is anybody's. */
  async function authors(viewerId: string, names: readonly string[], authorId: string | null): Promise<string[] | null> {
    if (names.length === 0) return authorId === null ? null : [authorId]
    const users = await findUsers(names)
    if (!users.has(self)) users.set(self, viewerId)
    const named = [...new Set(names.map((name) => userOf(users, name, `from:${name}`)))]
    return authorId === null ? named : named.filter((id) => id === authorId)
  }

  return {
    /**
     * A page of messages in the viewer's channels, the newest first. It may have fewer than were asked for, or none,
     * and yet a next one: a search takes so long and no longer. Throws BAD_USER_INPUT about the query, and for a channel
     * that is named NOT_FOUND or FORBIDDEN.
     */
    async page(viewerId: string, request: SearchRequest): Promise<SearchPage> {
      const own = await readableChannels(viewerId, request.channelId)
      const parsed = parseSearchQuery(request.query)
      const { needles, terms } = parsed
      checkPurpose(request, parsed)
      const wanted = await narrow(viewerId, own, parsed.in)
      const authorIds = await authors(viewerId, parsed.from, request.authorId)
      const byId = new Map(wanted.filter((channel) => channel.lastSeq > 0).map((channel) => [channel.id, channel]))
      const range = rangeOf(request, parsed, [...byId.values()])
      if (authorIds?.length === 0 || byId.size === 0) return { messages: [], next: null, needles }

      const { keys, reached } = await store.search({
        channelIds: [...byId.keys()],
        ...sizeOf([...byId.values()]),
        authorIds,
        terms,
        ...range,
        size: request.size,
        // What retention has removed may lie about for a while.
        accepts: ({ channelId, seq, content }) => seq >= byId.get(channelId)!.firstSeq && matches(needles, content),
      })
      const page = keys.slice(0, request.size)
      // Read once they are known, and looked at again: meanwhile they may have been edited or deleted.
      const rows = (await store.messages(page)).filter(
        ({ channelId, seq, deletedAt, content }) =>
          deletedAt === null && seq >= byId.get(channelId)!.firstSeq && matches(needles, content),
      )
      // What finds nothing is a slip, or nothing to suggest.
      if (request.before === null && rows.length > 0) samples.note(viewerId, request.query)
      return {
        messages: rows.toSorted((a, b) => compareSnowflakes(b.id, a.id) || compareSnowflakes(b.channelId, a.channelId)),
        next: keys.length > request.size ? placeOf(page.at(-1)!) : reached,
        needles,
      }
    },
  }
}

/** Throws BAD_USER_INPUT where neither words nor filters say what to search for. */
function checkPurpose(request: SearchRequest, parsed: SearchQuery): void {
  const { channelId, authorId, sentBefore, sentAfter } = request
  const isFiltered = [channelId, authorId, sentBefore, sentAfter, parsed.since, parsed.until].some((each) => each !== null)
  if (isFiltered || parsed.needles.length + parsed.from.length + parsed.in.length > 0) return
  throw badInput('Say what to search for: words, a "phrase", from:somebody, in:channel, before:2026-01-31.', 'query')
}

/** Between which places to look. */
function rangeOf(request: SearchRequest, parsed: SearchQuery, searched: readonly ChannelRow[]) {
  const least = (ids: string[]) => ids.reduce((a, b) => (compareSnowflakes(a, b) < 0 ? a : b))
  const moments = [request.sentBefore?.getTime() ?? null, parsed.until].filter((moment) => moment !== null)
  const newest = searched.reduce((id, { lastId }) => (compareSnowflakes(lastId, id) > 0 ? lastId : id), '0')
  const high = least([(BigInt(newest) + 1n).toString(), ...moments.map(snowflakeAt)])
  const { before } = request
  const since = Math.max(request.sentAfter === null ? 0 : request.sentAfter.getTime() + 1, parsed.since ?? 0)
  return {
    low: snowflakeAt(since),
    before: before !== null && compareSnowflakes(before.id, high) < 0 ? before : beforeId(high),
  }
}

/** How much there is to search, roughly: imported messages are older than their channels. */
const sizeOf = (searched: readonly ChannelRow[]) => ({
  messages: searched.reduce((sum, { firstSeq, lastSeq }) => sum + lastSeq - firstSeq + 1, 0),
  since: searched.reduce((oldest, { createdAt }) => Math.min(oldest, createdAt.getTime()), Date.now()),
})
