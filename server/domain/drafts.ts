import { and, eq } from 'drizzle-orm'
import { drafts } from '../../drizzle/tables/index.ts'
import { isOneOf } from '../lib/sql.ts'
import { checkText, maxContentLength } from '../lib/text.ts'
import { accessChannel } from './access.ts'
import { touchAccounts } from './accounts.ts'
import type { Deps } from './deps.ts'

export type DraftsService = ReturnType<typeof createDraftsService>

/** What somebody has typed and not sent follows them from device to device. */
export function createDraftsService({ database, announce }: Deps) {
  const { orm } = database
  return {
    /** Keeps a draft; null, or nothing but space, discards it. */
    async save(viewerId: string, channelId: string, content: string | null): Promise<void> {
      await accessChannel(orm, viewerId, channelId, 'read')
      const kept = content === null || content.trim() === '' ? null : content
      if (kept !== null) checkText(kept, 'A draft', 'content', maxContentLength)
      const noted = await database.transaction(async (tx) => {
        const own = and(eq(drafts.userId, viewerId), eq(drafts.channelId, channelId))
        if (kept === null) {
          const gone = await tx.orm.delete(drafts).where(own).returning({ channelId: drafts.channelId })
          if (gone.length === 0) return []
        } else {
          const set = { content: kept, savedAt: new Date() }
          await tx.orm
            .insert(drafts)
            .values({ userId: viewerId, channelId, ...set })
            .onConflictDoUpdate({ target: [drafts.userId, drafts.channelId], set })
        }
        return touchAccounts(tx.orm, [viewerId], 'CHANNEL', channelId)
      })
      noted.forEach(announce.account)
    },

    /** The user's drafts in these channels. */
    async find(userId: string, channelIds: readonly string[]): Promise<Map<string, string>> {
      const rows = await orm
        .select({ channelId: drafts.channelId, content: drafts.content })
        .from(drafts)
        .where(and(eq(drafts.userId, userId), isOneOf(drafts.channelId, channelIds)))
      return new Map(rows.map((row) => [row.channelId, row.content]))
    },
  }
}
