import { builder, ofViewer } from './builder.ts'
import { readUserId } from './ids.ts'
import { pageOfPeople, userConnection } from './people.ts'
import { requireViewer } from './viewer.ts'

builder.queryFields((t) => ({
  contacts: t.field({
    ...ofViewer,
    description: 'Whom the viewer has added, the latest first.',
    type: userConnection,
    args: { first: t.arg.int(), after: t.arg.string() },
    resolve: (_, args, context) => pageOfPeople(context, args, context.services.contacts.list),
  }),
}))

builder.mutationFields((t) => ({
  addContact: t.boolean({
    description:
      'Adds somebody, who may see from then on when the viewer is there. That the viewer sees them, too, without ' +
      'sharing a channel with them, takes that they add the viewer. They are not told. False where they were added ' +
      'before.',
    args: { userId: t.arg.id({ required: true }) },
    resolve: (_, { userId }, context) =>
      context.services.contacts.add(requireViewer(context), readUserId(userId, 'userId')),
  }),
  removeContact: t.boolean({
    description: 'Takes somebody off the list of contacts; false where they were not on it.',
    args: { userId: t.arg.id({ required: true }) },
    resolve: (_, { userId }, context) =>
      context.services.contacts.remove(requireViewer(context), readUserId(userId, 'userId')),
  }),
}))
