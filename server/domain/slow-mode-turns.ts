import { and, eq, sql } from 'drizzle-orm'
import { sendKeys } from '../../drizzle/tables/index.ts'
import { expectedFailure, MaruError } from '../errors.ts'
import { storeTime } from '../lib/store-time.ts'
import type { MessageRow } from '../message-store/rows.ts'
import { keyHash } from '../message-store/send.ts'
import { snowflakeTime } from '../message-store/snowflake.ts'
import type { Deps } from './deps.ts'

/** The turn of one send, in a channel that may be in slow mode. */
export type Turn = {
  /**
   * Takes the turn for a message, where `seconds` must pass between two; 0 for who may write at any time. They may be of
   * yesterday: before anybody is refused, `secondsNow` tells them anew. Throws RATE_LIMITED where somebody has written
   * too lately, unless this very message was stored before.
   */
  take(message: { key: string; bodyHash: string }, seconds: number, secondsNow: () => Promise<number>): Promise<void>
}

/** A message that was stored now, or before under the same key. */
export type Sent = { outcome: 'sent' | 'repeated'; message: MessageRow }

export type SlowModeTurns = {
  /** Sends a message within a turn, which is given back where the message is refused, or was sent long ago. */
  during(viewerId: string, channelId: string, send: (turn: Turn) => Promise<Sent>): Promise<MessageRow>
}

/** What one person's pause in one channel is called. */
export const pauseName = (viewerId: string, channelId: string): string => `slow:${channelId}:${viewerId}`

/**
 * Whoever took a turn has sent by then, or never will: longer than the store's deadlines, all of a send's together.
 * Milliseconds.
 */
const settledMs = 30_000

/**
 * Who takes turns in slow mode. A turn belongs to a message, by its idempotency key and all that it says: so the same
 * message sent again has it, also while the first one is on its way, and another one under the same key has not. One
 * whose message never came into the store, as its sender died or the store was away, is over after `settledAfterMs`.
 */
export function createSlowModeTurns(
  { database, pauses }: Pick<Deps, 'database' | 'pauses'>,
  settledAfterMs = settledMs,
): SlowModeTurns {
  /** Of these keys, as hashes, those that are used up in a channel, and by which messages. */
  async function used(channelId: string, hashes: string[]): Promise<Map<string, string>> {
    const rows = await database.orm
      .select({ hash: sendKeys.keyHash, messageId: sendKeys.messageId })
      .from(sendKeys)
      .where(and(eq(sendKeys.channelId, channelId), sql`${sendKeys.keyHash} = any (${sql.param(hashes)}::text[]::uuid[])`))
    return new Map(rows.map(({ hash, messageId }) => [hash.replaceAll('-', ''), messageId]))
  }

  /** Whether a message was sent before, so long ago that its turn was over. Ids go by the store's clock, more or less. */
  const isOld = async ({ outcome, message }: Sent, ms: number): Promise<boolean> =>
    outcome === 'repeated' && +snowflakeTime(message.id) + ms < +(await storeTime(database))

  return {
    async during(viewerId, channelId, send) {
      const name = pauseName(viewerId, channelId)
      let taken: { holder: string; ms: number } | null = null
      const giveBack = () => {
        if (taken !== null) pauses.end(name, taken.holder)
      }
      const turn: Turn = {
        async take({ key, bodyHash }, remembered, secondsNow) {
          const own = keyHash({ authorId: viewerId, key })
          const holder = `${own}:${bodyHash}`
          /** Null where the turn was taken, else whose it is. */
          async function begin(seconds: number, ms = seconds * 1_000): Promise<{ holder: string; leftMs: number } | null> {
            if (seconds === 0) return null
            const answer = await pauses.begin(name, holder, ms)
            if (answer === 'begun') taken = { holder, ms: seconds * 1_000 }
            return typeof answer === 'string' ? null : answer
          }
          if ((await begin(remembered)) === null) return
          const seconds = await secondsNow()
          let other = await begin(seconds)
          if (other === null) return
          const others = other.holder.split(':')[0]!
          const known = await used(channelId, [own, others])
          if (known.has(own)) return
          // One that was cancelled is of no message.
          if ((known.get(others) ?? '0') === '0') other = await begin(seconds, Math.min(seconds * 1_000, settledAfterMs))
          if (other === null) return
          throw new MaruError('RATE_LIMITED', `This channel is in slow mode: one message every ${seconds} seconds.`, {
            retryAfterMs: other.leftMs,
          })
        },
      }
      try {
        const sent = await send(turn)
        if (taken !== null && (await isOld(sent, (taken as { ms: number }).ms).catch(() => false))) giveBack()
        return sent.message
      } catch (error) {
        // Nobody knows whether it was stored: the same message may be sent again within this turn.
        if (expectedFailure(error)?.code !== 'UNAVAILABLE') giveBack()
        throw error
      }
    },
  }
}
