import { LRUCache } from 'lru-cache'
import type { Orm } from '../../drizzle/connection.ts'
import { accessChannel } from './access.ts'

/** People in channels who are remembered: those who wrote last on a busy replica. */
const maxRemembered = 50_000

export type PostingRights = {
  /** The channel's membership version at which the viewer may post. Throws NOT_FOUND or FORBIDDEN. */
  check(viewerId: string, channelId: string): Promise<number>
  /** What was remembered has turned out to be of yesterday. */
  forget(viewerId: string, channelId: string): void
}

/**
 * Remembers who may post where, so that a send asks the store once and not twice. It may be out of date: the send names
 * the version that it rests on, and the store writes nothing once that has moved, as it does whenever somebody loses a
 * right. Who may not post is never remembered, since being let in moves no version.
 */
export function createPostingRights(orm: Orm): PostingRights {
  const versions = new LRUCache<string, number>({ max: maxRemembered })
  /** The newest version that was seen of each channel: what rests on an older one need not be tried. */
  const newest = new LRUCache<string, number>({ max: maxRemembered })
  const keyOf = (viewerId: string, channelId: string) => `${viewerId} ${channelId}`
  return {
    async check(viewerId, channelId) {
      const key = keyOf(viewerId, channelId)
      const remembered = versions.get(key)
      if (remembered !== undefined && remembered >= (newest.get(channelId) ?? 0)) return remembered
      const { channel } = await accessChannel(orm, viewerId, channelId, 'post', 'input.channelId')
      versions.set(key, channel.membershipVersion)
      newest.set(channelId, Math.max(channel.membershipVersion, newest.get(channelId) ?? 0))
      return channel.membershipVersion
    },
    forget: (viewerId, channelId) => void versions.delete(keyOf(viewerId, channelId)),
  }
}
