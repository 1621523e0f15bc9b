import type { Database, Transaction } from '../../drizzle/connection.ts'
import { isDistributed } from '../../drizzle/distribution.ts'
import { alone, type Session } from '../message-store/maintenance-lock.ts'
import { compareSnowflakes, snowflakeAt } from '../message-store/snowflake.ts'

/**
 * How long entries are kept, in days. Whoever looks into a feed every day, or after a week away, finds it written;
 * who pages further back has it merged from the channels, which costs a page more of the store, and nothing of disk.
 * An entry takes about 90 bytes with its place in the index: a week of 500 messages a day is 300 KB for each person.
 */
export const feedKeptDays = 7

/** Entries are written and kept so many days more, so that no reader's clock makes it look for what is not there. */
const marginDays = 1

const dayMs = 86_400_000

/** The oldest message, as the lowest Snowflake of its moment, that entries are to be looked for of. */
export const feedFloor = (): string => snowflakeAt(Date.now() - feedKeptDays * dayMs)

/** What is older is neither written nor kept: no reader looks for it among the entries. */
const writtenFloor = (): string => snowflakeAt(Date.now() - (feedKeptDays + marginDays) * dayMs)

/** Rows that one statement writes: some tens of milliseconds. */
const rowsAtOnce = 5_000

/**
 * A channel that is further behind than this, in messages, is not caught up with, but read by itself up to now: it was
 * imported, or merged, or no worker was there for long. Written out, it would hold up what is new.
 */
const maxBehind = 1_000

/**
 * Notes that something was said in channels, in the transaction that takes it out of the outbox: until it is written
 * out, readers find it by the one or the other. Returns the channels that a worker is to write out: small ones, of
 * `writtenMembers` at the most, and what was larger once and is less than half of that now. For a large one this is all
 * that is ever done, a row for all that was said in it at once.
 */
export async function noteSaid(
  { run }: Pick<Transaction, 'run'>,
  channelIds: readonly string[],
  writtenMembers: number,
): Promise<string[]> {
  await run(
    `/* feeds told */ insert into feed_spans (channel_id, after_id, up_to_id, told_id)
     select id, 0, 0, last_id from channels where id = any ($1::bigint[]) order by id
     on conflict (channel_id) do update set told_id = greatest(feed_spans.told_id, excluded.told_id)`,
    [channelIds],
  )
  const rows = await run<{ id: string }>(
    `/* feeds to write */ select id from channels
     where id = any ($1::bigint[]) and (not feed_merged or member_count < $2::float8)`,
    [channelIds, writtenMembers / 2],
  )
  return rows.map((row) => row.id)
}

export type WriteRequest = {
  channelId: string
  /** Members up to which a channel is written out to each of them. */
  writtenMembers: number
  signal?: AbortSignal
}

/**
 * Writes out what was said in a channel since the last time, for everybody who is in it, whoever was told to do so and
 * however often; but nothing that is too old to be kept, where it is the first time, or the first for long. What is
 * written is noted in `feed_spans` when it is there, so that nobody relies on what is not: cut off in between, it is
 * written once more, which changes nothing. Who is to see it is decided when it is read.
 *
 * A channel that has grown beyond `writtenMembers` is merged from then on: its span ends, and what comes after it is
 * read from the channel. Half as large, it is written out again. In between it stays as it is, so that one who comes and
 * goes does not turn it to and fro.
 */
export async function writeFeed(database: Database, { channelId, writtenMembers, signal }: WriteRequest): Promise<void> {
  for (;;) {
    signal?.throwIfAborted()
    const state = await readState(database, channelId)
    if (state === null || (await staysMerged(database, state, writtenMembers))) return
    const { afterId, upToId, lastId } = state
    if (upToId === lastId) return
    const floor = writtenFloor()
    const beginId = compareSnowflakes(upToId, floor) > 0 ? upToId : floor
    const step = await readStep(database, state, beginId)
    if (step.behind > maxBehind) return skipFeed(database, channelId)
    await database.run(
      `/* feed entries */ insert into feed_entries (user_id, message_id, channel_id)
       select u.user_id, m.id, m.channel_id from messages m
       join members u on u.channel_id = m.channel_id and u.channel_id = $1
       where m.channel_id = $1 and m.id > $2 and m.id <= $3 and m.kind in ('USER', 'ACTION') and m.deleted_at is null
         and u.left_at is null and u.joined_seq < m.seq and u.user_id <> m.author_id
       on conflict do nothing`,
      [channelId, beginId, step.id],
    )
    await note(database, { channelId, afterId, upToId: step.id })
  }
}

type State = {
  channelId: string
  memberCount: number
  isMerged: boolean
  firstSeq: number
  lastId: string
  lastSeq: number
  /** The span; before the first message where there is none. */
  afterId: string
  upToId: string
}

async function readState({ run }: Database, channelId: string): Promise<State | null> {
  const [row] = await run<{
    member_count: number
    feed_merged: boolean
    first_seq: number
    last_id: string
    last_seq: number
    after_id: string
    up_to_id: string
  }>(
    `/* feed state */ select c.member_count, c.feed_merged, c.first_seq, c.last_id, c.last_seq,
       coalesce(f.after_id, 0) as after_id, coalesce(f.up_to_id, 0) as up_to_id
     from channels c left join feed_spans f on f.channel_id = c.id and f.channel_id = $1
     where c.id = $1`,
    [channelId],
  )
  if (row === undefined) return null
  return {
    channelId,
    memberCount: row.member_count,
    isMerged: row.feed_merged,
    firstSeq: row.first_seq,
    lastId: row.last_id,
    lastSeq: row.last_seq,
    afterId: row.after_id,
    upToId: row.up_to_id,
  }
}

/** Whether a channel is, or from now on is, too large to be written out. */
async function staysMerged({ run }: Database, state: State, writtenMembers: number): Promise<boolean> {
  const { memberCount, isMerged } = state
  const merge = isMerged ? memberCount >= writtenMembers / 2 : memberCount > writtenMembers
  if (merge !== isMerged) {
    await run('/* feed merged */ update channels set feed_merged = $2 where id = $1', [state.channelId, merge])
  }
  return merge
}

/** The last of as many messages after an id as are written at once, and how many there may be after it in all. */
async function readStep({ run }: Database, state: State, beginId: string): Promise<{ id: string; behind: number }> {
  const { channelId, memberCount, firstSeq, lastId, lastSeq } = state
  const rows = await run<{ id: string; seq: number }>(
    `/* feed step */ select id, seq from messages where channel_id = $1 and id > $2 and id <= $3 order by id limit $4`,
    [channelId, beginId, lastId, Math.max(1, Math.floor(rowsAtOnce / Math.max(1, memberCount)))],
  )
  const last = rows.at(-1)
  // Retention may have taken them, or they are too old.
  if (last === undefined) return { id: lastId, behind: 0 }
  return { id: last.id, behind: lastSeq - Math.max(rows[0]!.seq, firstSeq) + 1 }
}

/**
 * Joins what somebody has written to what others have: each wrote all from where it began to where it ended, so that
 * from the latest beginning to the latest end nothing is missing.
 */
const joinSpan = `on conflict (channel_id) do update set after_id = greatest(feed_spans.after_id, excluded.after_id),
       up_to_id = greatest(feed_spans.up_to_id, excluded.up_to_id),
       told_id = greatest(feed_spans.told_id, excluded.told_id)`

/** Notes what has been written. */
async function note({ run }: Database, span: Pick<State, 'channelId' | 'afterId' | 'upToId'>): Promise<void> {
  await run(
    `/* feed span */ insert into feed_spans (channel_id, after_id, up_to_id, told_id) values ($1, $2, $3, $3)
     ${joinSpan}`,
    [span.channelId, span.afterId, span.upToId],
  )
}

/** Leaves what was said in a channel up to now to be read from it: all of it, or what an import has brought along. */
export async function skipFeed({ run }: Pick<Database, 'run'>, channelId: string): Promise<void> {
  await run(
    `/* feed skips */ insert into feed_spans (channel_id, after_id, up_to_id, told_id)
     select id, last_id, last_id, last_id from channels where id = $1
     ${joinSpan}`,
    [channelId],
  )
}

/** The letters "fe": other maintenance may take hours. */
const sweepLock = 0x6665

/** Spans that one statement changes: some milliseconds, for which the hand-over of what is sent there waits. */
const spansAtOnce = 1_000

/** People whose entries one statement looks through. */
const peopleAtOnce = 1_000

/**
 * Removes entries that are kept no longer, and notes which channels are written out as far back as entries are kept, so
 * that they need not be looked into any more. Any number of processes may call it: one of them does it. What fails of the
 * one does not hold up the other; then the first error is thrown.
 */
export async function sweepFeeds(database: Pick<Database, 'reserve'>, signal?: AbortSignal): Promise<void> {
  const before = writtenFloor()
  await alone(
    database,
    async (session) => {
      const errors: unknown[] = []
      for (const sweep of [sweepSpans, sweepEntries]) {
        await sweep(session, before, signal).catch((error: unknown) => errors.push(error))
      }
      if (errors.length > 0) throw errors[0]
    },
    sweepLock,
  )
}

/**
 * Some at a time, in the order in which hand-overs of what was sent take them, and without those that somebody else is
 * at: these are left to the next time. Only one machine can pass them over; on several they are waited for.
 */
async function sweepSpans({ run }: Session, before: string, signal?: AbortSignal): Promise<void> {
  const rows = 'channel_id = any ($1::bigint[]) and after_id < $2'
  const free = `channel_id in (
    select channel_id from feed_spans where ${rows} order by channel_id for no key update skip locked
  )`
  const which = (await isDistributed({ run })) ? rows : free
  for (let after = '0'; signal?.aborted !== true; ) {
    const spans = await run<{ id: string }>(
      `/* old feed spans */ select channel_id as id from feed_spans
       where merged and after_id <> 0 and after_id < $1 and channel_id > $2 order by channel_id limit $3`,
      [before, after, spansAtOnce],
    )
    if (spans.length > 0) {
      await run(`/* whole feed spans */ update feed_spans set after_id = 0 where ${which}`, [
        spans.map((span) => span.id),
        before,
      ])
    }
    if (spans.length < spansAtOnce) return
    after = spans.at(-1)!.id
  }
}

/** Person by person: an index of their own would cost each write as much again. */
async function sweepEntries({ run }: Session, before: string, signal?: AbortSignal): Promise<void> {
  for (let after = '0'; signal?.aborted !== true; ) {
    const people = await run<{ id: string }>(
      '/* people with feeds */ select id from users where id > $1 order by id limit $2',
      [after, peopleAtOnce],
    )
    if (people.length > 0) {
      await run('/* stale feed entries */ delete from feed_entries where user_id = any ($1::bigint[]) and message_id < $2', [
        people.map((person) => person.id),
        before,
      ])
    }
    if (people.length < peopleAtOnce) return
    after = people.at(-1)!.id
  }
}
