import type { MessageKey } from '../server/message-store/pages.ts'
import { messageGlobalId } from '../server/lib/global-id.ts'
import type { UserRow } from '../server/domain/users.ts'
import type { ChannelRow, MessageRow } from '../server/message-store/rows.ts'
import { snowflakeTime } from '../server/message-store/snowflake.ts'
import { builder, ofViewer } from './builder.ts'
import { messageConnection } from './channels.ts'
import { decodeNumber, encodePlace, forwardPage, pageSize } from './connections.ts'
import { readAttachmentId, readChannelId, readMessageId } from './ids.ts'
import { nodeType } from './nodes.ts'
import { asksOnlyForId } from './selection.ts'
import { channelType, messageKind, messageType, reactionType, threadStateType, userType } from './types.ts'
import { requireViewer } from './viewer.ts'

const keyOf = (message: MessageRow): MessageKey => ({ channelId: message.channelId, messageId: message.id })

messageType.implement({
  description: 'What somebody said in a channel, or what happened there.',
  interfaces: [nodeType],
  fields: (t) => ({
    id: t.id({ resolve: (message) => messageGlobalId(message.channelId, message.id) }),
    kind: t.field({ description: 'Who speaks in it.', type: messageKind, resolve: (message) => message.kind }),
    channel: t.field({
      description: 'Where it was said.',
      type: channelType,
      resolve: async ({ channelId }, _, { loaders }, info) =>
        asksOnlyForId(info) ? ({ id: channelId } as ChannelRow) : (await loaders.channel.load(channelId))!,
    }),
    seq: t.exposeInt('seq', {
      description: '1, 2, 3 … within the channel, in the order in which all members see it, without holes.',
    }),
    version: t.exposeInt('version', {
      description: 'Grows with each change of the message: of two copies the one with the greater version is the newer.',
    }),
    author: t.field({
      description: 'Who said it, or did what it tells.',
      type: userType,
      resolve: async ({ authorId }, _, { loaders }, info) =>
        asksOnlyForId(info) ? ({ id: authorId } as UserRow) : (await loaders.user.load(authorId))!,
    }),
    content: t.string({
      description: 'Up to 100,000 characters (Unicode code points). Empty once deleted.',
      resolve: (message, _, { spend }) => spend(message.content),
    }),
    createdAt: t.field({
      description: 'By the store’s clock. To sort by it is wrong: sort by `seq`.',
      type: 'DateTime',
      resolve: (message) => snowflakeTime(message.id),
    }),
    editedAt: t.field({
      description: 'When its author last changed what it says; null where it says what it always did.',
      type: 'DateTime',
      nullable: true,
      resolve: (message) => message.editedAt,
    }),
    deletedAt: t.field({
      description: 'When it was emptied; null where it was not.',
      type: 'DateTime',
      nullable: true,
      resolve: (message) => message.deletedAt,
    }),
    replyTo: t.field({
      description: 'Replies stand in the channel like any message, and are listed under the one they answer.',
      type: messageType,
      nullable: true,
      resolve: ({ channelId, replyToId }, _, { loaders }) =>
        replyToId === null ? null : loaders.message.load({ channelId, messageId: replyToId }),
    }),
    replyCount: t.exposeInt('replyCount', { description: 'Without deleted ones.' }),
    replies: t.field({
      description: 'Oldest first, deleted ones too.',
      type: messageConnection,
      args: { first: t.arg.int(), after: t.arg.string() },
      resolve: async (message, { first, after }, { loaders }) => {
        const size = pageSize(first)
        const afterSeq = decodeNumber(after, 'after') ?? 0
        const rows = await loaders.replies.load({ ...keyOf(message), first: size + 1, afterSeq })
        return forwardPage(rows, size, after, (reply) => encodePlace(reply.seq))
      },
    }),
    viewerThread: t.field({
      ...ofViewer,
      description: 'The viewer’s place among the replies; null where the viewer does not follow them.',
      type: threadStateType,
      nullable: true,
      resolve: (message, _, { viewer, own }) => (viewer === null ? null : own.thread.load(keyOf(message))),
    }),
    mentions: t.field({
      description: 'Members whom it names by `@username`.',
      type: [userType],
      resolve: async ({ mentionIds }, _, { loaders }) => {
        const users = await Promise.all(mentionIds.map((id) => loaders.user.load(id)))
        return users.filter((user) => user !== null)
      },
    }),
    reactions: t.field({
      description: 'In the order in which each emoji first came.',
      type: [reactionType],
      resolve: async (message, _, { loaders }) => {
        // Reacting is a change of the message: where there was none, nobody has.
        const isUntouched = message.version === message.change
        const summaries = isUntouched || message.deletedAt !== null ? [] : await loaders.reactions.load(keyOf(message))
        return summaries.map((summary) => ({ ...summary, channelId: message.channelId }))
      },
    }),
    pinnedAt: t.field({
      description: 'Null where it is not pinned.',
      type: 'DateTime',
      nullable: true,
      resolve: (message) => message.pinnedAt,
    }),
  }),
})

/** What message mutations give back: the message as it is after them. */
export const messagePayload = builder.objectRef<MessageRow>('MessagePayload').implement({
  description: 'What has become of a message.',
  fields: (t) => ({
    message: t.field({ description: 'As it is now.', type: messageType, resolve: (message) => message }),
  }),
})

const sendKind = builder.enumType('SendKind', {
  description: 'The kinds of message that people write.',
  values: {
    USER: { description: 'What somebody says.' },
    ACTION: { description: 'What somebody does, as with `/me`.' },
  } as const,
})

const sendMessageInput = builder.inputType('SendMessageInput', {
  description: 'A message to be sent.',
  fields: (t) => ({
    channelId: t.id({ required: true, description: 'Where to.' }),
    content: t.string({
      required: true,
      description: '1 to 100,000 characters (Unicode code points); may be empty where there are attachments.',
    }),
    kind: t.field({ type: sendKind, description: 'ACTION for what `/me` is for. USER where it is left out.' }),
    replyToId: t.id({ description: 'A message of the same channel.' }),
    attachmentIds: t.idList({
      description: 'Files of the viewer’s own, each uploaded and completed, and part of no other message.',
    }),
    idempotencyKey: t.string({
      description:
        'Chosen by the client, unique for its author within the channel. Sending again with the same key gives back the ' +
        'first message and sends nothing; with another body it is a CONFLICT.',
    }),
  }),
})

const editMessageInput = builder.inputType('EditMessageInput', {
  description: 'What a message says from now on.',
  fields: (t) => ({
    messageId: t.id({ required: true, description: 'One of the viewer’s own.' }),
    content: t.string({ required: true, description: 'All of it, as for sending.' }),
  }),
})

builder.mutationFields((t) => ({
  sendMessage: t.field({
    description:
      'Sends a message. Once this answers it is stored for good, and has its place in the channel’s order. Give a key, so ' +
      'that it can be sent again when no answer came.',
    type: messagePayload,
    args: { input: t.arg({ type: sendMessageInput, required: true }) },
    resolve: (_, { input }, context) =>
      context.services.messages.send(requireViewer(context), {
        channelId: readChannelId(input.channelId, 'input.channelId'),
        content: input.content,
        ...(input.kind == null ? {} : { kind: input.kind }),
        replyTo: input.replyToId == null ? null : readMessageId(input.replyToId, 'input.replyToId'),
        attachments: (input.attachmentIds ?? []).map((id) => readAttachmentId(id, 'input.attachmentIds')),
        idempotencyKey: input.idempotencyKey,
      }),
  }),
  editMessage: t.field({
    description: 'Replaces what a message of the viewer’s own says.',
    type: messagePayload,
    args: { input: t.arg({ type: editMessageInput, required: true }) },
    resolve: (_, { input }, context) =>
      context.services.messages.edit(
        requireViewer(context),
        readMessageId(input.messageId, 'input.messageId'),
        input.content,
      ),
  }),
  deleteMessage: t.field({
    description:
      'Empties a message, which stays in its place as a tombstone. Where owners and admins do so with what others have ' +
      'written, the audit log tells of it.',
    type: messagePayload,
    args: {
      messageId: t.arg.id({ required: true }),
      reason: t.arg.string({ description: 'For the audit log, where it is not the viewer’s own; up to 1,000 characters.' }),
    },
    resolve: (_, { messageId, reason }, context) =>
      context.services.messages.delete(requireViewer(context), readMessageId(messageId, 'messageId'), reason ?? null),
  }),
}))
