import { sql } from 'drizzle-orm'
import { threads } from '../../drizzle/tables/index.ts'
import { badInput } from '../errors.ts'
import { pagesOf } from '../lib/sql.ts'
import { type MessageRow, type RawMessage, toMessageRow } from '../message-store/rows.ts'
import { messageArrays, type MessageKey, type MessagesService, wantedMessages } from './messages.ts'
import type { Deps } from './deps.ts'

/** The viewer's place among the replies to one message. */
export type ThreadState = { messageId: string; lastReadSeq: number; unreadCount: number }

/** A page of the replies to a message. */
export type RepliesRequest = MessageKey & { first: number; afterSeq: number }

export type ThreadsService = ReturnType<typeof createThreadsService>

/** Replies, and how far those who follow them have read. Who is answered follows, and who answers. */
export function createThreadsService({ database }: Deps, service: MessagesService) {
  const { orm } = database
  return {
    /** Pages of replies, one for each request: in order, after the one of seq `afterSeq`. */
    async replies(requests: readonly RepliesRequest[]): Promise<MessageRow[][]> {
      const rows = await database.run<RawMessage & { nth: number }>(
        `/* replies */ select wanted.nth::int, m.*
         from unnest($1::bigint[], $2::bigint[], $3::int[], $4::int[])
           with ordinality as wanted (channel_id, message_id, size, after_seq, nth)
         cross join lateral (
           select * from messages
           where channel_id = wanted.channel_id and reply_to_id = wanted.message_id and seq > wanted.after_seq
           order by seq limit wanted.size
         ) m
         order by wanted.nth, m.seq`,
        [
          ...messageArrays(requests),
          requests.map((request) => request.first),
          requests.map((request) => request.afterSeq),
        ],
      )
      return pagesOf(requests, rows, toMessageRow)
    },

    /** The viewer's place among the replies to these messages; those not followed are left out. */
    async states(userId: string, keys: readonly MessageKey[]): Promise<ThreadState[]> {
      const rows = await database.run<{ message_id: string; last_read_seq: number; unread: number }>(
        `/* thread states */
         select t.message_id, t.last_read_seq,
                (select count(*)::int from messages m
                 where m.channel_id = t.channel_id and m.reply_to_id = t.message_id and m.seq > t.last_read_seq
                   and m.deleted_at is null) as unread
         from ${wantedMessages}
         join threads t on t.channel_id = wanted.channel_id and t.message_id = wanted.message_id and t.user_id = $3`,
        [...messageArrays(keys), userId],
      )
      return rows.map((row) => ({
        messageId: row.message_id,
        lastReadSeq: row.last_read_seq,
        unreadCount: row.unread,
      }))
    },

    /** Notes that the viewer has read the replies up to `seq`; never moves backwards. Reading begins to follow. */
    async markRead(viewerId: string, key: MessageKey, seq: number): Promise<MessageRow> {
      const { message, channel } = await service.access(viewerId, key)
      if (seq < 0) throw badInput('A seq is not negative.', 'seq')
      const lastReadSeq = Math.min(seq, channel.lastSeq)
      await orm
        .insert(threads)
        .values({ channelId: key.channelId, messageId: key.messageId, userId: viewerId, lastReadSeq })
        .onConflictDoUpdate({
          target: [threads.channelId, threads.messageId, threads.userId],
          set: { lastReadSeq: sql`greatest(${threads.lastReadSeq}, excluded.last_read_seq)` },
        })
      return message
    },
  }
}
