import type { Database } from '../../drizzle/connection.ts'
import { spanOfIds } from '../message-store/buckets.ts'
import { findBlocked } from './activities-about.ts'
import type { ActivityRow } from './activities-writing.ts'

/** An activity that its user may see now. */
export type Activity = Omit<ActivityRow, 'withdrawn' | 'subject'> & { read: boolean }


/** A row as it is read, with how far its user has read. */
export type RawActivity = {
  user_id: string
  id: number
  kind: ActivityRow['kind']
  channel_id: string
  message_id: string
  subject: string
  actor_id: string
  emoji: string | null
  at: Date
  read_up_to: number | null
}

export const activityColumns = 'a.user_id, a.id, a.kind, a.channel_id, a.message_id, a.subject, a.actor_id, a.emoji, a.at'

/** Before which id somebody looks who begins with the newest. */
export const walkFrom = { theNewest: 0x7fff_ffff }

/** Rows that are looked at in one go; beyond them it is said where it goes on. */
const maxLookedAt = 1_000

/** Rows of a further look, where the first one came up short. */
const furtherRows = 200

/** What hides activities for as long as it lasts: channels that their user is not in, and people between whom there is a block. */
type Hiding = { channelIds: Set<string>; actorIds: Set<string> }

/** What of the rows of activities may be seen. */
export function createActivitySight(database: Pick<Database, 'run'>) {
  /** Those of these rows that their users may see now, in their order. Notes what hides the others, and which will never be seen again. */
  async function findVisible(rows: readonly RawActivity[], hiding?: Hiding, dead?: number[]): Promise<Activity[]> {
    if (rows.length === 0) return []
    const pairs = rows.map((row) => ({ userId: row.user_id, actorId: row.actor_id }))
    const [standing, blocked] = await Promise.all([findStanding(rows), findBlocked(database, pairs)])
    return rows.flatMap((row, nth): Activity[] => {
      const state = standing.get(nth)
      const isBlocked = blocked.has(`${row.user_id} ${row.actor_id}`)
      if (state === undefined) hiding?.channelIds.add(row.channel_id)
      else if (isDead(row, state)) dead?.push(row.id)
      if (isBlocked) hiding?.actorIds.add(row.actor_id)
      const kind = state === undefined || isBlocked ? null : kindNow(row, state)
      if (kind === null) return []
      const { user_id: userId, channel_id: channelId, message_id: messageId, actor_id: actorId, id, emoji, at } = row
      return [{ userId, id, kind, channelId, messageId, actorId, emoji, at, read: id <= (row.read_up_to ?? 0) }]
    })
  }

  /** How things stand to what each row, by its place, is about. Channels that the user is not in are left out. */
  async function findStanding(rows: readonly RawActivity[]): Promise<Map<number, Standing>> {
    const messageIds = rows.map((row) => row.message_id).filter((id) => id !== '0')
    // One channel, of one user, is named wherever it is looked at, so that its machine is asked, once for whether they are
    // in it. A list of many would be sorted anew for each row.
    const [one] = rows
    const isOne = rows.every((row) => row.channel_id === one!.channel_id && row.user_id === one!.user_id)
    const at = (column: string) => (isOne ? `and ${column} = $9` : '')
    const member = isOne
      ? `with p as materialized (
           select channel_id, user_id, joined_change from members
           where channel_id = $9 and user_id = $10 and left_at is null
         )`
      : ''
    const found = await database.run<Standing & { nth: number }>(
      `/* visible activities */ ${member} select w.nth, p.joined_change, (
         select coalesce(p.user_id = any (m.mention_ids), false) from messages m
         where m.channel_id = p.channel_id ${at('m.channel_id')} and m.id = w.message_id and m.id between $7 and $8
           and m.deleted_at is null and m.seq >= (
             select c.first_seq from channels c where c.id = m.channel_id ${at('c.id')}
           )
       ) as mentioned, (
         select true from reactions r
         where r.channel_id = p.channel_id ${at('r.channel_id')} and r.message_id = w.message_id
           and r.emoji = w.emoji and r.user_id = w.actor_id
       ) as reacted
       from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::int[], $6::bigint[])
         as w (channel_id, message_id, actor_id, emoji, nth, user_id)
       join ${isOne ? 'p' : 'members p'} on p.channel_id = w.channel_id and p.user_id = w.user_id
       ${isOne ? '' : 'where p.left_at is null'}`,
      [
        rows.map((row) => row.channel_id),
        rows.map((row) => row.message_id),
        rows.map((row) => row.actor_id),
        rows.map((row) => row.emoji),
        rows.map((_, nth) => nth),
        rows.map((row) => row.user_id),
        ...(messageIds.length === 0 ? ['0', '0'] : spanOfIds(messageIds)),
        ...(isOne ? [one!.channel_id, one!.user_id] : []),
      ],
    )
    return new Map(found.map((each) => [each.nth, each]))
  }

  /** Rows of one user before an id, the newest first, but for what is known to be hidden. */
  const read = (userId: string, before: number, limit: number, which: 'all' | 'unread', hiding: Hiding) =>
    database.run<RawActivity>(
      `/* ${which === 'all' ? '' : 'unread '}activities */ select ${activityColumns},
         (select k.read_up_to from activity_marks k where k.user_id = $1) as read_up_to
       from activities a
       where a.user_id = $1 and a.id < $2 and not a.withdrawn
         and a.channel_id <> all ($4::bigint[]) and a.actor_id <> all ($5::bigint[])
         ${which === 'all' ? '' : 'and a.id > coalesce((select k.read_up_to from activity_marks k where k.user_id = $1), 0)'}
       order by a.id desc limit $3`,
      [userId, before, limit, [...hiding.channelIds], [...hiding.actorIds]],
    )

  /**
   * What somebody may see of what is about them, the newest first: what comes before an id, until it is `enough` or
   * somewhat more; `next` is where it goes on, null at the end. What is hidden by a channel that was left, or by a block, is
   * passed over once that is known; what will never be seen again is put away.
   */
  async function lookBack(userId: string, before: number, enough: number, which: 'all' | 'unread' = 'all') {
    const rows: Activity[] = []
    const hiding: Hiding = { channelIds: new Set(), actorIds: new Set() }
    let place = before
    let left = maxLookedAt
    for (let limit = enough; ; limit = Math.min(furtherRows, left)) {
      const some = await read(userId, place, limit, which, hiding)
      const dead: number[] = []
      rows.push(...(await findVisible(some, hiding, dead)))
      if (dead.length > 0) await putAway(userId, dead)
      left -= some.length
      if (some.length < limit) return { rows, next: null }
      place = some.at(-1)!.id
      if (rows.length >= enough || left <= 0) return { rows, next: place }
    }
  }

  /** Takes rows out of what is looked at. Nobody is told: they were hidden already. */
  const putAway = (userId: string, ids: readonly number[]) =>
    database.run('/* put activities away */ update activities set withdrawn = true where user_id = $1 and id = any ($2::int[])', [
      userId,
      ids,
    ])

  return { findVisible, lookBack }
}

/** How a member of its channel stands to an activity. */
type Standing = {
  /** The change with which they came into the channel. */
  joined_change: number
  /** Whether its message mentions them; null where that is not there any more. */
  mentioned: boolean | null
  reacted: true | null
}

/** Whether an activity is gone for good: its message is, or its user has come into the channel anew. */
const isDead = ({ kind, subject }: RawActivity, { joined_change, mentioned }: Standing): boolean =>
  kind === 'ADDED_TO_CHANNEL' ? joined_change > Number(subject) : mentioned === null

/** What an activity is now; null where it is nothing to its user any more. */
function kindNow({ kind, subject }: RawActivity, { joined_change, mentioned, reacted }: Standing): ActivityRow['kind'] | null {
  if (kind === 'ADDED_TO_CHANNEL') return joined_change === Number(subject) ? kind : null
  if (mentioned === null) return null
  if (kind === 'REACTION') return reacted === null ? null : kind
  // An answer that calls its reader by name is a mention, too, for as long as it does.
  if (mentioned) return 'MENTION'
  return kind === 'REPLY' ? kind : null
}
