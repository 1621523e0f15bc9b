import { matches, parseSearchQuery } from '../lib/search-query.ts'
import { heads } from '../message-store/changes.ts'
import { readSpan } from '../message-store/pages.ts'
import { beforeId, findMessages, type SearchRequest } from '../message-store/search.ts'
import type { Database } from '../../drizzle/connection.ts'
import { createRandom, type Random } from '../testing/random.ts'
import { openFilledStore } from './fill-store.ts'
import { channelsOf, filledChannels, ticketsIn, viewers } from './filled.ts'
import { reportTimes, timesInTurns } from './measure.ts'
import type { BenchOptions } from './options.ts'
import { readSentences } from './sentences.ts'

const readings = 100
const pageSize = 20

/** Beside it a search can be compared with that of another machine, or of a busier day. */
const base = 'newest page of the largest channel, no search'

/** Searches for the newest page of what holds a word, in the largest of the stores. */
export async function benchStoreSearch(options: BenchOptions): Promise<void> {
  const messages = Math.max(...options.messages)
  const store = await openFilledStore(messages, options)
  try {
    const database = store.open(1)
    const random = createRandom(4)
    const words = pickWords(readSentences(options.data), ticketsIn(messages), random)
    const [largest] = await heads(database, ['1'])
    const span = { from: largest!.seq - pageSize + 1, to: largest!.seq }
    const work: Record<string, () => Promise<unknown>> = { [base]: () => readSpan(database, '1', span, 'end') }
    const early = new Map<string, number>()
    for (const [scope, channelIds] of Object.entries(scopes)) {
      const request = await requestFor(database, channelIds)
      for (const [kind, list] of Object.entries(words)) {
        const name = `${scope}, ${kind}`
        work[name] = async () => {
          const { needles, terms } = parseSearchQuery(random.pick(list))
          const accepts = ({ content }: { content: string }) => matches(needles, content)
          const { keys, reached } = await findMessages(database, { ...request, terms, accepts })
          if (reached !== null && keys.length <= pageSize) early.set(name, (early.get(name) ?? 0) + 1)
        }
      }
    }
    const times = await timesInTurns(readings, work)
    reportTimes(`A page of ${pageSize} found in ${messages.toLocaleString('en')} messages`, times, () => base)
    for (const [name, count] of early) process.stdout.write(`  ${name}: ${count} of ${readings + 1} stopped early\n`)
  } finally {
    await store.stop()
  }
}

const scopes: Record<string, string[]> = {
  ...Object.fromEntries(viewers.map((viewer) => [`${viewer} channels`, channelsOf(viewer).map(String)])),
  'the largest channel': ['1'],
  'a small channel': [String(filledChannels * 0.8)],
}

/** All that a search needs to know but for the word. */
async function requestFor(database: Database, channelIds: string[]): Promise<Omit<SearchRequest, 'terms' | 'accepts'>> {
  const [row] = await database.run<{ messages: number; since: number; high: string }>(
    `select sum(last_seq)::int as messages, (extract(epoch from min(created_at)) * 1000)::float8 as since,
            max(last_id) + 1 as high
     from channels where id = any ($1::bigint[])`,
    [channelIds],
  )
  const { messages, since, high } = row!
  return { channelIds, messages, since, authorIds: null, low: '0', before: beforeId(high), size: pageSize }
}

/** How many words there are of each kind. */
const wordsOfKind = 50

/** A word is common among the first so many, and middling where about one of so many lines has it. */
const commonWords = 10
const middlingLines = 2_000

/** Words to look for, by how common they are. A rare one is in one line, which is said as often as others are. */
function pickWords(sentences: readonly string[], tickets: number, random: Random): Record<string, string[]> {
  const counts = new Map<string, number>()
  for (const line of sentences) {
    for (const word of new Set(line.toLowerCase().split(/[^\p{L}]+/u))) counts.set(word, (counts.get(word) ?? 0) + 1)
  }
  const ofScript = (script: RegExp) => [...counts].filter(([word]) => script.test(word)).toSorted((a, b) => b[1] - a[1])
  const some = (list: readonly [string, number][]) => Array.from({ length: wordsOfKind }, () => random.pick(list)[0])
  const kinds = (language: string, list: readonly [string, number][]) => {
    const middling = sentences.length / middlingLines
    return {
      [`${language}, common`]: list.slice(0, commonWords).map(([word]) => word),
      [`${language}, middling`]: some(list.filter(([, count]) => count > middling / 2 && count < middling * 2)),
      [`${language}, rare`]: some(list.filter(([, count]) => count === 1)),
    }
  }
  return {
    ...kinds('English', ofScript(/^[a-z]{2,}$/)),
    ...kinds('Korean', ofScript(/^\p{Script=Hangul}{2,}$/u)),
    'number of a ticket': Array.from({ length: wordsOfKind }, () => `ticket${random.below(tickets)}`),
    'not there': ['nobodyhaseversaidthis'],
  }
}
