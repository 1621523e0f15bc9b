import type { ActivityJob } from '../jobs/jobs.ts'
import { chunksOf } from '../lib/chunks.ts'
import { snowflakeAt, snowflakeTime } from '../message-store/snowflake.ts'
import type { AboutMessage, NewActivity } from './activities-writing.ts'
import type { Deps } from './deps.ts'

type Runner = Pick<Deps['database'], 'run'>

/** What a job comes to: what is to be there, and what no more. */
type Made = {
  rows: NewActivity[]
  gone: AboutMessage[]
  /** Whether inboxes hear of what is there already, too, as it is another now. */
  anew?: boolean
}

/** Which of a channel's messages: a span of seqs, or one. */
type Which = { channelId: string } & ({ firstSeq: number; lastSeq: number } | { messageId: string })

/** A message that mentions or answers somebody. */
type Telling = {
  id: string
  authorId: string
  mentionIds: string[]
  /** Whose message it answers; null for none, or one that is not there any more. */
  answeredId: string | null
  /** Who follows the replies to that, as far as they were asked for. */
  followerIds: string[]
  deleted: boolean
}

/**
 * A reply is told to those who follow the message that it answers: whoever wrote that, has answered it, or has begun to
 * read its replies. Where they are more than this it is told only to whom it answers; the others have the thread's own
 * unread count.
 */
export const maxFollowers = 100

/** People who are looked up at once. */
const atOnce = 1_000

/** Days for which activities are kept: who was away for a season looks at channels, and not through all of this. */
export const keptDays = 90

/**
 * What was sent longer ago, as no worker was there, is not told of any more, so that looking for it touches one or two
 * months. Milliseconds.
 */
export const maxAgeMs = 30 * 86_400_000

/** What a job comes to, as things stand now. Nobody's own doings are about themselves, nor is what the blocked do. */
export async function makeActivities(database: Runner, job: ActivityJob): Promise<Made> {
  if (job.of === 'reaction') return ofReaction(database, job)
  if (job.of === 'added') return ofAdded(database, job)
  if (job.of === 'sent') {
    const messages = await findTelling(database, job)
    const rows = messages.flatMap((each) => rowsOf(job.channelId, each))
    return { rows: await about(database, job.channelId, rows), gone: [] }
  }
  return ofChanged(database, job)
}

/** What this message is to each whom it is about. Who is mentioned in an answer to them hears of it once. */
function rowsOf(channelId: string, message: Telling): NewActivity[] {
  if (message.deleted) return []
  const followers = followersOf(message)
  const rowOf = (kind: 'MENTION' | 'REPLY') => (userId: string): NewActivity => ({
    userId,
    kind,
    channelId,
    messageId: message.id,
    subject: '0',
    actorId: message.authorId,
    emoji: null,
    at: snowflakeTime(message.id),
  })
  return [
    ...followers.map(rowOf('REPLY')),
    ...message.mentionIds.filter((userId) => !followers.includes(userId)).map(rowOf('MENTION')),
  ]
}

function followersOf({ followerIds, answeredId }: Telling): string[] {
  if (followerIds.length <= maxFollowers) return followerIds
  return answeredId === null ? [] : [answeredId]
}

/** Those of a channel's messages that mention or answer somebody; one that is asked for by itself in any case. */
export async function findTelling({ run }: Runner, which: Which): Promise<Telling[]> {
  const isOne = 'messageId' in which
  const sent = `m.seq between $2 and $3 and m.id >= $4 and m.deleted_at is null
       and (m.mention_ids is not null or m.reply_to_id is not null)`
  const rows = await run<{
    id: string
    author_id: string
    mention_ids: string[] | null
    answered_id: string | null
    follower_ids: string[]
    deleted: boolean
  }>(
    `/* telling messages */ select m.id, m.author_id, m.mention_ids, m.deleted_at is not null as deleted,
       (select r.author_id from messages r where r.channel_id = $1 and r.id = m.reply_to_id) as answered_id,
       array(
         select t.user_id from threads t where t.channel_id = $1 and t.message_id = m.reply_to_id
         limit ${maxFollowers + 1}
       ) as follower_ids
     from messages m
     where m.channel_id = $1 and ${isOne ? 'm.id = $2' : sent}
     order by m.seq`,
    isOne
      ? [which.channelId, which.messageId]
      : [which.channelId, which.firstSeq, which.lastSeq, snowflakeAt(Date.now() - maxAgeMs)],
  )
  return rows.map((row) => ({
    id: row.id,
    authorId: row.author_id,
    mentionIds: row.mention_ids ?? [],
    answeredId: row.answered_id,
    followerIds: row.follower_ids,
    deleted: row.deleted,
  }))
}

/** A message that was edited or emptied. */
async function ofChanged(
  database: Runner,
  { of, channelId, messageId, userIds }: Extract<ActivityJob, { of: 'edited' | 'deleted' }>,
): Promise<Made> {
  const [message] = await findTelling(database, { channelId, messageId })
  if (message === undefined) return { rows: [], gone: [] }
  if (message.deleted) {
    const everybody = new Set([...userIds, ...followersOf(message), message.authorId])
    return { rows: [], gone: [{ userIds: [...everybody], channelId, messageId }] }
  }
  if (of === 'deleted') return { rows: [], gone: [] }
  const affected = new Set(userIds)
  const rows = rowsOf(channelId, message).filter(({ userId }) => affected.has(userId))
  const there = new Set(rows.map(({ userId }) => userId))
  return {
    rows: await about(database, channelId, rows),
    gone: [{ userIds: [...affected.difference(there)], channelId, messageId, subject: '0' }],
    anew: true,
  }
}

/** Of all that one person gives to a message its author hears once; the first that stands says with what. */
async function ofReaction(
  database: Runner,
  { channelId, messageId, actorId, at }: Extract<ActivityJob, { of: 'reaction' }>,
): Promise<Made> {
  const [found] = await database.run<{ author_id: string; emoji: string | null }>(
    `/* reaction */ select m.author_id, (
       select r.emoji from reactions r
       where r.channel_id = $1 and r.message_id = $2 and r.user_id = $3 order by r.change limit 1
     ) as emoji
     from messages m where m.channel_id = $1 and m.id = $2`,
    [channelId, messageId, actorId],
  )
  if (found === undefined || found.author_id === actorId) return { rows: [], gone: [] }
  const { author_id: userId, emoji } = found
  if (emoji === null) return { rows: [], gone: [{ userIds: [userId], channelId, messageId, subject: actorId }] }
  const which = { userId, channelId, messageId, subject: actorId }
  const row: NewActivity = { ...which, kind: 'REACTION', actorId, emoji, at: new Date(at) }
  return { rows: await about(database, channelId, [row]), gone: [] }
}

async function ofAdded(
  database: Runner,
  { channelId, actorId, userIds, changes, at }: Extract<ActivityJob, { of: 'added' }>,
): Promise<Made> {
  const rows = userIds.map((userId, nth): NewActivity => ({
    userId,
    kind: 'ADDED_TO_CHANNEL',
    channelId,
    messageId: '0',
    subject: String(changes[nth]),
    actorId,
    emoji: null,
    at: new Date(at),
  }))
  return { rows: await about(database, channelId, rows), gone: [] }
}

/**
 * Those of these that are anybody's affair: of members, by others, of whom neither has blocked the other. What comes of
 * a block stays so once it is taken back, as with mentions.
 */
async function about({ run }: Runner, channelId: string, rows: readonly NewActivity[]): Promise<NewActivity[]> {
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
