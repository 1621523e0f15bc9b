import type { Database } from '../drizzle/connection.ts'
import { writeFeed } from '../server/domain/feed-writing.ts'

export type FeedWriterOptions = {
  database: Database
  /** Members up to which a channel's messages are written out to each of them. */
  writtenMembers: number
  onError: (error: unknown) => void
}

export type FeedWriter = {
  /** Something was said in these channels. */
  add(channelIds: readonly string[]): void
  /** Whether all is written that was added. */
  isIdle(): boolean
  stop(): Promise<void>
}

/** Channels that are written out at once: as many as leave the pool to others. */
const atOnce = 2

/**
 * Writes what was said in channels into the feeds of those who are in them, of each channel once for all that has been
 * said by then. It has no jobs in the queue: one for each message would cost more than what it writes. What is lost as
 * the process dies, or as the store is away, is missed by nobody: until it is written feeds read it from the channel
 * (`feed_spans` says so), and whoever writes next writes it, too.
 */
export function startFeedWriter({ database, writtenMembers, onError }: FeedWriterOptions): FeedWriter {
  const waiting = new Set<string>()
  const running = new Set<Promise<void>>()
  const stopping = new AbortController()
  const { signal } = stopping

  async function writeAll(): Promise<void> {
    for (const channelId of waiting) {
      // Before it is looked at: what is said from now on is another turn.
      waiting.delete(channelId)
      await writeFeed(database, { channelId, writtenMembers, signal }).catch((error: unknown) => {
        if (!signal.aborted) onError(error)
      })
      if (signal.aborted) return
    }
  }

  return {
    add(channelIds) {
      if (signal.aborted) return
      for (const channelId of channelIds) waiting.add(channelId)
      while (running.size < Math.min(atOnce, waiting.size + running.size)) {
        const run: Promise<void> = writeAll().finally(() => void running.delete(run))
        running.add(run)
      }
    },
    isIdle: () => waiting.size === 0 && running.size === 0,
    async stop() {
      stopping.abort()
      await Promise.all(running)
    },
  }
}
