import { badInput } from '../errors.ts'
import type { JobAdder, NewJob } from '../jobs/jobs.ts'
import { storeTime } from '../lib/store-time.ts'
import { readMessages } from '../message-store/pages.ts'
import type { ChannelRow, MessageRow } from '../message-store/rows.ts'
import { compareSnowflakes, snowflakeAt, snowflakeTime } from '../message-store/snowflake.ts'
import { accessChannel, authoriseLocked } from './access.ts'
import type { Deps } from './deps.ts'
import { makeTombstone } from './messages.ts'
import { joinTakeBacks } from './pushes.ts'

export type MessageExpiryService = ReturnType<typeof createMessageExpiryService>

/** A channel in which messages disappear, as far as that says when the next one does. */
export type Expiring = Pick<ChannelRow, 'id' | 'firstSeq' | 'lastSeq' | 'lastChange' | 'disappearedSeq'> & {
  expireAfterSeconds: number
}

/** What came of working on a channel. */
export type Disappeared = {
  /** How many messages disappeared. */
  count: number
  /** The channel as it is now; null where nothing is left in it that will disappear, or it has to be looked at anew. */
  left: Expiring | null
  /** When the next one does, in milliseconds since 1970; null where more may be due already. */
  nextAt: number | null
}

/** A minute, as less is gone before it is read, and a year. */
const minSeconds = 60
const maxSeconds = 365 * 86_400

/**
 * Messages that disappear at once, while their channel is locked: a tenth of a second in which nobody else writes to it,
 * as each took 1.8 ms.
 */
const goneAtOnce = 50

/**
 * Messages that disappear: after so long they are emptied, as if they had been deleted, for everybody.
 *
 * What was sent before a channel was asked for it stays, and what is sent afterwards goes. A new length counts for all
 * that has not gone yet; where it is turned off, that stays. What the system says (who came, what the channel is called
 * now) stays too, as nobody wrote it.
 */
export function createMessageExpiryService({ database, store, announce, jobs }: Deps) {
  const { orm } = database

  return {
    /**
     * Sets after how many seconds, a minute to a year, messages disappear; null for never. Both of a DIRECT channel may,
     * and owners and admins elsewhere.
     */
    async set(viewerId: string, channelId: string, seconds: number | null): Promise<void> {
      await accessChannel(orm, viewerId, channelId, 'setExpiry')
      if (seconds !== null && (seconds < minSeconds || seconds > maxSeconds)) {
        throw badInput('Messages disappear after a minute at the soonest, and a year at the latest.', 'seconds')
      }
      const done = await store.change(channelId, async (channel) => {
        const { row } = channel
        await authoriseLocked(channel.tx.orm, row, viewerId, 'setExpiry')
        if (row.expireAfterSeconds === seconds) return
        const isNew = row.expireAfterSeconds === null
        channel.setInfo({ expireAfterSeconds: seconds, ...(isNew ? { disappearedSeq: row.lastSeq } : {}) })
      })
      announce.channel(done!.changes)
    },

    /** Channels with messages that will disappear, in the order of their ids: `limit` of them after `after`. */
    async list(after: string, limit: number): Promise<Expiring[]> {
      const rows = await database.run<{
        id: string
        first_seq: number
        last_seq: number
        last_change: number
        disappeared_seq: number
        expire_after_seconds: number
      }>(
        `/* expiring */ select id, first_seq, last_seq, last_change, disappeared_seq, expire_after_seconds from channels
         where expire_after_seconds is not null and id > $1 and last_seq > disappeared_seq and last_seq >= first_seq
         order by id limit $2`,
        [after, limit],
      )
      return rows.map((row) => ({
        id: row.id,
        firstSeq: row.first_seq,
        lastSeq: row.last_seq,
        lastChange: row.last_change,
        disappearedSeq: row.disappeared_seq,
        expireAfterSeconds: row.expire_after_seconds,
      }))
    },

    /** When the next message of each of these channels disappears, in milliseconds since 1970; null where none does. */
    async nextOf(channels: readonly Expiring[]): Promise<(number | null)[]> {
      const pages = await store.pages(channels.map((channel) => pageOf(channel, 1)))
      return pages.map(([message], nth) => (message === undefined ? null : dueAt(message, channels[nth]!)))
    },

    /**
     * Empties the messages of a channel that are due by the store's clock, the oldest first and some at once: whoever
     * wants the rest calls it again. Where two do so at the same time, or one was cut off, nothing is done twice.
     */
    async disappear(expiring: Expiring): Promise<Disappeared> {
      const [page] = await store.pages([pageOf(expiring, goneAtOnce)])
      if (page!.length === 0) return lookAnew
      const done = await store.change(expiring.id, async (channel): Promise<Disappeared> => {
        const { expireAfterSeconds, disappearedSeq, lastSeq } = channel.row
        // Somebody else was here, or it was set anew.
        if (expireAfterSeconds === null || disappearedSeq !== expiring.disappearedSeq) return lookAnew
        const limit = snowflakeAt(+(await storeTime(channel.tx)) - expireAfterSeconds * 1_000)
        const due = page!.filter((message) => compareSnowflakes(message.id, limit) < 0)
        const next = page![due.length]
        const nextAt = next === undefined ? null : dueAt(next, { expireAfterSeconds })
        if (due.length === 0) return { count: 0, left: { ...expiring, expireAfterSeconds }, nextAt }
        const keys = due.map((message) => ({ channelId: message.channelId, messageId: message.id }))
        // As they are under the lock.
        const messages = (await readMessages(channel.tx, keys)).filter(mayDisappear).toSorted((a, b) => a.seq - b.seq)
        // What is to be done about each of them is noted in one go.
        const toDo: NewJob[] = []
        const noting: JobAdder = { add: async (_, more) => void toDo.push(...more) }
        for (const message of messages) await makeTombstone(channel, message, noting)
        await jobs.add(channel.tx, joinTakeBacks(toDo))
        const reached = due.at(-1)!.seq
        channel.setDisappeared(reached)
        const left = lastSeq > reached ? { ...expiring, expireAfterSeconds, lastSeq, disappearedSeq: reached } : null
        return { count: messages.length, left, nextAt }
      })
      if (done === null) return lookAnew
      announce.channel(done.changes)
      return done.result
    },
  }
}

const lookAnew: Disappeared = { count: 0, left: null, nextAt: null }

/** The next messages of a channel that have not disappeared. */
function pageOf({ id, firstSeq, lastSeq, lastChange, disappearedSeq }: Expiring, size: number) {
  const from = Math.max(disappearedSeq + 1, firstSeq)
  return {
    channelId: id,
    span: { from, to: Math.min(lastSeq, from + size - 1) },
    anchor: 'start' as const,
    change: lastChange,
  }
}

const dueAt = (message: MessageRow, { expireAfterSeconds }: Pick<Expiring, 'expireAfterSeconds'>): number =>
  +snowflakeTime(message.id) + expireAfterSeconds * 1_000

/** What somebody has written, and has not been deleted. */
const mayDisappear = ({ kind, deletedAt }: MessageRow) => (kind === 'USER' || kind === 'ACTION') && deletedAt === null
