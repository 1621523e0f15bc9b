import type { Database } from '../../drizzle/connection.ts'
import { type Append, appendBatch } from '../message-store/append.ts'
import { startOf } from '../message-store/bucket-time.ts'
import { readSpan, readSpans } from '../message-store/pages.ts'
import { ensureBuckets } from '../message-store/partitions.ts'
import { hashOf } from '../message-store/send.ts'
import { snowflakeAt } from '../message-store/snowflake.ts'

/** Makes a channel without a word, and its members, of whom the first owns it. */
export async function makeChannel(database: Database, channelId: string, members: readonly string[]): Promise<void> {
  await database.run(
    `insert into channels (id, kind, created_at, member_count) values ($1, 'GROUP', now(), $2)`,
    [channelId, members.length],
  )
  for (const userId of members) {
    await database.run(
      `insert into members (channel_id, user_id, role, joined_at, change) values ($1, $2, 'MEMBER', now(), 0)`,
      [channelId, userId],
    )
  }
}

/** What the message of a seq says that `fillMonths` writes. */
export const contentOf = (seq: number) => `tea for ${seq}`

/**
 * Writes so many messages of each of these months into a channel that has none, an hour apart, as an import does. Every
 * tenth mentions `author`, every fourth of a month answers the first of that month, and each has its key.
 */
export async function fillMonths(
  database: Database,
  { channelId, author, buckets, perMonth }: { channelId: string; author: string; buckets: readonly number[]; perMonth: number },
): Promise<void> {
  await ensureBuckets(database, buckets[0]!, buckets.at(-1)!)
  let seq = 0
  for (const bucket of buckets) {
    const ids = Array.from({ length: perMonth }, (_, nth) => snowflakeAt(startOf(bucket) + (nth + 1) * 3_600_000))
    const batch = ids.map((id, nth): Append => {
      const content = contentOf(++seq)
      return {
        id,
        kind: 'USER',
        authorId: author,
        content,
        replyToId: nth % 4 === 3 ? ids[0]! : null,
        mentionIds: seq % 10 === 0 ? [author] : [],
        deletedAt: null,
      }
    })
    await database.transaction((tx) => appendBatch(tx, channelId, batch as [Append, ...Append[]]))
    await database.run(
      `insert into send_keys (channel_id, key_hash, message_id, body_hash)
       select $1::bigint, k::uuid, m, $4::text::uuid from unnest($2::text[], $3::bigint[]) as w (k, m)`,
      [channelId, ids.map((id) => hashOf(`${author} ${id}`)), ids, hashOf('body')],
    )
    await database.run(
      `insert into reactions (channel_id, message_id, emoji, user_id, change) values ($1, $2, '❤️', $3, 0)`,
      [channelId, ids[1]!, author],
    )
  }
}

/** A channel’s numbers. */
export async function channelOf(database: Database, channelId: string) {
  const [row] = await database.run<{ first_seq: number; last_seq: number; last_change: number; expired_change: number }>(
    'select first_seq, last_seq, last_change, expired_change from channels where id = $1',
    [channelId],
  )
  return row!
}

/** How much there is, by table, of what is older than the first message that is kept; tables without any are left out. */
export async function leftovers(database: Database, channelId: string): Promise<Record<string, number>> {
  const [row] = await database.run<Record<string, number>>(
    `select (select count(*)::int from messages where channel_id = $1 and seq < c.first_seq) as messages,
            (select count(*)::int from message_changes where channel_id = $1 and message_id < $2) as message_changes,
            (select count(*)::int from reactions where channel_id = $1 and message_id < $2) as reactions,
            (select count(*)::int from replies where channel_id = $1 and root_id < $2) as replies,
            (select count(*)::int from threads where channel_id = $1 and message_id < $2) as threads,
            (select count(*)::int from send_keys where channel_id = $1 and message_id < $2) as send_keys,
            (select count(*)::int from mentions where channel_id = $1 and seq < c.first_seq) as mentions,
            (select count(*)::int from expirations where channel_id = $1) as expirations
     from channels c where c.id = $1`,
    [channelId, await firstIdOf(database, channelId)],
  )
  return Object.fromEntries(Object.entries(row!).filter(([, count]) => count > 0))
}

async function firstIdOf(database: Database, channelId: string): Promise<string> {
  const [row] = await database.run<{ id: string }>(
    `select coalesce((select min(m.id) from messages m where m.channel_id = c.id and m.seq >= c.first_seq), c.last_id + 1) as id
     from channels c where id = $1`,
    [channelId],
  )
  return row!.id
}

/** Reads a channel from both ends, as somebody does who knows where it begins; throws where anything is missing. */
export async function checkChannel(database: Database, channelId: string): Promise<void> {
  const before = await channelOf(database, channelId)
  const { first_seq, last_seq } = before
  const size = 60
  for (const span of [
    { from: Math.max(first_seq, last_seq - size + 1), to: last_seq },
    { from: first_seq, to: Math.min(last_seq, first_seq + size - 1) },
  ]) {
    const page = await readSpan(database, channelId, span, 'start')
    const pages = await readSpans(database, [{ channelId, span, anchor: 'end' }])
    for (const messages of [page, ...pages]) {
      const seqs = messages.map((message) => message.seq)
      // What was at its beginning may have gone since it was asked where that is.
      const { first_seq: begins } = await channelOf(database, channelId)
      const expected = Array.from({ length: Math.max(0, span.to - span.from + 1) }, (_, nth) => span.from + nth)
      const from = seqs[0] ?? span.to + 1
      if (from > Math.max(begins, span.from)) throw new Error(`Nothing before ${from}, though it begins at ${begins}`)
      if (`${seqs}` !== `${expected.filter((seq) => seq >= from)}`) throw new Error(`There is a hole: ${seqs}`)
      for (const message of messages) {
        const isAsWritten = message.content === contentOf(message.seq) || message.content.startsWith('new')
        if (!isAsWritten) throw new Error(`${message.seq} says ${message.content}`)
      }
    }
  }
}
