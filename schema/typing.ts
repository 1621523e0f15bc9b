import type { TypingNews } from '../server/fanout/streams/signals.ts'
import { builder } from './builder.ts'
import { readChannelId } from './ids.ts'
import { whileWatching } from './subscriptions.ts'
import { userType } from './types.ts'
import { requireViewer } from './viewer.ts'

const typingEvent = builder.objectRef<TypingNews>('TypingEvent').implement({
  description: 'Somebody begins to type, or stops.',
  fields: (t) => ({
    user: t.field({ description: 'Who.', type: userType, resolve: async ({ userId }, _, { loaders }) => (await loaders.user.load(userId))! }),
    typing: t.exposeBoolean('typing', { description: 'Whether they type now.' }),
  }),
})

builder.mutationFields((t) => ({
  setTyping: t.boolean({
    description: 'Say so every few seconds while somebody types: it expires by itself after six.',
    args: { channelId: t.arg.id({ required: true }), typing: t.arg.boolean({ required: true }) },
    resolve: async (_, args, context) => {
      const channelId = readChannelId(args.channelId, 'channelId')
      await context.services.typing.set(requireViewer(context), channelId, args.typing)
      return true
    },
  }),
}))

builder.subscriptionFields((t) => ({
  typing: t.field({
    description: 'Who begins and stops typing, but for the viewer.',
    type: typingEvent,
    args: { channelId: t.arg.id({ required: true }) },
    subscribe: async (_, args, context) => {
      const channelId = readChannelId(args.channelId, 'channelId')
      return whileWatching(context, await context.streams.signals.openTyping(requireViewer(context), channelId))
    },
    resolve: (news) => news as TypingNews,
  }),
}))
