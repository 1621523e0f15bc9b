import { and, count, desc, eq, isNotNull, lt } from 'drizzle-orm'
import { messages } from '../../drizzle/tables/index.ts'
import { conflict } from '../errors.ts'
import type { MessageRow } from '../message-store/rows.ts'
import { accessChannel, authoriseLocked } from './access.ts'
import type { MessageKey, MessagesService } from './messages.ts'
import type { Deps } from './deps.ts'

export type PinsService = ReturnType<typeof createPinsService>

/** Pins of one channel; a list that nobody reads to its end pins nothing. */
const maxPins = 250

/** Messages that a channel keeps at hand. */
export function createPinsService({ database }: Deps, service: MessagesService) {
  const { orm } = database

  const pinned = (channelId: string) => and(eq(messages.channelId, channelId), isNotNull(messages.pinnedAt))

  async function setPinned(viewerId: string, key: MessageKey, wanted: boolean): Promise<MessageRow> {
    await accessChannel(orm, viewerId, key.channelId, 'pin')
    return service.changeMessage(viewerId, key, async (channel, message) => {
      const tx = channel.tx.orm
      await authoriseLocked(tx, channel.row, viewerId, 'pin')
      if ((message.pinnedAt !== null) === wanted) return message
      if (wanted) {
        if (message.deletedAt !== null) throw conflict('The message has been deleted.', 'messageId')
        const [pins] = await tx.select({ count: count() }).from(messages).where(pinned(key.channelId))
        if (pins!.count >= maxPins) throw conflict(`A channel has at most ${maxPins} pins.`, 'messageId')
      }
      return channel.touchMessage(message.id, 'PINS_CHANGED', { pinnedAt: wanted ? new Date() : null })
    })
  }

  return {
    pin: (viewerId: string, key: MessageKey) => setPinned(viewerId, key, true),
    unpin: (viewerId: string, key: MessageKey) => setPinned(viewerId, key, false),

    /** Pinned messages, the newest message first, before the one of seq `beforeSeq`. */
    list: (channelId: string, first: number, beforeSeq: number | null): Promise<MessageRow[]> =>
      orm
        .select()
        .from(messages)
        .where(and(pinned(channelId), beforeSeq === null ? undefined : lt(messages.seq, beforeSeq)))
        .orderBy(desc(messages.seq))
        .limit(first),
  }
}
