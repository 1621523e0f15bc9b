import { builder } from './builder.ts'
import { readMessageId } from './ids.ts'
import { messagePayload } from './messages.ts'
import { requireViewer } from './viewer.ts'

builder.mutationFields((t) => ({
  pinMessage: t.field({
    description: 'Puts a message where everybody finds it. In a PUBLIC channel owners and admins may.',
    type: messagePayload,
    args: { messageId: t.arg.id({ required: true }) },
    resolve: (_, { messageId }, context) =>
      context.services.pins.pin(requireViewer(context), readMessageId(messageId, 'messageId')),
  }),
  unpinMessage: t.field({
    description: 'Takes it away from there again.',
    type: messagePayload,
    args: { messageId: t.arg.id({ required: true }) },
    resolve: (_, { messageId }, context) =>
      context.services.pins.unpin(requireViewer(context), readMessageId(messageId, 'messageId')),
  }),
}))
