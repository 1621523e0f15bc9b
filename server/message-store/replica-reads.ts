import type { Database } from '../../drizzle/connection.ts'
import { readSpan, readSpanOnReplica, type SpanRequest } from './pages.ts'
import type { MessageRow } from './rows.ts'

/** After it has failed, a read replica is left alone for so long, in milliseconds. */
const restMs = 5_000

/** Where a page was read in the end: on the replica, or on the primary as the replica was behind, or has failed. */
export type ReplicaOutcome = 'replica' | 'behind' | 'failed'

/** A page of a channel, and the change that the channel had come to when it was asked for. */
export type PageRequest = SpanRequest & { change: number }

/** Reads a page, as `readSpan` does. */
export type PageReader = (request: PageRequest) => Promise<MessageRow[]>

/** Reads all pages on the primary. */
export const primaryReads =
  (primary: Database): PageReader =>
  ({ channelId, span, anchor }) =>
    readSpan(primary, channelId, span, anchor)

/**
 * Reads pages on a read replica of the store, where that shows nobody anything old. Who asks for a page has just read
 * on the primary how far the channel has come; the replica's page counts only if its own row of the channel, in the
 * same snapshot, is as far. So nobody misses a message or an edit that was there when they asked, their own least of
 * all; a replica that is behind or away costs a second look, on the primary.
 */
export function createReplicaReads(options: {
  primary: Database
  replica: Database
  onRead?: ((outcome: ReplicaOutcome) => void) | undefined
}): PageReader {
  const { primary, replica, onRead = () => {} } = options
  let restUntil = 0

  async function readThere(request: PageRequest): Promise<MessageRow[] | null> {
    if (performance.now() < restUntil) return null
    try {
      const page = await readSpanOnReplica({ primary, replica }, request, request.change)
      onRead(page === null ? 'behind' : 'replica')
      return page
    } catch {
      // What ails it is in the log of its statements; nobody here needs it.
      restUntil = performance.now() + restMs
      onRead('failed')
      return null
    }
  }

  const readHere = primaryReads(primary)
  return async (request) => (await readThere(request)) ?? readHere(request)
}
