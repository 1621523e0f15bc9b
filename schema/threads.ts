import { builder } from './builder.ts'
import { readMessageId } from './ids.ts'
import { messagePayload } from './messages.ts'
import { threadStateType } from './types.ts'
import { requireViewer } from './viewer.ts'

threadStateType.implement({
  description: 'How far the viewer has read the replies to a message. Who is answered follows them, and who answers.',
  fields: (t) => ({
    lastReadSeq: t.exposeInt('lastReadSeq', { description: 'The replies up to and including this seq have been read.' }),
    unreadCount: t.exposeInt('unreadCount', { description: 'Replies after that.' }),
  }),
})

builder.mutationFields((t) => ({
  markThreadRead: t.field({
    description: 'The replies up to this seq have been read. Never moves backwards.',
    type: messagePayload,
    args: { messageId: t.arg.id({ required: true }), seq: t.arg.int({ required: true }) },
    resolve: (_, { messageId, seq }, context) =>
      context.services.threads.markRead(requireViewer(context), readMessageId(messageId, 'messageId'), seq),
  }),
}))
