import { forbidden, notFound } from '../errors.ts'
import { accessChannel, authoriseLocked, findMember } from './access.ts'
import { writeAudit } from './audit-log.ts'
import type { Deps } from './deps.ts'
import { changeMembers } from './membership.ts'
import { checkAhead, checkReason } from './moderation.ts'
import { outranks } from './permissions.ts'

export type SilencesService = ReturnType<typeof createSilencesService>

/** Members who may read on, and not write. */
export function createSilencesService(deps: Deps) {
  const { database } = deps
  const { orm } = database

  return {
    /**
     * Lets a member of a lower role write, react, edit and pin again only after a moment that is yet to come; null at
     * once. It outlasts leaving and coming back. Throws FORBIDDEN, NOT_FOUND or BAD_USER_INPUT.
     */
    async set(viewerId: string, channelId: string, userId: string, until: Date | null, given: string | null): Promise<void> {
      await accessChannel(orm, viewerId, channelId, 'silence')
      const reason = checkReason(given, 'reason')
      await checkAhead(database, until)
      await changeMembers(deps, channelId, async (channel) => {
        const tx = channel.tx.orm
        const actor = await authoriseLocked(tx, channel.row, viewerId, 'silence')
        const other = await findMember(tx, channelId, userId)
        if (other === undefined) throw notFound('member', 'userId')
        if (!outranks(actor, other.role)) throw forbidden('Only somebody of a lower role can be silenced.')
        if (+(other.silencedUntil ?? 0) === +(until ?? 0)) return []
        await channel.silence(userId, until)
        await writeAudit(channel.tx, {
          channelId,
          actorId: viewerId,
          action: until === null ? 'SILENCE_ENDED' : 'MEMBER_SILENCED',
          subjectId: userId,
          reason,
          detail: until === null ? null : { until: until.toISOString() },
        })
        return [userId]
      })
    },
  }
}
