import type { Database } from '../../drizzle/connection.ts'
import { bucketOf, tableOf } from '../message-store/bucket-time.ts'
import { compareSnowflakes } from '../message-store/snowflake.ts'

/**
 * Messages that one statement looks at. Those of one author have no index of their own: every message would pay for it,
 * and it is asked for once in years. A channel is read through by its key, so much at a time: of a million messages, one
 * in a hundred of them one's own, that took 1.6 s, and no statement more than 0.2 s.
 */
const lookedAtAtOnce = 10_000

/** What Postgres says of a table that is not there. */
const undefinedTable = '42P01'

type Runner = Pick<Database, 'run'>

/** A message of one's own, and how many bytes it says. */
export type OwnMessage = { id: string; bytes: number }

/**
 * What somebody has written in a channel and not deleted, after the message `after`, the oldest first: a few at a time,
 * each time with how far the channel has been looked through. Month by month, so that each statement stays in one table;
 * a month that retention takes away meanwhile is left out. `atOnce`: for tests, which have fewer messages.
 */
export async function* findOwnMessages(
  database: Runner,
  channelId: string,
  authorId: string,
  after: string | null = null,
  atOnce = lookedAtAtOnce,
): AsyncGenerator<{ own: OwnMessage[]; reached: string }> {
  const months = await database.run<{ bucket: number }>(
    '/* months of a channel */ select distinct bucket from channel_buckets where channel_id = $1 order by bucket',
    [channelId],
  )
  let reached = after ?? '0'
  for (const { bucket } of months) {
    if (after !== null && bucket < bucketOf(after)) continue
    for (;;) {
      const rows = await lookThrough(database, tableOf(bucket), { channelId, authorId, after: reached, atOnce })
      if (rows.length === 0) break
      for (const { id } of rows) if (compareSnowflakes(id, reached) > 0) reached = id
      const own = rows.filter((row) => row.own).toSorted((a, b) => compareSnowflakes(a.id, b.id))
      yield { own: own.map(({ id, bytes }) => ({ id, bytes })), reached }
    }
  }
}

/** The own ones of the next messages of a month, and the last of all that were looked at. Nothing after the last. */
async function lookThrough(
  database: Runner,
  table: string,
  { channelId, authorId, after, atOnce }: { channelId: string; authorId: string; after: string; atOnce: number },
) {
  try {
    return await database.run<{ id: string; bytes: number; own: boolean }>(
      `/* own messages */ with looked as materialized (
         select id, octet_length(content) as bytes,
           author_id = $2 and deleted_at is null and kind in ('USER', 'ACTION') as own
         from ${table} where channel_id = $1 and id > $3 order by id limit ${atOnce}
       )
       select id, bytes, own from looked where own or id = (select max(id) from looked)`,
      [channelId, authorId, after],
    )
  } catch (error) {
    if ((error as { code?: unknown }).code !== undefinedTable) throw error
    return []
  }
}

/** A reaction that somebody has given. */
export type OwnReaction = { messageId: string; emoji: string }

/** What somebody has reacted with in a channel, in the order of the messages. Read through in the same way. */
export async function* findOwnReactions(
  database: Runner,
  channelId: string,
  userId: string,
  atOnce = lookedAtAtOnce,
): AsyncGenerator<OwnReaction[]> {
  for (let after = { message_id: '0', emoji: '', user_id: '0' }; ; ) {
    const rows = await database.run<typeof after & { is_last: boolean }>(
      `/* own reactions */ with looked as materialized (
         select message_id, emoji, user_id, row_number() over (order by message_id, emoji, user_id) as nth
         from reactions where channel_id = $1 and (message_id, emoji, user_id) > ($3::bigint, $4::text, $5::bigint)
         order by message_id, emoji, user_id limit ${atOnce}
       )
       select message_id, emoji, user_id, nth = (select max(nth) from looked) as is_last
       from looked where user_id = $2 or nth = (select max(nth) from looked) order by nth`,
      [channelId, userId, after.message_id, after.emoji, after.user_id],
    )
    const last = rows.at(-1)
    if (last === undefined) return
    yield rows.filter((row) => row.user_id === userId).map((row) => ({ messageId: row.message_id, emoji: row.emoji }))
    after = last
  }
}
