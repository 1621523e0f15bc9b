import { may } from '../server/domain/permissions.ts'
import { badInput } from '../server/errors.ts'
import { parseGlobalId, reminderGlobalId } from '../server/lib/global-id.ts'
import { builder, ofViewer } from './builder.ts'
import { connectionOf, decodePlace, decodeSnowflake, encodePlace, forwardPage, pageSize } from './connections.ts'
import { readMessageId } from './ids.ts'
import { nodeType } from './nodes.ts'
import { messageType, reminderType } from './types.ts'
import { requireViewer } from './viewer.ts'

reminderType.implement({
  description: 'What the viewer wants to be told of later; nobody else sees it.',
  interfaces: [nodeType],
  fields: (t) => ({
    id: t.id({ resolve: ({ id }) => reminderGlobalId(id) }),
    message: t.field({
      description: 'Null where it is of none, or of one that the viewer may not read any more.',
      type: messageType,
      nullable: true,
      // It says itself whose it is, so that nobody has to look at who is asking.
      resolve: async ({ userId, channelId, messageId }, _, { loaders }) => {
        if (channelId === null || messageId === null) return null
        const [channel, member] = await Promise.all([
          loaders.channel.load(channelId),
          loaders.membership.load({ channelId, userId }),
        ])
        const mayRead = channel !== null && may(member?.role ?? 'NONE', 'read', channel.kind)
        return mayRead ? loaders.message.load({ channelId, messageId }) : null
      },
    }),
    note: t.string({ description: 'What the viewer wrote to themselves.', nullable: true, resolve: ({ note }, _, { spend }) => (note === null ? null : spend(note)) }),
    remindAt: t.field({ description: 'When the viewer is told.', type: 'DateTime', resolve: ({ remindAt }) => remindAt }),
    remindedAt: t.field({
      description: 'When the viewer was reminded; null until then.',
      type: 'DateTime',
      nullable: true,
      resolve: ({ remindedAt }) => remindedAt,
    }),
    createdAt: t.field({ description: 'When it was made.', type: 'DateTime', resolve: ({ createdAt }) => createdAt }),
  }),
})

const reminderConnection = connectionOf(reminderType)

const createReminderInput = builder.inputType('CreateReminderInput', {
  description: 'A message, a note, or both.',
  fields: (t) => ({
    messageId: t.id({ description: 'One that the viewer may read.' }),
    remindAt: t.field({ type: 'DateTime', required: true, description: 'Yet to come, and at most a year ahead.' }),
    note: t.string({ description: 'Up to 1,000 characters.' }),
  }),
})

/** Reads the id of a reminder that a client gave at `field`; throws BAD_USER_INPUT where it is none. */
function readReminderId(id: string, field: string): string {
  const parsed = parseGlobalId(id)
  if (parsed?.type !== 'Reminder') throw badInput('This is not the id of a reminder.', field)
  return parsed.reminderId
}

/** Reads the moment of a place. */
function decodeMoment(text: string, field: string): Date {
  const moment = new Date(/^\d{1,15}$/.test(text) ? Number(text) : Number.NaN)
  // Years of four digits are all that the store takes, as DateTime does.
  if (moment.getUTCFullYear() <= 9_999) return moment
  throw badInput('This is not a cursor of this list.', field)
}

builder.queryFields((t) => ({
  reminders: t.field({
    ...ofViewer,
    description:
      'The viewer’s, upcoming and past, by the time that they are of: the latest first. At most 100 are upcoming, so that ' +
      'the first page of 100 holds them all.',
    type: reminderConnection,
    args: { first: t.arg.int(), after: t.arg.string() },
    resolve: async (_, { first, after }, context) => {
      const viewerId = requireViewer(context)
      const size = pageSize(first)
      const place = decodePlace(after, 2, 'after')
      const before = place && { remindAt: decodeMoment(place[0]!, 'after'), id: decodeSnowflake(place[1]!, 'after') }
      const rows = await context.services.reminders.list(viewerId, size + 1, before)
      return forwardPage(rows, size, after, ({ remindAt, id }) => encodePlace(+remindAt, id))
    },
  }),
}))

builder.mutationFields((t) => ({
  createReminder: t.field({
    description:
      'Tells the viewer of it when the time has come: by push, and in open inboxes. Asking for the same again gives back ' +
      'the first, for as long as it is upcoming.',
    type: reminderType,
    args: { input: t.arg({ type: createReminderInput, required: true }) },
    resolve: (_, { input }, context) =>
      context.services.reminders.create(requireViewer(context), {
        message: input.messageId == null ? null : readMessageId(input.messageId, 'input.messageId'),
        remindAt: input.remindAt,
        note: input.note ?? null,
      }),
  }),
  deleteReminder: t.boolean({
    description: 'Takes an upcoming or a past one away; false where there is none.',
    args: { id: t.arg.id({ required: true }) },
    resolve: (_, { id }, context) =>
      context.services.reminders.delete(requireViewer(context), readReminderId(id, 'id')),
  }),
}))
