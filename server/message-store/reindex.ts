import type { Database } from '../../drizzle/connection.ts'
import { messageTerms, termsVersion } from '../lib/search-terms.ts'
import { tableOf } from './bucket-time.ts'
import { alone } from './maintenance-lock.ts'
import { cleanPendingLists } from './pending-list.ts'

/** Messages of one batch, and bytes of what they say, beyond which it is cut short. */
const batchSize = 500
const maxBatchBytes = 1_000_000

/** After so many batches what they have put on the index's list is worked in, and progress is told. */
const batchesAtOnce = 20

/** How far the terms of a bucket have come: messages looked at, and of them written. */
export type ReindexProgress = { bucket: number; messages: number; written: number; isDone: boolean }

type Place = { channelId: string; id: string }

type RawMessage = { channel_id: string; id: string; content: string; terms: number[] | null; hash: string }

/**
 * Writes the terms of stored messages anew where the code has made other ones since, the newest buckets first. Nobody
 * waits for it: each statement is short, and touches only what is not yet as it should be. So what was cut off is gone on
 * with quickly; and an edit that comes between is never undone, as a message is written only if it says what was read.
 * Null where another process is at it, else how many messages were written.
 */
export function reindex(
  database: Database,
  onProgress: (progress: ReindexProgress) => void = () => {},
): Promise<number | null> {
  return alone(database, async () => {
    const buckets = await database.run<{ bucket: number }>(
      'select bucket from buckets where terms_version < $1 order by bucket desc',
      [termsVersion],
    )
    let written = 0
    for (const { bucket } of buckets) written += await reindexBucket(database, bucket, onProgress)
    return written
  })
}

async function reindexBucket(
  database: Database,
  bucket: number,
  onProgress: (progress: ReindexProgress) => void,
): Promise<number> {
  const progress = { bucket, messages: 0, written: 0, isDone: false }
  let after: Place = { channelId: '0', id: '0' }
  for (let batch = 1; ; batch++) {
    const { messages, last } = await readBatch(database, tableOf(bucket), after)
    if (last === null) break
    progress.messages += messages.length
    progress.written += await writeTerms(database, tableOf(bucket), messages)
    after = last
    if (batch % batchesAtOnce > 0) continue
    await cleanPendingLists(database, [bucket])
    onProgress({ ...progress })
  }
  await cleanPendingLists(database, [bucket])
  // What the planner knows of the terms is of those before.
  if (progress.written > 0) await database.run(`analyze ${tableOf(bucket)}`, [])
  // What was written anew has left its old room empty: it is worth being compacted again.
  await database.run(
    `update buckets set terms_version = $2, compacted_at = case when $3::int > 0 then null else compacted_at end
     where bucket = $1 and terms_version < $2`,
    [bucket, termsVersion, progress.written],
  )
  onProgress({ ...progress, isDone: true })
  return progress.written
}

/** The next messages in the order of channels and ids, and where they end; null where there are none. */
async function readBatch(
  database: Database,
  table: string,
  after: Place,
): Promise<{ messages: RawMessage[]; last: Place | null }> {
  const sizes = await database.run<{ channel_id: string; id: string; bytes: number }>(
    `/* terms to do */ select channel_id, id, octet_length(content) as bytes from ${table}
     where (channel_id, id) > ($1::bigint, $2::bigint) order by channel_id, id limit ${batchSize}`,
    [after.channelId, after.id],
  )
  let bytes = 0
  const tooFar = sizes.findIndex((size, place) => (bytes += size.bytes) > maxBatchBytes && place > 0)
  const last = sizes.at(tooFar < 0 ? -1 : tooFar - 1)
  if (last === undefined) return { messages: [], last: null }
  const messages = await database.run<RawMessage>(
    `/* what they are of */ select channel_id, id, content, terms, md5(content) as hash from ${table}
     where (channel_id, id) > ($1::bigint, $2::bigint) and (channel_id, id) <= ($3::bigint, $4::bigint)
     order by channel_id, id`,
    [after.channelId, after.id, last.channel_id, last.id],
  )
  return { messages, last: { channelId: last.channel_id, id: last.id } }
}

async function writeTerms(database: Database, table: string, messages: readonly RawMessage[]): Promise<number> {
  const wanted = messages.flatMap(({ terms: stored, ...message }) => {
    const terms = messageTerms(message.channel_id, message.content)
    const isSame = `${stored ?? ''}` === `${terms}` && stored?.length !== 0
    return isSame ? [] : [{ ...message, terms: terms.length === 0 ? null : terms.join(',') }]
  })
  if (wanted.length === 0) return 0
  // Citus has no part in what may be read differently by each session, as the text of an array may be.
  const rows = await database.run(
    `/* terms */ update ${table} m set terms = string_to_array(w.terms, ',')::int[]
     from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) as w (channel_id, id, terms, hash)
     where m.channel_id = w.channel_id and m.id = w.id and md5(m.content) = w.hash returning m.id`,
    [
      wanted.map((message) => message.channel_id),
      wanted.map((message) => message.id),
      wanted.map((message) => message.terms),
      wanted.map((message) => message.hash),
    ],
  )
  return rows.length
}
