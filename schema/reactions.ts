import { maxReactors } from '../server/domain/reactions.ts'
import { badInput } from '../server/errors.ts'
import { userGlobalId } from '../server/lib/global-id.ts'
import { builder, ofViewer } from './builder.ts'
import { readMessageId } from './ids.ts'
import { messagePayload } from './messages.ts'
import { reactionType } from './types.ts'
import { requireViewer } from './viewer.ts'

/** Who reacted, unless more are asked for. */
const defaultReactors = 20

reactionType.implement({
  description: 'An emoji that a message was given, and by whom.',
  fields: (t) => ({
    emoji: t.exposeString('emoji', { description: 'One emoji, of however many code points.' }),
    count: t.exposeInt('count', { description: 'How many have given it.' }),
    userIds: t.idList({
      description: `The first to react, at most ${maxReactors}: whether the viewer did can be told from it without asking about the viewer.`,
      args: { first: t.arg.int() },
      resolve: ({ userIds }, { first }) => {
        const size = first ?? defaultReactors
        if (size < 1 || size > maxReactors) throw badInput(`Ask for 1 to ${maxReactors}.`, 'first')
        return userIds.slice(0, size).map(userGlobalId)
      },
    }),
    viewerHasReacted: t.boolean({
      ...ofViewer,
      description: 'Whether the viewer is among them.',
      resolve: async ({ channelId, messageId, emoji }, _, { viewer, own }) =>
        viewer !== null && (await own.ownReactions.load({ channelId, messageId })).has(emoji),
    }),
  }),
})

builder.mutationFields((t) => ({
  addReaction: t.field({
    description: 'Each member gives each emoji once.',
    type: messagePayload,
    args: { messageId: t.arg.id({ required: true }), emoji: t.arg.string({ required: true }) },
    resolve: (_, { messageId, emoji }, context) =>
      context.services.reactions.add(requireViewer(context), readMessageId(messageId, 'messageId'), emoji),
  }),
  removeReaction: t.field({
    description: 'Takes the viewer’s own back; where there is none nothing changes.',
    type: messagePayload,
    args: { messageId: t.arg.id({ required: true }), emoji: t.arg.string({ required: true }) },
    resolve: (_, { messageId, emoji }, context) =>
      context.services.reactions.remove(requireViewer(context), readMessageId(messageId, 'messageId'), emoji),
  }),
}))
