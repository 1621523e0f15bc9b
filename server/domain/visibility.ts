import type { Database } from '../../drizzle/connection.ts'

/** Somebody who looks, and somebody who is looked at. */
export type Pair = { viewerId: string; userId: string }

type Runner = Pick<Database, 'run'>

/** A pair as one text, to be looked up in what `visiblePairs` gives. */
export const pairKey = ({ viewerId, userId }: Pair): string => `${viewerId} ${userId}`

/** Pairs in one statement: so many that have nobody in common took half a second, the tenth of what one may take. */
const pairsAtOnce = 5_000

/**
 * Those of these pairs in which the viewer may see the user's presence, each as `${viewerId} ${userId}`: people see
 * themselves, those with whom they share a channel now, and those who have added them as a contact. (Who adds lets the
 * other one see: could a stranger come to see somebody by adding them, everybody could be watched by anybody.) Where
 * one of the two has blocked the other neither sees.
 *
 * Two statements at once for thousands of pairs, whoever is in them.
 */
export async function visiblePairs(database: Runner, pairs: readonly Pair[]): Promise<Set<string>> {
  const visible = new Set<string>()
  const others = new Map<string, Pair>()
  for (const pair of pairs) {
    if (pair.viewerId === pair.userId) visible.add(pairKey(pair))
    else others.set(pairKey(pair), pair)
  }
  const asked = [...others.values()]
  for (let start = 0; start < asked.length; start += pairsAtOnce) {
    const some = asked.slice(start, start + pairsAtOnce)
    const [sharing, said] = await Promise.all([findSharing(database, some), findSaid(database, some)])
    for (const pair of [...sharing, ...said.added]) if (others.has(pairKey(pair))) visible.add(pairKey(pair))
    for (const { viewerId, userId } of said.blocked) {
      visible.delete(pairKey({ viewerId, userId }))
      visible.delete(pairKey({ viewerId: userId, userId: viewerId }))
    }
  }
  return visible
}

/** Of each pair by itself whether its two share a channel. */
const sharingOfEach = `/* who share a channel */ select distinct wanted.near, wanted.far
  from unnest($1::bigint[], $2::bigint[]) as wanted (near, far)
  join members own on own.user_id = wanted.near and own.left_at is null
  join members theirs on theirs.channel_id = own.channel_id and theirs.user_id = wanted.far and theirs.left_at is null`

/** Of each of some with each of others. */
const sharingOfAll = `/* who share a channel */ select distinct own.user_id as near, theirs.user_id as far
  from members own
  join members theirs on theirs.channel_id = own.channel_id and theirs.user_id = any ($2::bigint[])
    and theirs.left_at is null
  where own.user_id = any ($1::bigint[]) and own.left_at is null`

/** Beyond this many times the pairs that are asked about, all combinations cost more than each pair by itself. */
const maxCombinations = 4

/**
 * The pairs that share a channel, and maybe others. Looked for in the channels of those who are fewer. One person and
 * the 5,000 who watch her, or 500 whom she watches, took a third of the time when they were asked about all together.
 */
async function findSharing(database: Runner, pairs: readonly Pair[]): Promise<Pair[]> {
  const sides = [pairs.map((pair) => pair.viewerId), pairs.map((pair) => pair.userId)] as const
  const [viewers, users] = [new Set(sides[0]), new Set(sides[1])]
  const isTurned = users.size < viewers.size
  const together = viewers.size * users.size <= maxCombinations * pairs.length
  const [one, other] = together ? ([[...viewers], [...users]] as const) : sides
  const rows = await database.run<{ near: string; far: string }>(
    together ? sharingOfAll : sharingOfEach,
    isTurned ? [other, one] : [one, other],
  )
  return rows.map(({ near, far }) => (isTurned ? { viewerId: far, userId: near } : { viewerId: near, userId: far }))
}

/**
 * What the people of these pairs have said of each other: the pairs whose user has added the viewer, and those of which
 * one has blocked the other, as who is blocked and by whom.
 */
async function findSaid(database: Runner, pairs: readonly Pair[]): Promise<{ added: Pair[]; blocked: Pair[] }> {
  const viewerIds = pairs.map((pair) => pair.viewerId)
  const userIds = pairs.map((pair) => pair.userId)
  const rows = await database.run<{ viewer_id: string; user_id: string; blocked: boolean }>(
    `/* who added or blocked whom */
     select c.contact_id as viewer_id, c.user_id, false as blocked
     from unnest($1::bigint[], $2::bigint[]) as wanted (viewer_id, user_id)
     join contacts c on c.user_id = wanted.user_id and c.contact_id = wanted.viewer_id
     union all
     select b.blocked_id, b.user_id, true
     from unnest($3::bigint[], $4::bigint[]) as wanted (viewer_id, user_id)
     join blocks b on b.user_id = wanted.user_id and b.blocked_id = wanted.viewer_id`,
    [viewerIds, userIds, [...viewerIds, ...userIds], [...userIds, ...viewerIds]],
  )
  const { added = [], blocked = [] } = Object.groupBy(
    rows.map((row) => ({ viewerId: row.viewer_id, userId: row.user_id, isBlocked: row.blocked })),
    ({ isBlocked }) => (isBlocked ? 'blocked' : 'added'),
  )
  return { added, blocked }
}
