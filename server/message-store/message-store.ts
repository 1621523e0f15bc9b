import type { Database } from '../../drizzle/connection.ts'
import { createSendBatcher, type SendBatcher } from './batcher.ts'
import type { CatchUp } from './catch-up.ts'
import { type Change, type ChangePage, changesSince, type Head, heads, type Position } from './changes.ts'
import { changeChannel, type LockedChannel } from './channel-lock.ts'
import { type MessageKey, readMessage, readMessages, readSpans, seqAt } from './pages.ts'
import { createReplicaReads, type PageRequest, primaryReads, type ReplicaOutcome } from './replica-reads.ts'
import type { MessageRow } from './rows.ts'
import { findMessages, type SearchRequest, type SearchResult } from './search.ts'
import type { SnowflakeSource } from './snowflake.ts'

/**
 * Where messages are kept: the one door to them, and the one place that numbers anything in a channel. It runs on
 * whatever speaks Postgres: the embedded server, one of your own, or Citus; `message-store.conformance.test.ts` is what
 * each of them has to pass.
 *
 * **Order.** What happens in a channel has one order. Each message has the next seq and each change the next change
 * number, both from 1 and without holes; both, and the ids, are in the order in which things are committed. That holds
 * for any number of processes, whatever their clocks say. Between channels there is no order.
 *
 * **Durability and atomicity.** What is answered is committed, with all that belongs to it: message, key, mentions,
 * reply counts, the author's read position, what jobs are made from. What is refused has left nothing behind. After
 * UNAVAILABLE nobody knows which of the two it was: the same key makes asking again safe.
 *
 * **Idempotency.** A key names one message of its author in one channel for as long as the message is kept, on all
 * processes, at the same moment too. The first body that comes with it stands; another one is a conflict.
 *
 * **Permission.** The store does not know who may do what. It writes a send only if nobody's rights in the channel have
 * moved since the caller looked, and gives what changes under the channel's lock to the caller to decide.
 *
 * **Reading.** A page is one moment of the channel, and costs what it holds, wherever in the channel it lies. A
 * catch-up tells everything that changed after a position, each message once in its latest state, in the order of the
 * changes, deleted ones without what they said; between its pages the channel may go on, and nothing is left out. It
 * throws CURSOR_EXPIRED where retention has taken away what should be told. A search finds whatever is acknowledged.
 *
 * **Not promised.** That a message of which a stream has told is still as it was told; that ids are unique beyond their
 * channel; that a page is full where its messages are large; that what was removed by retention can be told from what
 * never was.
 *
 * **Failing.** No statement may take longer than the database's deadline, and no call waits longer than that for its
 * turn at a channel: then it is UNAVAILABLE, as when the store is away. (An error of Drizzle's may stand around it:
 * `expectedFailure` finds it.)
 */
export type MessageStore = {
  /**
   * Stores a message, in one batch with whatever else meets it at its channel. 'moved' means that somebody's rights
   * have changed since `membershipVersion`: nothing is stored, look again.
   */
  send: SendBatcher['send']
  /**
   * Runs `work` with the channel locked, in one transaction; returns its result and the changes it made, in order, to
   * be announced. Null where there is no such channel.
   */
  change<Result>(
    channelId: string,
    work: (channel: LockedChannel) => Promise<Result>,
  ): Promise<{ result: Result; changes: Change[] } | null>

  /** One message in its latest state; null where there is none. */
  message(key: MessageKey): Promise<MessageRow | null>
  /** These messages, in no order; those that do not exist are left out. */
  messages(keys: readonly MessageKey[]): Promise<MessageRow[]>
  /** Pages, one for each request; of one channel, which is the rule, by the simplest statement there is. */
  pages(requests: readonly PageRequest[]): Promise<MessageRow[][]>
  /** The seq of the first message at or after a moment, as the lowest Snowflake of it; null where there is none. */
  seqAt(channelId: string, snowflake: string): Promise<number | null>
  /** Messages by what they say, the newest first. */
  search(request: SearchRequest): Promise<SearchResult>

  /**
   * What changed in a channel after a position, at most `limit` changes of it. Who reads on hands in the same `catchUp`
   * for each page. Null where there is no such channel.
   */
  changesSince(
    channelId: string,
    after: Position,
    limit: number,
    userId: string,
    catchUp?: CatchUp,
  ): Promise<ChangePage | null>
  /** Where these channels stand, in one query; those that do not exist are left out. */
  heads(channelIds: readonly string[]): Promise<Head[]>

  /** Resolves once nothing is waiting to be sent. */
  drain(): Promise<void>
}

/** Opens the store on a database. History is read on `replica` where there is one, and wherever it is up to date. */
export function createMessageStore(options: {
  database: Database
  replica?: Database | null
  snowflakes: SnowflakeSource
  /** Called with what sends changed, after the commit and before their senders are answered. */
  announce: (changes: Change[]) => void
  onBatch?: (size: number) => void
  onReplicaRead?: (outcome: ReplicaOutcome) => void
}): MessageStore {
  const { database, replica = null, onReplicaRead } = options
  const sends = createSendBatcher(options)
  const readPage =
    replica === null ? primaryReads(database) : createReplicaReads({ primary: database, replica, onRead: onReplicaRead })

  return {
    send: sends.send,
    change: (channelId, work) => changeChannel(database, channelId, work),
    message: (key) => readMessage(database, key),
    messages: (keys) => readMessages(database, keys),
    async pages(requests) {
      const [only, ...others] = requests
      return only !== undefined && others.length === 0 ? [await readPage(only)] : readSpans(database, requests)
    },
    seqAt: (channelId, snowflake) => seqAt(database, channelId, snowflake),
    search: (request) => findMessages(database, request),
    changesSince: (channelId, ...rest) => changesSince(database, channelId, ...rest),
    heads: (channelIds) => heads(database, channelIds),
    drain: sends.drain,
  }
}
