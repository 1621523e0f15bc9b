import { and, eq } from 'drizzle-orm'
import { sendKeys } from '../../drizzle/tables/index.ts'
import { expectedFailure, MaruError } from '../errors.ts'
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

export type SlowModeTurns = {
  /** Sends a message within a turn, which is given back where the message is refused, or was sent long ago. */
  during(viewerId: string, channelId: string, send: (turn: Turn) => Promise<MessageRow>): Promise<MessageRow>
}

/** What one person's pause in one channel is called. */
export const pauseName = (viewerId: string, channelId: string): string => `slow:${channelId}:${viewerId}`

/**
 * Who takes turns in slow mode. A turn belongs to a message, by its idempotency key and all that it says: so the same
 * message sent again has it, also while the first one is on its way, and another one under the same key has not.
 */
export function createSlowModeTurns({ database, pauses }: Pick<Deps, 'database' | 'pauses'>): SlowModeTurns {
  async function isStored(authorId: string, channelId: string, key: string): Promise<boolean> {
    const [known] = await database.orm
      .select({ messageId: sendKeys.messageId })
      .from(sendKeys)
      .where(and(eq(sendKeys.channelId, channelId), eq(sendKeys.keyHash, keyHash({ authorId, key }))))
    return known !== undefined
  }

  return {
    async during(viewerId, channelId, send) {
      const name = pauseName(viewerId, channelId)
      let taken: { holder: string; ms: number } | null = null
      const giveBack = () => {
        if (taken !== null) pauses.end(name, taken.holder)
      }
      const turn: Turn = {
        async take({ key, bodyHash }, remembered, secondsNow) {
          const holder = `${key} ${bodyHash}`
          /** Milliseconds to wait; 0 where the turn was taken. */
          async function begin(seconds: number): Promise<number> {
            if (seconds === 0) return 0
            const answer = await pauses.begin(name, holder, seconds * 1_000)
            if (answer === 'begun') taken = { holder, ms: seconds * 1_000 }
            return typeof answer === 'number' ? answer : 0
          }
          if ((await begin(remembered)) === 0) return
          const seconds = await secondsNow()
          const answer = await begin(seconds)
          if (answer === 0 || (await isStored(viewerId, channelId, key))) return
          throw new MaruError('RATE_LIMITED', `This channel is in slow mode: one message every ${seconds} seconds.`, {
            retryAfterMs: answer,
          })
        },
      }
      try {
        const message = await send(turn)
        // Sent before, so long ago that its own turn is over. One that is newer may have been sent in this very turn.
        if (taken !== null && +snowflakeTime(message.id) + (taken as { ms: number }).ms < Date.now()) giveBack()
        return message
      } catch (error) {
        // Nobody knows whether it was stored: the same message may be sent again within this turn.
        if (expectedFailure(error)?.code !== 'UNAVAILABLE') giveBack()
        throw error
      }
    },
  }
}
