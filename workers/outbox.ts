import type { Database, Transaction } from '../drizzle/connection.ts'
import type { JobAdder, NewJob } from '../server/jobs/jobs.ts'
import { type Sent, takeOutbox } from '../server/message-store/outbox-relay.ts'
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
  const take = (limit: number, links: boolean) =>
    takeOutbox(database, limit, async (sent, tx) => {
      const linked = links ? await findLinked(tx, sent) : []
      await jobs.add(tx, [
        ...joinSpans(sent).map((span): NewJob => ({ kind: 'push', data: span })),
        ...linked.map((data): NewJob => ({ kind: 'link-preview', data })),
      ])
    })
  let taken = 0
  for (let last = 1; last > 0 && options.signal?.aborted !== true; taken += last) {
    last = await take(atOnce, options.links).catch((error: unknown) => {
      options.onError(error)
      return take(atOnceCarefully, false)
    })
  }
  return taken
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

/** Messages that may hold a link. Whether they do is looked at when it is opened. */
async function findLinked({ run }: Transaction, sent: readonly Sent[]) {
  const rows = await run<{ channel_id: string; id: string }>(
    `/* outbox links */ select m.channel_id, m.id
     from unnest($1::bigint[], $2::int[], $3::int[]) as w (channel_id, first_seq, last_seq)
     join messages m on m.channel_id = w.channel_id and m.seq between w.first_seq and w.last_seq
     where m.channel_id = any ($1::bigint[]) and m.id >= $4::bigint and m.deleted_at is null
       and m.content ~* 'https?://'`,
    [
      sent.map((span) => span.channelId),
      sent.map((span) => span.firstSeq),
      sent.map((span) => span.lastSeq),
      snowflakeAt(Date.now() - maxAgeMs),
    ],
  )
  return rows.map((row) => ({ channelId: row.channel_id, messageId: row.id }))
}
