import { notFound } from '../errors.ts'
import type { LockedChannel } from '../message-store/channel-lock.ts'
import { touchAccounts } from './accounts.ts'
import { touchActivities } from './activities-writing.ts'
import type { Deps } from './deps.ts'

/**
 * Changes memberships under the channel's lock: `work` returns whose accounts it has touched, who hear of it on all
 * their devices. Announces it once it is committed. Throws NOT_FOUND where there is no such channel.
 */
export async function changeMembers(
  { store, announce }: Pick<Deps, 'store' | 'announce'>,
  channelId: string,
  work: (channel: LockedChannel) => Promise<string[]>,
): Promise<void> {
  const done = await store.change(channelId, async (channel) => {
    const touched = await work(channel)
    const noted = await touchAccounts(channel.tx.orm, touched, 'MEMBERSHIP', channelId)
    return [...noted, ...(await touchActivities(channel.tx, touched, channelId))]
  })
  if (done === null) throw notFound('channel', 'channelId')
  announce.channel(done.changes)
  done.result.forEach(announce.account)
}
