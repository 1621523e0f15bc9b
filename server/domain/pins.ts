import { and, count, eq, isNotNull } from 'drizzle-orm'
import { messageChanges } from '../../drizzle/tables/index.ts'
import { conflict } from '../errors.ts'
import { answerTogether } from '../lib/sql.ts'
import type { MessageKey } from '../message-store/pages.ts'
import { compareSnowflakes } from '../message-store/snowflake.ts'
import type { MessageRow } from '../message-store/rows.ts'
import { accessChannel, authoriseLocked } from './access.ts'
import type { MessagesService } from './messages.ts'
import type { Deps } from './deps.ts'

/** A page of a channel's pins. */
export type PinsRequest = { channelId: string; first: number; beforeId: string | null }

export type PinsService = ReturnType<typeof createPinsService>

/** Pins of one channel; a list that nobody reads to its end pins nothing. */
const maxPins = 250

/** No id is greater. */
const maxId = '9223372036854775807'

/** Messages that a channel keeps at hand. */
export function createPinsService({ database, store }: Deps, service: MessagesService) {
  const { orm } = database

  const pinned = (channelId: string) => and(eq(messageChanges.channelId, channelId), isNotNull(messageChanges.pinnedAt))

  async function setPinned(viewerId: string, key: MessageKey, wanted: boolean): Promise<MessageRow> {
    await accessChannel(orm, viewerId, key.channelId, 'pin', 'messageId')
    return service.changeMessage(key, 'messageId', async (channel, message) => {
      const tx = channel.tx.orm
      await authoriseLocked(tx, channel.row, viewerId, 'pin')
      if ((message.pinnedAt !== null) === wanted) return message
      if (wanted) {
        if (message.deletedAt !== null) throw conflict('The message has been deleted.', 'messageId')
        const [pins] = await tx.select({ count: count() }).from(messageChanges).where(pinned(key.channelId))
        if (pins!.count >= maxPins) throw conflict(`A channel has at most ${maxPins} pins.`, 'messageId')
      }
      return channel.touchMessage(message.id, 'PINS_CHANGED', { pinnedAt: wanted ? new Date() : null })
    })
  }

  return {
    pin: (viewerId: string, key: MessageKey) => setPinned(viewerId, key, true),
    unpin: (viewerId: string, key: MessageKey) => setPinned(viewerId, key, false),

    /** Pages of pinned messages, one for each request: the newest message first, before the one of `beforeId`. */
    list: (requests: readonly PinsRequest[]): Promise<MessageRow[][]> =>
      answerTogether(requests, ({ first, beforeId }) => `${first} ${beforeId}`, async (alike) => {
        const { first, beforeId } = alike[0]!
        const pins = await database.run<{ channel_id: string; message_id: string }>(
          `/* pins */ select p.channel_id, p.message_id from channels c
           cross join lateral (
             select * from message_changes
             where channel_id = c.id and channel_id = any ($1::bigint[]) and pinned_at is not null and message_id < $2
             order by message_id desc limit $3
           ) p
           where c.id = any ($1::bigint[])`,
          [alike.map((request) => request.channelId), beforeId ?? maxId, first],
        )
        const keys = pins.map((pin) => ({ channelId: pin.channel_id, messageId: pin.message_id }))
        const pinned = Map.groupBy(await store.messages(keys), (message) => message.channelId)
        return alike.map(({ channelId }) =>
          (pinned.get(channelId) ?? []).toSorted((one, other) => compareSnowflakes(other.id, one.id)),
        )
      }),
  }
}
