import { maxScheduled, type ScheduledMessageRow } from '../server/domain/scheduled-messages.ts'
import { badInput } from '../server/errors.ts'
import { parseGlobalId, scheduledMessageGlobalId } from '../server/lib/global-id.ts'
import { builder, ofViewer } from './builder.ts'
import { readChannelId } from './ids.ts'
import { nodeType } from './nodes.ts'
import { channelAsSeenBy } from './streams.ts'
import { channelType } from './types.ts'
import { requireViewer } from './viewer.ts'

const scheduledMessageType = builder.objectRef<ScheduledMessageRow>('ScheduledMessage').implement({
  description: 'What the viewer has written to be sent later; nobody else sees it. It goes when it is sent.',
  interfaces: [nodeType],
  fields: (t) => ({
    id: t.id({ resolve: ({ id }) => scheduledMessageGlobalId(id) }),
    channel: t.field({
      description: 'Where it will be sent to.',
      type: channelType,
      resolve: ({ channelId, userId }, _, { loaders }) => channelAsSeenBy(userId, channelId, loaders),
    }),
    content: t.string({ description: 'What it will say.', resolve: ({ content }, _, { spend }) => spend(content) }),
    sendAt: t.field({ description: 'When it is sent.', type: 'DateTime', resolve: ({ sendAt }) => sendAt }),
    createdAt: t.field({ description: 'When it was scheduled.', type: 'DateTime', resolve: ({ createdAt }) => createdAt }),
    failure: t.string({
      nullable: true,
      description:
        'Why it could not be sent when its time came, such as that its author may not write there any more; null until ' +
        'then. It stays until it is given another time, or cancelled.',
      resolve: ({ failure }) => failure,
    }),
  }),
})

/** Reads the id of a scheduled message that a client gave at `field`; throws BAD_USER_INPUT where it is none. */
function readScheduledMessageId(id: string, field: string): string {
  const parsed = parseGlobalId(id)
  if (parsed?.type !== 'ScheduledMessage') throw badInput('This is not the id of a scheduled message.', field)
  return parsed.scheduledMessageId
}

const scheduleMessageInput = builder.inputType('ScheduleMessageInput', {
  description: 'A message to be sent later.',
  fields: (t) => ({
    channelId: t.id({ required: true, description: 'Where to.' }),
    content: t.string({ required: true, description: '1 to 100,000 characters (Unicode code points).' }),
    sendAt: t.field({ type: 'DateTime', required: true, description: 'Yet to come, and at most a year ahead.' }),
    idempotencyKey: t.string({
      description:
        'Chosen by the client, unique for its author. Scheduling again with the same key and the same body gives back ' +
        'the first, for as long as that is not sent; with another body it is a CONFLICT.',
    }),
  }),
})

const updateScheduledMessageInput = builder.inputType('UpdateScheduledMessageInput', {
  description: 'An absent field keeps what is there.',
  fields: (t) => ({
    id: t.id({ required: true, description: 'One of the viewer’s own, not sent yet.' }),
    content: t.string({ description: 'All that it will say.' }),
    sendAt: t.field({ type: 'DateTime', description: 'Yet to come, and at most a year ahead.' }),
  }),
})

builder.queryFields((t) => ({
  scheduledMessages: t.field({
    extensions: { ...ofViewer.extensions, listLength: maxScheduled },
    description:
      'The viewer’s, in one channel or in all: the soonest first, and before them those that could not be sent.',
    type: [scheduledMessageType],
    args: { channelId: t.arg.id() },
    resolve: (_, { channelId }, context) =>
      context.services.scheduledMessages.list(
        requireViewer(context),
        channelId == null ? null : readChannelId(channelId, 'channelId'),
      ),
  }),
}))

builder.mutationFields((t) => ({
  scheduleMessage: t.field({
    description: `Sends a message later, once, as if its author had sent it then. Each user can have ${maxScheduled} waiting.`,
    type: scheduledMessageType,
    args: { input: t.arg({ type: scheduleMessageInput, required: true }) },
    resolve: (_, { input }, context) =>
      context.services.scheduledMessages.schedule(requireViewer(context), {
        ...input,
        channelId: readChannelId(input.channelId, 'input.channelId'),
      }),
  }),
  updateScheduledMessage: t.field({
    description: 'Changes what will be said, or when. NOT_FOUND once it is sent.',
    type: scheduledMessageType,
    args: { input: t.arg({ type: updateScheduledMessageInput, required: true }) },
    resolve: (_, { input }, context) =>
      context.services.scheduledMessages.update(requireViewer(context), {
        ...input,
        id: readScheduledMessageId(input.id, 'input.id'),
      }),
  }),
  cancelScheduledMessage: t.boolean({
    description: 'What is cancelled is never sent. False where there is nothing to cancel, or it has been sent.',
    args: { id: t.arg.id({ required: true }) },
    resolve: (_, { id }, context) =>
      context.services.scheduledMessages.cancel(requireViewer(context), readScheduledMessageId(id, 'id')),
  }),
}))
