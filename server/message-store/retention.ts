import type { Database } from '../../drizzle/connection.ts'
import { badInput, MaruError, notFound } from '../errors.ts'
import { isLockTimeout } from './brief-lock.ts'
import { bucketAt } from './bucket-time.ts'
import { dropBucket, looseBuckets } from './drop-bucket.ts'
import { type OnExpiredAttachments, tellAttachmentsOf } from './expired-attachments.ts'
import { clearBeside, clearBucket, expirationsAfter, expirationsOf, expiredBuckets, expire } from './expire.ts'
import { alone, type Session } from './maintenance-lock.ts'

const dayMs = 86_400_000

/** A hundred years, which is for good. */
const maxDays = 36_500

/** Channels that one statement names. */
const channelsAtOnce = 1_000

export type RetentionOptions = {
  /** Days for which messages are kept where their channel does not say otherwise; null for good. */
  days: number | null
  /** Now, in milliseconds since 1970; by default by the store's clock, as that of one machine may be years ahead. */
  now?: number
  /** Told of what messages have attached, before they go; it may be told again. */
  onAttachments?: OnExpiredAttachments
}

/** What a run has done: channels that begin later now, messages deleted one by one, buckets dropped. */
export type Retained = {
  channels: number
  messages: number
  buckets: number[]
  /** Whether something stayed undone, as others were in the way; the next run will do it. */
  isUnfinished: boolean
}

/**
 * Sets for how many days, at least one, a channel's messages are kept; null is as long as everywhere. Throws NOT_FOUND
 * and BAD_USER_INPUT.
 */
export async function setRetention(database: Database, channelId: string, days: number | null): Promise<void> {
  if (days !== null && !(Number.isInteger(days) && days >= 1 && days <= maxDays)) {
    throw badInput(`Messages are kept for 1 to ${maxDays} days.`, 'days')
  }
  const rows = await database.run('update channels set retention_days = $2::int where id = $1 returning id', [channelId, days])
  if (rows.length === 0) throw notFound('channel', 'channelId')
}

/** The first bucket of which something is younger than so many days: only whole buckets go, and never this month's. */
const firstKept = (days: number, now: number): number => bucketAt(now - Math.max(1, days) * dayMs)

/**
 * Removes what is older than it may be, month by month. In this order, so that whatever is cut off is gone on with by
 * the next run, and no reader sees a hole:
 *
 * 1. Each channel's history begins later (`expire`): from then on nobody is led to what is older.
 * 2. Bucket by bucket, the oldest first: one in which no channel has anything any more is dropped whole; of one that
 *    some channel keeps for longer, the rows of the others are deleted.
 * 3. What hangs on messages that are gone is removed.
 *
 * Null where another process is at it.
 */
export function retain(database: Database, options: RetentionOptions): Promise<Retained | null> {
  const { days } = options
  return alone(database, async (session) => {
    const now = options.now ?? (await storeTime(session))
    const own = await expireByOwn(database, now)
    const others = days === null ? noneExpired : await expireByDefault(database, firstKept(days, now))
    const end = await newestCut(database, days, now)
    const removed = await removeExpired(database, session, end, options.onAttachments ?? (async () => {}))
    const isUnfinished = removed.isUnfinished || own.busy + others.busy > 0
    return { ...removed, channels: own.expired + others.expired, isUnfinished }
  })
}

/** Channels that begin later now, and those that were too busy for it: their turn comes with the next run. */
type Expired = { expired: number; busy: number }

const noneExpired: Expired = { expired: 0, busy: 0 }

/** Counts what becomes of a channel. One that is locked for too long keeps no other back. */
async function expireUnlessBusy(database: Database, channelId: string, kept: number, count: Expired): Promise<void> {
  try {
    if (await expire(database, channelId, kept)) count.expired++
  } catch (error) {
    if (!isLockTimeout(error) && !isStatementTimeout(error)) throw error
    count.busy++
  }
}

/** Whether Postgres gave a statement up, which callers are told as UNAVAILABLE. */
const isStatementTimeout = (error: unknown) =>
  error instanceof MaruError && (error.cause as { code?: unknown } | null)?.code === '57014'

async function storeTime({ run }: Session): Promise<number> {
  const [clock] = await run<{ now: Date }>('select clock_timestamp() as now', [])
  return +clock!.now
}

/** Channels that have a retention of their own, whichever is the longer. */
async function expireByOwn(database: Database, now: number): Promise<Expired> {
  const count = { ...noneExpired }
  for (let after = '0'; ; ) {
    const rows = await database.run<{ id: string; retention_days: number; oldest: number | null }>(
      `/* channels with a retention */ select id, retention_days, (
         select min(bucket) from channel_buckets where channel_id = id
       ) as oldest
       from channels where retention_days is not null and id > $1 order by id limit ${channelsAtOnce}`,
      [after],
    )
    for (const { id, retention_days, oldest } of rows) {
      const kept = firstKept(retention_days, now)
      if (oldest !== null && oldest < kept) await expireUnlessBusy(database, id, kept, count)
    }
    if (rows.length < channelsAtOnce) return count
    after = rows.at(-1)!.id
  }
}

async function expireByDefault(database: Database, kept: number): Promise<Expired> {
  const count = { ...noneExpired }
  for (const bucket of await bucketsBefore(database, kept)) {
    for (let after = '0'; ; ) {
      const rows = await database.run<{ channel_id: string }>(
        `/* channels with old messages */ select b.channel_id from channel_buckets b
         join channels c on c.id = b.channel_id
         where b.bucket = $1 and b.channel_id > $2 and c.retention_days is null
         order by b.channel_id limit ${channelsAtOnce}`,
        [bucket, after],
      )
      for (const row of rows) await expireUnlessBusy(database, row.channel_id, kept, count)
      if (rows.length < channelsAtOnce) break
      after = rows.at(-1)!.channel_id
    }
  }
  return count
}

/** The first bucket that all channels keep. */
async function newestCut(database: Database, days: number | null, now: number): Promise<number> {
  const [row] = await database.run<{ days: number | null }>(
    'select min(retention_days) as days from channels where retention_days is not null',
    [],
  )
  const least = Math.min(days ?? Number.POSITIVE_INFINITY, row!.days ?? Number.POSITIVE_INFINITY)
  return Number.isFinite(least) ? firstKept(least, now) : 0
}

async function bucketsBefore(database: Database, end: number): Promise<number[]> {
  const rows = await database.run<{ bucket: number }>('select bucket from buckets where bucket < $1 order by bucket', [end])
  return rows.map((row) => row.bucket)
}

async function removeExpired(
  database: Database,
  session: Session,
  end: number,
  onAttachments: OnExpiredAttachments,
): Promise<Omit<Retained, 'channels'>> {
  const dropped: number[] = []
  let messages = 0
  const loose = await looseBuckets(session)
  const expired = await expiredBuckets(database)
  const others = await bucketsBefore(database, Math.max(end, ...expired.map((bucket) => bucket + 1)))
  for (const bucket of [...loose, ...others.filter((bucket) => !loose.includes(bucket))]) {
    const [used] = await database.run('select from channel_buckets where bucket = $1 limit 1', [bucket])
    const mayGo = (used === undefined && bucket < end) || loose.includes(bucket)
    if (mayGo) await tellAttachmentsOf(database, bucket, onAttachments)
    const outcome = mayGo ? await dropBucket(database, session, bucket) : 'kept'
    // A later one must not go before this one: whoever still reads there would find a hole.
    if (outcome === 'waiting') return { messages, buckets: dropped, isUnfinished: true }
    if (outcome === 'dropped') dropped.push(bucket)
    else if (expired.includes(bucket)) messages += await clearExpired(database, bucket, onAttachments)
  }
  await eachPage(
    (after) => expirationsAfter(database, after, channelsAtOnce),
    (expiration) => clearBeside(database, expiration, expiration.bucket),
  )
  return { messages, buckets: dropped, isUnfinished: false }
}

/** Deletes the messages of a bucket that its channels have lost, and no other channel is looked at. */
async function clearExpired(database: Database, bucket: number, onAttachments: OnExpiredAttachments): Promise<number> {
  let messages = 0
  await eachPage(
    (after) => expirationsOf(database, bucket, after, channelsAtOnce),
    async (expiration) => {
      messages += await clearBucket(database, expiration, bucket, onAttachments)
    },
  )
  return messages
}

/** Calls `work` with each channel, one after the other, page by page. */
async function eachPage<Row extends { channelId: string }>(
  read: (after: string) => Promise<Row[]>,
  work: (row: Row) => Promise<unknown>,
): Promise<void> {
  for (let after = '0'; ; ) {
    const page = await read(after)
    for (const row of page) await work(row)
    if (page.length < channelsAtOnce) return
    after = page.at(-1)!.channelId
  }
}
