import type { Activity } from '../server/domain/activities.ts'
import { badInput } from '../server/errors.ts'
import { activityGlobalId, parseGlobalId } from '../server/lib/global-id.ts'
import { builder, ofViewer } from './builder.ts'
import { connectionOf, decodeNumber, encodePlace, pageSize } from './connections.ts'
import { activityType, channelType, messageType, userType } from './types.ts'
import { requireViewer } from './viewer.ts'

const activityKind = builder.enumType('ActivityKind', {
  description: 'What somebody did that is about the viewer.',
  values: {
    MENTION: { description: 'Named the viewer in a message.' },
    REPLY: { description: 'Answered a message of the viewer’s, or one whose replies the viewer follows.' },
    REACTION: { description: 'Reacted to a message of the viewer’s: told once, however often and with whatever.' },
    ADDED_TO_CHANNEL: { description: 'Brought the viewer into a channel.' },
  } as const,
})

activityType.implement({
  description: 'Something that somebody did and that is about the viewer; nobody else sees it.',
  fields: (t) => ({
    id: t.id({
      description: 'Stays the same for as long as the activity is there.',
      resolve: ({ userId, id }) => activityGlobalId(userId, id),
    }),
    order: t.int({
      description: 'Of two activities of the viewer’s the one with the greater number is the newer. There are holes.',
      resolve: ({ id }) => id,
    }),
    kind: t.field({
      description: 'An answer that names the viewer is a MENTION.',
      type: activityKind,
      resolve: ({ kind }) => kind,
    }),
    at: t.field({ description: 'When it was done.', type: 'DateTime', resolve: ({ at }) => at }),
    actor: t.field({
      description: 'Who did it; their account may have been deleted since.',
      type: userType,
      resolve: async ({ actorId }, _, { loaders }) => (await loaders.user.load(actorId))!,
    }),
    channel: t.field({
      description: 'Where it was done.',
      type: channelType,
      resolve: async ({ channelId }, _, { loaders }) => (await loaders.channel.load(channelId))!,
    }),
    message: t.field({
      description: 'The message that mentions or answers; of a REACTION the viewer’s own. Null for ADDED_TO_CHANNEL.',
      type: messageType,
      nullable: true,
      resolve: ({ channelId, messageId }, _, { loaders }) =>
        messageId === '0' ? null : loaders.message.load({ channelId, messageId }),
    }),
    emoji: t.string({
      description: 'Of a REACTION: the first of those that the actor has given and not taken back.',
      nullable: true,
      resolve: ({ emoji }) => emoji,
    }),
    read: t.exposeBoolean('read', { description: 'Whether the viewer has read it, on whatever device.' }),
  }),
})

const activityConnection = connectionOf<Activity>(activityType)

/** Reads the id of one of the viewer's activities, given at `field`; throws BAD_USER_INPUT where it is none. */
function readActivityId(viewerId: string, id: string, field: string): number {
  const parsed = parseGlobalId(id)
  if (parsed?.type === 'Activity' && parsed.userId === viewerId) return parsed.activityId
  throw badInput('This is not the id of an activity of yours.', field)
}

builder.queryFields((t) => ({
  activity: t.field({
    ...ofViewer,
    description:
      'Mentions of the viewer, replies to them, reactions to what they wrote, and channels that they were brought ' +
      'into, newest first, for 90 days. Replies are told to everybody who follows the message that is answered (whoever ' +
      'wrote it, has answered it, or has begun to read its replies); where more than 100 do, to its author alone. Of ' +
      'those who react to a message the first 100 are told of.\n\n' +
      'What is deleted, taken back or disappears is gone from it at once, as is all that was done in channels that the ' +
      'viewer is not in any more, or by somebody who has blocked the viewer or whom the viewer has blocked. Muted ' +
      'channels and those without notifications are in it: muting silences pushes.\n\n' +
      'A page may be short, or empty, while `pageInfo.hasNextPage` is true, and `endCursor` goes on from there.',
    type: activityConnection,
    args: {
      first: t.arg.int({ description: 'How many.' }),
      after: t.arg.string({ description: 'The cursor after which the page begins.' }),
    },
    resolve: async (_, { first, after }, context) => {
      const viewerId = requireViewer(context)
      const page = await context.services.activities.page(viewerId, pageSize(first), decodeNumber(after, 'after'))
      return {
        edges: page.rows.map((node) => ({ cursor: encodePlace(node.id), node })),
        hasNextPage: page.next !== null,
        hasPreviousPage: after != null,
        // What was looked at reaches further than what was found.
        ...(page.next === null ? {} : { endCursor: encodePlace(page.next) }),
      }
    },
  }),
  activityUnreadCount: t.int({
    ...ofViewer,
    description: 'How many activities the viewer has not read; 100 stands for as many or more.',
    resolve: (_, __, context) => context.loaders.activityUnreadCount.load(requireViewer(context)),
  }),
}))

builder.mutationFields((t) => ({
  markActivityRead: t.int({
    description:
      'The viewer has read this activity and all older ones. Never moves backwards. Gives back how many are unread then.',
    args: { upTo: t.arg.id({ required: true, description: 'The newest activity that was read.' }) },
    resolve: async (_, { upTo }, context) => {
      const viewerId = requireViewer(context)
      await context.services.activities.markRead(viewerId, readActivityId(viewerId, upTo, 'upTo'))
      return context.services.activities.unreadCount(viewerId)
    },
  }),
}))
