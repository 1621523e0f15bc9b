import { builder } from './builder.ts'
import { channelPayload } from './channels.ts'
import { readChannelId } from './ids.ts'
import { requireViewer } from './viewer.ts'

builder.mutationFields((t) => ({
  saveDraft: t.field({
    description: 'Keeps what the viewer has typed and not sent for all their devices; null discards it.',
    type: channelPayload,
    args: { channelId: t.arg.id({ required: true }), content: t.arg.string() },
    resolve: async (_, args, context) => {
      const channelId = readChannelId(args.channelId, 'channelId')
      await context.services.drafts.save(requireViewer(context), channelId, args.content ?? null)
      return { channelId }
    },
  }),
}))
