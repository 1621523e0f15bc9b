import { eq } from 'drizzle-orm'
import type { Database } from '../../drizzle/connection.ts'
import { channels } from '../../drizzle/tables/index.ts'
import type { JobAdder, JobContext, JobData } from '../../server/jobs/jobs.ts'
import { readSpan } from '../../server/message-store/pages.ts'
import type { ChannelRow, MessageRow } from '../../server/message-store/rows.ts'
import { snowflakeTime } from '../../server/message-store/snowflake.ts'
import { findBadges } from './badges.ts'
import { type Claimed, claim, countRecent, deliveryKey, hold, stillPending, type Wanted } from './deliveries.ts'
import { type Delivering, type Left, type Outgoing, throwIfLeft } from './delivering.ts'
import type { Notices } from './notices.ts'
import { findRecipients, type Part, type Recipient } from './recipients.ts'

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
const membersAtOnce = 2_000

/**
 * Tells the devices of a channel's members of messages. It may be run again, by anyone, at any time: the log says what is
 * done. Throws NotYet as long as something is to be sent.
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
    await database.transaction(async (tx) => {
      await hold(tx, excess)
      await jobs.add(
        tx,
        [...devices.values()].map((data) => ({ kind: 'push-summary', data, key: data.deviceId, startAfter })),
      )
    })
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

  /** Returns how many pushes are still to be sent, and why the first of them was not. */
  async function tell(channel: ChannelRow, messages: readonly MessageRow[], part: Part, retries: number): Promise<Left> {
    const { recipients, concerned } = await findRecipients(database, channel, messages, part)
    if (retries === 0) await mailTo(concerned)
    const wanted = recipients.map(toWanted)
    const byKey = new Map(recipients.map((recipient, nth) => [deliveryKey(wanted[nth]!), recipient]))
    const claimed = await claim(database, wanted)
    const recent = claimed.length === 0 ? new Map<string, number>() : await countRecent(database, claimed, minuteMs)
    const excess = excessOf(claimed, new Map(wanted.map((each) => [deliveryKey(each), each.seq])), recent)
    if (excess.length > 0) await holdBack(excess)
    const held = new Set(excess.map(deliveryKey))
    const now = claimed.filter((each) => !held.has(deliveryKey(each)))
    const badges = await findBadges(database, now.map((each) => each.userId))
    const say = await notices.ofMessages(channel, messages)
    const outgoing = now.map((key): Outgoing => {
      const recipient = byKey.get(deliveryKey(key))!
      const notice = say(recipient, badges.get(key.userId) ?? 0)
      return { key, device: recipient.device, notice, since: snowflakeTime(recipient.message.id) }
    })
    const { left, reason } = await delivering.deliver(outgoing)
    const mine = new Set(claimed.map(deliveryKey))
    const others = await stillPending(database, wanted.filter((each) => each.skip === null && !mine.has(deliveryKey(each))))
    return { left: left + others, reason }
  }

  async function run(data: JobData['push'], part: Part, { retries }: Pick<JobContext, 'retries'>): Promise<void> {
    const [channel] = await database.orm.select().from(channels).where(eq(channels.id, data.channelId))
    if (channel === undefined) return
    const bounds = part.after === null && part.upTo === null ? await boundsOf(channel) : []
    if (bounds.length > 0) return divide(data, bounds)
    const lefts: Left[] = []
    for (let from = data.firstSeq; from <= data.lastSeq; ) {
      const read = await readSpan(database, channel.id, { from, to: data.lastSeq }, 'start')
      const told = read.filter(isNews)
      if (told.length > 0) lefts.push(await tell(channel, told, part, retries))
      // A page may be cut short; where nothing is left of it, retention has been there.
      from = read.length === 0 ? data.lastSeq + 1 : read.at(-1)!.seq + 1
    }
    throwIfLeft(lefts)
  }

  return {
    all: (data: JobData['push'], context: Pick<JobContext, 'retries'>) =>
      run(data, { after: null, upTo: null }, context),
    part: ({ after, upTo, ...data }: JobData['push-part'], context: Pick<JobContext, 'retries'>) =>
      run(data, { after, upTo }, context),
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
