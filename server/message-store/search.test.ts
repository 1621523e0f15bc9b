import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { unavailable } from '../errors.ts'
import { matches, parseSearchQuery } from '../lib/search-query.ts'
import { messageTerms } from '../lib/search-terms.ts'
import { createRandom } from '../testing/random.ts'
import { createEmptyDatabase } from '../testing/test-app.ts'
import { bucketAt, rangeOf, startOf } from './bucket-time.ts'
import { ensureBuckets } from './partitions.ts'
import { beforeId, findMessages, placeOf, type SearchRequest } from './search.ts'
import { createSteps, type Outcome } from './search-steps.ts'
import { compareSnowflakes, snowflakeAt } from './snowflake.ts'

/** Three channels: a little one, a quiet one, and one in which most is said. */
const [little, quiet, busy] = ['1', '2', '3'] as const
const counts = { [little]: 60, [quiet]: 9_000, [busy]: 21_000 }
const months = 24

type Said = { channelId: string; id: string; seq: number; authorId: string; content: string }

let database: Database
let said: Said[]
const statements: { text: string; parameters: readonly unknown[] }[] = []

beforeAll(async () => {
  // Also where the tests run on several machines this is on one: how a statement is carried out is looked at.
  database = openDatabase({ url: await createEmptyDatabase(), poolSize: 2, deadlineMs: 60_000, unavailable })
  await migrate(database)
  const last = bucketAt(Date.now())
  await ensureBuckets(database, last - months, last)
  const random = createRandom(3)
  const [from, to] = [startOf(last - months), Date.now() - 60_000]
  said = Object.entries(counts).flatMap(([channelId, count]) =>
    Array.from({ length: count }, (_, nth) => ({
      channelId,
      id: (BigInt(snowflakeAt(from + ((to - from) * (nth + 0.5)) / count)) + BigInt(channelId)).toString(),
      seq: nth + 1,
      authorId: String(1 + random.below(4)),
      content: [
        `message ${nth}`,
        // Common where most is said, and nearly nowhere else.
        random.chance(channelId === busy ? 0.6 : 0.001) ? 'everywhere' : '',
        random.chance(0.01) ? '학교에서' : '',
        random.chance(0.1) ? 'one two' : random.chance(0.1) ? 'two one' : '',
        channelId === quiet && nth % 1_000 === 500 ? 'rarity' : '',
      ].join(' '),
    })),
  )
  for (let start = 0; start < said.length; start += 5_000) {
    const piece = said.slice(start, start + 5_000)
    await database.run(
      `insert into messages (channel_id, id, seq, change, kind, author_id, content, terms)
       select c, i, s, s, 'USER', a, t, h::int[] from unnest($1::bigint[], $2::bigint[], $3::int[], $4::bigint[], $5::text[], $6::text[])
         as said (c, i, s, a, t, h)`,
      [
        piece.map((each) => each.channelId),
        piece.map((each) => each.id),
        piece.map((each) => each.seq),
        piece.map((each) => each.authorId),
        piece.map((each) => each.content),
        piece.map((each) => `{${messageTerms(each.channelId, each.content).join(',')}}`),
      ],
    )
  }
  await database.run('analyze', [])
}, 60_000)
afterAll(() => database.close())

const recording = (): Database => ({
  ...database,
  run(text, parameters) {
    statements.push({ text, parameters })
    return database.run(text, parameters)
  },
})

/** All that a search finds, page by page, and how many statements it took. */
async function findAll(query: string, channelIds: readonly string[], more: Partial<SearchRequest> = {}) {
  const { terms, needles } = parseSearchQuery(query)
  const messages = said.filter(({ channelId }) => channelIds.includes(channelId)).length
  statements.length = 0
  const found: string[] = []
  const request = {
    channelIds, messages, terms, authorIds: null, low: '1', before: beforeId('9223372036854775807'), size: 50,
    since: startOf(bucketAt(Date.now()) - months),
    accepts: ({ content }: { content: string }) => matches(needles, content),
    ...more,
  }
  for (let { before } = request; ; ) {
    const { keys, reached } = await findMessages(recording(), { ...request, before })
    found.push(...keys.slice(0, request.size).map(({ messageId }) => messageId))
    if (keys.length > request.size) before = placeOf(keys[request.size - 1]!)
    else if (reached === null) return found
    else before = reached
  }
}

const expected = (isFound: (message: Said) => boolean, channelIds: readonly string[]) =>
  said
    .filter((message) => channelIds.includes(message.channelId) && isFound(message))
    .map(({ id }) => id)
    .toSorted((a, b) => compareSnowflakes(b, a))

const everyone = [little, quiet, busy]

test.each([
  ['everywhere', 'everywhere'],
  ['학교', '학교'],
  ['rarity', 'rarity'],
  ['"one two"', 'one two'],
  ['nowhere', 'nowhere'],
])('%s is found in each channel and in all, newest first', async (query, text) => {
  for (const channelIds of [[little], [quiet], [busy], everyone, [little, quiet]]) {
    const wanted = expected(({ content }) => content.includes(text), channelIds)
    for (const size of wanted.length > 1_000 ? [100] : [50, 7]) expect(await findAll(query, channelIds, { size })).toEqual(wanted)
  }
})

test('authors and a range of ids bound it, with words and without', async () => {
  const middle = said.find(({ channelId, seq }) => channelId === quiet && seq === 4_000)!.id
  const later = said.find(({ channelId, seq }) => channelId === quiet && seq === 5_000)!.id
  for (const query of ['학교', '']) {
    const wanted = expected(
      ({ id, content, authorId }) =>
        content.includes(query) && ['1', '3'].includes(authorId) && BigInt(id) >= BigInt(middle) && BigInt(id) < BigInt(later),
      [quiet, busy],
    )
    expect(wanted.length).toBeGreaterThan(1)
    expect(await findAll(query, [quiet, busy], { authorIds: ['1', '3'], low: middle, before: beforeId(later), size: 100 })).toEqual(wanted)
  }
})

test('few statements come to a page, whatever the word', async () => {
  const statementsFor = async (query: string, channelIds: readonly string[]) => {
    const { terms, needles } = parseSearchQuery(query)
    statements.length = 0
    await findMessages(recording(), {
      channelIds, terms, authorIds: null, low: '1', size: 50,
      before: beforeId((BigInt(said.at(-1)!.id) + 1n).toString()),
      messages: said.filter(({ channelId }) => channelIds.includes(channelId)).length,
      since: startOf(bucketAt(Date.now()) - months),
      accepts: ({ content }) => matches(needles, content),
    })
    return statements.length
  }
  expect(await statementsFor('everywhere', [busy])).toBe(1)
  expect(await statementsFor('everywhere', [little])).toBe(1)
  expect(await statementsFor('nowhere', everyone)).toBeLessThan(8)
  expect(await statementsFor('rarity', [quiet])).toBeLessThan(8)
})

type Plan = { 'Node Type': string; 'Index Name'?: string; Plans?: Plan[] }

test('each statement keeps to its index', async () => {
  // A month in which so much is said that an index is worth it.
  const { low } = rangeOf(bucketAt(Date.now()) - months + 1)
  const high = (BigInt(low) + 5_000n).toString()
  await database.run(
    `insert into messages (channel_id, id, seq, change, kind, author_id, content, terms)
     select 10 + n % 500, $1::bigint + n, n, n, 'USER', 1, repeat('x', 100), array[n, n % 100] from generate_series(1, 50000) n`,
    [low],
  )
  await database.run('analyze', [])
  const shapeOf = (node: Plan): string[] => [
    ...(node['Node Type'] === 'Seq Scan' ? ['all'] : []),
    ...(node['Index Name'] === undefined ? [] : [node['Index Name'].replace(/^messages_\d+_\d+_/, '')]),
    ...(node.Plans ?? []).flatMap(shapeOf),
  ]
  const shapes: Record<string, string[]> = {}
  await findAll('nowhere', everyone)
  for (const name of ['by channels', 'by terms']) {
    const { text, parameters } = statements.find((each) => each.text.startsWith(`/* search ${name}`))!
    const [row] = await database.run<{ 'QUERY PLAN': [{ Plan: Plan }] }>(
      `explain (format json) ${text}`,
      [parameters[0], low, high, ...parameters.slice(3)],
    )
    shapes[name] = shapeOf(row!['QUERY PLAN'][0].Plan)
  }
  expect(shapes).toEqual({ 'by channels': ['pkey'], 'by terms': ['terms_idx'] })
})

test('messages that were sent this moment are found by both indexes', async () => {
  const id = (BigInt(said.at(-1)!.id) + 1_000n).toString()
  const content = 'brandnew everywhere'
  await database.run(
    `insert into messages (channel_id, id, seq, change, kind, author_id, content, terms) values ($1, $2, 99999, 99999, 'USER', 1, $3, $4)`,
    [busy, id, content, messageTerms(busy, content)],
  )
  expect(await findAll('brandnew', [busy])).toEqual([id])
  expect((await findAll('everywhere', [busy]))[0]).toBe(id)
  await database.run(`update messages set deleted_at = now(), content = '', terms = null where channel_id = $1 and id = $2`, [busy, id])
  expect(await findAll('brandnew', [busy])).toEqual([])
})

test('steps go back to the beginning, whatever is found', () => {
  const random = createRandom(5)
  for (let round = 0; round < 300; round++) {
    const messages = 10 ** random.below(8)
    const hasTerms = random.chance(0.8)
    const low = random.chance(0.5) ? '1' : snowflakeAt(Date.now() - 1e9 * random.below(200))
    const since = Date.now() - 1e9 * random.below(300)
    const steps = createSteps({ low, hasTerms, channels: 1 + random.below(500), messages, since })
    let high = snowflakeAt(Date.now())
    let count = 0
    while (compareSnowflakes(high, low) > 0) {
      const step = steps.next(high)
      expect(compareSnowflakes(step.low, high)).toBeLessThan(0)
      expect(compareSnowflakes(step.low, low)).toBeGreaterThanOrEqual(0)
      if (!hasTerms) expect(step.by).toBe('channels')
      const outcome: Outcome = { hits: random.chance(0.5) ? 0 : random.below(50), wanted: 51, milliseconds: random.below(15) }
      if (step.by === 'terms') outcome.looked = random.chance(0.2) ? null : random.below(1_000)
      if (steps.learn(step, outcome)) high = step.low
      // Even where every month gives much, and the span begins with a minute.
      expect(++count).toBeLessThan(3_000)
    }
  }
})
