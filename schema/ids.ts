import type { MessageKey } from '../server/message-store/pages.ts'
import { badInput } from '../server/errors.ts'
import type { AttachmentKey } from '../server/domain/attachments-rows.ts'
import { parseGlobalId } from '../server/lib/global-id.ts'

/** Reads the id of a channel that a client gave at `field`; throws BAD_USER_INPUT where it is none. */
export function readChannelId(id: string, field: string): string {
  const parsed = parseGlobalId(id)
  if (parsed?.type !== 'Channel') throw badInput('This is not the id of a channel.', field)
  return parsed.channelId
}

/** The same for a user. */
export function readUserId(id: string, field: string): string {
  const parsed = parseGlobalId(id)
  if (parsed?.type !== 'User') throw badInput('This is not the id of a user.', field)
  return parsed.userId
}

/** The same for a message. */
export function readMessageId(id: string, field: string): MessageKey {
  const parsed = parseGlobalId(id)
  if (parsed?.type !== 'Message') throw badInput('This is not the id of a message.', field)
  return { channelId: parsed.channelId, messageId: parsed.messageId }
}

/** The same for an attachment. */
export function readAttachmentId(id: string, field: string): AttachmentKey {
  const parsed = parseGlobalId(id)
  if (parsed?.type !== 'Attachment') throw badInput('This is not the id of an attachment.', field)
  return { userId: parsed.userId, id: parsed.attachmentId }
}
