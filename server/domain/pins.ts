import { and, count, eq, isNotNull } from 'drizzle-orm'
import { messages } from '../../drizzle/tables/index.ts'
import { conflict } from '../errors.ts'
import { pagesOf } from '../lib/sql.ts'
import { type MessageRow, type RawMessage, toMessageRow } from '../message-store/rows.ts'
import { accessChannel, authoriseLocked } from './access.ts'
import type { MessageKey, MessagesService } from './messages.ts'
import type { Deps } from './deps.ts'

/** A page of a channel's pins. */
export type PinsRequest = { channelId: string; first: number; beforeSeq: number | null }

export type PinsService = ReturnType<typeof createPinsService>

/** Pins of one channel; a list that nobody reads to its end pins nothing. */
const maxPins = 250

/** No seq is greater. */
const maxSeq = 0x7fff_ffff

/** Messages that a channel keeps at hand. */
export function createPinsService({ database }: Deps, service: MessagesService) {
  const { orm } = database

  const pinned = (channelId: string) => and(eq(messages.channelId, channelId), isNotNull(messages.pinnedAt))

  async function setPinned(viewerId: string, key: MessageKey, wanted: boolean): Promise<MessageRow> {
    await accessChannel(orm, viewerId, key.channelId, 'pin', 'messageId')
    return service.changeMessage(key, 'messageId', async (channel, message) => {
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

    /** Pages of pinned messages, one for each request: the newest message first, before the one of seq `beforeSeq`. */
    async list(requests: readonly PinsRequest[]): Promise<MessageRow[][]> {
      const rows = await database.run<RawMessage & { nth: number }>(
        `/* pins */ select wanted.nth::int, m.*
         from unnest($1::bigint[], $2::int[], $3::int[]) with ordinality as wanted (channel_id, size, before_seq, nth)
         cross join lateral (
           select * from messages
           where channel_id = wanted.channel_id and pinned_at is not null and seq < wanted.before_seq
           order by seq desc limit wanted.size
         ) m
         order by wanted.nth, m.seq desc`,
        [
          requests.map((request) => request.channelId),
          requests.map((request) => request.first),
          requests.map((request) => request.beforeSeq ?? maxSeq),
        ],
      )
      return pagesOf(requests, rows, toMessageRow)
    },
  }
}
