import { userGlobalId } from '../server/lib/global-id.ts'
import { builder, ofViewer } from './builder.ts'
import { readAttachmentId } from './ids.ts'
import { nodeType } from './nodes.ts'
import { presenceType, userType } from './types.ts'
import { requireViewer } from './viewer.ts'

userType.implement({
  description: 'A person, or a program that takes part like one.',
  interfaces: [nodeType],
  fields: (t) => ({
    id: t.id({ resolve: (user) => userGlobalId(user.id) }),
    username: t.exposeString('username', {
      description: 'Unique, whatever its case; `@username` mentions. One that says nothing where the account was deleted.',
    }),
    displayName: t.exposeString('displayName', {
      description: 'What to show; people may share one. Where the account was deleted it is the username, in the place of which clients show what fits their language.',
    }),
    deleted: t.boolean({
      description: 'Whether the account was deleted: it can be neither found nor written to, and is here for what it has said.',
      resolve: ({ deletedAt }) => deletedAt !== null,
    }),
    avatarUrl: t.field({
      description: 'A square picture, at a signed address that stays the same for a while.',
      type: 'URL',
      nullable: true,
      resolve: (user, _, { services }) => services.users.avatarUrl(user),
    }),
    bot: t.exposeBoolean('bot', { description: 'Whether it is a program.' }),
    createdAt: t.field({ description: 'When the account was made.', type: 'DateTime', resolve: (user) => user.createdAt }),
    presence: t.field({
      ...ofViewer,
      description:
        'OFFLINE to those who may not see it: who neither shares a channel with this user nor was added by them as a ' +
        'contact, and where one of the two has blocked the other.',
      type: presenceType,
      resolve: (user, _, { own }) => own.presence.load(user.id),
    }),
  }),
})

const updateProfileInput = builder.inputType('UpdateProfileInput', {
  description: 'An absent field keeps what is there.',
  fields: (t) => ({
    displayName: t.string({ description: 'Null shows the username instead.' }),
    avatarAttachmentId: t.id({ description: 'A picture of the viewer’s own that is READY; null shows none.' }),
  }),
})

builder.queryFields((t) => ({
  viewer: t.field({
    ...ofViewer,
    description: 'Who is asking; null when signed out.',
    type: userType,
    nullable: true,
    resolve: (_, __, { viewer, loaders }) => (viewer === null ? null : loaders.user.load(viewer.userId)),
  }),
  user: t.field({
    ...ofViewer,
    description: 'The user of this name, whatever its case.',
    type: userType,
    nullable: true,
    args: { username: t.arg.string({ required: true }) },
    resolve: (_, { username }, context) => {
      requireViewer(context)
      return context.services.users.findByUsername(username.slice(0, 64))
    },
  }),
}))

builder.mutationFields((t) => ({
  updateProfile: t.field({
    description: 'Changes what others see of the viewer.',
    type: userType,
    args: { input: t.arg({ type: updateProfileInput, required: true }) },
    resolve: (_, { input }, context) => context.services.users.updateProfile(requireViewer(context), {
        displayName: input.displayName,
        avatar:
          input.avatarAttachmentId == null
            ? input.avatarAttachmentId
            : readAttachmentId(input.avatarAttachmentId, 'input.avatarAttachmentId'),
      }),
  }),
}))
