import { plainWords } from '../lib/search-query.ts'
import { countCodePoints } from '../lib/text.ts'
import type { Deps } from './deps.ts'

export type SearchSamplesService = ReturnType<typeof createSearchSamplesService>

/** How long samples are gathered before they are written, in milliseconds. */
const gatherMs = 5_000

/** Samples that are gathered at once; what comes beyond is not counted. */
const maxGathered = 1_000

/** Words and characters of a term: what is longer is a sentence, and somebody's own. */
const maxWords = 4
const maxLength = 40
const minLength = 2

/** Addresses, and numbers of telephones, accounts and the like: nothing to offer to others. */
const personal = /@|:\/\/|www\.|(?:\d[ -]?){6}/i

/**
 * What is counted of a query: its words, without filters, in small letters with one space between them. Null where there
 * are none, or more than a term has, or where it looks like an address or a number.
 */
export function termOf(query: string): string | null {
  const words = plainWords(query)
  const term = words.join(' ').normalize('NFC').toLowerCase()
  const length = countCodePoints(term)
  if (words.length > maxWords || length < minLength || length > maxLength) return null
  return personal.test(term) || !/[\p{L}\p{N}]/u.test(term) ? null : term
}

/**
 * Counts what people search for, of a share of all searches. Nobody waits for it, nothing fails with it, and what is lost
 * with a process, or while the store is away, is lost. One person, term and day, by the store's clock, is one sample,
 * however often it was searched for.
 */
export function createSearchSamplesService({ database, finding }: Pick<Deps, 'database' | 'finding'>) {
  const share = finding?.sampleShare ?? 0
  let gathered = new Map<string, { userId: string; term: string }>()
  let timer: NodeJS.Timeout | null = null

  async function flush(): Promise<void> {
    if (timer !== null) clearTimeout(timer)
    timer = null
    const samples = [...gathered.values()]
    gathered = new Map()
    if (samples.length === 0) return
    await database
      .run(
        `/* search samples */ insert into search_samples (user_id, day, term)
         select user_id, (now() at time zone 'UTC')::date, term from unnest($1::bigint[], $2::text[]) as w (user_id, term)
         on conflict do nothing`,
        [samples.map(({ userId }) => userId), samples.map(({ term }) => term)],
      )
      .catch(() => undefined)
  }

  return {
    /** Counts a search, or not; never throws. */
    note(userId: string, query: string): void {
      if (share === 0 || Math.random() >= share || gathered.size >= maxGathered) return
      const term = termOf(query)
      if (term === null) return
      gathered.set(`${userId} ${term}`, { userId, term })
      timer ??= setTimeout(() => void flush(), gatherMs).unref()
    },

    /** Writes what is gathered. */
    flush,
  }
}
