import { LRUCache } from 'lru-cache'
import type { Orm } from '../../drizzle/connection.ts'
import { accessChannel } from './access.ts'
import { slowModeFor } from './slow-mode.ts'

/** People in channels who are remembered: those who wrote last on a busy replica. */
const maxRemembered = 50_000

/** That somebody may post, as of a version of the channel's membership, and the seconds that slow mode has for them. */
export type PostingRight = { membershipVersion: number; slowModeSeconds: number }

export type PostingRights = {
  /** Whether the viewer may post; throws NOT_FOUND or FORBIDDEN. */
  check(viewerId: string, channelId: string): Promise<PostingRight>
  /** What was remembered has turned out to be of yesterday. */
  forget(viewerId: string, channelId: string): void
}

/**
 * Remembers who may post where, so that a send asks the store once and not twice. It may be out of date: the send names
 * the version that it rests on, and the store writes nothing once that has moved, as it does whenever somebody loses a
 * right and when slow mode is set. Who may not post is never remembered, since being let in moves no version.
 */
export function createPostingRights(orm: Orm): PostingRights {
  const known = new LRUCache<string, PostingRight>({ max: maxRemembered })
  /** The newest version that was seen of each channel: what rests on an older one need not be tried. */
  const newest = new LRUCache<string, number>({ max: maxRemembered })
  const keyOf = (viewerId: string, channelId: string) => `${viewerId} ${channelId}`
  return {
    async check(viewerId, channelId) {
      const key = keyOf(viewerId, channelId)
      const remembered = known.get(key)
      if (remembered !== undefined && remembered.membershipVersion >= (newest.get(channelId) ?? 0)) return remembered
      const { channel, member } = await accessChannel(orm, viewerId, channelId, 'post', 'input.channelId')
      const { membershipVersion } = channel
      const right = { membershipVersion, slowModeSeconds: slowModeFor(channel, member!.role) }
      known.set(key, right)
      newest.set(channelId, Math.max(membershipVersion, newest.get(channelId) ?? 0))
      return right
    },
    forget: (viewerId, channelId) => void known.delete(keyOf(viewerId, channelId)),
  }
}
