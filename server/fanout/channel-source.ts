import type { Change } from '../message-store/changes.ts'
import type { MessageStore } from '../message-store/message-store.ts'
import type { Source } from './source.ts'
import { topics } from './topics.ts'

/** Characters of a publish that carries the rows themselves; what is larger is read from the store by who wants it. */
const maxPayload = 64 * 1024

/** Fields of rows that are moments: JSON makes text of them. */
const moments = new Set(['editedAt', 'deletedAt', 'pinnedAt', 'joinedAt', 'leftAt', 'mutedUntil'])

const revive = (key: string, value: unknown) =>
  moments.has(key) && typeof value === 'string' ? new Date(value) : value

export function encodeChanges(changes: readonly Change[]): string {
  const payload = JSON.stringify(changes)
  return payload.length > maxPayload ? 'null' : payload
}

/** Whether this change ends a user's membership. */
export const dismisses = (change: Change, userId: string): boolean =>
  change.type === 'member' && change.member.userId === userId && change.member.leftAt !== null

/** The changes of channels. */
export const channelSource = (store: Pick<MessageStore, 'heads' | 'changesSince'>): Source<Change> => ({
  topic: topics.channel,
  decode: (payload) => JSON.parse(payload, revive) as Change[] | null,
  heads: async (ids) => (await store.heads(ids)).map((head) => ({ id: head.channelId, ...head })),
  since: store.changesSince,
  dismisses,
  toldAt: (change, position) =>
    change.type === 'message' && change.touched !== undefined && change.message.change <= position.change
      ? { ...change, kind: change.touched }
      : change,
  size: (change) => (change.type === 'message' ? change.message.content.length : 0),
})
