import { readdirSync, readFileSync } from 'node:fs'
import { getTableName } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Database } from '../../drizzle/connection.ts'
import { groups, isDistributed } from '../../drizzle/distribution.ts'
import { newChannel, say } from '../../schema/testing/operations.ts'
import { findTelling } from '../domain/activities-making.ts'
import { accountSource } from '../fanout/account-source.ts'
import { parseGlobalId } from '../lib/global-id.ts'
import { recordStatements, type Statement } from '../testing/record-statements.ts'
import { type Person, startTestApp, type TestApp } from '../testing/test-app.ts'
import { channelSnowflake } from '../testing/watch-changes.ts'
import { snowflakeAt } from './snowflake.ts'

/*
 * Where tables are spread over several machines, what concerns one channel, or one account, must be asked of the one
 * machine that it is on. That is so if every table in a statement, wherever in it, is restricted to that channel or
 * account by itself. On Postgres the plans show it; on Citus they say how many tasks a statement was made into.
 */

let app: TestApp
let database: Database
let ran: Statement[]
let isSpread: boolean
let alice: Person
let bob: Person
/** The ids of a channel with messages, of others, and of who is in them. */
let channel: string
let others: string[]
let viewer: string
let message: string
/** One that mentions nobody. */
let tea: string
beforeAll(async () => {
  app = await startTestApp()
  database = app.app.database
  isSpread = await isDistributed(database)
  ;[alice, bob] = await Promise.all([app.signUp('alice'), app.signUp('bob')])
  viewer = (parseGlobalId(alice.id) as { userId: string }).userId
  const ids = []
  for (let nth = 0; nth < 6; nth++) ids.push(await newChannel(alice, {}, [bob]))
  for (const id of ids) await say(bob, id, '@alice hello')
  ;[channel, ...others] = ids.map(channelSnowflake) as [string, ...string[]]
  const [page] = await app.app.messages.pages([{ channelId: channel, span: { from: 1, to: 1 }, anchor: 'start', change: 0 }])
  message = page![0]!.id
  tea = (parseGlobalId((await say(bob, ids[0]!, 'tea')).id) as { messageId: string }).messageId
  await noteMentions([channel])
  ran = recordStatements(database)
})
afterAll(() => app.stop())

/** Makes activities of the mentions in these channels, as workers do. */
async function noteMentions(channelIds: readonly string[]) {
  for (const channelId of channelIds) {
    await app.app.services.activities.make({ of: 'sent', channelId, firstSeq: 1, lastSeq: 1 })
  }
}

/** The statements that `work` has run, but for what a process does for itself, and what lies elsewhere. */
async function statementsOf(work: () => Promise<unknown>, elsewhere = /^$/): Promise<Statement[]> {
  const start = ran.length
  await work()
  const found = ran
    .slice(start)
    .filter(({ text }) => !/\bworker_leases\b|clock_timestamp|ended sessions/.test(text) && !elsewhere.test(text))
  expect(found).not.toEqual([])
  return found
}

type Node = {
  'Node Type': string
  Operation?: string
  'Relation Name'?: string
  Output?: string[]
  Plans?: Node[]
} & Record<string, unknown>

const columns = new Map(groups.flat().map((column) => [getTableName(column.table), column.name]))

/** A call of a function that is handed to a channel’s machine as a whole, by its first argument. */
const handedOver = /\bsend_messages?\(([^,)]*)/

/** The table that a partition is of. */
const tableOf = (relation: string) => relation.replace(/^(messages)_\d.*/, '$1')

/** What a node of a plan looks at that is not `wanted`: a value of the column by which its table is spread. */
function straysOf(node: Node, wanted: (column: string) => string[]): string[] {
  const strays = (node.Plans ?? []).flatMap((plan) => straysOf(plan, wanted))
  const relation = node['Relation Name']
  const column = relation === undefined ? undefined : columns.get(tableOf(relation))
  const says = (text: string) => (column === undefined ? [] : wanted(column)).some((each) => text.includes(each))
  if (node.Operation === 'Insert') {
    // The first column is the one that counts, and the rows come from the one plan below.
    const values = column === undefined ? '' : `${column} = ${node.Plans![0]!.Output![0]}`
    return says(values) ? strays : [...strays, `insert into ${relation}: ${values}`]
  }
  const calls = [node['Function Call'], ...(node.Output ?? [])].flatMap((text) => handedOver.exec(String(text)) ?? [])
  if (calls.length > 0) {
    const isWanted = wanted('in_channel_id').includes(`in_channel_id = ${calls[1]}`)
    return isWanted ? strays : [...strays, `${calls[0]}`]
  }
  if (column === undefined || node['Node Type'] === 'ModifyTable') return strays
  const conditions = ['Index Cond', 'Filter', 'Recheck Cond', 'Join Filter'].map((name) => node[name] ?? '').join(' ')
  return says(conditions) ? strays : [...strays, `${node['Node Type']} on ${relation}: ${conditions}`]
}

async function explain({ text, parameters }: Statement, format: 'json' | 'text') {
  return database.run<{ 'QUERY PLAN': unknown }>(`explain (verbose, costs off, format ${format}) ${text}`, parameters)
}

/** What of a statement goes beyond one of these ids, or beyond all of them at once. */
async function findStrays(statement: Statement, ids: readonly string[]): Promise<string[]> {
  const [row] = await explain(statement, 'json')
  const [{ Plan: plan }] = row!['QUERY PLAN'] as [{ Plan: Node }]
  return straysOf(plan, (column) => [
    ...ids.map((id) => `${column} = '${id}'::bigint`),
    `${column} = ANY ('{${ids.join(',')}}'::bigint[])`,
  ])
}

/** How many tasks Citus makes of a statement, each a round trip to a machine; of several plans in turn, several. */
async function countTasks(statement: Statement): Promise<number[]> {
  const lines = await explain(statement, 'text')
  const plan = lines.map((line) => line['QUERY PLAN']).join('\n')
  expect(plan).toContain('Custom Scan (Citus')
  expect(plan).not.toContain('Distributed Subplan')
  return Array.from(plan.matchAll(/Task Count: (\d+)/g), ([, count]) => Number(count))
}

/** What concerns one channel, or one account: each statement is one look at one machine. */
const hot: [what: string, work: () => Promise<unknown>, elsewhere?: RegExp][] = [
  ['a send', () => send('hello')],
  ['a send that answers', () => send('hello to you', message)],
  ['a send that is repeated', () => send('once more', null, 'key').then(() => send('once more', null, 'key'))],
  ['a page', () => app.app.messages.pages([{ channelId: channel, span: { from: 1, to: 50 }, anchor: 'end', change: 0 }])],
  ['a message', () => app.app.messages.message({ channelId: channel, messageId: message })],
  ['a moment', () => app.app.messages.seqAt(channel, snowflakeAt(Date.now() - 60_000))],
  ['what changed since', () => app.app.messages.changesSince(channel, { change: 1, seq: 0 }, 50, viewer)],
  ['the head of a channel', () => app.app.messages.heads([channel])],
  ['how somebody stands to a channel', () => app.app.streams.standings.find(channel, viewer)],
  ['the head of an account', () => accountSource(database).heads([viewer])],
  ['what changed in an account', () => accountSource(database).since(viewer, { change: 0, seq: 0 }, 50, viewer, null!)],
  ['reading', () => app.app.services.readState.markRead(viewer, channel, 1).then(() => app.app.services.readState.markUnread(viewer, channel, 1))],
  ['an edit', () => app.app.services.messages.edit(userOf(bob), { channelId: channel, messageId: tea }, 'edited')],
  [
    'an edit that takes a mention back, but for the job of telling so',
    () => app.app.services.messages.edit(userOf(bob), { channelId: channel, messageId: message }, 'edited'),
    /_jobs\.queue/,
  ],
  ['a reaction', () => app.app.services.reactions.add(viewer, { channelId: channel, messageId: message }, '👍')],
  ['a pin', () => app.app.services.pins.pin(viewer, { channelId: channel, messageId: message })],
  [
    'what is about somebody in one channel, but for who blocks whom',
    () => app.app.services.activities.page(viewer, 50, null),
    /who blocked whom/,
  ],
  ['a draft', () => app.app.services.drafts.save(viewer, channel, 'dear')],
  ['whom messages of a channel are about', () => findTelling(database, { channelId: channel, firstSeq: 1, lastSeq: 9 })],
]

const userOf = (person: Person) => (parseGlobalId(person.id) as { userId: string }).userId

async function send(content: string, replyTo: string | null = null, idempotencyKey: string | null = null) {
  const answered = replyTo === null ? null : { channelId: channel, messageId: replyTo }
  return app.app.services.messages.send(viewer, { channelId: channel, content, replyTo: answered, idempotencyKey })
}

/** What concerns many channels at once: each statement asks every machine once, at the same time. */
const wide: [what: string, work: () => Promise<unknown>][] = [
  ['pages', () => app.app.messages.pages(everywhere().map((channelId) => ({ channelId, span: { from: 1, to: 9 }, anchor: 'end', change: 0 })))],
  ['messages', () => app.app.messages.messages(everywhere().map((channelId) => ({ channelId, messageId: message })))],
  ['heads', () => app.app.messages.heads(everywhere())],
  ['memberships', () => app.app.services.members.findMany(everywhere().map((channelId) => ({ channelId, userId: viewer })))],
  ['members', () => app.app.services.members.list(everywhere().map((channelId) => ({ channelId, first: 3, afterUserId: null })))],
  ['unread mentions', () => app.app.services.readState.unreadMentions(viewer, everywhere())],
  ['the other ones of direct channels', () => app.app.services.channels.directPeers(viewer, everywhere())],
  ['reactions', () => app.app.services.reactions.summaries(keys())],
  ['own reactions', () => app.app.services.reactions.ownOn(viewer, keys())],
  ['pins', () => app.app.services.pins.list(everywhere().map((channelId) => ({ channelId, first: 3, beforeId: null })))],
  ['replies', () => app.app.services.threads.replies(keys().map((key) => ({ ...key, first: 3, afterSeq: 0 })))],
  ['thread states', () => app.app.services.threads.states(viewer, keys())],
]

const everywhere = () => [channel, ...others]
const keys = () => everywhere().map((channelId) => ({ channelId, messageId: message }))

describe('is asked of one machine:', () => {
  test.each(hot)('%s', async (_, work, elsewhere) => {
    for (const statement of await statementsOf(work, elsewhere)) {
      if (isSpread) expect(await countTasks(statement), statement.text).toEqual([1])
      else {
        const strays = await Promise.all([[channel], [viewer], [userOf(bob)]].map((ids) => findStrays(statement, ids)))
        expect(strays, statement.text).toContainEqual([])
      }
    }
  })
})

describe('is asked of all machines at once:', () => {
  test.each(wide)('%s', async (_, work) => {
    const [shards] = isSpread
      ? await database.run<{ count: number }>(`select count(*)::int from pg_dist_shard where logicalrelid = 'channels'::regclass`, [])
      : []
    for (const statement of await statementsOf(work)) {
      if (isSpread) {
        const [tasks, ...more] = await countTasks(statement)
        expect(tasks, statement.text).toBeLessThanOrEqual(shards!.count)
        expect(more, statement.text).toEqual([])
        continue
      }
      const asked = [everywhere(), await idsOf(statement)]
      const strays = await Promise.all(asked.map((ids) => findStrays(statement, ids)))
      const joined = joinedIn(statement)
      const left = strays.map((those) => those.filter((stray) => !joined.some((table) => stray.includes(` on ${table}`))))
      expect(left, statement.text).toContainEqual([])
    }
  })

  test('what is about somebody', async () => {
    await noteMentions(others)
    const all = await statementsOf(() => app.app.services.activities.page(viewer, 50, null), /^\/\* (?!visible activities)/)
    expect(all).toHaveLength(1)
    // A list of channels would be sorted anew for each of the rows, each of which is looked up by itself.
    expect(all[0]!.text).not.toMatch(/(?:channel_|\.)id = any/)
    if (isSpread) expect(await countTasks(all[0]!)).toHaveLength(1)
  })

  /** Tables that a list of channels is joined to: where that is said twice, the planner may take the worse index. */
  const joinedIn = ({ text }: Statement) =>
    Array.from(text.matchAll(/join (\w+) m on m\.channel_id = w(?:anted)?\.channel_id/g), ([, table]) => table!)

  /** What a statement's first list of ids holds: of what was found there may be fewer channels. */
  const idsOf = ({ parameters }: Statement) => (Array.isArray(parameters[0]) ? (parameters[0] as string[]) : [])
})

test('a function that is handed to a channel’s machine asks for that channel alone', () => {
  const folder = new URL('../../drizzle/functions/', import.meta.url)
  const texts = readdirSync(folder).map((file) => readFileSync(new URL(file, folder), 'utf8').replaceAll(/--.*|\/\*[^]*?\*\//g, ''))
  const handed = texts.filter((text) => text.includes('in_channel_id bigint'))
  expect(handed).not.toEqual([])
  const names = new RegExp(String.raw`\b(?:from|join|into|update)\s+(?:${[...columns.keys()].join('|')})\b`, 'gi')
  const uses = handed.flatMap((text) => text.split(';')).filter((part) => part.search(names) >= 0)
  expect(uses).not.toEqual([])
  for (const use of uses) {
    expect(use.split('in_channel_id').length - 1, use).toBeGreaterThanOrEqual(use.match(names)!.length)
  }
})
