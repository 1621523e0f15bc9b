import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { unavailable } from '../errors.ts'
import { fillChannel } from '../testing/fill-channel.ts'
import { createEmptyDatabase } from '../testing/test-app.ts'
import { changesSince } from './changes.ts'
import { readSpan, seqAt } from './pages.ts'
import { snowflakeAt, snowflakeTime } from './snowflake.ts'

const [channelId, other, authorId] = ['1', '2', '3']
const count = 100_000

let database: Database
/** The last statement that ran, with its parameters: what is explained is what is used. */
let last: { text: string; parameters: readonly unknown[] }

beforeAll(async () => {
  // Also where the tests run on several machines this is on one: which of them are asked is `routing.test.ts`.
  database = openDatabase({ url: await createEmptyDatabase(), poolSize: 2, unavailable })
  await migrate(database)
  await database.run(`insert into channels (id, kind, created_at) select n, 'GROUP', now() from unnest($1::bigint[]) n`, [
    [channelId, other],
  ])
  await fillChannel(database, channelId, authorId, count)
  await fillChannel(database, other, authorId, 1_000)
  // Not all tables of all tests.
  await database.run('analyze channels, channel_buckets, messages, message_changes, members', [])
}, 60_000)
afterAll(() => database.close())

const recording = (): Database => ({
  ...database,
  run(text, parameters) {
    last = { text, parameters }
    return database.run(text, parameters)
  },
})

type Plan = { 'Node Type': string; 'Index Name'?: string; Plans?: Plan[] }

/** How the last statement is carried out, and how many pages of the store it looks at. */
async function explain(): Promise<{ shape: string[]; buffers: number }> {
  const [row] = await database.run<{ 'QUERY PLAN': [{ Plan: Plan & Record<'Shared Hit Blocks' | 'Shared Read Blocks', number> }] }>(
    `explain (analyze, buffers, format json) ${last.text}`,
    last.parameters,
  )
  const { Plan: plan } = row!['QUERY PLAN'][0]
  const shapeOf = (node: Plan): string[] => [
    [node['Node Type'], node['Index Name'] ?? ''].join(' ').trim(),
    ...(node.Plans ?? []).flatMap(shapeOf),
  ]
  return { shape: shapeOf(plan), buffers: plan['Shared Hit Blocks'] + plan['Shared Read Blocks'] }
}

test('a page is read alike at both ends and in the middle of a long channel, and as in a short one', async () => {
  const places: [string, number][] = [
    [channelId, 1],
    [channelId, count / 2],
    [channelId, count - 49],
    [other, 1],
  ]
  const plans = []
  for (const [channel, from] of places) {
    const page = await readSpan(recording(), channel, { from, to: from + 49 }, 'start')
    expect(page.map((message) => message.seq)).toEqual(Array.from({ length: 50 }, (_, nth) => from + nth))
    plans.push(await explain())
  }
  for (const { shape, buffers } of plans) {
    expect(shape).toEqual(plans[0]!.shape)
    expect(shape).toEqual(expect.arrayContaining([expect.stringMatching(/^Index Scan messages_\d+_\d+_channel_id_seq_idx$/)]))
    // Fifty rows lie on a page or two, and the index is three deep.
    expect(buffers).toBeLessThan(20)
  }
})

test('a catch-up looks at what changed and not at what is there, whatever seq its cursor holds', async () => {
  for (const seq of [count - 5, 0]) {
    const page = await changesSince(recording(), channelId, { change: count - 5, seq }, 100, authorId)
    expect(page!.changes.map((change) => change.change)).toEqual([1, 2, 3, 4, 5].map((nth) => count - 5 + nth))
    expect((await explain()).buffers).toBeLessThan(80)
  }
})

test('a moment is found by its id, in the long channel and beyond its ends', async () => {
  const [middle] = await readSpan(database, channelId, { from: count / 2, to: count / 2 }, 'start')
  const time = snowflakeTime(middle!.id).getTime()
  expect(await seqAt(database, channelId, snowflakeAt(time))).toBe(count / 2)
  expect(await seqAt(database, channelId, snowflakeAt(time + 1))).toBe(count / 2 + 1)
  expect(await seqAt(database, channelId, snowflakeAt(0))).toBe(1)
  expect(await seqAt(database, channelId, snowflakeAt(Date.now()))).toBeNull()
})
