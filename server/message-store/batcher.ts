import type { Database } from '../../drizzle/connection.ts'
import { expectedFailure, unavailable } from '../errors.ts'
import type { Change } from './changes.ts'
import { type Send, type SendOutcome, sendBatch } from './send.ts'
import type { SnowflakeSource } from './snowflake.ts'

/** Sends in one statement. Beyond this the statement's own cost grows as fast as what is saved. */
const maxBatch = 128

/** Characters of content in one statement: a few of the largest messages there are. */
const maxBatchCharacters = 1_000_000

/** A send that has waited its turn for so long is given up: the batches before it find a store that does not answer. */
const defaultMaxWaitMs = 5_000

type Waiting = {
  send: Send
  /** When it began to wait, by `performance.now()`. */
  since: number
  membershipVersion: number
  resolve: (outcome: SendOutcome | 'moved') => void
  reject: (error: unknown) => void
}

export type SendBatcher = {
  /**
   * Stores one message; resolves once it is committed. 'moved' means that membership has changed since
   * `membershipVersion`: authorise again. Rejects with UNAVAILABLE when it is not known whether it was stored; the
   * same key makes trying again safe.
   */
  send(channelId: string, membershipVersion: number, send: Send): Promise<SendOutcome | 'moved'>
  /** Resolves once nothing is waiting any more. */
  drain(): Promise<void>
}

/**
 * Gathers the sends that meet at one channel. The channel's row lets only one transaction write at a time, so while
 * one batch is on its way the next one collects; a send that finds its channel idle waits for nothing.
 */
export function createSendBatcher(options: {
  database: Database
  snowflakes: SnowflakeSource
  /** Called with what a batch changed, after its commit and before its senders are answered. */
  announce: (changes: Change[]) => void
  onBatch?: (size: number) => void
  maxWaitMs?: number
}): SendBatcher {
  const { maxWaitMs = defaultMaxWaitMs } = options
  const queues = new Map<string, Waiting[]>()
  const running = new Set<Promise<void>>()

  function take(queue: Waiting[]): Waiting[] {
    const version = queue[0]!.membershipVersion
    let characters = 0
    let count = 0
    for (const waiting of queue) {
      characters += waiting.send.content.length
      if (waiting.membershipVersion !== version || count === maxBatch) break
      if (count > 0 && characters > maxBatchCharacters) break
      count++
    }
    return queue.splice(0, count)
  }

  async function write(channelId: string, batch: Waiting[]): Promise<void> {
    options.onBatch?.(batch.length)
    try {
      const result = await sendBatch(
        options.database,
        channelId,
        batch[0]!.membershipVersion,
        options.snowflakes.next(batch.length),
        batch.map((waiting) => waiting.send),
      )
      if (result.moved) {
        for (const waiting of batch) waiting.resolve('moved')
        return
      }
      if (result.changes.length > 0) options.announce(result.changes)
      batch.forEach((waiting, place) => waiting.resolve(result.outcomes[place]!))
    } catch (error) {
      if (batch.length === 1 || expectedFailure(error) !== null) {
        for (const waiting of batch) waiting.reject(error)
        return
      }
      // One of them is what the store cannot take: nobody else is to suffer for it.
      for (const waiting of batch) await write(channelId, [waiting])
    }
  }

  /** Takes out those who have waited too long. Nothing of theirs was sent, so that there is nothing to be unsure of. */
  function dropStale(queue: Waiting[]) {
    const oldest = performance.now() - maxWaitMs
    const fresh = queue.findIndex((waiting) => waiting.since > oldest)
    for (const waiting of queue.splice(0, fresh === -1 ? queue.length : fresh)) {
      waiting.reject(unavailable(new Error('the channel is held up')))
    }
  }

  async function run(channelId: string, queue: Waiting[]): Promise<void> {
    for (;;) {
      dropStale(queue)
      if (queue.length === 0) break
      await write(channelId, take(queue))
    }
    queues.delete(channelId)
  }

  return {
    send(channelId, membershipVersion, send) {
      return new Promise((resolve, reject) => {
        const waiting = { send, since: performance.now(), membershipVersion, resolve, reject }
        const queue = queues.get(channelId)
        if (queue !== undefined) {
          queue.push(waiting)
          return
        }
        const started = [waiting]
        queues.set(channelId, started)
        const done = run(channelId, started)
        running.add(done)
        void done.finally(() => running.delete(done))
      })
    },
    async drain() {
      while (running.size > 0) await Promise.all(running)
    },
  }
}
