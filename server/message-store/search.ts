import type { Database } from '../../drizzle/connection.ts'
import { termOfChannel } from '../lib/search-terms.ts'
import type { MessageKey } from './pages.ts'
import { createSteps, maxLooked } from './search-steps.ts'
import { compareSnowflakes } from './snowflake.ts'

/** Which messages are looked for. */
export type SearchRequest = {
  /** At least one. */
  channelIds: readonly string[]
  /** How many messages these channels have, and since when, in milliseconds since 1970: estimates will do. */
  messages: number
  since: number
  /** Null is anybody. */
  authorIds: readonly string[] | null
  /** What they have among their terms; with none, all messages of the channels are looked through. */
  terms: readonly number[]
  /** The oldest id that matters. */
  low: string
  /** They come before this place. */
  before: SearchPlace
  /** How many are wanted. */
  size: number
  /** Whether a message with these terms is one: different words may have one hash, and words an order. */
  accepts(message: { channelId: string; seq: number; content: string }): boolean
}

/** A place among the messages of several channels, in the order of their ids and then of their channels. */
export type SearchPlace = { id: string; channelId: string }

/** The place of a message: before it come those after which it was found. */
export const placeOf = ({ channelId, messageId: id }: MessageKey): SearchPlace => ({ id, channelId })

/** Before it come all messages of lower ids, and none of its own: no channel has a lower id. */
export const beforeId = (id: string): SearchPlace => ({ id, channelId: '0' })

export type SearchResult = {
  /**
   * The newest first, at most one more than were wanted. Of long messages nobody has looked whether they are accepted.
   */
  keys: MessageKey[]
  /** Nobody has looked before this place; null where nothing is left. */
  reached: SearchPlace | null
}

/** Milliseconds after which a search stops where it is and leaves the rest to the next page. */
const patienceMs = 200

/** Bytes of content on one page, as on pages of history. */
const maxPageBytes = 1_000_000

/** Bytes of a content that is read along with candidates. */
const maxCandidateBytes = 20_000

type Candidate = { channel_id: string; id: string; seq: number; bytes: number; content: string | null }

const candidateColumns = `m.channel_id, m.id, m.seq, octet_length(m.content) as bytes,
  case when octet_length(m.content) <= ${maxCandidateBytes} then m.content end as content`

/** Messages before a place that people wrote, and that are still there, of any author or of these. */
const isWanted = `m.deleted_at is null and m.kind in ('USER', 'ACTION') and (m.id < $3::bigint or m.channel_id < $6::bigint)
  and ($5::bigint[] is null or m.author_id = any ($5::bigint[]))`

/** Within a range of ids, by the index of channels. `is true` keeps the index of terms out of the plan. */
const byChannels = (hasTerms: boolean) => `/* search by channels */ select ${candidateColumns} from messages m
  where m.channel_id = any ($1::bigint[]) and m.id >= $2::bigint and m.id <= $3::bigint and ${isWanted}
    ${hasTerms ? 'and (m.terms @> $7::int[]) is true' : ''}
  order by m.id desc, m.channel_id desc limit $4::int`

/**
 * Channels that the index of terms is asked for, at the most, where a word is too common by itself: it looks each of
 * them up in each bucket, which costs more than a rare word does.
 */
const maxChannelTerms = 50

/** The same by the index of terms, which stops where there is too much to look at, and says so. */
const byTerms = (hasChannels: boolean) => `/* search by terms */
  with found as materialized (
    select m.channel_id, m.id, m.seq, m.author_id, m.kind, m.deleted_at, m.content from messages m
    where m.id >= $2::bigint and m.id <= $3::bigint and m.terms @> $7::int[]
      ${hasChannels ? 'and m.terms && $8::int[]' : ''}
    limit ${maxLooked + 1}
  )
  select c.looked, m.* from (select count(*)::int as looked from found) c
  left join (
    select ${candidateColumns} from found m where m.channel_id = any ($1::bigint[]) and ${isWanted}
    order by m.id desc, m.channel_id desc limit $4::int
  ) m on true
  order by m.id desc, m.channel_id desc`

/**
 * Finds messages, the newest first, going back through time until there are enough of them. It may stop before, after
 * some time or where they are too much to show at once, and says how far it has come.
 */
export async function findMessages(database: Database, request: SearchRequest): Promise<SearchResult> {
  const { channelIds, authorIds, terms, low, size } = request
  const steps = createSteps({ ...request, hasTerms: terms.length > 0, channels: channelIds.length })
  const started = performance.now()
  const keys: MessageKey[] = []
  let high = request.before
  let bytes = 0
  /** Whether the index of terms is asked for the channels, too. */
  let isNarrow = false

  async function read(by: 'channels' | 'terms', from: string, limit: number) {
    const parameters: unknown[] = [channelIds, from, high.id, limit, authorIds, high.channelId]
    if (terms.length > 0) parameters.push(terms)
    if (by === 'channels') return { rows: await database.run<Candidate>(byChannels(terms.length > 0), parameters) }
    if (isNarrow) parameters.push(channelIds.map(termOfChannel))
    const rows = await database.run<Candidate & { looked: number }>(byTerms(isNarrow), parameters)
    const { looked } = rows[0]!
    // Where nothing was found one row says so, without a message.
    return { looked: looked > maxLooked ? null : looked, rows: rows.filter((row) => row.id !== null) }
  }

  const isLeft = () => compareSnowflakes(high.id, low) > 0 || (high.id === low && high.channelId !== '0')

  while (isLeft()) {
    if (performance.now() - started > patienceMs) return { keys, reached: high }
    const wanted = size + 1 - keys.length
    const limit = 2 * wanted + 16
    const step = steps.next(high.id)
    const begun = performance.now()
    const { rows, looked } = await read(step.by, step.low, limit)
    if (looked === null && !isNarrow && channelIds.length <= maxChannelTerms) {
      isNarrow = true
      continue
    }
    const before = keys.length
    if (looked !== null) {
      for (const row of rows) {
        const message = { channelId: row.channel_id, seq: row.seq, content: row.content ?? '' }
        if (row.content !== null && !request.accepts(message)) continue
        bytes += row.bytes
        if (bytes > maxPageBytes && keys.length > 0) return { keys, reached: justAfter(row) }
        keys.push({ channelId: row.channel_id, messageId: row.id })
        if (keys.length > size) return { keys, reached: placeOfRow(row) }
      }
    }
    const milliseconds = performance.now() - begun
    const counts = steps.learn(step, { hits: keys.length - before, wanted, milliseconds, looked })
    // As many as were asked for: there may be more in the same span.
    if (counts) high = rows.length === limit ? placeOfRow(rows.at(-1)!) : beforeId(step.low)
  }
  return { keys, reached: null }
}

const placeOfRow = (row: Candidate): SearchPlace => ({ id: row.id, channelId: row.channel_id })

/** What comes before it begins with this message. */
const justAfter = (row: Candidate): SearchPlace => ({ id: row.id, channelId: (BigInt(row.channel_id) + 1n).toString() })
