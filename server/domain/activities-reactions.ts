import type { ActivityJob } from '../jobs/jobs.ts'
import { about, type Runner } from './activities-about.ts'
import type { Made, NewActivity } from './activities-writing.ts'

type Reacted = Extract<ActivityJob, { of: 'reacted' }>

/** What an author was told of one of those who have reacted to a message. */
type Told = { emoji: string | null; withdrawn: boolean }

/**
 * An author is told of so many people who react to one message, the first: beyond them the number beside the emoji says
 * more than another name would, and what everybody reacts to costs its author's devices no more than this.
 */
export const maxTold = 100

const nothing: Made = { rows: [], gone: [] }

/** Whose account reactions touch: the author's, or nobody's where these people are none of those who are told of. */
export async function affectedByReactions(database: Runner, job: Reacted): Promise<string[]> {
  const authorId = await findAuthor(database, job)
  if (authorId === null) return []
  const told = await findTold(database, authorId, job)
  // Full once is full for good, so that nothing is held to find that out.
  return told.size < maxTold || job.by.some(({ userId }) => told.has(userId)) ? [authorId] : []
}

/**
 * Of all that one person gives to a message its author hears once; the first that stands says with what. Who has taken
 * back all of it keeps their place among those who are told of.
 */
export async function ofReactions(tx: Runner, job: Reacted): Promise<Made> {
  const { channelId, messageId } = job
  const authorId = await findAuthor(tx, job)
  if (authorId === null) return nothing
  const told = await findTold(tx, authorId, job)
  const by = job.by.filter(({ userId }) => userId !== authorId && (told.has(userId) || told.size < maxTold))
  const emoji = await findStanding(tx, job, by.map(({ userId }) => userId))
  const standing = by.flatMap(({ userId, at }): NewActivity[] =>
    emoji.has(userId)
      ? [{
          userId: authorId,
          kind: 'REACTION',
          channelId,
          messageId,
          subject: userId,
          actorId: userId,
          emoji: emoji.get(userId)!,
          at: new Date(at),
        }]
      : [],
  )
  let room = maxTold - told.size
  const rows = (await about(tx, channelId, standing)).filter(({ subject }) => told.has(subject) || room-- > 0)
  const subjects = by.flatMap(({ userId }) => (told.get(userId)?.withdrawn === false && !emoji.has(userId) ? [userId] : []))
  return { rows, gone: [{ userIds: [authorId], channelId, messageId, subjects }] }
}

/** Who wrote a message; null where it is gone. */
async function findAuthor({ run }: Runner, { channelId, messageId }: Reacted): Promise<string | null> {
  const [row] = await run<{ author_id: string }>(
    '/* author */ select author_id from messages where channel_id = $1 and id = $2 and deleted_at is null',
    [channelId, messageId],
  )
  return row?.author_id ?? null
}

/** Whose reactions to a message its author has been told of, the one who reacted first. */
async function findTold({ run }: Runner, authorId: string, { channelId, messageId }: Reacted): Promise<Map<string, Told>> {
  const rows = await run<Told & { subject: string }>(
    `/* told reactions */ select subject, emoji, withdrawn from activities
     where user_id = $1 and channel_id = $2 and message_id = $3 and subject > 0`,
    [authorId, channelId, messageId],
  )
  return new Map(rows.map((row) => [row.subject, row]))
}

/** The first of the emoji that each of these people has given to a message and not taken back. */
async function findStanding(
  { run }: Runner,
  { channelId, messageId }: Reacted,
  userIds: readonly string[],
): Promise<Map<string, string>> {
  if (userIds.length === 0) return new Map()
  const rows = await run<{ user_id: string; emoji: string }>(
    // From one emoji to the next, of which there are few: a message may have a hundred thousand reactions.
    `/* standing reactions */ with recursive kinds (emoji) as (
       (select r.emoji from reactions r where r.channel_id = $1 and r.message_id = $2 order by r.emoji limit 1)
       union all
       select (
         select r.emoji from reactions r
         where r.channel_id = $1 and r.message_id = $2 and r.emoji > k.emoji order by r.emoji limit 1
       ) from kinds k where k.emoji is not null
     ), standing as materialized (
       select u.user_id, k.emoji, (
         select r.change from reactions r
         where r.channel_id = $1 and r.message_id = $2 and r.emoji = k.emoji and r.user_id = u.user_id
       ) as change
       from kinds k cross join unnest($3::bigint[]) as u (user_id)
     )
     select user_id, emoji from standing where change is not null order by change desc`,
    [channelId, messageId, userIds],
  )
  return new Map(rows.map((row) => [row.user_id, row.emoji]))
}
