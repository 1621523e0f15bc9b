import { notFound } from '../server/errors.ts'
import { encodeCursor } from '../server/fanout/cursor.ts'
import { channelGlobalId } from '../server/lib/global-id.ts'
import { builder, ofViewer } from './builder.ts'
import {
  connectionOf,
  decodeNumber,
  decodePlace,
  decodeSnowflake,
  encodePlace,
  forwardPage,
  pageSize,
} from './connections.ts'
import { readChannelId, readMessageId, readUserId } from './ids.ts'
import { nodeType } from './nodes.ts'
import { channelKind, channelType, memberType, messageType, userType } from './types.ts'
import { findVisibleChannel, mayRead, requireReader, requireViewer } from './viewer.ts'

const channelConnection = connectionOf(channelType)
const memberConnection = connectionOf(memberType, { totalCount: true })
export const messageConnection = connectionOf(messageType)

channelType.implement({
  description: 'Where messages go.',
  interfaces: [nodeType],
  fields: (t) => ({
    id: t.id({ resolve: (channel) => channelGlobalId(channel.id) }),
    kind: t.field({ description: 'Who can be in it.', type: channelKind, resolve: (channel) => channel.kind }),
    name: t.exposeString('name', { nullable: true, description: 'Null for DIRECT: show `directPeer`.' }),
    topic: t.exposeString('topic', { nullable: true, description: 'What it is about; null where nobody has said.' }),
    createdAt: t.field({ description: 'When it was made.', type: 'DateTime', resolve: (channel) => channel.createdAt }),
    directPeer: t.field({
      ...ofViewer,
      description: 'The other one of a DIRECT channel.',
      type: userType,
      nullable: true,
      resolve: async (channel, _, { own, loaders }) => {
        if (channel.kind !== 'DIRECT') return null
        const peerId = await own.directPeer.load(channel.id)
        return peerId === null ? null : loaders.user.load(peerId)
      },
    }),
    cursor: t.string({
      description:
        'Where the channel’s stream stands now: a page of messages read together with it and `messages(after: cursor)` leave no gap.',
      resolve: ({ id, lastChange, lastSeq }) => encodeCursor({ kind: 'channel', id, change: lastChange, seq: lastSeq }),
    }),
    firstSeq: t.exposeInt('firstSeq', { description: 'The seq of the oldest message that is kept; 0 where there has been none, beyond `lastSeq` where all are gone.' }),
    lastSeq: t.exposeInt('lastSeq', { description: 'The seq of the newest message; 0 where there is none.' }),
    lastMessage: t.field({
      ...ofViewer,
      description: 'Null to those who may not read the channel.',
      type: messageType,
      nullable: true,
      resolve: async (channel, _, context) =>
        channel.lastSeq > 0 && (await mayRead(context, channel))
          ? context.loaders.message.load({ channelId: channel.id, messageId: channel.lastId })
          : null,
    }),
    memberCount: t.exposeInt('memberCount', { description: 'How many are in it now.' }),
    members: t.field({
      ...ofViewer,
      description: 'Who is in it now, in an order that does not change. For members only.',
      type: memberConnection,
      args: { first: t.arg.int(), after: t.arg.string() },
      resolve: async (channel, { first, after }, context) => {
        await requireReader(context, channel)
        const size = pageSize(first)
        const place = decodePlace(after, 1, 'after')
        const afterId = place === null ? null : decodeSnowflake(place[0]!, 'after')
        const rows = await context.loaders.members.load({ channelId: channel.id, first: size + 1, afterUserId: afterId })
        return {
          ...forwardPage(rows, size, after, (member) => encodePlace(member.userId)),
          totalCount: channel.memberCount,
        }
      },
    }),
    messages: t.field({
      ...ofViewer,
      description:
        'Newest last. Page forwards with first/after, backwards with last/before, or open a window around one message.',
      type: messageConnection,
      args: {
        first: t.arg.int(),
        after: t.arg.string(),
        last: t.arg.int(),
        before: t.arg.string(),
        around: t.arg.id({ description: 'A message of this channel.' }),
        aroundSeq: t.arg.int(),
        aroundDate: t.arg({ type: 'DateTime', description: 'Around the first message at or after this moment.' }),
      },
      resolve: async (channel, args, context) => {
        await requireReader(context, channel)
        const request = {
          ...args,
          afterSeq: decodeNumber(args.after, 'after'),
          beforeSeq: decodeNumber(args.before, 'before'),
          around: args.around == null ? null : readMessageId(args.around, 'around'),
        }
        const page = await context.services.history.page(channel, request, (span) => context.loaders.messages.load(span))
        return {
          ...page,
          edges: page.messages.map((node) => ({ cursor: encodePlace(node.seq), node })),
        }
      },
    }),
    pinnedMessages: t.field({
      ...ofViewer,
      description: 'Newest first.',
      type: messageConnection,
      args: { first: t.arg.int(), after: t.arg.string() },
      resolve: async (channel, { first, after }, context) => {
        await requireReader(context, channel)
        const size = pageSize(first)
        const place = decodePlace(after, 1, 'after')
        const beforeId = place === null ? null : decodeSnowflake(place[0]!, 'after')
        const rows = await context.loaders.pins.load({ channelId: channel.id, first: size + 1, beforeId })
        return forwardPage(rows, size, after, (message) => encodePlace(message.id))
      },
    }),
    viewerMembership: t.field({
      ...ofViewer,
      description: 'The viewer’s own membership; null where the viewer is no member.',
      type: memberType,
      nullable: true,
      resolve: (channel, _, { viewer, own }) => (viewer === null ? null : own.membership.load(channel.id)),
    }),
    unreadCount: t.int({
      ...ofViewer,
      description:
        '`lastSeq` minus the viewer’s read position, of what is kept: sending moves the sender’s position to the end, joining starts at the end.',
      resolve: async (channel, _, { viewer, own }) => {
        const member = viewer === null ? null : await own.membership.load(channel.id)
        return member === null ? 0 : Math.max(0, channel.lastSeq - Math.max(member.lastReadSeq, channel.firstSeq - 1))
      },
    }),
    unreadMentionCount: t.int({
      ...ofViewer,
      description: 'Unread messages that mention the viewer.',
      resolve: (channel, _, { viewer, own }) => (viewer === null ? 0 : own.unreadMentions.load(channel.id)),
    }),
    viewerDraft: t.string({
      ...ofViewer,
      description: 'What the viewer has typed and not sent, on any device.',
      nullable: true,
      resolve: async (channel, _, { viewer, own, spend }) => {
        const draft = viewer === null ? null : await own.draft.load(channel.id)
        return draft === null ? null : spend(draft)
      },
    }),
  }),
})

/** What channel mutations give back: the channel as it is after them. */
export const channelPayload = builder.objectRef<{ channelId: string }>('ChannelPayload').implement({
  description: 'What has become of a channel.',
  fields: (t) => ({
    channel: t.field({
      description: 'As it is now.',
      type: channelType,
      resolve: async ({ channelId }, _, { loaders }) => {
        const channel = await loaders.channel.load(channelId)
        if (channel === null) throw notFound('channel')
        return channel
      },
    }),
  }),
})

const createChannelInput = builder.inputType('CreateChannelInput', {
  description: 'A new channel.',
  fields: (t) => ({
    kind: t.field({ type: channelKind, required: true, description: 'It stays so.' }),
    name: t.string({ description: 'Demanded for PUBLIC, none for DIRECT.' }),
    topic: t.string({ description: 'Up to 1,000 characters; none for DIRECT.' }),
    memberIds: t.idList({ description: 'Who is in it from the beginning, besides the viewer.' }),
  }),
})

const updateChannelInput = builder.inputType('UpdateChannelInput', {
  description: 'An absent field keeps what is there, and null clears it.',
  fields: (t) => ({
    channelId: t.id({ required: true, description: 'A GROUP or PUBLIC one.' }),
    name: t.string({ description: 'Up to 80 characters; a PUBLIC channel keeps one.' }),
    topic: t.string({ description: 'Up to 1,000 characters.' }),
  }),
})

builder.queryFields((t) => ({
  channel: t.field({
    ...ofViewer,
    description: 'Null where there is none, or the viewer may not see it.',
    type: channelType,
    nullable: true,
    args: { id: t.arg.id({ required: true }) },
    resolve: (_, { id }, context) => {
      requireViewer(context)
      return findVisibleChannel(context, readChannelId(id, 'id'))
    },
  }),
  channels: t.field({
    ...ofViewer,
    description: 'The viewer’s channels, latest activity first.',
    type: channelConnection,
    args: { first: t.arg.int(), after: t.arg.string() },
    resolve: async (_, { first, after }, context) => {
      const size = pageSize(first)
      const place = decodePlace(after, 2, 'after')
      const rows = await context.services.channels.listOwn(
        requireViewer(context),
        size + 1,
        place && { activity: decodeSnowflake(place[0]!, 'after'), id: decodeSnowflake(place[1]!, 'after') },
      )
      const page = forwardPage(rows, size, after, (row) => encodePlace(row.activity, row.channel.id))
      return { ...page, edges: page.edges.map(({ cursor, node }) => ({ cursor, node: node.channel })) }
    },
  }),
  publicChannels: t.field({
    ...ofViewer,
    description: 'Public channels that anyone may join, by name; with `query`, those whose name contains it.',
    type: channelConnection,
    args: { query: t.arg.string(), first: t.arg.int(), after: t.arg.string() },
    resolve: async (_, { query, first, after }, context) => {
      requireViewer(context)
      const size = pageSize(first)
      const place = decodePlace(after, 2, 'after')
      const rows = await context.services.channels.listPublic(
        query ?? '',
        size + 1,
        place && { name: place[0]!, id: decodeSnowflake(place[1]!, 'after') },
      )
      const page = forwardPage(rows, size, after, (row) => encodePlace(row.sortName, row.channel.id))
      return { ...page, edges: page.edges.map(({ cursor, node }) => ({ cursor, node: node.channel })) }
    },
  }),
}))

builder.mutationFields((t) => ({
  createChannel: t.field({
    description: 'Makes a channel that the viewer owns. A DIRECT one is opened, if there is one already.',
    type: channelPayload,
    args: { input: t.arg({ type: createChannelInput, required: true }) },
    resolve: async (_, { input }, context) => {
      const memberIds = input.memberIds?.map((id) => readUserId(id, 'input.memberIds')) ?? null
      const channel = await context.services.channels.create(requireViewer(context), { ...input, memberIds })
      return { channelId: channel.id }
    },
  }),
  openDirectChannel: t.field({
    description: 'The one direct channel between the viewer and this user, made if there is none.',
    type: channelPayload,
    args: { userId: t.arg.id({ required: true }) },
    resolve: async (_, { userId }, context) => {
      const viewerId = requireViewer(context)
      const channel = await context.services.channels.openDirect(viewerId, readUserId(userId, 'userId'))
      return { channelId: channel.id }
    },
  }),
  updateChannel: t.field({
    description: 'Changes name or topic; the channel is told by a message. For owners and admins.',
    type: channelPayload,
    args: { input: t.arg({ type: updateChannelInput, required: true }) },
    resolve: async (_, { input }, context) => {
      const channelId = readChannelId(input.channelId, 'input.channelId')
      await context.services.channels.update(requireViewer(context), channelId, input)
      return { channelId }
    },
  }),
}))
