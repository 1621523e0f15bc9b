import type { Transaction } from '../../drizzle/connection.ts'
import type { activities } from '../../drizzle/tables/index.ts'
import type { ActivityJob, JobAdder } from '../jobs/jobs.ts'
import { chunksOf } from '../lib/chunks.ts'
import type { MessageRow } from '../message-store/rows.ts'
import { noteChanges, takeChanges, touchAccounts } from './accounts.ts'
import type { AccountChange } from './announcer.ts'
import type { Deps } from './deps.ts'

export type ActivityRow = typeof activities.$inferSelect

/** What is about somebody, before it has a number. */
export type NewActivity = Omit<ActivityRow, 'id' | 'withdrawn'>

/** Which activities: those of some people that are about one message; with `subject`, only those that it names. */
export type AboutMessage = { userIds: readonly string[]; channelId: string; messageId: string; subject?: string }

/** Stands for no activity in particular: what is unread, or may be seen, has moved. */
export const noActivity = '0'

/** Rows of one transaction, which keeps as many accounts waiting: some ten milliseconds. */
const atOnce = 500

/** An activity is one of its user, its message or channel, and its subject. */
const keyOf = (row: Pick<ActivityRow, 'userId' | 'channelId' | 'messageId' | 'subject'>) =>
  `${row.userId} ${row.channelId} ${row.messageId} ${row.subject}`

/** Which row was written, or brought back. */
type Written = { user_id: string; id: number; channel_id: string; message_id: string; subject: string }

/** How often each of these comes. */
function countsOf(userIds: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const userId of userIds) counts.set(userId, (counts.get(userId) ?? 0) + 1)
  return counts
}

/** Gives out what `takeChanges` has taken: each account's numbers, in order. */
function numbersFrom(counts: ReadonlyMap<string, number>, last: ReadonlyMap<string, number>) {
  const given = new Map<string, number>()
  return (userId: string): number => {
    const nth = (given.get(userId) ?? 0) + 1
    given.set(userId, nth)
    return last.get(userId)! - counts.get(userId)! + nth
  }
}

/**
 * Writes activities, and tells inboxes of them. Each transaction takes the accounts first: whatever it writes comes
 * after all that they were told before, and no two wait for each other.
 */
export function createActivityWriter({ database, announce }: Pick<Deps, 'database' | 'announce'>) {
  /**
   * Adds those that are not there yet, in their order; what was withdrawn is there again, in its old place. Inboxes are
   * told of what is new or changed; with `anew` of all.
   */
  async function add(rows: readonly NewActivity[], anew = false): Promise<void> {
    const different = [...new Map(rows.map((row) => [keyOf(row), row])).values()]
    for (const some of chunksOf(different, atOnce)) {
      const noted = await database.transaction((tx) => addSome(tx, some, anew))
      noted.forEach(announce.account)
    }
  }

  async function addSome(tx: Transaction, rows: readonly NewActivity[], anew: boolean): Promise<AccountChange[]> {
    const counts = countsOf(rows.map(({ userId }) => userId))
    const numberOf = numbersFrom(counts, await takeChanges(tx, counts))
    const numbered = rows.map((row) => ({ ...row, id: numberOf(row.userId) }))
    const column = (name: keyof NewActivity | 'id') => numbered.map((row) => row[name])
    const written = await tx.run<Written>(
      `/* add activities */ insert into activities as a
         (user_id, id, kind, channel_id, message_id, subject, actor_id, emoji, at)
       select * from unnest($1::bigint[], $2::int[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
                            $8::text[], $9::text[]::timestamptz[])
       on conflict (user_id, channel_id, message_id, subject)
       do update set withdrawn = false, emoji = excluded.emoji
       ${anew ? '' : 'where a.withdrawn or a.emoji is distinct from excluded.emoji'}
       returning user_id, id, channel_id, message_id, subject`,
      [
        column('userId'), column('id'), column('kind'), column('channelId'), column('messageId'), column('subject'),
        column('actorId'), column('emoji'), numbered.map(({ at }) => at.toISOString()),
      ],
    )
    const numbers = new Map(numbered.map((row) => [keyOf(row), row.id]))
    const noted = written.map((row): AccountChange => {
      const change = numbers.get(
        keyOf({ userId: row.user_id, channelId: row.channel_id, messageId: row.message_id, subject: row.subject }),
      )!
      return { userId: row.user_id, change, kind: 'ACTIVITY', channelId: String(row.id) }
    })
    await noteChanges(tx, noted)
    return noted.toSorted((one, other) => one.change - other.change)
  }

  /** Takes back those that are there. Of many of one user's, as of a message with many reactions, inboxes hear once. */
  async function withdraw({ userIds, channelId, messageId, subject }: AboutMessage): Promise<void> {
    if (userIds.length === 0) return
    const which = `user_id = any ($1::bigint[]) and channel_id = $2 and message_id = $3
       and ($4::bigint is null or subject = $4::bigint) and not withdrawn`
    const parameters = [userIds, channelId, messageId, subject ?? null]
    const noted = await database.transaction(async (tx) => {
      const affected = await tx.run<{ user_id: string }>(
        `/* activities about */ select distinct user_id from activities where ${which}`,
        parameters,
      )
      if (affected.length === 0) return []
      const changes = await takeChanges(tx, countsOf(affected.map((row) => row.user_id)))
      const gone = await tx.run<{ user_id: string; id: number }>(
        `/* withdraw activities */ update activities set withdrawn = true where ${which} returning user_id, id`,
        parameters,
      )
      const byUser = Map.groupBy(gone, (row) => row.user_id)
      const told = Array.from(changes, ([userId, change]): AccountChange => {
        const [first, ...others] = byUser.get(userId) ?? []
        const channelId = first === undefined || others.length > 0 ? noActivity : String(first.id)
        return { userId, change, kind: 'ACTIVITY', channelId }
      })
      await noteChanges(tx, told)
      return told
    })
    noted.forEach(announce.account)
  }

  return { add, withdraw }
}

/** Has those told whom an edited message mentions now, or no more. */
export async function tellEdited(
  tx: Transaction,
  jobs: JobAdder,
  before: MessageRow,
  mentionIds: readonly string[],
): Promise<void> {
  const userIds = [...new Set(mentionIds).symmetricDifference(new Set(before.mentionIds))]
  if (userIds.length === 0) return
  const { channelId, id: messageId } = before
  await jobs.add(tx, [{ kind: 'activity', data: { of: 'edited', channelId, messageId, userIds } }])
}

/** Has those told whom a message was about that is being emptied, or that had reactions. */
export async function tellEmptied(
  tx: Transaction,
  jobs: JobAdder,
  before: MessageRow,
  hadReactions: boolean,
): Promise<void> {
  const { channelId, id: messageId, mentionIds: userIds, replyToId } = before
  if (userIds.length === 0 && replyToId === null && !hadReactions) return
  await jobs.add(tx, [{ kind: 'activity', data: { of: 'deleted', channelId, messageId, userIds } }])
}

/** Has people told that somebody brought them into a channel, each with this change of it. */
export async function tellAdded(
  tx: Transaction,
  jobs: JobAdder,
  added: Omit<Extract<ActivityJob, { of: 'added' }>, 'of' | 'at'>,
): Promise<void> {
  if (added.userIds.length === 0) return
  await jobs.add(tx, [{ kind: 'activity', data: { of: 'added', ...added, at: new Date().toISOString() } }])
}

/**
 * Tells those of these people who have activities in a channel that others of them may be seen now: they have come into
 * it, or gone. Returns what is to be announced after the commit.
 */
export async function touchActivities(
  tx: Transaction,
  userIds: readonly string[],
  channelId: string,
): Promise<AccountChange[]> {
  if (userIds.length === 0) return []
  const rows = await tx.run<{ user_id: string }>(
    `/* activities in channel */ select distinct user_id from activities
     where user_id = any ($1::bigint[]) and channel_id = $2 and not withdrawn`,
    [userIds, channelId],
  )
  return touchAccounts(tx.orm, rows.map((row) => row.user_id), 'ACTIVITY', noActivity)
}
