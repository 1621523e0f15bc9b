import type { Database } from '../../drizzle/connection.ts'
import type { ActivityJob } from '../jobs/jobs.ts'
import { touchAccounts } from './accounts.ts'
import { createActivityCounts } from './activities-counts.ts'
import { findAffected, keptDays, makeActivities } from './activities-making.ts'
import { type Activity, activityColumns, createActivitySight, type RawActivity, walkFrom } from './activities-seeing.ts'
import { type ActivityRow, createActivityWriter, noActivity } from './activities-writing.ts'
import type { Deps } from './deps.ts'

export type { Activity } from './activities-seeing.ts'

/** An activity is known by whose it is and which it is. */
export type ActivityKey = Pick<ActivityRow, 'userId' | 'id'>

/** A page of activities; `next` is where it goes on, null at the end. */
export type ActivityPage = { rows: Activity[]; next: number | null }

export type ActivitiesService = ReturnType<typeof createActivitiesService>

/** Unread ones are counted up to here, and no more of them are looked at: "99+" is what any screen would say. */
export const maxCounted = 100

/** Rows that are swept in one transaction. */
const sweptAtOnce = 1_000

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

  const sight = createActivitySight(database)
  const counts = createActivityCounts(database, countUnread)

  async function countUnread(userId: string): Promise<number> {
    const { rows } = await sight.lookBack(userId, walkFrom.theNewest, maxCounted, 'unread')
    return Math.min(rows.length, maxCounted)
  }

  return {
    /** What is about the viewer, the newest first: `size` of them before the one that `before` names. */
    async page(viewerId: string, size: number, before: number | null): Promise<ActivityPage> {
      const { rows, next } = await sight.lookBack(viewerId, before ?? walkFrom.theNewest, size + 1)
      return rows.length > size ? { rows: rows.slice(0, size), next: rows[size - 1]!.id } : { rows, next }
    },

    /** Those of these that their users may see now, in no order. */
    async findMany(keys: readonly ActivityKey[]): Promise<Activity[]> {
      const rows = await database.run<RawActivity>(
        `/* activities by id */ select ${activityColumns}, (
           select k.read_up_to from activity_marks k where k.user_id = a.user_id and k.user_id = any ($1::bigint[])
         ) as read_up_to
         from unnest($1::bigint[], $2::int[]) as w (user_id, id)
         join activities a on a.user_id = w.user_id and a.id = w.id
         where not a.withdrawn`,
        [keys.map(({ userId }) => userId), keys.map(({ id }) => id)],
      )
      return sight.findVisible(rows)
    },

    /** How many the user may see and has not read; 100 stands for as many or more. */
    unreadCount: countUnread,

    /** The same, as it was when the account was at this change, or since. */
    unreadCountSince: counts.since,

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
      const affected = await findAffected(database, job)
      await writer.write(affected, (tx, userIds) => makeActivities(tx, job, userIds))
    },

    /**
     * Removes what is older than 90 days, and what streams would tell of it. Returns how many there were. It takes as
     * long as it takes: `patient` is a database whose statements may.
     */
    async sweep(patient: Database = database): Promise<number> {
      const end = new Date(Date.now() - keptDays * 86_400_000).toISOString()
      for (let swept = 0; ; ) {
        const old = await patient.run<{ user_id: string; id: number }>(
          `/* old activities */ select user_id, id from activities
           where at < $1::timestamptz order by at limit ${sweptAtOnce}`,
          [end],
        )
        const keys = [old.map((row) => row.user_id), old.map((row) => row.id)]
        await patient.transaction(async ({ run }) => {
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
