import { badInput } from '../server/errors.ts'
import { maxWatched, type PresenceNews } from '../server/fanout/streams/presence.ts'
import { builder } from './builder.ts'
import { readUserId } from './ids.ts'
import { whileWatching } from './subscriptions.ts'
import { presenceStatus, presenceType, userType } from './types.ts'
import { requireViewer } from './viewer.ts'

presenceType.implement({
  description: 'Whether somebody is there, as far as the viewer may know.',
  fields: (t) => ({
    status: t.field({ description: 'What to show.', type: presenceStatus, resolve: (presence) => presence.status }),
    statusText: t.exposeString('statusText', { nullable: true, description: 'What they have written beside it.' }),
    lastActiveAt: t.field({
      description: 'When they last did something; null where the viewer may not know.',
      type: 'DateTime',
      nullable: true,
      resolve: (presence) => presence.lastActiveAt,
    }),
  }),
})

const presenceEvent = builder.objectRef<PresenceNews>('PresenceEvent').implement({
  description: 'How somebody stands now.',
  fields: (t) => ({
    user: t.field({
      description: 'Who.',
      type: userType,
      resolve: async ({ userId }, _, { loaders }) => (await loaders.user.load(userId))!,
    }),
    presence: t.field({ description: 'As the viewer may see it.', type: presenceType, resolve: ({ presence }) => presence }),
  }),
})

builder.mutationFields((t) => ({
  setPresence: t.field({
    description: 'Sets what others see; an absent text keeps what is there, null clears it.',
    type: presenceType,
    args: { status: t.arg({ type: presenceStatus, required: true }), statusText: t.arg.string() },
    resolve: (_, { status, statusText }, context) =>
      context.services.presence.set(requireViewer(context), status, statusText),
  }),
}))

builder.subscriptionFields((t) => ({
  presence: t.field({
    description: `First where each of these users stands (at most ${maxWatched}), then each change.`,
    type: presenceEvent,
    args: { userIds: t.arg.idList({ required: true }) },
    subscribe: async (_, args, context) => {
      const viewerId = requireViewer(context)
      const userIds = args.userIds.map((id) => readUserId(id, 'userIds'))
      const { presence } = context.streams
      if (new Set(userIds).size <= maxWatched) {
        const known = await context.loaders.user.loadMany(userIds.filter((id) => !presence.isWatched(id)))
        if (known.includes(null)) throw badInput('One of these users does not exist.', 'userIds')
      }
      return whileWatching(context, await presence.open(viewerId, userIds))
    },
    resolve: (news) => news as PresenceNews,
  }),
}))
