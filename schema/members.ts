import { builder, ofViewer } from './builder.ts'
import { readChannelId, readUserId } from './ids.ts'
import { channelPayload } from './channels.ts'
import { memberRole, memberType, notificationLevel, userType } from './types.ts'
import { requireViewer } from './viewer.ts'

memberType.implement({
  description: 'A user in a channel.',
  fields: (t) => ({
    user: t.field({ description: 'Who it is.', type: userType, resolve: async (member, _, { loaders }) => (await loaders.user.load(member.userId))! }),
    role: t.field({ description: 'What they may do.', type: memberRole, resolve: (member) => member.role }),
    joinedAt: t.field({ description: 'When they last came in.', type: 'DateTime', resolve: (member) => member.joinedAt }),
    lastReadSeq: t.exposeInt('lastReadSeq', { description: 'Everything up to and including this seq has been read.' }),
    silencedUntil: t.field({
      description: 'Until when those who keep order do not let this member write; null or over where they do.',
      type: 'DateTime',
      nullable: true,
      resolve: (member) => member.silencedUntil,
    }),
    notificationLevel: t.field({
      ...ofViewer,
      description: 'Of others, ALL: how much they wish to hear is theirs to know.',
      type: notificationLevel,
      resolve: (member, _, { viewer }) => (viewer?.userId === member.userId ? member.notificationLevel : 'ALL'),
    }),
    mutedUntil: t.field({
      ...ofViewer,
      description: 'Of others, null.',
      type: 'DateTime',
      nullable: true,
      resolve: (member, _, { viewer }) => (viewer?.userId === member.userId ? member.mutedUntil : null),
    }),
  }),
})

const channelNotificationsInput = builder.inputType('ChannelNotificationsInput', {
  description: 'An absent field keeps what is there, and null clears it.',
  fields: (t) => ({
    channelId: t.id({ required: true, description: 'One that the viewer is in.' }),
    level: t.field({ type: notificationLevel, description: 'Null is ALL.' }),
    mutedUntil: t.field({ type: 'DateTime', description: 'Nothing is pushed until then.' }),
  }),
})

builder.mutationFields((t) => ({
  joinChannel: t.field({
    description: 'Enters a PUBLIC channel.',
    type: channelPayload,
    args: { channelId: t.arg.id({ required: true }) },
    resolve: async (_, args, context) => {
      const channelId = readChannelId(args.channelId, 'channelId')
      await context.services.members.join(requireViewer(context), channelId)
      return { channelId }
    },
  }),
  leaveChannel: t.field({
    description: 'Leaves a channel. The last owner hands it on to whoever has been there longest, admins first.',
    type: channelPayload,
    args: { channelId: t.arg.id({ required: true }) },
    resolve: async (_, args, context) => {
      const channelId = readChannelId(args.channelId, 'channelId')
      await context.services.members.leave(requireViewer(context), channelId)
      return { channelId }
    },
  }),
  addMembers: t.field({
    description:
      'Brings up to 100 people in; who is in already stays as they are. In a GROUP owners and admins may. FORBIDDEN where ' +
      'one of them has blocked the viewer.',
    type: channelPayload,
    args: { channelId: t.arg.id({ required: true }), userIds: t.arg.idList({ required: true }) },
    resolve: async (_, args, context) => {
      const viewerId = requireViewer(context)
      const channelId = readChannelId(args.channelId, 'channelId')
      const userIds = args.userIds.map((id) => readUserId(id, 'userIds'))
      await context.services.members.add(viewerId, channelId, userIds)
      return { channelId }
    },
  }),
  removeMember: t.field({
    description: 'Puts out somebody of a lower role: nothing that happens afterwards reaches them.',
    type: channelPayload,
    args: { channelId: t.arg.id({ required: true }), userId: t.arg.id({ required: true }) },
    resolve: async (_, args, context) => {
      const viewerId = requireViewer(context)
      const channelId = readChannelId(args.channelId, 'channelId')
      await context.services.members.remove(viewerId, channelId, readUserId(args.userId, 'userId'))
      return { channelId }
    },
  }),
  setMemberRole: t.field({
    description: 'The last owner stays one until there is another.',
    type: channelPayload,
    args: {
      channelId: t.arg.id({ required: true }),
      userId: t.arg.id({ required: true }),
      role: t.arg({ type: memberRole, required: true }),
    },
    resolve: async (_, args, context) => {
      const viewerId = requireViewer(context)
      const channelId = readChannelId(args.channelId, 'channelId')
      await context.services.members.setRole(viewerId, channelId, readUserId(args.userId, 'userId'), args.role)
      return { channelId }
    },
  }),
  setChannelNotifications: t.field({
    description: 'Sets how much of a channel is pushed to the viewer’s devices.',
    type: channelPayload,
    args: { input: t.arg({ type: channelNotificationsInput, required: true }) },
    resolve: async (_, { input }, context) => {
      const channelId = readChannelId(input.channelId, 'input.channelId')
      await context.services.members.setNotifications(requireViewer(context), channelId, input)
      return { channelId }
    },
  }),
}))
