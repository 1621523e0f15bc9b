import type { ActivityJob } from '../jobs/jobs.ts'
import { snowflakeAt, snowflakeTime } from '../message-store/snowflake.ts'
import { about, type Runner } from './activities-about.ts'
import { affectedByReactions, ofReactions } from './activities-reactions.ts'
import type { Made, NewActivity } from './activities-writing.ts'

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

/** Days for which activities are kept: who was away for a season looks at channels, and not through all of this. */
export const keptDays = 90

/**
 * What was sent longer ago, as no worker was there, is not told of any more, so that looking for it touches one or two
 * months. Milliseconds.
 */
export const maxAgeMs = 30 * 86_400_000

/**
 * Whom a job may be about. Their accounts are to be held while `makeActivities` looks at how things stand, and until what
 * it finds is written: of two jobs about the same the one that looks later writes later.
 */
export async function findAffected(database: Runner, job: ActivityJob): Promise<string[]> {
  if (job.of === 'reacted') return affectedByReactions(database, job)
  if (job.of === 'added' || job.of === 'edited') return job.userIds
  if (job.of === 'sent') {
    const rows = (await findTelling(database, job)).flatMap((each) => rowsOf(job.channelId, each))
    return distinct(rows.filter(({ userId, actorId }) => userId !== actorId).map(({ userId }) => userId))
  }
  const [message] = await findTelling(database, job)
  return message === undefined ? [] : distinct([...job.userIds, ...followersOf(message), message.authorId])
}

/**
 * What a job comes to for some of those whom it may be about, as things stand now. Nobody's own doings are about
 * themselves, nor is what the blocked do.
 */
export async function makeActivities(tx: Runner, job: ActivityJob, userIds: readonly string[]): Promise<Made> {
  if (job.of === 'reacted') return ofReactions(tx, job)
  const affected = new Set(userIds)
  if (job.of === 'added') return ofAdded(tx, job, affected)
  if (job.of === 'edited') return ofEdited(tx, job, affected)
  if (job.of === 'deleted') return { rows: [], gone: [{ userIds, channelId: job.channelId, messageId: job.messageId }] }
  const rows = (await findTelling(tx, job)).flatMap((each) => rowsOf(job.channelId, each))
  return { rows: await about(tx, job.channelId, rows.filter(({ userId }) => affected.has(userId))), gone: [] }
}

const distinct = (ids: readonly string[]): string[] => [...new Set(ids)]

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

/** A message that mentions others now: who hears of it by an edit hears of it when that was done. */
async function ofEdited(
  tx: Runner,
  { channelId, messageId, at }: Extract<ActivityJob, { of: 'edited' }>,
  affected: ReadonlySet<string>,
): Promise<Made> {
  const [message] = await findTelling(tx, { channelId, messageId })
  if (message === undefined) return { rows: [], gone: [] }
  const rows = rowsOf(channelId, message).filter(({ userId }) => affected.has(userId))
  const there = new Set(rows.map(({ userId }) => userId))
  const mentioned = new Set(message.mentionIds)
  const dated = rows.map((row) => (mentioned.has(row.userId) ? { ...row, at: new Date(at) } : row))
  return {
    rows: await about(tx, channelId, dated),
    gone: [{ userIds: [...affected.difference(there)], channelId, messageId, subjects: ['0'] }],
    anew: true,
  }
}

async function ofAdded(
  tx: Runner,
  { channelId, actorId, userIds, changes, at }: Extract<ActivityJob, { of: 'added' }>,
  affected: ReadonlySet<string>,
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
  return { rows: await about(tx, channelId, rows.filter(({ userId }) => affected.has(userId))), gone: [] }
}
