import { and, eq, isNull, sql } from 'drizzle-orm'
import type { Transaction } from '../../drizzle/connection.ts'
import { members } from '../../drizzle/tables/index.ts'
import { badInput } from '../errors.ts'
import { accessChannel } from './access.ts'
import { touchAccounts } from './accounts.ts'
import type { Deps } from './deps.ts'
import { takeBackRead } from './pushes.ts'

export type ReadStateService = ReturnType<typeof createReadStateService>

/** How far each member has read: one number, which the viewer's devices share. */
export function createReadStateService({ database, announce, jobs }: Deps) {
  const { orm } = database

  /** Moves the viewer's position where `set` says, and tells their other devices and the channel if it moved. */
  async function move(
    viewerId: string,
    channelId: string,
    set: (tx: Transaction, lastSeq: number) => Promise<number | null>,
  ) {
    const { channel } = await accessChannel(orm, viewerId, channelId, 'read')
    const { moved, noted } = await database.transaction(async (tx) => {
      const position = await set(tx, channel.lastSeq)
      return {
        moved: position,
        noted: position === null ? [] : await touchAccounts(tx.orm, [viewerId], 'READ', channelId),
      }
    })
    noted.forEach(announce.account)
    // Who has blocked somebody, or was blocked, is not to be told of the other's reading.
    if (moved === null || channel.shut) return
    announce.signal(channelId, { type: 'read', change: channel.lastChange, userId: viewerId, lastReadSeq: moved })
  }

  /** Writes a position under a condition; null where nothing moved. */
  async function write({ orm: tx }: Transaction, viewerId: string, channelId: string, seq: number, condition: ReturnType<typeof sql>) {
    const [row] = await tx
      .update(members)
      .set({ lastReadSeq: seq })
      .where(and(eq(members.channelId, channelId), eq(members.userId, viewerId), isNull(members.leftAt), condition))
      .returning({ lastReadSeq: members.lastReadSeq })
    return row?.lastReadSeq ?? null
  }

  return {
    /** Everything up to `seq` has been read. Never moves backwards; a seq beyond the newest means all. */
    async markRead(viewerId: string, channelId: string, seq: number): Promise<void> {
      if (seq < 0) throw badInput('A seq is not negative.', 'seq')
      await move(viewerId, channelId, async (tx, lastSeq) => {
        const target = Math.min(seq, lastSeq)
        const moved = await write(tx, viewerId, channelId, target, sql`${members.lastReadSeq} < ${target}`)
        if (moved !== null) await takeBackRead(tx, jobs, { userId: viewerId, channelId, seq: moved })
        return moved
      })
    },

    /** Everything from `fromSeq` on counts as unread again; what is unread already stays so. */
    async markUnread(viewerId: string, channelId: string, fromSeq: number): Promise<void> {
      if (fromSeq < 1) throw badInput('A seq is at least 1.', 'fromSeq')
      await move(viewerId, channelId, (tx) =>
        write(tx, viewerId, channelId, fromSeq - 1, sql`${members.lastReadSeq} > ${fromSeq - 1}`),
      )
    },

    /** Unread mentions of the user in each of these channels; channels without any are left out. */
    async unreadMentions(userId: string, channelIds: readonly string[]): Promise<Map<string, number>> {
      const rows = await database.run<{ channel_id: string; count: number }>(
        // Counted within, as a join would be turned round: then all mentions that there ever were are read.
        `/* unread mentions */ select p.channel_id, n.count
         from members p
         cross join lateral (
           select count(*)::int as count from mentions m
           where m.channel_id = p.channel_id and m.channel_id = any ($2::bigint[]) and m.user_id = p.user_id
             and m.seq > p.last_read_seq
         ) n
         where p.user_id = $1 and p.channel_id = any ($2::bigint[]) and p.left_at is null and n.count > 0`,
        [userId, `{${channelIds.join(',')}}`],
      )
      return new Map(rows.map((row) => [row.channel_id, row.count]))
    },
  }
}
