import { badInput } from '../server/errors.ts'
import { maxWatched, openPresence } from '../server/fanout/presence-stream.ts'
import { builder, ofViewer } from './builder.ts'
import { readUserId } from './ids.ts'
import { whileWatching } from './subscriptions.ts'
import { presenceStatus, presenceType, userType } from './types.ts'
import { requireViewer } from './viewer.ts'

presenceType.implement({
  fields: (t) => ({
    status: t.field({ type: presenceStatus, resolve: (presence) => presence.status }),
    statusText: t.exposeString('statusText', { nullable: true }),
    lastActiveAt: t.field({ type: 'DateTime', nullable: true, resolve: (presence) => presence.lastActiveAt }),
  }),
})

const presenceEvent = builder.objectRef<{ userId: string }>('PresenceEvent').implement({
  fields: (t) => ({
    user: t.field({
      type: userType,
      resolve: async ({ userId }, _, { loaders }) => (await loaders.user.load(userId))!,
    }),
    presence: t.field({
      ...ofViewer,
      type: presenceType,
      resolve: ({ userId }, _, { own }) => own.presence.load(userId),
    }),
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
      if (userIds.length <= maxWatched) {
        const known = await context.loaders.user.loadMany(userIds)
        if (known.includes(null)) throw badInput('One of these users does not exist.', 'userIds')
      }
      const find = (ids: readonly string[]) => context.services.presence.find(viewerId, ids)
      return whileWatching(context, await openPresence(context.streams, userIds, find))
    },
    resolve: (userId) => ({ userId: userId as string }),
  }),
}))
