import type { Change } from '../message-store/changes.ts'

/** What happened in an account, with the number of its change. */
export type AccountChange = {
  userId: string
  change: number
  kind: 'READ' | 'CHANNEL' | 'MEMBERSHIP' | 'REMINDER' | 'ACTIVITY'
  /** Of a REMINDER, the reminder's id; of an ACTIVITY, the activity's, or 0 for what is unread of all. */
  channelId: string
}

/**
 * News of a channel that is worth nothing a moment later. It came after `change`: who has not been told of the channel
 * so far may have been put out of it since, and must not hear of this before that is known.
 */
export type Signal = { change: number } & (
  | { type: 'typing'; userId: string; typing: boolean }
  | { type: 'read'; userId: string; lastReadSeq: number }
)

/**
 * Tells everybody whom it concerns what has been committed. It never fails and never waits: what is lost on the way is
 * found again in the store.
 */
export type Announcer = {
  /** Changes of one channel, in order. */
  channel(changes: readonly Change[]): void
  account(change: AccountChange): void
  signal(channelId: string, signal: Signal): void
  /** A user's presence has moved. */
  presence(userId: string): void
  /** A session has ended: its sockets must close. */
  sessionEnded(userId: string, sessionId: string): void
}
