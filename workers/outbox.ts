import type { Database, Transaction } from '../drizzle/connection.ts'
import { maxAgeMs as maxActivityAgeMs } from '../server/domain/activities-making.ts'
import { noteSaid } from '../server/domain/feed-writing.ts'
import type { JobAdder, NewJob } from '../server/jobs/jobs.ts'
import { type Reacted, type Sent, takeOutbox, takeReactions } from '../server/message-store/outbox-relay.ts'
import { snowflakeAt } from '../server/message-store/snowflake.ts'

/** Entries of one hand-over: enough to keep up, and few enough that their transaction is short. */
const atOnce = 500

/** Messages of one job. More of them in one channel, sent in one go, are several jobs. */
const maxMessages = 64

/** What was sent longer ago, as no worker was there, is not looked through for links any more. Milliseconds. */
const maxAgeMs = 24 * 3_600_000

/** Entries of one hand-over after one that has failed. */
const atOnceCarefully = 20

export type RelayOptions = {
  /** Whether links are opened. */
  links: boolean
  /** Members up to which a channel's messages are written into the feed of each of them. */
  feedMembers: number
  /** Told of the channels whose messages are to be written out. */
  writeFeeds: (channelIds: readonly string[]) => void
  /** Once the process is to end, no further hand-over is begun. */
  signal?: AbortSignal
  onError: (error: unknown) => void
}

/**
 * Makes jobs of what was sent, in the transaction that takes it out of the outbox: each message is in one job, once.
 * Where that fails, fewer are taken, and their links stay closed: what is odd about one of them must not hold up all
 * others. Returns how many entries there were.
 */
export async function relayOutbox(database: Database, jobs: JobAdder, options: RelayOptions): Promise<number> {
  const take = (limit: number, careful = false) =>
    takeOutbox(database, limit, async (sent, tx) => {
      const fed = await noteSaid(tx, [...new Set(sent.map((span) => span.channelId))], options.feedMembers)
      tx.afterCommit(() => options.writeFeeds(fed))
      const spans = joinSpans(sent)
      // Who is careful does not look either, but leaves that to the job.
      const { linked, telling } = careful ? { linked: [], telling: spans } : await lookThrough(tx, sent, spans)
      await jobs.add(tx, [
        ...spans.map((span): NewJob => ({ kind: 'push', data: span })),
        ...telling.map((span): NewJob => ({ kind: 'activity', data: { of: 'sent', ...span } })),
        ...(options.links ? linked : []).map((data): NewJob => ({ kind: 'link-preview', data })),
      ])
    })
  let taken = 0
  for (let last = 1; last > 0 && options.signal?.aborted !== true; taken += last) {
    last = await take(atOnce).catch((error: unknown) => {
      options.onError(error)
      return take(atOnceCarefully, true)
    })
  }
  return taken
}

/**
 * Makes jobs of what was reacted, one for each message, in the same way. Whoever is woken by each reaction should rest
 * in between: what comes meanwhile to one message is one job, too. Returns how many entries there were.
 */
export async function relayReactions(
  database: Database,
  jobs: JobAdder,
  { signal }: Pick<RelayOptions, 'signal'> = {},
): Promise<number> {
  let taken = 0
  for (let last = 1; last > 0 && signal?.aborted !== true; taken += last) {
    last = await takeReactions(database, atOnce, (entries, tx) => jobs.add(tx, jobsOf(entries)))
  }
  return taken
}

function jobsOf(entries: readonly Reacted[]): NewJob[] {
  const byMessage = Map.groupBy(entries, ({ channelId, messageId }) => `${channelId} ${messageId}`)
  return Array.from(byMessage.values(), (some): NewJob => {
    const { channelId, messageId } = some[0]!
    // The first time that each of them did.
    const first = new Map(some.toReversed().map(({ userId, at }) => [userId, at.toISOString()]))
    const by = Array.from(first, ([userId, at]) => ({ userId, at })).toReversed()
    return { kind: 'activity', data: { of: 'reacted', channelId, messageId, by } }
  })
}

/** Joins what follows on each other in a channel. What is taken comes in the order of channels and seqs. */
export function joinSpans(sent: readonly Sent[]): Sent[] {
  const joined: Sent[] = []
  for (const span of sent) {
    const last = joined.at(-1)
    const follows = last !== undefined && last.channelId === span.channelId && last.lastSeq + 1 === span.firstSeq
    if (follows && span.lastSeq - last.firstSeq < maxMessages) last.lastSeq = span.lastSeq
    else joined.push({ ...span })
  }
  return joined
}

/**
 * Messages that may hold a link (whether they do is looked at when it is opened), and those of the spans in which
 * somebody is mentioned or answered. Both by one look at what was sent.
 */
async function lookThrough({ run }: Transaction, sent: readonly Sent[], spans: readonly Sent[]) {
  const rows = await run<{ channel_id: string; id: string; seq: number; linked: boolean; telling: boolean }>(
    `/* outbox messages */ select channel_id, id, seq, linked, telling from (
       select m.channel_id, m.id, m.seq, m.id >= $5::bigint and m.content ~* 'https?://' as linked,
              m.mention_ids is not null or m.reply_to_id is not null as telling
       from unnest($1::bigint[], $2::int[], $3::int[]) as w (channel_id, first_seq, last_seq)
       join messages m on m.channel_id = w.channel_id and m.seq between w.first_seq and w.last_seq
       where m.channel_id = any ($1::bigint[]) and m.id >= $4::bigint and m.deleted_at is null
     ) m
     where linked or telling`,
    [
      sent.map((span) => span.channelId),
      sent.map((span) => span.firstSeq),
      sent.map((span) => span.lastSeq),
      snowflakeAt(Date.now() - maxActivityAgeMs),
      snowflakeAt(Date.now() - maxAgeMs),
    ],
  )
  const telling = Map.groupBy(rows.filter((row) => row.telling), (row) => row.channel_id)
  return {
    linked: rows.flatMap((row) => (row.linked ? [{ channelId: row.channel_id, messageId: row.id }] : [])),
    telling: spans.filter(({ channelId, firstSeq, lastSeq }) =>
      telling.get(channelId)?.some(({ seq }) => firstSeq <= seq && seq <= lastSeq),
    ),
  }
}
