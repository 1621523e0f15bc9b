import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { unavailable } from '../errors.ts'
import { messageTerms, termsVersion } from '../lib/search-terms.ts'
import { dying } from '../testing/dying.ts'
import { fillMonths, makeChannel } from '../testing/old-messages.ts'
import { createTestDatabase } from '../testing/test-app.ts'
import { bucketAt, tableOf } from './bucket-time.ts'
import { reindex, type ReindexProgress } from './reindex.ts'

vi.setConfig({ testTimeout: 60_000 })

const author = '5'
const newest = bucketAt(Date.now())
const buckets = [newest - 2, newest - 1, newest]

let database: Database
beforeEach(async () => {
  database = openDatabase({ url: await createTestDatabase(), poolSize: 6, deadlineMs: 30_000, unavailable })
  await migrate(database)
  for (const id of ['11', '12']) {
    await makeChannel(database, id, [author])
    await fillMonths(database, { channelId: id, author, buckets, perMonth: 600 })
  }
  // As an older version has left them: without terms, or with others.
  await database.run('update messages set terms = case when seq % 3 = 0 then $1::int[] when seq % 3 = 1 then null else terms end', [
    [1, 2, 3],
  ])
  await database.run(`update messages set content = '' where seq = 5`, [])
  await database.run('update buckets set terms_version = $1 where bucket <= $2', [termsVersion - 1, newest])
})
afterEach(() => database.close())

/** Messages whose terms are not those of what they say. */
async function wrong(): Promise<string[]> {
  const rows = await database.run<{ channel_id: string; id: string; content: string; terms: number[] | null }>('select channel_id, id, content, terms from messages', [])
  return rows.filter((row) => `${row.terms ?? ''}` !== `${messageTerms(row.channel_id, row.content)}` || row.terms?.length === 0).map((row) => row.id)
}

const left = async () =>
  (await database.run<{ bucket: number }>('select bucket from buckets where terms_version < $1 order by 1', [termsVersion])).map(
    (row) => row.bucket,
  )

test('all messages of marked buckets get the terms of what they say, once', async () => {
  expect(await wrong()).not.toEqual([])
  const told: ReindexProgress[] = []
  const written = await reindex(database, (progress) => told.push(progress))
  expect(written).toBeGreaterThan(2_000)
  expect(await wrong()).toEqual([])
  expect(await left()).toEqual([])
  expect(told.filter((each) => each.isDone).map(({ bucket, messages }) => [bucket, messages])).toEqual(
    buckets.toReversed().map((bucket) => [bucket, 1_200]),
  )
  expect(await reindex(database)).toBe(0)
  // What was as it should be has not been written again.
  const rows = await database.run<{ count: number }>(
    `select count(*)::int as count from ${tableOf(newest)} where seq % 3 = 2 and xmin::text = (select min(xmin::text) from ${tableOf(newest)} where seq % 3 = 2)`,
    [],
  )
  expect(rows[0]!.count).toBeGreaterThan(100)
})

test('killed anywhere, the next run goes on with it', async () => {
  for (let nth = 1; ; nth += 3) {
    const mortal = dying(database, nth)
    const outcome = await reindex(mortal).catch(() => 'killed')
    if (!mortal.isDead()) {
      expect(outcome).not.toBe('killed')
      break
    }
  }
  expect(await wrong()).toEqual([])
  expect(await left()).toEqual([])
})

test('an edit meanwhile stands, with its own terms', async () => {
  const state = { over: false, edits: 0 }
  const editors = ['11', '12'].map(async (channelId) => {
    for (let turn = 0; !state.over; turn++) {
      const content = `cake number ${turn} is no tea`
      await database.run('update messages set content = $2, terms = $3::int[] where channel_id = $1 and seq = $4', [
        channelId,
        content,
        messageTerms(channelId, content),
        1 + ((turn * 7) % 1_800),
      ])
      state.edits++
    }
  })
  await reindex(database)
  state.over = true
  await Promise.all(editors)
  expect(state.edits).toBeGreaterThan(5)
  expect(await wrong()).toEqual([])
})

test('several workers do it once', async () => {
  const done = await Promise.all([1, 2, 3].map(() => reindex(database)))
  expect(done.filter((each) => each !== null && each > 0)).toHaveLength(1)
  expect(await wrong()).toEqual([])
})
