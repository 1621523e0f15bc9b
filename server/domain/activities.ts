import type { ActivityJob } from '../jobs/jobs.ts'
import { spanOfIds } from '../message-store/buckets.ts'
import { touchAccounts } from './accounts.ts'
import { findBlocked, keptDays, makeActivities } from './activities-making.ts'
import { type ActivityRow, createActivityWriter, noActivity } from './activities-writing.ts'
import type { Deps } from './deps.ts'

/** An activity that its user may see now. */
export type Activity = Omit<ActivityRow, 'withdrawn' | 'subject'> & { read: boolean }

/** An activity is known by whose it is and which it is. */
export type ActivityKey = Pick<ActivityRow, 'userId' | 'id'>

/** A page of activities; `next` is where it goes on, null at the end. */
export type ActivityPage = { rows: Activity[]; next: number | null }

export type ActivitiesService = ReturnType<typeof createActivitiesService>

/** Unread ones are counted up to here, and no more of them are looked at: a thousand is "many" on any screen. */
const maxCounted = 1_000

/** Rows that one page looks at; beyond it the page is short, and says where it goes on. */
const maxLookedAt = 1_000

/** Rows of a further look, where the first one came up short. */
const furtherRows = 200

/** Rows that are swept in one transaction. */
const sweptAtOnce = 1_000

type RawActivity = {
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

const columns = `a.user_id, a.id, a.kind, a.channel_id, a.message_id, a.subject, a.actor_id, a.emoji, a.at`

/**
 * What others did that is about somebody: mentions, replies, reactions, and being brought into a channel. The rows are
 * written by jobs; what of them may be seen is looked at anew whenever they are read, so that leaving, blocking and
 * deleting count at once.
 *
 * Muting a channel, or choosing no notifications of it, silences pushes and hides nothing here, as in Slack: what is
 * about the viewer can be looked up when they choose to look.
 */
export function createActivitiesService(deps: Deps) {
  const { database, announce } = deps
  const writer = createActivityWriter(deps)

  /** Those of these rows, which are all of one user, that they may see now, in their order. */
  async function visible(rows: readonly RawActivity[]): Promise<Activity[]> {
    if (rows.length === 0) return []
    const pairs = rows.map((row) => ({ userId: row.user_id, actorId: row.actor_id }))
    const [standing, blocked] = await Promise.all([findStanding(rows), findBlocked(database, pairs)])
    return rows.flatMap((row, nth): Activity[] => {
      const kind = kindNow(row, standing.get(nth))
      if (kind === null || blocked.has(`${row.user_id} ${row.actor_id}`)) return []
      const { user_id: userId, channel_id: channelId, message_id: messageId, actor_id: actorId, id, emoji, at } = row
      return [{ userId, id, kind, channelId, messageId, actorId, emoji, at, read: id <= (row.read_up_to ?? 0) }]
    })
  }

  /** How things stand to what each row, by its place, is about. Channels that the user is not in are left out. */
  async function findStanding(rows: readonly RawActivity[]): Promise<Map<number, Standing>> {
    const messageIds = rows.map((row) => row.message_id).filter((id) => id !== '0')
    const found = await database.run<Standing & { nth: number }>(
      `/* visible activities */ select w.nth, p.joined_change, (
         select coalesce(p.user_id = any (m.mention_ids), false) from messages m
         where m.channel_id = p.channel_id and m.channel_id = any ($9::bigint[]) and m.id = w.message_id
           and m.id between $7 and $8 and m.deleted_at is null and m.seq >= (
             select c.first_seq from channels c where c.id = m.channel_id and c.id = any ($9::bigint[])
           )
       ) as mentioned, (
         select true from reactions r
         where r.channel_id = p.channel_id and r.channel_id = any ($9::bigint[]) and r.message_id = w.message_id
           and r.emoji = w.emoji and r.user_id = w.actor_id
       ) as reacted
       from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::int[], $6::bigint[])
         as w (channel_id, message_id, actor_id, emoji, nth, user_id)
       join members p on p.channel_id = w.channel_id and p.user_id = w.user_id
       where p.left_at is null`,
      [
        rows.map((row) => row.channel_id),
        rows.map((row) => row.message_id),
        rows.map((row) => row.actor_id),
        rows.map((row) => row.emoji),
        rows.map((_, nth) => nth),
        rows.map((row) => row.user_id),
        ...(messageIds.length === 0 ? ['0', '0'] : spanOfIds(messageIds)),
        // Each once: the list is sorted anew for each row.
        [...new Set(rows.map((row) => row.channel_id))],
      ],
    )
    return new Map(found.map((each) => [each.nth, each]))
  }

  /** Rows of one user before an id, the newest first: so many, whether they may be seen or not. */
  const read = (userId: string, before: number | null, limit: number): Promise<RawActivity[]> =>
    database.run<RawActivity>(
      `/* activities */ select ${columns},
         (select k.read_up_to from activity_marks k where k.user_id = $1) as read_up_to
       from activities a
       where a.user_id = $1 and a.id < $2 and not a.withdrawn
       order by a.id desc limit $3`,
      [userId, before ?? 0x7fff_ffff, limit],
    )

  return {
    /** What is about the viewer, the newest first: `size` of them before the one that `before` names. */
    async page(viewerId: string, size: number, before: number | null): Promise<ActivityPage> {
      const rows: Activity[] = []
      let place = before
      let left = maxLookedAt
      for (let limit = size + 1; ; limit = Math.min(furtherRows, left)) {
        const some = await read(viewerId, place, limit)
        rows.push(...(await visible(some)))
        left -= some.length
        if (rows.length > size) return { rows: rows.slice(0, size), next: rows[size - 1]!.id }
        if (some.length < limit) return { rows, next: null }
        place = some.at(-1)!.id
        if (left <= 0) return { rows, next: place }
      }
    },

    /** Those of these that their users may see now, in no order. */
    async findMany(keys: readonly ActivityKey[]): Promise<Activity[]> {
      const rows = await database.run<RawActivity>(
        `/* activities by id */ select ${columns}, (
           select k.read_up_to from activity_marks k where k.user_id = a.user_id and k.user_id = any ($1::bigint[])
         ) as read_up_to
         from unnest($1::bigint[], $2::int[]) as w (user_id, id)
         join activities a on a.user_id = w.user_id and a.id = w.id
         where not a.withdrawn`,
        [keys.map(({ userId }) => userId), keys.map(({ id }) => id)],
      )
      return visible(rows)
    },

    /** How many the user may see and has not read; 1,000 stands for as many or more. */
    async unreadCount(userId: string): Promise<number> {
      const rows = await database.run<RawActivity>(
        `/* unread activities */ select ${columns}, null as read_up_to from activities a
         where a.user_id = $1 and not a.withdrawn and a.id > coalesce(
           (select k.read_up_to from activity_marks k where k.user_id = $1), 0
         )
         order by a.id desc limit ${maxCounted}`,
        [userId],
      )
      return (await visible(rows)).length
    },

    /** The newest that the user has read: it, and all before it. 0 where they have read none. */
    async readUpTo(userId: string): Promise<number> {
      const [row] = await database.run<{ read_up_to: number }>(
        '/* activity mark */ select read_up_to from activity_marks where user_id = $1',
        [userId],
      )
      return row?.read_up_to ?? 0
    },

    /** Notes that the viewer has read an activity and all before it, and tells their devices. Never moves backwards. */
    async markRead(viewerId: string, upTo: number): Promise<void> {
      const noted = await database.transaction(async (tx) => {
        const moved = await tx.run(
          // What is yet to come cannot have been read.
          `/* mark activities */ insert into activity_marks as k (user_id, read_up_to)
           select a.user_id, a.id from activities a where a.user_id = $1 and a.id <= $2 order by a.id desc limit 1
           on conflict (user_id) do update set read_up_to = excluded.read_up_to where k.read_up_to < excluded.read_up_to
           returning k.user_id`,
          [viewerId, upTo],
        )
        return moved.length === 0 ? [] : touchAccounts(tx.orm, [viewerId], 'ACTIVITY', noActivity)
      })
      noted.forEach(announce.account)
    },

    /** Writes what a job says has happened, as it stands now: once, however often it is called. */
    async make(job: ActivityJob): Promise<void> {
      const { rows, gone, anew } = await makeActivities(database, job)
      await writer.add(rows, anew)
      for (const each of gone) await writer.withdraw(each)
    },

    /** Removes what is older than 90 days, and what streams would tell of it. Returns how many there were. */
    async sweep(): Promise<number> {
      const end = new Date(Date.now() - keptDays * 86_400_000).toISOString()
      for (let swept = 0; ; ) {
        const old = await database.run<{ user_id: string; id: number }>(
          `/* old activities */ select user_id, id from activities
           where at < $1::timestamptz order by at limit ${sweptAtOnce}`,
          [end],
        )
        const keys = [old.map((row) => row.user_id), old.map((row) => row.id)]
        await database.transaction(async ({ run }) => {
          await run(
            `/* sweep activity changes */ delete from account_changes c
             using unnest($1::bigint[], $2::int[]) as w (user_id, id)
             where c.user_id = w.user_id and c.channel_id = w.id and c.kind = 'ACTIVITY'
               and c.user_id = any ($1::bigint[])`,
            keys,
          )
          await run(
            `/* sweep activities */ delete from activities a using unnest($1::bigint[], $2::int[]) as w (user_id, id)
             where a.user_id = w.user_id and a.id = w.id and a.user_id = any ($1::bigint[])`,
            keys,
          )
        })
        swept += old.length
        if (old.length < sweptAtOnce) return swept
      }
    },
  }
}

/** How a member of its channel stands to an activity. */
type Standing = {
  /** The change with which they came into the channel. */
  joined_change: number
  /** Whether its message mentions them; null where that is not there any more. */
  mentioned: boolean | null
  reacted: true | null
}

/** What an activity is now; null where it is nothing to its user any more. */
function kindNow(row: RawActivity, standing: Standing | undefined): ActivityRow['kind'] | null {
  if (standing === undefined) return null
  const { kind, subject } = row
  const { joined_change, mentioned, reacted } = standing
  if (kind === 'ADDED_TO_CHANNEL') return joined_change === Number(subject) ? kind : null
  if (mentioned === null) return null
  if (kind === 'REACTION') return reacted === null ? null : kind
  // An answer that calls its reader by name is a mention, too, for as long as it does.
  if (mentioned) return 'MENTION'
  return kind === 'REPLY' ? kind : null
}
