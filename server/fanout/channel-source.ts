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

/**
 * Writes changes as they travel: the number of the newest, so that who knows it need not read on, and then the rows, or
 * nothing where they are too large. There is at least one change.
 */
export function encodeChanges(changes: readonly Change[]): string {
  const rows = JSON.stringify(changes)
  return `${changes.at(-1)!.change}\n${rows.length > maxPayload ? '' : rows}`
}

/** Reads what `encodeChanges` wrote, as far as it is new after change `known`: see `Source.decode`. */
export function decodeChanges(payload: string, known: number): Change[] | number {
  const end = payload.indexOf('\n')
  const newest = Number(payload.slice(0, end))
  if (end === -1 || !Number.isInteger(newest)) throw new Error('News without the number of a change')
  if (newest <= known) return []
  if (end === payload.length - 1) return newest
  const changes = (JSON.parse(payload.slice(end + 1), revive) as Change[]).filter(({ change }) => change > known)
  return changes.every(isWhole) ? changes : newest
}

/** Whether it tells all there is: a replica of a build that knew of no attachments does not say what a message has. */
const isWhole = (change: Change): boolean =>
  change.type !== 'message' || (change.message as Partial<typeof change.message>).attachmentIds !== undefined

/** Whether this change ends a user's membership. */
export const dismisses = (change: Change, userId: string): boolean =>
  change.type === 'member' && change.member.userId === userId && change.member.leftAt !== null

/** What each change is to who was told of its message before; the same object for everybody. */
const touchedForms = new WeakMap<Change, Change>()

/** A change to who has been told of its message already: what happened to that last, and not that it was created. */
export function asTouched(change: Change): Change {
  if (change.type !== 'message' || change.touched === undefined) return change
  const known = touchedForms.get(change)
  if (known !== undefined) return known
  const { touched, ...rest } = change
  const form: Change = { ...rest, kind: touched }
  touchedForms.set(change, form)
  return form
}

/** The changes of channels. */
export const channelSource = (store: Pick<MessageStore, 'heads' | 'changesSince'>): Source<Change> => ({
  topic: topics.channel,
  decode: decodeChanges,
  heads: async (ids) => (await store.heads(ids)).map((head) => ({ id: head.channelId, ...head })),
  since: store.changesSince,
  dismisses,
  toldAt: (change, position) =>
    change.type === 'message' && change.message.change <= position.change ? asTouched(change) : change,
  size: (change) => (change.type === 'message' ? change.message.content.length : 0),
})
