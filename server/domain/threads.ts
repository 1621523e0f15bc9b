import { sql } from 'drizzle-orm'
import { threads } from '../../drizzle/tables/index.ts'
import { badInput } from '../errors.ts'
import { answerTogether } from '../lib/sql.ts'
import { messageArrays, type MessageKey } from '../message-store/pages.ts'
import type { MessageRow } from '../message-store/rows.ts'
import { type MessagesService, wantedMessages } from './messages.ts'
import type { Deps } from './deps.ts'

/** The viewer's place among the replies to one message. */
export type ThreadState = MessageKey & { lastReadSeq: number; unreadCount: number }

/** A page of the replies to a message. */
export type RepliesRequest = MessageKey & { first: number; afterSeq: number }

export type ThreadsService = ReturnType<typeof createThreadsService>

/** Replies, and how far those who follow them have read. Who is answered follows, and who answers. */
export function createThreadsService({ database, store }: Deps, service: MessagesService) {
  const { orm } = database
  return {
    /** Pages of replies, one for each request: in order, after the one of seq `afterSeq`. */
    replies: (requests: readonly RepliesRequest[]): Promise<MessageRow[][]> =>
      answerTogether(requests, ({ first, afterSeq }) => `${first} ${afterSeq}`, async (alike) => {
        const { first, afterSeq } = alike[0]!
        const rows = await database.run<{ channel_id: string; message_id: string }>(
          `/* replies */ select r.channel_id, r.message_id
           from ${wantedMessages}
           join message_changes t on t.channel_id = wanted.channel_id and t.message_id = wanted.message_id
           cross join lateral (
             select * from replies
             where channel_id = t.channel_id and channel_id = any ($1::bigint[]) and root_id = t.message_id and seq > $3
             order by seq limit $4
           ) r
           where t.channel_id = any ($1::bigint[])`,
          [...messageArrays(alike), afterSeq, first],
        )
        const keys = rows.map((row) => ({ channelId: row.channel_id, messageId: row.message_id }))
        const replies = Map.groupBy(await store.messages(keys), ({ channelId, replyToId }) => `${channelId} ${replyToId}`)
        return alike.map(({ channelId, messageId }) =>
          (replies.get(`${channelId} ${messageId}`) ?? []).toSorted((one, other) => one.seq - other.seq),
        )
      }),

    /** The viewer's place among the replies to these messages; those not followed are left out. */
    async states(userId: string, keys: readonly MessageKey[]): Promise<ThreadState[]> {
      const rows = await database.run<{ channel_id: string; message_id: string; last_read_seq: number; unread: number }>(
        `/* thread states */
         select t.channel_id, t.message_id, t.last_read_seq,
                (select count(*)::int from replies r
                 where r.channel_id = t.channel_id and r.channel_id = any ($1::bigint[]) and r.root_id = t.message_id
                   and r.seq > t.last_read_seq and not r.deleted) as unread
         from ${wantedMessages}
         join threads t on t.channel_id = wanted.channel_id and t.message_id = wanted.message_id and t.user_id = $3
         where t.channel_id = any ($1::bigint[])`,
        [...messageArrays(keys), userId],
      )
      return rows.map((row) => ({
        channelId: row.channel_id,
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
