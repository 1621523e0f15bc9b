import { createHash } from 'node:crypto'
import { snowflakeAt } from '../message-store/snowflake.ts'
import type { Entry } from './entry.ts'

/** A message of the log with what the store will know it by. */
export type PlannedMessage = {
  entry: Entry
  id: string
  replyToId: string | null
}

/** What one channel of a log becomes: its messages in the order that the channel will have. */
export type ChannelPlan = { channel: string; messages: PlannedMessage[] }

/**
 * Orders a channel's messages by time; those of one moment stay in the order of the file. A message that is dated
 * before the one it answers, because a clock was wrong or passed midnight without its date, comes after it all the
 * same, and with its time.
 *
 * Ids come from the log alone: whoever imports the same log again knows those that are in the store already.
 */
export function planChannel(channel: string, entries: readonly Entry[]): ChannelPlan {
  const byId = new Map<string, Entry>()
  const times = new Map<Entry, number>()
  for (const entry of entries) {
    const root = entry.replyTo === null ? undefined : byId.get(entry.replyTo)
    times.set(entry, Math.max(entry.at, root === undefined ? 0 : times.get(root)!))
    if (entry.id !== null) byId.set(entry.id, entry)
  }
  const ids = new Map<string, string>()
  let last = 0n
  const messages = entries
    .toSorted((a, b) => times.get(a)! - times.get(b)!)
    .map((entry) => {
      const proposed = BigInt(snowflakeAt(times.get(entry)!))
      last = proposed > last ? proposed : last + 1n
      const id = last.toString()
      if (entry.id !== null) ids.set(entry.id, id)
      return { entry, id, replyToId: entry.replyTo === null ? null : ids.get(entry.replyTo)! }
    })
  return { channel, messages }
}

/**
 * A hash that runs over the messages of a plan. `at(count)` is that of the first `count`; it goes forwards only. It
 * tells a log that goes on from one that is another.
 */
export function createDigest({ messages }: ChannelPlan) {
  const hash = createHash('sha256')
  let done = 0
  return {
    at(count: number): Uint8Array {
      for (; done < count; done++) {
        const { id, at, author, text, action, replyTo, mentions } = messages[done]!.entry
        hash.update(JSON.stringify([id, at, author, text, action, replyTo, mentions]))
      }
      return hash.copy().digest()
    },
  }
}
