import { builder } from './builder.ts'
import { channelPayload } from './channels.ts'
import { readChannelId } from './ids.ts'
import { channelType } from './types.ts'
import { requireViewer } from './viewer.ts'

builder.objectField(channelType, 'messageExpirySeconds', (t) =>
  t.int({
    description: 'After how many seconds messages disappear; null where they stay.',
    nullable: true,
    resolve: (channel) => channel.expireAfterSeconds,
  }),
)

builder.mutationFields((t) => ({
  setMessageExpiry: t.field({
    description:
      'Lets messages disappear after so many seconds, from a minute to a year: then they are deleted for everybody. What ' +
      'was sent before stays. A new length counts for all that has not disappeared yet; null turns it off, and what has ' +
      'not disappeared by then stays. Either of the two may do so in a DIRECT channel, and owners and admins elsewhere.',
    type: channelPayload,
    args: { channelId: t.arg.id({ required: true }), seconds: t.arg.int() },
    resolve: async (_, args, context) => {
      const channelId = readChannelId(args.channelId, 'channelId')
      await context.services.messageExpiry.set(requireViewer(context), channelId, args.seconds ?? null)
      return { channelId }
    },
  }),
}))
