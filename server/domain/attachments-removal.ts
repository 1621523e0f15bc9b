import { and, eq } from 'drizzle-orm'
import { attachments } from '../../drizzle/tables/index.ts'
import type { Transaction } from '../../drizzle/connection.ts'
import type { JobAdder } from '../jobs/jobs.ts'
import { isOneOf } from '../lib/sql.ts'
import { createAttachmentClaims } from './attachments-claims.ts'
import { type AttachmentRow, thumbnailsOf, uploadKey } from './attachments-rows.ts'
import type { Deps } from './deps.ts'

/** Rows that one round of the sweep looks at. */
const sweptAtOnce = 200

/**
 * What a send has claimed is let alone for so long, also where there is no message: it may be under way, or about to be
 * sent again with its key. Clients give up sooner.
 */
const isUnclaimed = `(claimed_key is null or completed_at < now() - interval '1 hour')`

/** Attachments of one job. */
const removedAtOnce = 100

/** Whose attachments go. */
export type Abandoned = { userId: string; attachmentIds: readonly string[] }

/** All keys that an attachment may have something under. */
const keysOf = (row: AttachmentRow): string[] => [
  uploadKey(row),
  ...(row.key === null ? [] : [row.key]),
  ...thumbnailsOf(row).map(({ key }) => key),
]

/** Has attachments removed that nothing shows any more, once the transaction is committed. */
export async function abandonAttachments(
  tx: Pick<Transaction, 'run' | 'afterCommit'>,
  jobs: JobAdder,
  abandoned: readonly Abandoned[],
): Promise<void> {
  const byUser = Map.groupBy(abandoned, ({ userId }) => userId)
  const lists = Array.from(byUser, ([userId, some]) => ({ userId, ids: some.flatMap(({ attachmentIds }) => attachmentIds) }))
  const data = lists.flatMap(({ userId, ids }) =>
    Array.from({ length: Math.ceil(ids.length / removedAtOnce) }, (_, nth) => ({
      userId,
      attachmentIds: ids.slice(nth * removedAtOnce, (nth + 1) * removedAtOnce),
    })),
  )
  if (data.length > 0) await jobs.add(tx, data.map((data) => ({ kind: 'files-remove', data })))
}

/** How attachments go, with all their files. */
export function createAttachmentRemoval(deps: Deps) {
  const { database, files, jobs } = deps
  const { messageOf } = createAttachmentClaims(deps)

  /** Removes a row that nobody has claimed meanwhile, and has its files removed. */
  const sweepOne = (row: AttachmentRow) =>
    database.transaction(async (tx) => {
      const [gone] = await tx.run(
        `/* sweep attachment */ delete from attachments
         where user_id = $1 and id = $2 and claimed_at is null and status = $3 and ${isUnclaimed}
           and claimed_key is not distinct from $4::text::uuid returning id`,
        [row.userId, row.id, row.status, row.claimedKey],
      )
      if (gone !== undefined) await jobs.add(tx, [{ kind: 'files-remove', data: { keys: keysOf(row) } }])
      return gone !== undefined
    })

  return {
    /** Has attachments removed whose messages retention is about to remove. */
    abandon: (abandoned: readonly Abandoned[]): Promise<void> =>
      database.transaction((tx) => abandonAttachments(tx, jobs, abandoned)),

    /** Removes attachments and their files: the work of the job that `abandonAttachments` adds. May be called again. */
    async remove(userId: string, ids: readonly string[]): Promise<void> {
      const those = and(eq(attachments.userId, userId), isOneOf(attachments.id, ids))
      const rows = await database.orm.select().from(attachments).where(those)
      // Files first: a row that is left says what is left to remove.
      await files.remove(rows.flatMap(keysOf))
      await database.orm.delete(attachments).where(those)
    },

    /**
     * Removes what was begun and never completed for a day, and what was completed or has failed and is part of nothing
     * after a week. Any number of processes may do it. Returns how many went.
     */
    async sweep(): Promise<number> {
      let swept = 0
      for (let after = new Date(0); ; ) {
        const rows = await database.run<{ user_id: string; id: string; created_at: Date }>(
          `/* attachments of nothing */ select user_id, id, created_at from attachments
           where claimed_at is null and created_at > $1 and created_at < now() - interval '1 day'
             and (status = 'PENDING' or created_at < now() - interval '7 days') and ${isUnclaimed}
           order by created_at limit ${sweptAtOnce}`,
          [after],
        )
        for (const { user_id, id } of rows) {
          const [row] = await database.orm
            .select()
            .from(attachments)
            .where(and(eq(attachments.userId, user_id), eq(attachments.id, id)))
          if (row === undefined) continue
          const message = await messageOf(row)
          if (message === null) swept += (await sweepOne(row)) ? 1 : 0
          // Its sender died before this could be noted.
          else await database.orm.update(attachments).set({ claimedAt: new Date() }).where(and(eq(attachments.userId, user_id), eq(attachments.id, id)))
        }
        if (rows.length < sweptAtOnce) return swept
        after = rows.at(-1)!.created_at
      }
    },
  }
}
