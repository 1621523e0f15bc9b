import { badInput } from '../server/errors.ts'
import type { ReminderRow } from '../server/domain/reminders.ts'
import type { ScheduledMessageRow } from '../server/domain/scheduled-messages.ts'
import type { DeviceRow } from '../server/domain/devices.ts'
import type { AttachmentKey, AttachmentRow } from '../server/domain/attachments-rows.ts'
import type { UserRow } from '../server/domain/users.ts'
import { type GlobalId, parseGlobalId } from '../server/lib/global-id.ts'
import type { ChannelRow, MessageRow } from '../server/message-store/rows.ts'
import { builder, ofViewer } from './builder.ts'
import type { Context } from './context.ts'
import { findVisibleChannel, mayRead, requireViewer } from './viewer.ts'

type NodeRow = UserRow | ChannelRow | MessageRow | AttachmentRow | DeviceRow | ScheduledMessageRow | ReminderRow

/** What the rows are that were found by their ids: the id of each says it. */
const typenames = new WeakMap<object, GlobalId['type']>()

export const nodeType = builder.interfaceRef<unknown>('Node').implement({
  description: 'Whatever has an id. Ids are opaque: do not take them apart.',
  fields: (t) => ({ id: t.id({ description: 'Its own, whatever the type.', resolve: () => '' }) }),
  resolveType: (row) => typenames.get(row as object),
})

/** What an id stands for, if the viewer may see it. */
async function findNode(context: Context, id: string): Promise<NodeRow | null> {
  requireViewer(context)
  const parsed = parseGlobalId(id)
  const row = parsed === null ? null : await findRow(context, parsed)
  if (row !== null) typenames.set(row, parsed!.type)
  return row
}

async function findRow(context: Context, parsed: GlobalId): Promise<NodeRow | null> {
  const viewerId = requireViewer(context)
  if (parsed.type === 'User') return context.loaders.user.load(parsed.userId)
  if (parsed.type === 'ScheduledMessage') {
    return context.services.scheduledMessages.find(viewerId, parsed.scheduledMessageId)
  }
  if (parsed.type === 'Reminder') return context.loaders.reminder.load({ userId: viewerId, id: parsed.reminderId })
  if (parsed.type === 'Device') {
    return parsed.userId === viewerId ? context.own.device.load(parsed.deviceId) : null
  }
  if (parsed.type === 'Attachment') return findAttachment(context, { userId: parsed.userId, id: parsed.attachmentId })
  // Not a node: who keeps order pages through them.
  if (parsed.type === 'Report' || parsed.type === 'Activity') return null
  const channel = await findVisibleChannel(context, parsed.channelId)
  if (parsed.type === 'Channel' || channel === null) return channel
  return (await mayRead(context, channel)) ? context.loaders.message.load(parsed) : null
}

/** An attachment of the viewer's own, or of a message that the viewer may read. */
async function findAttachment(context: Context, key: AttachmentKey): Promise<AttachmentRow | null> {
  const attachment = await context.loaders.attachment.load(key)
  if (attachment === null || attachment.userId === context.viewer?.userId) return attachment
  const message = await context.services.attachments.messageOf(attachment)
  const channel = message === null ? null : await findVisibleChannel(context, message.channelId)
  return channel !== null && (await mayRead(context, channel)) ? attachment : null
}

/** Ids in one request for nodes. */
const maxNodes = 100

builder.queryFields((t) => ({
  node: t.field({
    ...ofViewer,
    description: 'Whatever has this id; null where the viewer may not see it, or there is none.',
    type: nodeType,
    nullable: true,
    args: { id: t.arg.id({ required: true }) },
    resolve: (_, { id }, context) => findNode(context, id),
  }),
  nodes: t.field({
    ...ofViewer,
    description: `Up to ${maxNodes} of them, in the order of the ids.`,
    type: [nodeType],
    nullable: { list: false, items: true },
    args: { ids: t.arg.idList({ required: true }) },
    resolve: (_, { ids }, context) => {
      if (ids.length > maxNodes) throw badInput(`At most ${maxNodes} ids at once.`, 'ids')
      return Promise.all(ids.map((id) => findNode(context, id)))
    },
  }),
}))
