import { builder, ofViewer } from './builder.ts'
import { readUserId } from './ids.ts'
import { pageOfPeople, userConnection } from './people.ts'
import { requireViewer } from './viewer.ts'

builder.queryFields((t) => ({
  blocks: t.field({
    ...ofViewer,
    description:
      'Whom the viewer has blocked, the latest first. Clients hide what they write in channels that both are in.',
    type: userConnection,
    args: { first: t.arg.int(), after: t.arg.string() },
    resolve: (_, args, context) => pageOfPeople(context, args, context.services.blocks.list),
  }),
}))

builder.mutationFields((t) => ({
  blockUser: t.boolean({
    description:
      'Blocks somebody, who is not told. Their DIRECT channel can be read by both and written in by neither; neither ' +
      'is told whether the other is there, types or has read; what they write mentions the viewer no more; and they ' +
      'cannot bring the viewer into a channel. In channels that both are in messages still come. False where they ' +
      'were blocked before.',
    args: { userId: t.arg.id({ required: true }) },
    resolve: (_, { userId }, context) =>
      context.services.blocks.add(requireViewer(context), readUserId(userId, 'userId')),
  }),
  unblockUser: t.boolean({
    description: 'Takes a block back; false where there was none.',
    args: { userId: t.arg.id({ required: true }) },
    resolve: (_, { userId }, context) =>
      context.services.blocks.remove(requireViewer(context), readUserId(userId, 'userId')),
  }),
}))
