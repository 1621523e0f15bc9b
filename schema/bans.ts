import type { BanRow } from '../server/domain/bans.ts'
import { builder, ofViewer } from './builder.ts'
import { channelPayload } from './channels.ts'
import { connectionOf, encodePlace, forwardPage, pageSize } from './connections.ts'
import { readChannelId, readUserId } from './ids.ts'
import { readPlace } from './people.ts'
import { userType } from './types.ts'
import { requireViewer } from './viewer.ts'

const banType = builder.objectRef<BanRow>('Ban')

banType.implement({
  description: 'Somebody who is kept out of a channel.',
  fields: (t) => ({
    user: t.field({
      description: 'Who is kept out.',
      type: userType,
      resolve: async ({ userId }, _, { loaders }) => (await loaders.user.load(userId))!,
    }),
    bannedBy: t.field({
      description: 'By whom.',
      type: userType,
      resolve: async ({ bannedBy }, _, { loaders }) => (await loaders.user.load(bannedBy))!,
    }),
    bannedAt: t.field({ description: 'Since when.', type: 'DateTime', resolve: ({ bannedAt }) => bannedAt }),
    until: t.field({ description: 'Null for good.', type: 'DateTime', nullable: true, resolve: ({ until }) => until }),
    reason: t.exposeString('reason', { description: 'Why, as those who keep order have said.', nullable: true }),
  }),
})

const banConnection = connectionOf(banType)

builder.queryFields((t) => ({
  channelBans: t.field({
    ...ofViewer,
    description: 'Who is banned from a channel now, the latest first; for its owners and admins.',
    type: banConnection,
    args: { channelId: t.arg.id({ required: true }), first: t.arg.int(), after: t.arg.string() },
    resolve: async (_, { channelId, first, after }, context) => {
      const viewerId = requireViewer(context)
      const size = pageSize(first)
      const place = readPlace(after)
      const rows = await context.services.bans.list(viewerId, readChannelId(channelId, 'channelId'), size + 1, place)
      return forwardPage(rows, size, after, ({ bannedAt, userId }) => encodePlace(bannedAt.getTime(), userId))
    },
  }),
}))

builder.mutationFields((t) => ({
  banMember: t.field({
    description:
      'Keeps somebody of a lower role out of a channel, whether they are in it or not; nothing that happens afterwards ' +
      'reaches them, and nobody can let them in. A ban that is there already gets the new end and reason.',
    type: channelPayload,
    args: {
      channelId: t.arg.id({ required: true }),
      userId: t.arg.id({ required: true }),
      until: t.arg({ type: 'DateTime', description: 'Yet to come; null for good.' }),
      reason: t.arg.string({ description: 'For those who keep order; up to 1,000 characters.' }),
    },
    resolve: async (_, { until, reason, ...args }, context) => {
      const viewerId = requireViewer(context)
      const channelId = readChannelId(args.channelId, 'channelId')
      const userId = readUserId(args.userId, 'userId')
      await context.services.bans.add(viewerId, channelId, userId, until ?? null, reason ?? null)
      return { channelId }
    },
  }),
  unbanMember: t.field({
    description:
      'Takes a ban back: they may come in again, by themselves or added. Where there is none nothing changes.',
    type: channelPayload,
    args: { channelId: t.arg.id({ required: true }), userId: t.arg.id({ required: true }) },
    resolve: async (_, args, context) => {
      const viewerId = requireViewer(context)
      const channelId = readChannelId(args.channelId, 'channelId')
      await context.services.bans.remove(viewerId, channelId, readUserId(args.userId, 'userId'))
      return { channelId }
    },
  }),
}))
