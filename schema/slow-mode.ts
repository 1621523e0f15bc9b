import { builder, ofViewer } from './builder.ts'
import { channelPayload } from './channels.ts'
import { readChannelId } from './ids.ts'
import { channelType } from './types.ts'
import { requireViewer } from './viewer.ts'

builder.objectField(channelType, 'slowModeSeconds', (t) =>
  t.int({
    description: 'How many seconds must pass between two messages of one member; null where they may write at any time.',
    nullable: true,
    resolve: (channel) => channel.slowModeSeconds,
  }),
)

builder.objectField(channelType, 'viewerMaySendAt', (t) =>
  t.field({
    ...ofViewer,
    description: 'When slow mode lets the viewer write the next message; null where that is now, or the viewer is no member.',
    type: 'DateTime',
    nullable: true,
    resolve: async (channel, _, { viewer, own, services }) => {
      const member = viewer === null || channel.slowModeSeconds === null ? null : await own.membership.load(channel.id)
      return member === null ? null : services.slowMode.maySendAt(viewer!.userId, channel, member.role)
    },
  }),
)

builder.mutationFields((t) => ({
  setSlowMode: t.field({
    description:
      'Slow mode: so many seconds, up to six hours, must pass between two messages of one member; owners and admins may ' +
      'write at any time. 0 or null turns it off. Who writes too soon gets RATE_LIMITED with `retryAfterMs`; sending the ' +
      'same message again with its idempotency key is not writing. For owners and admins.',
    type: channelPayload,
    args: { channelId: t.arg.id({ required: true }), seconds: t.arg.int() },
    resolve: async (_, args, context) => {
      const channelId = readChannelId(args.channelId, 'channelId')
      await context.services.slowMode.set(requireViewer(context), channelId, args.seconds ?? null)
      return { channelId }
    },
  }),
}))
