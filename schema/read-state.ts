import type { ReceiptNews } from '../server/fanout/streams/signals.ts'
import { builder } from './builder.ts'
import { channelPayload } from './channels.ts'
import { readChannelId } from './ids.ts'
import { whileWatching } from './subscriptions.ts'
import { userType } from './types.ts'
import { requireViewer } from './viewer.ts'

const readReceipt = builder.objectRef<ReceiptNews>('ReadReceipt').implement({
  description: 'How far a member has read.',
  fields: (t) => ({
    user: t.field({ description: 'Who.', type: userType, resolve: async ({ userId }, _, { loaders }) => (await loaders.user.load(userId))! }),
    lastReadSeq: t.exposeInt('lastReadSeq', { description: 'Up to and including this seq.' }),
  }),
})

builder.mutationFields((t) => ({
  markRead: t.field({
    description: 'Everything up to this seq has been read. Never moves backwards; `markUnread` does.',
    type: channelPayload,
    args: { channelId: t.arg.id({ required: true }), seq: t.arg.int({ required: true }) },
    resolve: async (_, args, context) => {
      const channelId = readChannelId(args.channelId, 'channelId')
      await context.services.readState.markRead(requireViewer(context), channelId, args.seq)
      return { channelId }
    },
  }),
  markUnread: t.field({
    description: 'Everything from this seq on counts as unread again.',
    type: channelPayload,
    args: { channelId: t.arg.id({ required: true }), fromSeq: t.arg.int({ required: true }) },
    resolve: async (_, args, context) => {
      const channelId = readChannelId(args.channelId, 'channelId')
      await context.services.readState.markUnread(requireViewer(context), channelId, args.fromSeq)
      return { channelId }
    },
  }),
}))

builder.subscriptionFields((t) => ({
  readReceipts: t.field({
    description: 'How far members have read, whenever one of them marks something read.',
    type: readReceipt,
    args: { channelId: t.arg.id({ required: true }) },
    subscribe: async (_, args, context) => {
      const channelId = readChannelId(args.channelId, 'channelId')
      return whileWatching(context, await context.streams.signals.openReceipts(requireViewer(context), channelId))
    },
    resolve: (news) => news as ReceiptNews,
  }),
}))
