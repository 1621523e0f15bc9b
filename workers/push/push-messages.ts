import { eq } from 'drizzle-orm'
import type { Database } from '../../drizzle/connection.ts'
import { channels } from '../../drizzle/tables/index.ts'
import type { JobAdder, JobContext, JobData, NewJob } from '../../server/jobs/jobs.ts'
import { chunksOf } from '../../server/lib/chunks.ts'
import { readSpan } from '../../server/message-store/pages.ts'
import type { ChannelRow, MessageRow } from '../../server/message-store/rows.ts'
import { snowflakeTime } from '../../server/message-store/snowflake.ts'
import { findBadges } from './badges.ts'
import type { Bursts } from './bursts.ts'
import { claim, claimMs, deliveryKey, findPending, type Skip, type Wanted } from './deliveries.ts'
import { type Delivering, groupSize, NotYet, type Outgoing } from './delivering.ts'
import { findDeleted, findReads, findShown, refresh } from './late.ts'
import type { Notices } from './notices.ts'
import { type Audience, findRecipients, type Recipient } from './recipients.ts'

export type PushMessagesOptions = {
  database: Database
  jobs: JobAdder
  delivering: Delivering
  notices: Notices
  bursts: Bursts
  /** When each of these is to have a mail, should they stay away, where there is mail; who wants none is left out. */
  mailTimes: ((userIds: readonly string[]) => Promise<Map<string, Date>>) | null
}

type Context = Pick<JobContext, 'retries'> & { signal?: AbortSignal }

type Say = Awaited<ReturnType<Notices['ofMessages']>>

/** What is older is no news any more. Milliseconds. */
const maxAgeMs = 24 * 3_600_000

/** Members that one job looks after, and messages that they are told of together: what is held in memory at a time. */
const membersAtOnce = 1_000
const messagesAtOnce = 16

/** Users of one job of those who are left, and how long it waits. Milliseconds. */
const restAtOnce = 100
const restAfterMs = 1_000

/** What was prepared for so long is not sent any more, as the claim ends before the provider must have answered. Milliseconds. */
const preparedMs = claimMs / 2

/** Members of a channel in which it is not written down for each why it was not told: that follows from its settings. */
const logsSkipsUpTo = 500
const followsFromSettings = new Set<Skip>(['LEVEL', 'MUTED', 'READ'])

const everybody: Audience = { after: null, upTo: null }

/**
 * Tells the devices of a channel's members of messages. It may be run again, by anyone, at any time: the log says what is
 * done.
 */
export function createPushMessages(options: PushMessagesOptions) {
  const { database, jobs, delivering, notices, bursts } = options
  const addJobs = (added: readonly NewJob[]) => database.transaction((tx) => jobs.add(tx, added))

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

  function divide(data: JobData['push'], bounds: readonly string[]): Promise<void> {
    const parts = [...bounds, null].map((upTo, nth) => ({ after: bounds[nth - 1] ?? null, upTo }))
    return addJobs(parts.map((part) => ({ kind: 'push-part', data: { ...data, ...part } })))
  }

  async function mailTo(userIds: readonly string[]): Promise<void> {
    const due = userIds.length === 0 ? [] : [...((await options.mailTimes?.(userIds)) ?? [])]
    if (due.length === 0) return
    await addJobs(due.map(([userId, startAfter]) => ({ kind: 'email-digest', data: { userId }, key: userId, startAfter })))
  }

  /** Tells some devices, so few that they are told before their claim runs out. Returns who is still to be told. */
  async function tellSome(channelId: string, some: readonly Recipient[], say: Say): Promise<string[]> {
    const since = performance.now()
    const recipients = await refresh(database, channelId, some)
    const wanted = recipients.map(toWanted)
    const seqs = new Map(wanted.map((each) => [deliveryKey(each), each.seq]))
    const byKey = new Map(recipients.map((recipient, nth) => [deliveryKey(wanted[nth]!), recipient]))
    const claimed = await claim(database, wanted)
    const now = await bursts.limit(claimed, (key) => seqs.get(deliveryKey(key))!)
    const badges = await findBadges(database, now.map((each) => each.userId))
    const outgoing = now.map((key): Outgoing => {
      const recipient = byKey.get(deliveryKey(key))!
      const notice = say(recipient, badges.get(key.userId) ?? 0)
      return { key, attempts: key.attempts, device: recipient.device, notice, since: snowflakeTime(recipient.message.id) }
    })
    const left = performance.now() - since < preparedMs ? await delivering.deliver(outgoing) : now
    const mine = new Set(claimed.map(deliveryKey))
    // Also those who are not to be told any more: until somebody's claim has run out it cannot be noted.
    const others = await findPending(database, wanted.filter((each) => !mine.has(deliveryKey(each))))
    return [...left, ...others].map((key) => key.userId)
  }

  /** Returns who is still to be told. */
  async function tell(channel: ChannelRow, messages: readonly MessageRow[], to: Audience, context: Context) {
    const { recipients, concerned } = await findRecipients(database, channel, messages, to)
    await mailTo(concerned)
    const say = await notices.ofMessages(channel, messages)
    const isLogged = ({ skip }: Recipient) =>
      'userIds' in to || channel.memberCount <= logsSkipsUpTo || skip === null || !followsFromSettings.has(skip)
    const left = await Promise.all(
      groupsOf(recipients.filter(isLogged)).map((some) =>
        delivering.inTurn(some[0]!.device.platform, () => {
          context.signal?.throwIfAborted()
          return tellSome(channel.id, some, say)
        }),
      ),
    )
    await takeBackLate(channel, messages, recipients)
    return new Set(left.flat())
  }

  /**
   * Has taken off what has been read, or deleted, while it was on its way; and what those who have just written here
   * have thereby read.
   */
  async function takeBackLate(channel: ChannelRow, messages: readonly MessageRow[], recipients: readonly Recipient[]) {
    const told = recipients.filter(({ skip }) => skip === null || skip === 'READ').map(({ device }) => device.userId)
    const userIds = [...new Set([...told, ...messages.map((message) => message.authorId)])]
    const [reads, deleted] = await Promise.all([
      findReads(database, channel.id, userIds),
      findDeleted(database, messages),
    ])
    const shown = await findShown(database, channel.id, reads)
    const found: NewJob[] = shown.map(({ userId, seq }) => ({
      kind: 'push-read',
      data: { userId, channelId: channel.id, seq },
      // Each span that somebody writes in finds the same again: one that waits looks how far they have read by then.
      key: `${userId} ${channel.id}`,
    }))
    if (deleted.size > 0) found.push({ kind: 'push-withdraw', data: { channelId: channel.id, messageIds: [...deleted] } })
    if (found.length > 0) await addJobs(found)
  }

  /** Those who could not be told yet have a job of their own: nobody else waits for it, or is looked at again. */
  async function putOff({ channelId, firstSeq, lastSeq }: JobData['push'], left: readonly string[]): Promise<void> {
    if (left.length === 0) return
    const startAfter = new Date(Date.now() + restAfterMs)
    await addJobs(
      chunksOf(left, restAtOnce).map((userIds) => ({
        kind: 'push-rest',
        data: { channelId, firstSeq, lastSeq, userIds },
        startAfter,
      })),
    )
  }

  /** Tells of each message of a span; returns who is still to be told. */
  async function run(data: JobData['push'], channel: ChannelRow, to: Audience, context: Context): Promise<string[]> {
    const left = new Set<string>()
    for (let from = data.firstSeq; from <= data.lastSeq; ) {
      const upTo = Math.min(data.lastSeq, from + messagesAtOnce - 1)
      const read = await readSpan(database, channel.id, { from, to: upTo }, 'start')
      const told = read.filter(isNews)
      if (told.length > 0) for (const userId of await tell(channel, told, to, context)) left.add(userId)
      // A page may be cut short; where nothing is left of it, retention has been there.
      from = read.length === 0 ? upTo + 1 : read.at(-1)!.seq + 1
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

    /** Tells those who could not be told before; throws NotYet as long as none of them can be. */
    async rest({ userIds, ...data }: JobData['push-rest'], context: Context): Promise<void> {
      const channel = await findChannel(data.channelId)
      if (channel === undefined) return
      const left = await run(data, channel, { userIds }, context)
      if (left.length === userIds.length) throw new NotYet(left.length)
      await putOff(data, left)
    },
  }
}

/** Recipients in groups that are told together: of one platform each, and never a device in two of them. */
function groupsOf(recipients: readonly Recipient[]): Recipient[][] {
  return [...Map.groupBy(recipients, ({ device }) => device.platform).values()].flatMap((ofPlatform) => {
    const groups: Recipient[][] = []
    for (const ofDevice of Map.groupBy(ofPlatform, ({ device }) => device.id).values()) {
      const last = groups.at(-1)
      if (last !== undefined && last.length + ofDevice.length <= groupSize) last.push(...ofDevice)
      else groups.push([...ofDevice])
    }
    return groups
  })
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
