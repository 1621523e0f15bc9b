import { badInput } from '../errors.ts'
import type { ChannelRow, MemberRow } from '../message-store/rows.ts'
import { longestPauseMs } from '../rate-limits/pauses.ts'
import { accessChannel, authoriseLocked } from './access.ts'
import { writeAudit } from './audit-log.ts'
import type { Deps } from './deps.ts'
import { may } from './permissions.ts'
import { pauseName } from './slow-mode-turns.ts'

export type SlowModeService = ReturnType<typeof createSlowModeService>

/** A quarter of a day: who may write less often than that is read to, not spoken with. */
const maxSeconds = longestPauseMs / 1_000

/**
 * Slow mode: so many seconds between two messages of a member, so that a busy channel can be read. Owners and admins may
 * write at any time.
 */
export function createSlowModeService({ database, store, announce, pauses }: Deps) {
  return {
    /** Sets how many seconds, 1 to six hours, must pass between two messages of a member; null or 0 turns it off. */
    async set(viewerId: string, channelId: string, given: number | null): Promise<void> {
      await accessChannel(database.orm, viewerId, channelId, 'setSlowMode')
      const seconds = given === 0 ? null : given
      if (seconds !== null && (seconds < 0 || seconds > maxSeconds)) {
        throw badInput(`Slow mode is 1 to ${maxSeconds.toLocaleString('en')} seconds, or off.`, 'seconds')
      }
      const done = await store.change(channelId, async (channel) => {
        await authoriseLocked(channel.tx.orm, channel.row, viewerId, 'setSlowMode')
        if (channel.row.slowModeSeconds === seconds) return
        channel.setInfo({ slowModeSeconds: seconds })
        await writeAudit(channel.tx, { channelId, actorId: viewerId, action: 'SLOW_MODE_SET', detail: { seconds } })
      })
      announce.channel(done!.changes)
    },

    /** When the viewer may write next, in a channel that they are a member of; null where that is now. */
    async maySendAt(viewerId: string, channel: ChannelRow, role: MemberRow['role']): Promise<Date | null> {
      const seconds = slowModeFor(channel, role)
      if (seconds === 0) return null
      const left = await pauses.left(pauseName(viewerId, channel.id), seconds * 1_000)
      return left === 0 ? null : new Date(Date.now() + left)
    },
  }
}

/** The seconds that must pass between two messages of a member of this role; 0 for none. */
export const slowModeFor = (channel: Pick<ChannelRow, 'kind' | 'slowModeSeconds'>, role: MemberRow['role']): number =>
  may(role, 'setSlowMode', channel.kind) ? 0 : (channel.slowModeSeconds ?? 0)
