import { builder } from './builder.ts'
import { readChannelId } from './ids.ts'
import { requireViewer } from './viewer.ts'

builder.mutationFields((t) => ({
  setActiveChannel: t.boolean({
    description:
      'What this device shows now, so that there is no push about it here; null for none. It holds for two minutes ' +
      'and for as long as this sign-in has a socket open. The viewer stops typing in the channel that was shown ' +
      'before. Devices that are signed in by an identity provider’s tokens count as one.',
    args: { channelId: t.arg.id() },
    resolve: async (_, args, context) => {
      requireViewer(context)
      const channelId = args.channelId == null ? null : readChannelId(args.channelId, 'channelId')
      await context.services.activeChannels.set(context.viewer!, channelId)
      return true
    },
  }),
}))
