import type { Change, Position } from '../../message-store/changes.ts'
import type { AccountItem } from '../account-source.ts'
import type { Telling } from '../live/audience.ts'

/** What an inbox tells: a change of a channel or of the account, or that all which happened before is told. */
export type InboxItem =
  | { type: 'change'; change: Change }
  | { type: 'account'; change: AccountItem }
  /** The viewer's read position has moved with a message of their own, which comes next; told on the channel's stream. */
  | { type: 'ownRead'; channelId: string; userId: string; position: Position }
  | { type: 'synced'; userId: string; position: Position }

/** The item of each change, the same for all inboxes. */
const items = new WeakMap<Change, InboxItem>()

export function itemOf(change: Change): InboxItem {
  const known = items.get(change)
  if (known !== undefined) return known
  const item: InboxItem = { type: 'change', change }
  items.set(change, item)
  return item
}

/** A channel as inboxes tell it: every change, and before a message, to its author, that it is read. */
export const inboxTelling: Telling = {
  itemOf,
  forOne(change) {
    if (change.type !== 'message' || change.kind !== 'CREATED') return null
    const { channelId, message } = change
    const position = { change: change.change - 1, seq: change.seq - 1 }
    return { userId: message.authorId, item: { type: 'ownRead', channelId, userId: message.authorId, position } }
  },
}
