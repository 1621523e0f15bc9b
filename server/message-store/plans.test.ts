import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { unavailable } from '../errors.ts'
import { type Look, looksOf } from '../testing/explain.ts'
import { createEmptyDatabase } from '../testing/test-app.ts'
import { type Append, appendBatch } from './append.ts'
import { bucketAt, startOf, tableOf } from './bucket-time.ts'
import { changesSince } from './changes.ts'
import { readMessage, readMessages, readSpan, readSpans, seqAt } from './pages.ts'
import { ensureBuckets } from './partitions.ts'
import { hashOf, sendBatch } from './send.ts'
import { snowflakeAt } from './snowflake.ts'

/*
 * Which partitions a statement looks into. A partition counts as touched when something of it was read, and as planned
 * when it had to be considered at all while the statement ran: of ten years it must be few of either.
 */

const author = '5'
const [busy, sleeper, sparse] = ['11', '12', '13']
const newest = bucketAt(Date.now())
const oldest = newest - 119
const perMonth = 40

let database: Database
beforeAll(async () => {
  // Also where the tests run on several machines this is on one: which of them are asked is `routing.test.ts`.
  database = openDatabase({ url: await createEmptyDatabase(), poolSize: 2, deadlineMs: 60_000, unavailable })
  await migrate(database)
  await ensureBuckets(database, oldest, newest + 2)
  for (const id of [busy, sleeper, sparse]) {
    await database.run(`insert into channels (id, kind, created_at) values ($1, 'GROUP', now())`, [id])
    await database.run(
      `insert into members (channel_id, user_id, role, joined_at, change) values ($1, $2, 'OWNER', now(), 0)`,
      [id, author],
    )
  }
  await fill(busy, range(oldest, newest), perMonth)
  // Talked for a year, slept for five, and woke up.
  await fill(sleeper, [...range(oldest, oldest + 11), newest], perMonth)
  // A message every three months.
  await fill(sparse, range(oldest, newest).filter((_, nth) => nth % 3 === 0), 1)
  await database.run('vacuum analyze channels, channel_buckets, messages, message_changes, members', [])
}, 120_000)
afterAll(() => database.close())

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, nth) => from + nth)

async function fill(channelId: string, buckets: readonly number[], count: number) {
  const batch = buckets.flatMap((bucket) => Array.from({ length: count }, (_, nth) => toAppend(bucket, nth)))
  await database.transaction((tx) => appendBatch(tx, channelId, batch as [Append, ...Append[]]))
}

function toAppend(bucket: number, nth: number): Append {
  const content = `tea at ${nth} in ${bucket}`
  return {
    id: snowflakeAt(startOf(bucket) + nth * 1_000),
    kind: 'USER',
    authorId: author,
    content,
    replyToId: null,
    mentionIds: [],
    deletedAt: null,
  }
}

const tables = (...buckets: number[]) => buckets.map(tableOf).toSorted()

describe('a page', () => {
  const pages: [string, string, { from: number; to: number }, number[]][] = [
    ['the newest of a busy channel', busy, { from: 120 * perMonth - 49, to: 120 * perMonth }, [newest - 1, newest]],
    ['the oldest of a busy channel', busy, { from: 1, to: 50 }, [oldest, oldest + 1]],
    ['within one month', busy, { from: 60 * perMonth + 1, to: 60 * perMonth + 30 }, [oldest + 60]],
    ['on both sides of years of sleep', sleeper, { from: 12 * perMonth - 20, to: 12 * perMonth + 20 }, [oldest + 11, newest]],
  ]
  test.each(pages)('%s: the months that hold it, and no other', async (_, channelId, span, buckets) => {
    const [directory, page] = await looksOf(database, (store) => readSpan(store, channelId, span, 'start'))
    expect(directory!.touched).toEqual([])
    expect(page!.touched).toEqual(tables(...buckets))
    expect(page!.planned).toBe(buckets.length)
  })

  test('a channel that slept for years opens at the price of a busy one', async () => {
    const [, awake] = await looksOf(database, (store) => readSpan(store, busy, { from: 120 * perMonth - 39, to: 120 * perMonth }, 'end'))
    const [, asleep] = await looksOf(database, (store) => readSpan(store, sleeper, { from: 12 * perMonth + 1, to: 13 * perMonth }, 'end'))
    expect(asleep!.blocks).toBeLessThanOrEqual(awake!.blocks + 2)
  })

  test('spread over ten years in small crumbs it is read at once, through the smallest gaps', async () => {
    const looks = await looksOf(database, async (store) => {
      const page = await readSpan(store, sparse, { from: 1, to: 40 }, 'start')
      expect(page.map(({ seq }) => seq)).toEqual(range(1, 40))
    })
    expect(looks).toHaveLength(2)
  })

  test('of each channel of a list: the months of all of them', async () => {
    const newestOf = (channelId: string, seq: number) => ({ channelId, span: { from: seq, to: seq }, anchor: 'end' as const })
    const requests = [newestOf(busy, 120 * perMonth), newestOf(sleeper, 13 * perMonth), newestOf(sleeper, 5)]
    const [, pages] = await looksOf(database, (store) => readSpans(store, requests))
    expect(pages!.touched).toEqual(tables(oldest, newest))
  })
})

test('one message is one look into one month, and a moment too', async () => {
  const id = snowflakeAt(startOf(oldest + 50) + 1_000)
  const [one] = await looksOf(database, (store) => readMessage(store, { channelId: busy, messageId: id }))
  expect(one).toMatchObject({ touched: tables(oldest + 50), planned: 1 })
  const [moment, seq] = await looksOf(database, (store) => seqAt(store, busy, id))
  expect(moment!.touched).toEqual([])
  expect(seq).toMatchObject({ touched: tables(oldest + 50), planned: 1 })
  // In the years of sleep: the directory alone knows.
  expect(await looksOf(database, (store) => seqAt(store, sleeper, id))).toHaveLength(1)
})

test('messages by their ids are looked up between the first and the last of them', async () => {
  const key = (bucket: number) => ({ channelId: busy, messageId: snowflakeAt(startOf(bucket)) })
  const [looks] = await looksOf(database, (store) => readMessages(store, [key(newest - 3), key(newest - 1)]))
  expect(looks!.touched).toEqual(expect.arrayContaining(tables(newest - 3, newest - 1)))
  expect(looks!.planned).toBe(3)
})

describe('a catch-up', () => {
  const since = (channelId: string, change: number, limit = 100) =>
    looksOf(database, (store) => changesSince(store, channelId, { change, seq: change }, limit, author))

  /** Months that are still to come are empty, and made for what is being sent at this moment. */
  const past = ({ touched }: Look) => touched.filter((table) => table <= tableOf(newest))

  test('of what is new looks into the newest month', async () => {
    const [directory, changes] = await since(busy, 120 * perMonth - 5)
    expect(directory!.touched).toEqual([])
    expect(past(changes!)).toEqual(tables(newest))
  })

  test('of nothing looks at no message', async () => {
    const [, changes] = await since(sleeper, 13 * perMonth)
    expect(past(changes!).filter((table) => table !== tableOf(newest))).toEqual([])
    expect(changes!.blocks).toBeLessThan(20)
  })

  test('from long ago reads on month by month', async () => {
    const [, changes] = await since(busy, 5 * perMonth)
    expect(changes!.touched).toEqual(tables(oldest + 5, oldest + 6, oldest + 7))
  })

  test('through years of sleep goes past them', async () => {
    const [, changes] = await since(sleeper, 12 * perMonth - 5)
    expect(changes!.touched).toEqual(expect.arrayContaining(tables(oldest + 11, newest)))
    expect(changes!.touched.length).toBeLessThanOrEqual(5)
  })

  test('of an old message that was edited looks it up in its month', async () => {
    const old = snowflakeAt(startOf(oldest + 3))
    await database.run(
      `insert into message_changes (channel_id, message_id, change, kind) values ($1, $2, $3, 'EDITED')`,
      [busy, old, 120 * perMonth + 1],
    )
    await database.run('update channels set last_change = last_change + 1 where id = $1', [busy])
    const [, changes] = await since(busy, 120 * perMonth)
    expect(past(changes!)).toEqual(expect.arrayContaining(tables(oldest + 3)))
    expect(past(changes!).length).toBeLessThanOrEqual(2)
  })
})

describe('a send', () => {
  type Root = { id: string; authorId: string; seq: number }

  /** Sends, and says which months were read and which were written, by the statistics of its own transaction. */
  async function monthsOf(content: string, root: Root | null) {
    const send = { authorId: author, key: content, bodyHash: hashOf(content), kind: 'USER' as const, content, root }
    return database.transaction(async (tx) => {
      // What this connection has not handed in yet, of earlier transactions too.
      const counts = async () => {
        const rows = await tx.run<{ name: string; reads: number; writes: number }>(
          `select relname as name, (seq_scan + idx_scan)::int as reads, n_tup_ins::int as writes
           from pg_stat_xact_user_tables where schemaname = current_schema() and relname ~ '^messages_\\d'`,
          [],
        )
        return new Map(rows.map((row) => [row.name, row]))
      }
      const before = await counts()
      const sent = await sendBatch({ ...database, run: tx.run }, busy, 0, snowflakeAt(Date.now()), [
        { ...send, mentionIds: [] },
      ])
      expect(sent).toMatchObject({ moved: false, outcomes: [{ outcome: 'sent' }] })
      const after = [...(await counts()).values()]
      const grown = (which: 'reads' | 'writes') =>
        after.filter((row) => row[which] > (before.get(row.name)?.[which] ?? 0)).map((row) => row.name)
      return { read: grown('reads'), written: grown('writes') }
    })
  }

  test('writes into its month, and reads none', async () => {
    expect(await monthsOf('hello', null)).toEqual({ read: [], written: tables(newest) })
  })

  test('that answers reads the month of what it answers', async () => {
    const root = { id: snowflakeAt(startOf(oldest + 7)), authorId: author, seq: 7 * perMonth + 1 }
    expect(await monthsOf('hello again', root)).toEqual({ read: tables(oldest + 7), written: tables(newest) })
  })
})
