import { builder } from './builder.ts'
import { channelPayload } from './channels.ts'
import { readChannelId, readUserId } from './ids.ts'
import { requireViewer } from './viewer.ts'

builder.mutationFields((t) => ({
  silenceMember: t.field({
    description:
      'Lets a member of a lower role read on, and write, react, edit and pin again only afterwards. It outlasts leaving ' +
      'and coming back.',
    type: channelPayload,
    args: {
      channelId: t.arg.id({ required: true }),
      userId: t.arg.id({ required: true }),
      until: t.arg({ type: 'DateTime', description: 'Yet to come; null ends it at once.' }),
      reason: t.arg.string({ description: 'For those who keep order; up to 1,000 characters.' }),
    },
    resolve: async (_, { until, reason, ...args }, context) => {
      const viewerId = requireViewer(context)
      const channelId = readChannelId(args.channelId, 'channelId')
      const userId = readUserId(args.userId, 'userId')
      await context.services.silences.set(viewerId, channelId, userId, until ?? null, reason ?? null)
      return { channelId }
    },
  }),
}))
