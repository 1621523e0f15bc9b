import { chunksOf } from '../lib/chunks.ts'
import type { NewActivity } from './activities-writing.ts'
import type { Deps } from './deps.ts'

/** What reads: the database, or a transaction. */
export type Runner = Pick<Deps['database'], 'run'>

/** People who are looked up at once. */
const atOnce = 1_000

/**
 * Those of these that are anybody's affair: of members, by others, of whom neither has blocked the other. What comes of
 * a block stays so once it is taken back, as with mentions.
 */
export async function about({ run }: Runner, channelId: string, rows: readonly NewActivity[]): Promise<NewActivity[]> {
  const others = rows.filter(({ userId, actorId }) => userId !== actorId)
  const isMember = new Set<string>()
  const isBlocked = new Set<string>()
  for (const userIds of chunksOf([...new Set(others.map(({ userId }) => userId))], atOnce)) {
    const here = await run<{ user_id: string }>(
      `/* members about */ select user_id from members
       where channel_id = $1 and user_id = any ($2::bigint[]) and left_at is null`,
      [channelId, userIds],
    )
    for (const row of here) isMember.add(row.user_id)
  }
  for (const some of chunksOf(others, atOnce)) {
    for (const pair of await findBlocked({ run }, some)) isBlocked.add(pair)
  }
  return others.filter(({ userId, actorId }) => isMember.has(userId) && !isBlocked.has(`${userId} ${actorId}`))
}

/** Those of these pairs of which one has blocked the other, each as `${userId} ${actorId}`. */
export async function findBlocked(
  { run }: Runner,
  pairs: readonly { userId: string; actorId: string }[],
): Promise<Set<string>> {
  if (pairs.length === 0) return new Set()
  const different = [...new Map(pairs.map((pair) => [`${pair.userId} ${pair.actorId}`, pair])).values()]
  const [users, actors] = [different.map(({ userId }) => userId), different.map(({ actorId }) => actorId)]
  const rows = await run<{ user_id: string; blocked_id: string }>(
    `/* who blocked whom */ select b.user_id, b.blocked_id
     from unnest($1::bigint[], $2::bigint[]) as w (user_id, blocked_id)
     join blocks b on b.user_id = w.user_id and b.blocked_id = w.blocked_id`,
    [[...users, ...actors], [...actors, ...users]],
  )
  return new Set(rows.flatMap((row) => [`${row.user_id} ${row.blocked_id}`, `${row.blocked_id} ${row.user_id}`]))
}
