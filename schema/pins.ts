import { builder } from './builder.ts'
import { readMessageId } from './ids.ts'
import { messagePayload } from './messages.ts'
import { requireViewer } from './viewer.ts'

builder.mutationFields((t) => ({
  pinMessage: t.field({
    type: messagePayload,
    args: { messageId: t.arg.id({ required: true }) },
    resolve: (_, { messageId }, context) =>
      context.services.pins.pin(requireViewer(context), readMessageId(messageId, 'messageId')),
  }),
  unpinMessage: t.field({
    type: messagePayload,
    args: { messageId: t.arg.id({ required: true }) },
    resolve: (_, { messageId }, context) =>
      context.services.pins.unpin(requireViewer(context), readMessageId(messageId, 'messageId')),
  }),
}))
