import { eq } from 'drizzle-orm'
import type { Database } from '../../drizzle/connection.ts'
import { channels } from '../../drizzle/tables/index.ts'
import type { JobAdder, JobContext, JobData, NewJob } from '../../server/jobs/jobs.ts'
import { chunksOf } from '../../server/lib/chunks.ts'
import { readMessages, readSpan } from '../../server/message-store/pages.ts'
import type { ChannelRow, MessageRow } from '../../server/message-store/rows.ts'
import { snowflakeTime } from '../../server/message-store/snowflake.ts'
import { findBadges } from './badges.ts'
import { type Claimed, claim, countRecent, deliveryKey, findPending, hold, type Wanted } from './deliveries.ts'
import { type Delivering, groupSize, maxAttempts, NotYet, type Outgoing } from './delivering.ts'
import type { Notices } from './notices.ts'
import { findReads, findShown } from './late.ts'
import { type Audience, findRecipients, type Recipient } from './recipients.ts'

export type PushMessagesOptions = {
  database: Database
  jobs: JobAdder
  delivering: Delivering
  notices: Notices
  /** Messages to one device within a minute that are pushed one by one. */
  perMinute: number
  /** When each of these is to have a mail, should they stay away, where there is mail; who wants none is left out. */
  mailTimes: ((userIds: readonly string[]) => Promise<Map<string, Date>>) | null
}

/** What is older is no news any more. Milliseconds. */
const maxAgeMs = 24 * 3_600_000

const minuteMs = 60_000

/** How long a burst may go on before its summary goes out. Milliseconds. */
const summaryAfterMs = 10_000

/** Members that one job looks after. */
const membersAtOnce = 1_000

/** Users of one job of those who are left, and how long it waits. Milliseconds. */
const restAtOnce = 100
const restAfterMs = 1_000

const everybody: Audience = { after: null, upTo: null }

type Context = Pick<JobContext, 'retries'> & { signal?: AbortSignal }

type Say = Awaited<ReturnType<Notices['ofMessages']>>

/**
 * Tells the devices of a channel's members of messages. It may be run again, by anyone, at any time: the log says what is
 * done.
 */
export function createPushMessages(options: PushMessagesOptions) {
  const { database, jobs, delivering, notices } = options

  /** The bounds between parts of a channel's members; none where one job can look after them. */
  async function boundsOf(channel: ChannelRow): Promise<string[]> {
    if (channel.memberCount <= membersAtOnce) return []
    const rows = await database.run<{ user_id: string }>(
      `/* parts of members */ select user_id from (
         select user_id, row_number() over (order by user_id) as nth from members
         where channel_id = $1 and left_at is null
       ) m where nth % ${membersAtOnce} = 0 order by user_id`,
      [channel.id],
    )
    return rows.map((row) => row.user_id)
  }

  async function divide(data: JobData['push'], bounds: readonly string[]): Promise<void> {
    const parts = [...bounds, null].map((upTo, nth) => ({ after: bounds[nth - 1] ?? null, upTo }))
    await database.transaction((tx) =>
      jobs.add(tx, parts.map((part) => ({ kind: 'push-part', data: { ...data, ...part } }))),
    )
  }

  /** Takes out what is too much at once for a device, the newest first. */
  function excessOf(claimed: readonly Claimed[], seqs: Map<string, number>, recent: Map<string, number>): Claimed[] {
    const fresh = Map.groupBy(
      claimed.filter((each) => each.attempts === 1),
      (each) => each.deviceId,
    )
    return [...fresh].flatMap(([deviceId, some]) => {
      // Those that have just been claimed are counted, too.
      const before = (recent.get(deviceId) ?? 0) - some.length
      const allowed = Math.max(0, options.perMinute - before)
      const inOrder = some.toSorted((a, b) => seqs.get(deliveryKey(a))! - seqs.get(deliveryKey(b))!)
      return inOrder.slice(allowed)
    })
  }

  async function holdBack(excess: readonly Claimed[]): Promise<void> {
    const devices = new Map(excess.map(({ userId, deviceId }) => [deviceId, { userId, deviceId }]))
    const startAfter = new Date(Date.now() + summaryAfterMs)
    const summaries = [...devices.values()].map(
      (data): NewJob => ({ kind: 'push-summary', data, key: data.deviceId, startAfter }),
    )
    await database.transaction(async (tx) => {
      await hold(tx, excess)
      await jobs.add(tx, summaries)
    })
    // Where one was waiting, nothing was added; it may have begun since, before this was there to be seen. If it still
    // waits, nothing is added again.
    await database.transaction((tx) => jobs.add(tx, summaries))
  }

  async function mailTo(userIds: readonly string[]): Promise<void> {
    const due = userIds.length === 0 ? [] : [...((await options.mailTimes?.(userIds)) ?? [])]
    if (due.length === 0) return
    await database.transaction((tx) =>
      jobs.add(
        tx,
        due.map(([userId, startAfter]) => ({ kind: 'email-digest', data: { userId }, key: userId, startAfter })),
      ),
    )
  }

  /** Tells some devices, so few that they are told before their claim runs out. Returns who is still to be told. */
  async function tellSome(recipients: readonly Recipient[], say: Say): Promise<string[]> {
    const wanted = recipients.map(toWanted)
    const byKey = new Map(recipients.map((recipient, nth) => [deliveryKey(wanted[nth]!), recipient]))
    const claimed = await claim(database, wanted)
    const recent = claimed.length === 0 ? new Map<string, number>() : await countRecent(database, claimed, minuteMs)
    const excess = excessOf(claimed, new Map(wanted.map((each) => [deliveryKey(each), each.seq])), recent)
    if (excess.length > 0) await holdBack(excess)
    const held = new Set(excess.map(deliveryKey))
    const now = claimed.filter((each) => !held.has(deliveryKey(each)))
    const badges = await findBadges(database, now.map((each) => each.userId))
    const left = await delivering.deliver(
      now.map((key): Outgoing => {
        const { device, ...recipient } = byKey.get(deliveryKey(key))!
        const notice = say({ device, ...recipient }, badges.get(key.userId) ?? 0)
        return { key, isLast: key.attempts >= maxAttempts, device, notice, since: snowflakeTime(recipient.message.id) }
      }),
    )
    const mine = new Set(claimed.map(deliveryKey))
    // Also those who are not to be told any more: until somebody's claim has run out it cannot be noted.
    const others = await findPending(database, wanted.filter((each) => !mine.has(deliveryKey(each))))
    return [...left, ...others].map((key) => key.userId)
  }

  /** Returns who is still to be told. */
  async function tell(channel: ChannelRow, messages: readonly MessageRow[], to: Audience, context: Context) {
    const { recipients, concerned } = await findRecipients(database, channel, messages, to)
    if (context.retries === 0) await mailTo(concerned)
    const say = await notices.ofMessages(channel, messages)
    const left = await Promise.all(
      chunksOf(recipients, groupSize).map((some) =>
        delivering.inTurn(() => {
          context.signal?.throwIfAborted()
          return tellSome(some, say)
        }),
      ),
    )
    await takeBackLate(channel, messages, recipients.filter(({ skip }) => skip === null))
    return new Set(left.flat())
  }

  /**
   * Has taken off what has been read, or deleted, while it was on its way; and what those who have just written here
   * have thereby read.
   */
  async function takeBackLate(channel: ChannelRow, messages: readonly MessageRow[], told: readonly Recipient[]) {
    const authors = messages.map((message) => message.authorId)
    const userIds = [...new Set([...told.map(({ device }) => device.userId), ...authors])]
    const [reads, now] = await Promise.all([
      findReads(database, channel.id, userIds),
      readMessages(database, messages.map(({ channelId, id: messageId }) => ({ channelId, messageId }))),
    ])
    const shown = await findShown(database, channel.id, reads)
    const deleted = now.filter((message) => message.deletedAt !== null)
    const found: NewJob[] = [
      ...shown.map(({ userId, seq }): NewJob => ({ kind: 'push-read', data: { userId, channelId: channel.id, seq } })),
      ...deleted.map((message): NewJob => ({
        kind: 'push-withdraw',
        data: { channelId: message.channelId, messageId: message.id },
      })),
    ]
    if (found.length > 0) await database.transaction((tx) => jobs.add(tx, found))
  }

  /** Those who could not be told yet have a job of their own: nobody else waits for it, or is looked at again. */
  async function putOff(data: JobData['push'], left: readonly string[]): Promise<void> {
    if (left.length === 0) return
    await database.transaction((tx) =>
      jobs.add(
        tx,
        chunksOf(left, restAtOnce).map((userIds) => ({
          kind: 'push-rest',
          data: { ...data, userIds },
          startAfter: new Date(Date.now() + restAfterMs),
        })),
      ),
    )
  }

  /** Tells of each message of a span; returns who is still to be told. */
  async function run(data: JobData['push'], channel: ChannelRow, to: Audience, context: Context): Promise<string[]> {
    const left = new Set<string>()
    for (let from = data.firstSeq; from <= data.lastSeq; ) {
      const read = await readSpan(database, channel.id, { from, to: data.lastSeq }, 'start')
      const told = read.filter(isNews)
      if (told.length > 0) for (const userId of await tell(channel, told, to, context)) left.add(userId)
      // A page may be cut short; where nothing is left of it, retention has been there.
      from = read.length === 0 ? data.lastSeq + 1 : read.at(-1)!.seq + 1
    }
    return [...left]
  }

  async function findChannel(channelId: string): Promise<ChannelRow | undefined> {
    const [channel] = await database.orm.select().from(channels).where(eq(channels.id, channelId))
    return channel
  }

  return {
    /** Tells all members, or has them told in parts where they are many. */
    async all(data: JobData['push'], context: Context): Promise<void> {
      const channel = await findChannel(data.channelId)
      if (channel === undefined) return
      const bounds = await boundsOf(channel)
      if (bounds.length > 0) return divide(data, bounds)
      await putOff(data, await run(data, channel, everybody, context))
    },

    async part({ after, upTo, ...data }: JobData['push-part'], context: Context): Promise<void> {
      const channel = await findChannel(data.channelId)
      if (channel === undefined) return
      await putOff(data, await run(data, channel, { after, upTo }, context))
    },

    /** Tells those who could not be told before; throws NotYet as long as they cannot be. */
    async rest({ userIds, ...data }: JobData['push-rest'], context: Context): Promise<void> {
      const channel = await findChannel(data.channelId)
      if (channel === undefined) return
      const left = await run(data, channel, { userIds }, context)
      if (left.length === userIds.length) throw new NotYet(left.length)
      await putOff(data, left)
    },
  }
}

const isNews = (message: MessageRow): boolean =>
  (message.kind === 'USER' || message.kind === 'ACTION') && Date.now() - +snowflakeTime(message.id) < maxAgeMs

const toWanted = ({ device, message, skip }: Recipient): Wanted => ({
  userId: device.userId,
  deviceId: device.id,
  channelId: message.channelId,
  subjectId: message.id,
  kind: 'MESSAGE',
  seq: message.seq,
  skip,
})
