import { authorise } from '../server/domain/access.ts'
import { may } from '../server/domain/permissions.ts'
import { unauthenticated } from '../server/errors.ts'
import type { ChannelRow } from '../server/message-store/rows.ts'
import type { Context } from './context.ts'

/** Who is asking; throws UNAUTHENTICATED where nobody is signed in. */
export function requireViewer(context: Context): string {
  if (context.viewer === null) throw unauthenticated()
  return context.viewer.userId
}

/** Whether the viewer may read what is said in a channel. */
export async function mayRead(context: Context, channel: ChannelRow): Promise<boolean> {
  const member = context.viewer === null ? null : await context.own.membership.load(channel.id)
  return may(member?.role ?? 'NONE', 'read', channel.kind)
}

/** Throws FORBIDDEN unless the viewer may read what is said in a channel. */
export async function requireReader(context: Context, channel: ChannelRow): Promise<void> {
  const member = context.viewer === null ? null : await context.own.membership.load(channel.id)
  authorise(member?.role ?? 'NONE', 'read', channel.kind)
}

/** A channel that the viewer may see, or null. */
export async function findVisibleChannel(context: Context, channelId: string): Promise<ChannelRow | null> {
  if (context.viewer === null) return null
  const channel = await context.loaders.channel.load(channelId)
  if (channel === null) return null
  const member = await context.own.membership.load(channelId)
  return may(member?.role ?? 'NONE', 'see', channel.kind) ? channel : null
}
