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

/**
 * Which activities: those of some people that are about one message, be they reactions to it, and of which they hear once,
 * as they hear of what becomes of the message; or those that `subjects` name, and of which they hear one by one.
 */
export type AboutMessage = {
  userIds: readonly string[]
  channelId: string
  messageId: string
  subjects?: readonly string[]
}

/** What a job comes to: what is to be there, and what no more. */
export type Made = {
  rows: NewActivity[]
  gone: AboutMessage[]
  /** Whether inboxes hear of what is there already, too, as it is another now. */
  anew?: boolean
}

/** Stands for no activity in particular: what is unread, or may be seen, has moved. */
export const noActivity = '0'

/** People of one transaction, which keeps as many accounts waiting: some ten milliseconds. */
const atOnce = 500

/** Rows that one transaction takes back. */
const withdrawnAtOnce = 1_000

/** An activity is one of its user, its message or channel, and its subject. */
const keyOf = (row: Pick<ActivityRow, 'userId' | 'channelId' | 'messageId' | 'subject'>) =>
  `${row.userId} ${row.channelId} ${row.messageId} ${row.subject}`

/** Which row was written, or brought back. */
type Written = { user_id: string; id: number; channel_id: string; message_id: string; subject: string }

/** Accounts that a transaction holds: whatever it notes in them comes after all that they were told before. */
type Held = { userIds: readonly string[]; take(counts: ReadonlyMap<string, number>): Promise<(userId: string) => number> }

/** How often each of these comes. */
function countsOf(userIds: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const userId of userIds) counts.set(userId, (counts.get(userId) ?? 0) + 1)
  return counts
}

/** Holds these accounts by taking a change of each, which is the first that is given out; most need no more. */
async function holdAccounts(tx: Transaction, userIds: readonly string[]): Promise<Held> {
  const free = new Map(Array.from(await takeChanges(tx, countsOf(userIds)), ([userId, last]) => [userId, [last]]))
  return {
    userIds,
    /** Gives out each account's next changes, in order: so many. */
    async take(counts) {
      const lacking = [...counts].flatMap(([userId, count]): [string, number][] =>
        count > free.get(userId)!.length ? [[userId, count - free.get(userId)!.length]] : [],
      )
      const last = lacking.length === 0 ? new Map<string, number>() : await takeChanges(tx, new Map(lacking))
      for (const [userId, count] of lacking) {
        for (let ago = count - 1; ago >= 0; ago--) free.get(userId)!.push(last.get(userId)! - ago)
      }
      return (userId) => free.get(userId)!.shift()!
    },
  }
}

/**
 * Writes what is to be there of what these people are told, and takes back what is not. `look` says what that is, while
 * their accounts are held, and in the order in which jobs hold them. Inboxes hear of it.
 */
export function createActivityWriter({ database, announce }: Pick<Deps, 'database' | 'announce'>) {
  async function write(
    everybody: readonly string[],
    look: (tx: Transaction, userIds: readonly string[]) => Promise<Made>,
  ): Promise<void> {
    for (const userIds of chunksOf(everybody, atOnce)) {
      for (let isDone = false; !isDone; ) {
        const noted = await database.transaction(async (tx) => {
          const held = await holdAccounts(tx, userIds)
          const { rows, gone, anew = false } = await look(tx, userIds)
          const told = await add(tx, held, rows, anew)
          isDone = true
          for (const each of gone) {
            const back = await withdraw(tx, held, each)
            told.push(...back.told)
            isDone &&= back.isAll
          }
          await noteChanges(tx, told)
          return told
        })
        noted.forEach(announce.account)
      }
    }
  }

  return { write }
}

/**
 * Adds those that are not there yet, in their order; what was withdrawn is there again, in its old place. Returns what is
 * to be told of what is new or changed; with `anew` of all.
 */
async function add(tx: Transaction, held: Held, some: readonly NewActivity[], anew: boolean): Promise<AccountChange[]> {
  const rows = [...new Map(some.map((row) => [keyOf(row), row])).values()]
  if (rows.length === 0) return []
  const numberOf = await held.take(countsOf(rows.map(({ userId }) => userId)))
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
  return written.map((row): AccountChange => {
    const key = keyOf({ userId: row.user_id, channelId: row.channel_id, messageId: row.message_id, subject: row.subject })
    return { userId: row.user_id, change: numbers.get(key)!, kind: 'ACTIVITY', channelId: String(row.id) }
  })
}

/** Takes back those that are there, a bounded number of them; returns what is to be told, and whether that was all. */
async function withdraw(
  tx: Transaction,
  held: Held,
  { userIds, channelId, messageId, subjects }: AboutMessage,
): Promise<{ told: AccountChange[]; isAll: boolean }> {
  if (userIds.length === 0 || subjects?.length === 0) return { told: [], isAll: true }
  const gone = await tx.run<{ user_id: string; id: number }>(
    `/* activities about */ select user_id, id from activities
     where user_id = any ($1::bigint[]) and channel_id = $2 and message_id = $3
       and ($4::bigint[] is null or subject = any ($4::bigint[])) and not withdrawn
     limit ${withdrawnAtOnce}`,
    [userIds, channelId, messageId, subjects ?? null],
  )
  if (gone.length === 0) return { told: [], isAll: true }
  await tx.run(
    `/* withdraw activities */ update activities a set withdrawn = true
     from unnest($1::bigint[], $2::int[]) as w (user_id, id)
     where a.user_id = w.user_id and a.id = w.id and a.user_id = any ($1::bigint[])`,
    [gone.map((row) => row.user_id), gone.map((row) => row.id)],
  )
  const about = Array.from(Map.groupBy(gone, (row) => row.user_id), ([userId, own]) => ({
    userId,
    ids: subjects === undefined && own.length > 1 ? [noActivity] : own.map(({ id }) => String(id)),
  }))
  const numberOf = await held.take(new Map(about.map(({ userId, ids }) => [userId, ids.length])))
  const told = about.flatMap(({ userId, ids }) =>
    ids.map((id): AccountChange => ({ userId, change: numberOf(userId), kind: 'ACTIVITY', channelId: id })),
  )
  return { told, isAll: gone.length < withdrawnAtOnce }
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
  await jobs.add(tx, [{ kind: 'activity', data: { of: 'edited', channelId, messageId, userIds, at: new Date().toISOString() } }])
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
    // Whoever has any has an account's stream, too.
    `/* activities in channel */ select o.user_id from accounts o
     where o.user_id = any ($1::bigint[]) and exists (
       select from activities a where a.user_id = o.user_id and a.channel_id = $2 and not a.withdrawn
     )`,
    [userIds, channelId],
  )
  return touchAccounts(tx.orm, rows.map((row) => row.user_id), 'ACTIVITY', noActivity)
}
