import type { Activity } from '../server/domain/activities.ts'
import { noActivity } from '../server/domain/activities-writing.ts'
import { may } from '../server/domain/permissions.ts'
import type { ReminderRow } from '../server/domain/reminders.ts'
import type { AccountItem } from '../server/fanout/account-source.ts'
import { encodeCursor } from '../server/fanout/cursor.ts'
import { openInbox } from '../server/fanout/streams/inbox.ts'
import type { InboxItem } from '../server/fanout/streams/inbox-item.ts'
import { type MessageChange, openMessages } from '../server/fanout/streams/messages.ts'
import { activityGlobalId, channelGlobalId, userGlobalId } from '../server/lib/global-id.ts'
import type { Change, Position } from '../server/message-store/changes.ts'
import type { ChannelRow, MemberRow } from '../server/message-store/rows.ts'
import { builder } from './builder.ts'
import type { Context } from './context.ts'
import { readChannelId } from './ids.ts'
import type { Loaders } from './loaders.ts'
import { whileWatching } from './subscriptions.ts'
import { activityType, channelType, memberType, messageType, reminderType, userType } from './types.ts'
import { requireViewer } from './viewer.ts'

/** Which stream an event belongs to and where the stream stands after it. */
type Place = { stream: string; cursor: string }

const onChannel = ({ channelId, change, seq }: Pick<Change, 'channelId'> & Position): Place => ({
  stream: channelGlobalId(channelId),
  cursor: encodeCursor({ kind: 'channel', id: channelId, change, seq }),
})
const onAccount = (userId: string, change: number): Place => ({
  stream: userGlobalId(userId),
  cursor: encodeCursor({ kind: 'account', id: userId, change, seq: 0 }),
})

type MessageEvent = Place & { of: 'message'; change: MessageChange }
/** `hidden` where the viewer may not see the channel any more. */
type OfChannel = { channelId: string; hidden?: boolean }

type MembershipEvent = Place & OfChannel & { of: 'membership'; userId: string; member: MemberRow | null }
type ChannelUpdatedEvent = Place & OfChannel & { of: 'channel' }
type ReadStateEvent = Place & OfChannel & { of: 'read'; userId: string }
/** The reminder as it is by now; null where it has been deleted. */
type ReminderEvent = Place & { of: 'reminder'; reminder: ReminderRow | null }
/** `id` is null where it is about none in particular; `activity` where its user does not see it any more. */
type ActivityEvent = Place & { of: 'activity'; userId: string; change: number; id: number | null; activity: Activity | null }
type SyncedEvent = Place & { of: 'synced' }
type StreamEvent = MessageEvent | MembershipEvent | ChannelUpdatedEvent | ReadStateEvent | ReminderEvent | ActivityEvent | SyncedEvent

const eventType = builder.interfaceRef<Place>('Event').implement({
  description: 'What happened, and where the stream stands after it.',
  fields: (t) => ({
    stream: t.exposeID('stream', {
      description: 'Which stream this belongs to: a channel’s, or the viewer’s own account. The id of either.',
    }),
    cursor: t.exposeString('cursor', {
      description:
        'Where that stream stands after this event: pass it as `after` to go on from here on any connection, to any replica.',
    }),
  }),
})

const messageEventKind = builder.enumType('MessageEventKind', {
  description:
    'What a stream says happened. A client that keeps messages by id and puts what it is given in their place is right, whatever the kind.',
  values: {
    CREATED: { description: 'New since `after`, whatever happened to it in between.' },
    EDITED: { description: 'It says something else.' },
    DELETED: { description: 'It is a tombstone now.' },
    REACTIONS_CHANGED: { description: 'Somebody gave an emoji, or took one back.' },
    PINS_CHANGED: { description: 'It was pinned or unpinned.' },
    ENRICHED: { description: 'Thumbnails, link previews or reply counts came in.' },
  } as const,
})

/** A channel as those see it who may not see it: which one it is. */
const withoutSecrets = (channel: ChannelRow): ChannelRow => ({
  ...channel,
  name: null,
  topic: null,
  slowModeSeconds: null,
  expireAfterSeconds: null,
  memberCount: 0,
  firstSeq: 0,
  lastSeq: 0,
  lastChange: 0,
})

const channelOf = async ({ channelId, hidden }: OfChannel, _: unknown, { loaders }: Context) => {
  const channel = (await loaders.channel.load(channelId))!
  return hidden === true ? withoutSecrets(channel) : channel
}

/** A channel as somebody sees it: without its secrets where they may not see it any more. */
export async function channelAsSeenBy(userId: string, channelId: string, loaders: Loaders): Promise<ChannelRow> {
  const [channel, member] = await Promise.all([
    loaders.channel.load(channelId),
    loaders.membership.load({ channelId, userId }),
  ])
  return may(member?.role ?? 'NONE', 'see', channel!.kind) ? channel! : withoutSecrets(channel!)
}

const messageEvent = builder.objectRef<MessageEvent>('MessageEvent').implement({
  description: 'Something happened to a message.',
  interfaces: [eventType],
  fields: (t) => ({
    kind: t.field({ description: 'What happened.', type: messageEventKind, resolve: ({ change }) => change.kind }),
    message: t.field({ description: 'As it is after that.', type: messageType, resolve: ({ change }) => change.message }),
  }),
})

const membershipEvent = builder.objectRef<MembershipEvent>('MembershipEvent').implement({
  description: 'Somebody came, went, or was given a role.',
  interfaces: [eventType],
  fields: (t) => ({
    channel: t.field({ description: 'Where.', type: channelType, resolve: channelOf }),
    user: t.field({ description: 'Whose membership it is.', type: userType, resolve: async ({ userId }, _, { loaders }) => (await loaders.user.load(userId))! }),
    member: t.field({
      description: 'Null once the user is no longer a member.',
      type: memberType,
      nullable: true,
      resolve: ({ member }) => member,
    }),
  }),
})

const channelUpdatedEvent = builder.objectRef<ChannelUpdatedEvent>('ChannelUpdatedEvent').implement({
  description: 'Name, topic or message expiry; on the account’s stream, the viewer’s draft or notifications.',
  interfaces: [eventType],
  fields: (t) => ({ channel: t.field({ description: 'As it is now.', type: channelType, resolve: channelOf }) }),
})

const readStateEvent = builder.objectRef<ReadStateEvent>('ReadStateEvent').implement({
  description: 'The viewer’s read position has moved, on whatever device.',
  interfaces: [eventType],
  fields: (t) => ({
    channel: t.field({ description: 'Where.', type: channelType, resolve: channelOf }),
    lastReadSeq: t.int({
      description: 'Everything up to and including this seq has been read.',
      // Read afresh, so that of two moves that cross, both tell where it ended.
      resolve: async ({ channelId, userId }, _, { loaders }) =>
        (await loaders.membership.load({ channelId, userId }))?.lastReadSeq ?? 0,
    }),
  }),
})

const reminderEvent = builder.objectRef<ReminderEvent>('ReminderEvent').implement({
  description: 'The time of one of the viewer’s reminders has come.',
  interfaces: [eventType],
  fields: (t) => ({
    reminder: t.field({
      description: 'Null where it has been deleted since.',
      type: reminderType,
      nullable: true,
      resolve: ({ reminder }) => reminder,
    }),
  }),
})

const activityEvent = builder.objectRef<ActivityEvent>('ActivityEvent').implement({
  description:
    'Something is about the viewer that was not, or is no more; or they have read it, on whatever device. Who keeps ' +
    'activities by id, and takes away those whose `activity` is null, whose channel was left and whose message was ' +
    'deleted, has what `activity` would list, but for those that a block hides or shows, which nobody is told of.',
  interfaces: [eventType],
  fields: (t) => ({
    activityId: t.id({
      description: 'Which it is; null where many may have come or gone, or what is read has moved.',
      nullable: true,
      resolve: ({ userId, id }) => (id === null ? null : activityGlobalId(userId, id)),
    }),
    activity: t.field({
      description: 'As it is now; null where it is gone.',
      type: activityType,
      nullable: true,
      resolve: ({ activity }) => activity,
    }),
    unreadCount: t.int({
      description: '`activityUnreadCount` as it is now.',
      resolve: ({ userId, change }, _, { loaders }) => loaders.activityUnreadCountSince.load({ userId, change }),
    }),
    readUpTo: t.int({
      description: 'Activities whose `order` is no greater have been read.',
      resolve: ({ userId }, _, { loaders }) => loaders.activityMark.load(userId),
    }),
  }),
})

const syncedEvent = builder.objectRef<SyncedEvent>('SyncedEvent').implement({
  description: 'All that happened before is handed out: from here on it is live.',
  interfaces: [eventType],
})

const typenames = {
  message: 'MessageEvent',
  membership: 'MembershipEvent',
  channel: 'ChannelUpdatedEvent',
  read: 'ReadStateEvent',
  reminder: 'ReminderEvent',
  activity: 'ActivityEvent',
  synced: 'SyncedEvent',
} as const

const inboxEvent = builder.unionType('InboxEvent', {
  description: 'Whatever an inbox tells. More kinds may come: pass over those that you do not know.',
  types: [messageEvent, membershipEvent, channelUpdatedEvent, readStateEvent, reminderEvent, activityEvent, syncedEvent],
  resolveType: (event) => typenames[(event as StreamEvent).of],
})

/** What one item of an inbox is told as. It says itself whose it is, so that nobody has to look at who is reading. */
async function toEvent(item: InboxItem, loaders: Loaders): Promise<StreamEvent> {
  if (item.type === 'synced') return { of: 'synced', ...onAccount(item.userId, item.position.change) }
  if (item.type === 'account') return toAccountEvent(item.change, loaders)
  if (item.type === 'ownRead') {
    const { channelId, userId, position } = item
    return { of: 'read', ...onChannel({ channelId, ...position }), channelId, userId }
  }
  const { change } = item
  const place = onChannel(change)
  const { channelId } = change
  if (change.type === 'message') return { of: 'message', ...place, change }
  if (change.type === 'channel') return { of: 'channel', ...place, channelId }
  const { member } = change
  return { of: 'membership', ...place, channelId, userId: member.userId, member: member.leftAt === null ? member : null }
}

async function toAccountEvent({ kind, userId, channelId, change }: AccountItem, loaders: Loaders): Promise<StreamEvent> {
  const place = onAccount(userId, change)
  if (kind === 'REMINDER') {
    return { of: 'reminder', ...place, reminder: await loaders.reminder.load({ userId, id: channelId }) }
  }
  if (kind === 'ACTIVITY') {
    const id = channelId === noActivity ? null : Number(channelId)
    const activity = id === null ? null : await loaders.activity.load({ userId, id })
    return { of: 'activity', ...place, userId, change, id, activity }
  }
  const [channel, member] = await Promise.all([
    loaders.channel.load(channelId),
    loaders.membership.load({ channelId, userId }),
  ])
  // Who has left learns that they have, and nothing of what became of the channel since.
  const hidden = !may(member?.role ?? 'NONE', 'see', channel!.kind)
  if (kind === 'READ') return { of: 'read', ...place, channelId, userId, hidden }
  if (kind === 'CHANNEL') return { of: 'channel', ...place, channelId, hidden }
  return { of: 'membership', ...place, channelId, userId, member, hidden }
}

builder.subscriptionFields((t) => ({
  messages: t.field({
    description:
      'One channel’s messages. With `after`: first everything that changed since, each message once in its latest state, ' +
      'then what comes, with no gap, no repeat and in the order of the changes. Without: from now on. Ends with FORBIDDEN ' +
      'when the viewer stops being a member, and with CURSOR_EXPIRED where the cursor is older than what is kept.',
    type: messageEvent,
    args: { channelId: t.arg.id({ required: true }), after: t.arg.string() },
    subscribe: async (_, args, context) => {
      const viewerId = requireViewer(context)
      const channelId = readChannelId(args.channelId, 'channelId')
      return whileWatching(context, await openMessages(context.streams, viewerId, channelId, args.after ?? null))
    },
    resolve: (parent): MessageEvent => {
      const change = parent as MessageChange
      return { of: 'message', ...onChannel(change), change }
    },
  }),
  inbox: t.field({
    description:
      'Everything that concerns the viewer, in all channels and from all of the viewer’s devices: all that a mobile app ' +
      'needs. With `after`, the newest cursor that the client holds of each stream; streams it does not name start from ' +
      'now. What was joined or left while away comes on the account’s stream.',
    type: inboxEvent,
    args: { after: t.arg.stringList() },
    subscribe: async (_, { after }, context) =>
      whileWatching(context, await openInbox(context.streams, requireViewer(context), after ?? [])),
    resolve: (item, _, { loaders }) => toEvent(item as InboxItem, loaders) as never,
  }),
}))
