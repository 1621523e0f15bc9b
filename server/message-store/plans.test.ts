import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { unavailable } from '../errors.ts'
import { fillChannel } from '../testing/fill-channel.ts'
import { createTestDatabase } from '../testing/test-app.ts'
import { changesSince } from './changes.ts'
import { readSpan, seqAt } from './pages.ts'
import { snowflakeAt } from './snowflake.ts'

const alice = '1'
const long = '11'
const short = '12'
const length = 200_000
const pageSize = 50

let database: Database
beforeAll(async () => {
  database = openDatabase({ url: await createTestDatabase(), poolSize: 2, deadlineMs: 60_000, unavailable })
  await migrate(database)
  for (const [id, count] of [[long, length], [short, 100]] as const) {
    await database.run(`insert into channels (id, kind, created_at) values ($1, 'GROUP', now())`, [id])
    await database.run(
      `insert into members (channel_id, user_id, role, joined_at, change) values ($1, $2, 'OWNER', now(), 1)`,
      [id, alice],
    )
    await fillChannel(database, id, alice, count)
  }
  await database.run('vacuum analyze messages', [])
}, 120_000)
afterAll(() => database.close())

type Node = {
  'Node Type': string
  'Index Name'?: string
  'Relation Name'?: string
  'Shared Hit Blocks': number
  'Shared Read Blocks': number
  Plans?: Node[]
}

type Explained = {
  /** What is done to what, from the outside in. */
  steps: string[]
  /** Pages of 8 KB that were looked at. */
  blocks: number
}

/** Runs `work` and explains the one statement that it ran, with its parameters, as it is run for real: prepared. */
async function explain(work: (database: Database) => Promise<unknown>): Promise<Explained> {
  const ran: { text: string; parameters: readonly unknown[] }[] = []
  await work({
    ...database,
    run(text, parameters) {
      ran.push({ text, parameters })
      return database.run(text, parameters)
    },
  })
  expect(ran).toHaveLength(1)
  const [{ text, parameters }] = ran as [(typeof ran)[0]]
  const session = await database.reserve()
  try {
    await session.run(`prepare explained as ${text}`, [])
    const values = parameters.map((parameter) => `'${String(parameter)}'`).join(', ')
    const [row] = await session.run<{ 'QUERY PLAN': [{ Plan: Node }] }>(
      `explain (analyze, buffers, timing off, format json) execute explained (${values})`,
      [],
    )
    const plan = row!['QUERY PLAN'][0].Plan
    return { steps: stepsOf(plan), blocks: plan['Shared Hit Blocks'] + plan['Shared Read Blocks'] }
  } finally {
    await session.run('deallocate explained', [])
    session.release()
  }
}

const stepsOf = (node: Node): string[] => [
  [node['Node Type'], node['Relation Name'], node['Index Name']].filter(Boolean).join(' '),
  ...(node.Plans ?? []).flatMap(stepsOf),
]

const touchesWhole = (steps: string[]) => steps.filter((step) => step.startsWith('Seq Scan'))

describe('a page of history', () => {
  const page = (channelId: string, from: number) =>
    explain((database) => readSpan(database, channelId, { from, to: from + pageSize - 1 }, 'start'))

  test('is one range of one index, and costs the same at both ends and in the middle', async () => {
    const oldest = await page(long, 1)
    const middle = await page(long, length / 2)
    const newest = await page(long, length - pageSize + 1)
    const inShort = await page(short, 1)
    expect(oldest.steps.filter((step) => step.includes(' messages'))).toEqual(['Index Scan messages messages_seq'])
    for (const { steps } of [middle, newest, inShort]) expect(steps).toEqual(oldest.steps)
    // The index of the long channel is a level or two deeper.
    for (const { blocks } of [oldest, middle, newest]) expect(blocks).toBeLessThanOrEqual(inShort.blocks + 3)
    expect(inShort.blocks).toBeLessThan(20)
  })

  test('around a date is found by the time in the ids', async () => {
    const yesterday = snowflakeAt(Date.now() - 86_400_000)
    const { steps, blocks } = await explain((database) => seqAt(database, long, yesterday))
    expect(steps).toEqual(['Limit', 'Index Scan messages messages_channel_id_id_pk'])
    expect(blocks).toBeLessThan(8)
  })
})

test('catching up on five messages looks at those, however long the channel is', async () => {
  const catchUp = async (channelId: string) => {
    const [head] = await database.run<{ change: number; seq: number }>(
      'select last_change as change, last_seq as seq from channels where id = $1',
      [channelId],
    )
    const after = { change: head!.change - 5, seq: head!.seq - 5 }
    const page = await changesSince(database, channelId, after, 100, alice)
    expect(page).toMatchObject({ changes: { length: 5 }, complete: true })
    return explain((database) => changesSince(database, channelId, after, 100, alice))
  }
  const [inLong, inShort] = [await catchUp(long), await catchUp(short)]
  expect(inLong.steps).toEqual(inShort.steps)
  expect(inLong.steps.filter((step) => step.includes(' messages '))).not.toEqual([])
  expect(touchesWhole(inLong.steps).filter((step) => step.includes('message'))).toEqual([])
  expect(inLong.blocks).toBeLessThanOrEqual(inShort.blocks + 10)
  expect(inShort.blocks).toBeLessThan(60)
})
