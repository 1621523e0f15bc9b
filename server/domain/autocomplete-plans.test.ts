import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Database } from '../../drizzle/connection.ts'
import { isDistributed } from '../../drizzle/distribution.ts'
import { suggest } from '../../schema/testing/autocomplete.ts'
import { newChannel } from '../../schema/testing/operations.ts'
import { statementName } from '../observability/statements.ts'
import { recordStatements, type Statement } from '../testing/record-statements.ts'
import { type Person, startTestApp, type TestApp } from '../testing/test-app.ts'
import { buildNames } from '../../workers/suggestions-trees.ts'
import { createRosters, maxRoster } from './autocomplete-members.ts'
import { createNodeReader, encodeEntries, type NodeReader } from './autocomplete-nodes.ts'
import { addNameKeys } from './name-keys.ts'
import { channelSnowflake } from '../testing/watch-changes.ts'

/*
 * What autocompletion costs must not grow with how many people there are, and what it asks about one prefix it must ask
 * of one machine.
 */

let app: TestApp
let database: Database
let ran: Statement[]
let isSpread: boolean
let alice: Person
let channelId: string
beforeAll(async () => {
  app = await startTestApp()
  database = app.app.database
  isSpread = await isDistributed(database)
  alice = await app.signUp('alice')
  channelId = await newChannel(alice, { kind: 'PUBLIC', name: 'general' })
  for (let nth = 0; nth < 20; nth++) await addNameKeys(database, somePeople(nth * 1_000, 1_000))
  await addNameKeys(database, someChannels(300))
  await database.run(`insert into suggestion_trees (name) values ('NAMES'), ('TERMS') on conflict do nothing`, [])
  await buildNames(database)
  await database.run(
    `insert into suggestion_nodes (lead, prefix, kind, generation, whole, entries)
     select 't', 't' || n, 'TERM', 1, true, $1 from generate_series(1, 5000) as n`,
    [encodeEntries([{ id: 'term', score: 1, key: 'term' }])],
  )
  await database.run(`update suggestion_trees set generation = 1 where name = 'TERMS'`, [])
  await database.run('analyze name_keys, suggestion_nodes', [])
  ran = recordStatements(database)
}, 60_000)
afterAll(() => app.stop())

/** People whose names begin in few ways: a Kim of five has a name of their own. */
const somePeople = (start: number, count: number) =>
  Array.from({ length: count }, (_, nth) => ({
    kind: 'USER' as const,
    id: String(1_000 + start + nth),
    names: [`kim${(start + nth) * 7919}`, `person ${start + nth}`],
    score: nth % 300,
  }))

const someChannels = (count: number) =>
  Array.from({ length: count }, (_, nth) => ({
    kind: 'CHANNEL' as const,
    id: String(100_000 + nth),
    names: [`chan${nth}`],
    score: 1,
  }))

type Plan = { 'Node Type': string; 'Index Name'?: string; 'Index Cond'?: string; Plans?: Plan[] } & Record<string, unknown>

/** How a statement is run that is prepared, without its values having been looked at, as on every connection. */
async function explain({ text, parameters }: Statement) {
  const session = await database.reserve()
  try {
    await session.run(`prepare explained as ${text}`, [])
    const values = parameters.length === 0 ? '' : `(${parameters.map(spell).join(', ')})`
    const [row] = await session.run<{ 'QUERY PLAN': [{ Plan: Plan }] }>(
      `explain (analyze, buffers, timing off, format json) execute explained${values}`,
      [],
    )
    const { Plan: plan } = row!['QUERY PLAN'][0]
    return { plan, blocks: Number(plan['Shared Hit Blocks'] ?? 0) + Number(plan['Shared Read Blocks'] ?? 0) }
  } finally {
    await session.run('deallocate explained', []).catch(() => undefined)
    session.release()
  }
}

const spell = (value: unknown) => `'${Array.isArray(value) ? `{${value.join(',')}}` : String(value)}'`

const nodesOf = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)]

/** What a reader asks about a prefix, and how many pages of 8 KB each may look at. */
const reads: [what: string, read: (reader: NodeReader) => Promise<unknown>, name: string, blocks: number][] = [
  ['a node', (reader) => reader.find('USER', 'kim'), 'nodes', 10],
  ['a node that is not there', (reader) => reader.find('USER', 'kim12345'), 'nodes', 10],
  ['terms', (reader) => reader.terms('t123'), 'terms', 30],
  ['the keys of a rare prefix', (reader) => reader.scan(['USER', 'CHANNEL'], 'kim1234'), 'name keys', 40],
  ['the keys of what nobody is called', (reader) => reader.scan(['USER', 'CHANNEL'], 'ka'), 'name keys', 10],
  ['the few channels among very many people', (reader) => reader.scan(['CHANNEL'], 'k'), 'name keys', 5],
  // A page for each row, where they do not lie together, and the way down.
  ['as many of a common one as are read', (reader) => reader.scan(['USER'], 'kim'), 'name keys', 520],
  ['channels of a name', (reader) => reader.read(['CHANNEL'], 'chan'), 'channels named', 60],
  ['a username', (reader) => reader.personNamed('alice'), 'username', 5],
]

describe('is one look at one index, on one machine:', () => {
  test.each(reads)('%s', async (_, read, name, most) => {
    const start = ran.length
    await read(createNodeReader(database))
    const statement = ran.slice(start).find(({ text }) => statementName(text) === name)
    if (isSpread) {
      const lines = await database.run<{ 'QUERY PLAN': string }>(`explain ${statement!.text}`, statement!.parameters)
      expect(lines.map((line) => line['QUERY PLAN']).join('\n')).toContain('Task Count: 1')
      return
    }
    const { plan, blocks } = await explain(statement!)
    const scans = nodesOf(plan).filter((node) => /Scan/.test(node['Node Type']))
    expect(scans.map((node) => node['Node Type'])).not.toContain('Seq Scan')
    expect(scans.every((node) => node['Index Cond'] === undefined || /lead = |key = /.test(node['Index Cond']))).toBe(true)
    expect(blocks, JSON.stringify(plan)).toBeLessThanOrEqual(most)
  })
})

const namesOf = (statements: readonly Statement[]) =>
  statements
    .map(({ text }) => statementName(text))
    .filter((name) => !/worker_leases|ended sessions|heads|session|trees/.test(name))
    .toSorted()

test('one more letter costs a handful of statements, and as many in a channel', async () => {
  await suggest(alice, 'k')
  let start = ran.length
  expect(await suggest(alice, 'ki', { kinds: ['USER'] })).toEqual([])
  // None of them is in the users table, so that all are looked for and none is shown.
  const counts = Object.entries(Object.groupBy(namesOf(ran.slice(start)), (name) => name)).map(([name, all]) => `${name} ${all!.length}`)
  expect(counts).toEqual(expect.arrayContaining(['account moved 1', 'nodes 1', 'username 1']))
  expect(counts.length).toBeLessThanOrEqual(6)
  await suggest(alice, 'gen')
  start = ran.length
  expect(await suggest(alice, 'gen', { kinds: ['CHANNEL'] })).toEqual(['#general'])
  expect(namesOf(ran.slice(start))).toHaveLength(3)
})

test('members who are newest, and those who came since, are read by an index', async () => {
  const id = channelSnowflake(channelId)
  await database.run(
    `insert into members (channel_id, user_id, role, joined_at, change)
     select case when n % 2 = 0 then $1::bigint else n end, 1000000 + n, 'MEMBER', now(), n from generate_series(1, 20000) as n`,
    [id],
  )
  await database.run('analyze members', [])
  const rosters = createRosters(database)
  const start = ran.length
  await rosters.newest(id)
  await rosters.present(id, ['1', '2'])
  for (const statement of ran.slice(start)) {
    if (isSpread) {
      const lines = await database.run<{ 'QUERY PLAN': string }>(`explain ${statement.text}`, statement.parameters)
      expect(lines.map((line) => line['QUERY PLAN']).join('\n')).toContain('Task Count: 1')
    } else {
      const { plan, blocks } = await explain(statement)
      expect(JSON.stringify(plan)).not.toContain('Seq Scan')
      expect(blocks).toBeLessThan(100)
    }
  }
})

test('in a channel that is too large to be read, those are found of whom there are many, too', async () => {
  // One of fifty Kims of whom nobody has heard, and not among the first by their names.
  const id = await newChannel(alice, { kind: 'PUBLIC', name: 'large' })
  await database.run(
    `insert into users (id, username, display_name, created_at)
     select n, 'kim' || ((n - 1000) * 7919)::text, 'kim', now() from generate_series(1000, 20999, 50) as n`,
    [],
  )
  await database.run(
    `insert into members (channel_id, user_id, role, joined_at, change)
     select $1::bigint, n, 'MEMBER', now(), n from generate_series(1000, 20999, 50) as n`,
    [channelSnowflake(id)],
  )
  await database.run('update channels set member_count = $2 where id = $1', [channelSnowflake(id), maxRoster + 1])
  const found = await suggest(alice, 'kim', { channelId: id })
  expect(found).toHaveLength(10)
  // And of a name that is rare all.
  const rare = await suggest(alice, found[0]!, { channelId: id })
  expect(rare[0]).toBe(found[0])
})
