import DataLoader from 'dataloader'
import type { Activity, ActivityKey } from '../server/domain/activities.ts'
import type { AttachmentKey, AttachmentRow } from '../server/domain/attachments-rows.ts'
import type { DeviceRow } from '../server/domain/devices.ts'
import type { InviteUseRow, InviteUsesRequest } from '../server/domain/invites.ts'
import type { LinkPreviewRow } from '../server/domain/link-previews.ts'
import type { MemberKey, MembersRequest } from '../server/domain/members.ts'
import type { MessageKey } from '../server/message-store/pages.ts'
import type { PinsRequest } from '../server/domain/pins.ts'
import type { Presence } from '../server/domain/presence.ts'
import type { ReactionSummary } from '../server/domain/reactions.ts'
import type { ReminderKey, ReminderRow } from '../server/domain/reminders.ts'
import type { RepliesRequest, ThreadState } from '../server/domain/threads.ts'
import type { UserRow } from '../server/domain/users.ts'
import { unauthenticated } from '../server/errors.ts'
import type { PageRequest } from '../server/message-store/replica-reads.ts'
import type { ChannelRow, MemberRow, MessageRow } from '../server/message-store/rows.ts'
import type { Services } from '../server/services.ts'
import type { Viewer } from '../server/viewer.ts'

export type Loaders = ReturnType<typeof createLoaders>
export type ViewerLoaders = ReturnType<typeof createViewerLoaders>

/** A change of somebody's account. */
type AccountPlace = { userId: string; change: number }

const memberKey = (key: MemberKey) => `${key.channelId} ${key.userId}`
const attachmentKey = (key: AttachmentKey) => `${key.userId} ${key.id}`
const messageKey = (key: MessageKey) => `${key.channelId} ${key.messageId}`
const activityKey = (key: ActivityKey) => `${key.userId} ${key.id}`
const reminderKey = (key: ReminderKey) => `${key.userId} ${key.id}`

/** Puts rows in the order of the keys that asked for them. */
function inOrder<Key, Row>(keys: readonly Key[], rows: readonly Row[], keyOf: (row: Row) => Key): (Row | null)[] {
  const byKey = new Map(rows.map((row) => [keyOf(row), row]))
  return keys.map((key) => byKey.get(key) ?? null)
}

/** One query for each kind of thing that an answer needs, however often it needs it. The same for every viewer. */
export function createLoaders(services: Services) {
  return {
    user: new DataLoader<string, UserRow | null>(async (ids) =>
      inOrder(ids, await services.users.findMany(ids), (user) => user.id),
    ),
    channel: new DataLoader<string, ChannelRow | null>(async (ids) =>
      inOrder(ids, await services.channels.findMany(ids), (channel) => channel.id),
    ),
    /** Somebody's membership; null where there is none. */
    membership: new DataLoader<MemberKey, MemberRow | null, string>(
      async (keys) => inOrder(keys.map(memberKey), await services.members.findMany(keys), memberKey),
      { cacheKeyFn: memberKey },
    ),
    message: new DataLoader<MessageKey, MessageRow | null, string>(
      async (keys) => {
        const rows = await services.messages.findMany(keys)
        return inOrder(keys.map(messageKey), rows, (row) => messageKey({ channelId: row.channelId, messageId: row.id }))
      },
      { cacheKeyFn: messageKey },
    ),
    linkPreviews: new DataLoader<MessageKey, LinkPreviewRow[], string>(
      async (keys) => {
        const byMessage = Map.groupBy(await services.linkPreviews.findMany(keys), messageKey)
        return keys.map((key) => byMessage.get(messageKey(key)) ?? [])
      },
      { cacheKeyFn: messageKey },
    ),
    reactions: new DataLoader<MessageKey, ReactionSummary[], string>(
      async (keys) => {
        const byMessage = Map.groupBy(await services.reactions.summaries(keys), messageKey)
        return keys.map((key) => byMessage.get(messageKey(key)) ?? [])
      },
      { cacheKeyFn: messageKey },
    ),
    reminder: new DataLoader<ReminderKey, ReminderRow | null, string>(
      async (keys) => inOrder(keys.map(reminderKey), await services.reminders.findMany(keys), reminderKey),
      { cacheKeyFn: reminderKey },
    ),
    /** Null where its user may not see it any more. */
    activity: new DataLoader<ActivityKey, Activity | null, string>(
      async (keys) => inOrder(keys.map(activityKey), await services.activities.findMany(keys), activityKey),
      { cacheKeyFn: activityKey },
    ),
    /** What a user has not read, and how far they have. One user at a time is asked about. */
    activityUnreadCount: new DataLoader<string, number>((userIds) => Promise.all(userIds.map(services.activities.unreadCount))),
    /** The same for events: as it was when the account was at a change, or since. */
    activityUnreadCountSince: new DataLoader<AccountPlace, number, string>(
      (places) => Promise.all(places.map(({ userId, change }) => services.activities.unreadCountSince(userId, change))),
      { cacheKeyFn: ({ userId, change }) => `${userId} ${change}` },
    ),
    activityMark: new DataLoader<string, number>((userIds) => Promise.all(userIds.map(services.activities.readUpTo))),
    attachment: new DataLoader<AttachmentKey, AttachmentRow | null, string>(
      async (keys) => inOrder(keys.map(attachmentKey), await services.attachments.findMany(keys), attachmentKey),
      { cacheKeyFn: attachmentKey },
    ),
    members: pages<MembersRequest, MemberRow>(services.members.list),
    inviteUses: pages<InviteUsesRequest, InviteUseRow>(services.invites.uses),
    /** How often a short link was opened, by its code. */
    visits: new DataLoader<string, number>(async (codes) => {
      const visits = await services.shortLinks.countVisits(codes)
      return codes.map((code) => visits.get(code) ?? 0)
    }),
    messages: pages<PageRequest, MessageRow>(services.messages.pages),
    pins: pages<PinsRequest, MessageRow>(services.pins.list),
    replies: pages<RepliesRequest, MessageRow>(services.threads.replies),
  }
}

/** Makes loaders ask the store again for what they know. */
export function forget(loaders: Loaders | ViewerLoaders): void {
  for (const loader of Object.values(loaders)) loader.clearAll()
}

/** Pages of lists that hang on the rows of another list: one query for all of them. */
const pages = <Request, Row>(load: (requests: readonly Request[]) => Promise<Row[][]>) =>
  new DataLoader<Request, Row[], string>(load, { cacheKeyFn: (request) => JSON.stringify(request) })

/** The same for what depends on the viewer. Every loader throws UNAUTHENTICATED where nobody is signed in. */
export function createViewerLoaders(services: Services, viewer: Viewer | null) {
  const viewerId = () => {
    if (viewer === null) throw unauthenticated()
    return viewer.userId
  }
  return {
    /** The viewer's own membership; null where there is none. */
    membership: new DataLoader<string, MemberRow | null>(async (channelIds) => {
      const userId = viewerId()
      const rows = await services.members.findMany(channelIds.map((channelId) => ({ channelId, userId })))
      return inOrder(channelIds, rows, (member) => member.channelId)
    }),
    unreadMentions: new DataLoader<string, number>(async (channelIds) => {
      const counts = await services.readState.unreadMentions(viewerId(), channelIds)
      return channelIds.map((id) => counts.get(id) ?? 0)
    }),
    draft: new DataLoader<string, string | null>(async (channelIds) => {
      const drafts = await services.drafts.find(viewerId(), channelIds)
      return channelIds.map((id) => drafts.get(id) ?? null)
    }),
    /** One of the viewer's own devices. */
    device: new DataLoader<string, DeviceRow | null>(async (ids) =>
      inOrder(ids, await services.devices.findMany(viewerId(), ids), (device) => device.id),
    ),
    directPeer: new DataLoader<string, string | null>(async (channelIds) => {
      const peers = await services.channels.directPeers(viewerId(), channelIds)
      return channelIds.map((id) => peers.get(id) ?? null)
    }),
    /** The emoji that the viewer has given each message. */
    ownReactions: new DataLoader<MessageKey, Set<string>, string>(
      async (keys) => {
        const given = Map.groupBy(await services.reactions.ownOn(viewerId(), keys), messageKey)
        return keys.map((key) => new Set(given.get(messageKey(key))?.map(({ emoji }) => emoji)))
      },
      { cacheKeyFn: messageKey },
    ),
    thread: new DataLoader<MessageKey, ThreadState | null, string>(
      async (keys) => {
        const states = await services.threads.states(viewerId(), keys)
        return inOrder(keys.map(messageKey), states, messageKey)
      },
      { cacheKeyFn: messageKey },
    ),
    presence: new DataLoader<string, Presence>(async (userIds) => {
      const known = await services.presence.find(viewerId(), userIds)
      return userIds.map((id) => known.get(id)!)
    }),
  }
}
