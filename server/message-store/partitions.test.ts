import postgres from 'postgres'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { UpdateChannelDocument } from '../../client-sdk/index.ts'
import type { Database } from '../../drizzle/connection.ts'
import { isDistributed } from '../../drizzle/distribution.ts'
import { history, newChannel, say } from '../../schema/testing/operations.ts'
import { type Person, startTestApp, type TestApp } from '../testing/test-app.ts'
import { channelSnowflake } from '../testing/watch-changes.ts'
import { bucketAt, startOf, tableOf } from './bucket-time.ts'
import { ensureBuckets } from './partitions.ts'
import { cleanAllPendingLists, cleanPendingLists } from './pending-list.ts'

let app: TestApp
let database: Database
let alice: Person
let channelId: string
const now = bucketAt(Date.now())
beforeAll(async () => {
  app = await startTestApp()
  database = app.app.database
  alice = await app.signUp('alice')
})
afterAll(() => app.stop())
beforeEach(async () => {
  channelId = await newChannel(alice)
})

const partitions = async () => {
  const rows = await database.run<{ name: string }>(
    `select inhrelid::regclass::text as name from pg_inherits where inhparent = 'messages'::regclass order by 1`,
    [],
  )
  return rows.map((row) => row.name)
}

/** Leaves the store as it is when nobody has made partitions for months. */
async function forget(buckets: readonly number[]) {
  for (const bucket of buckets) {
    await database.run(`drop table if exists ${tableOf(bucket)}`, [])
    await database.run('delete from buckets where bucket = $1', [bucket])
  }
}

test('processes that make the same partitions at once make each one once', async () => {
  const first = now - 200
  const made = await Promise.all([1, 2, 3, 4].map(() => ensureBuckets(database, first, first + 5)))
  expect(made.flat().toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5].map((nth) => first + nth))
  expect(await partitions()).toEqual(expect.arrayContaining([tableOf(first), tableOf(first + 5)]))
  expect(await ensureBuckets(database, first, first + 5)).toEqual([])
})

test('a reader and a writer who take their time do not stop a partition from being made, nor does that stop others', async () => {
  // On Citus it waits for whoever has begun before, and the next statements for it.
  if (await isDistributed(database)) return
  const slow = postgres(app.databaseUrl, { max: 2, onnotice: () => {} })
  const [reader, writer] = await Promise.all([slow.reserve(), slow.reserve()])
  await say(alice, channelId, 'before')
  await reader.unsafe('begin; select count(*) from messages')
  await writer.unsafe(`begin; update messages set kind = kind where channel_id = ${channelSnowflake(channelId)}`)
  const first = now - 300
  // All of it would wait for the two, to no end, if the making took a lock that stands in their way or in that of others.
  const made = ensureBuckets(database, first, first + 3)
  const [, said] = await Promise.all([made, say(alice, channelId, 'meanwhile')])
  expect(await made).toHaveLength(4)
  expect(await history(alice, channelId)).toHaveLength(2)
  expect(said.content).toBe('meanwhile')
  for (const each of [reader, writer]) {
    await each.unsafe('commit')
    each.release()
  }
  await slow.end()
})

test('a send that finds no partition makes it, and so does a message of the system', async () => {
  await say(alice, channelId, 'before')
  const old = channelSnowflake(channelId)
  // The message is gone with its month, as no partition of these days exists any more.
  await forget([now - 1, now, now + 1, now + 2])
  const sent = await Promise.all([say(alice, channelId, 'one'), say(alice, channelId, 'two')])
  expect(sent.map((message) => message.seq).toSorted()).toEqual([2, 3])
  expect(await partitions()).toEqual(expect.arrayContaining([tableOf(now), tableOf(now + 2)]))

  await forget([now - 1, now, now + 1, now + 2])
  await alice.client.request(UpdateChannelDocument, { input: { channelId, name: 'cake' } })
  const rows = await database.run('select kind, content, seq from messages where channel_id = $1', [old])
  expect(rows).toEqual([{ kind: 'CHANNEL_UPDATED', content: 'cake', seq: 4 }])
})

test('a channel whose newest message is of a month ahead goes on there', async () => {
  const ahead = now + 40
  const id = channelSnowflake(channelId)
  await database.run('update channels set last_id = $2 where id = $1', [
    id,
    (BigInt(startOf(ahead) - startOf(0)) << 22n).toString(),
  ])
  await say(alice, channelId, 'from the future')
  const [row] = await database.run<{ bucket: number }>('select message_bucket(id) as bucket from messages where channel_id = $1', [id])
  expect(row).toEqual({ bucket: ahead })
})

test('what sends put on the lists of the term indexes is worked in, by several workers at once', async () => {
  await cleanAllPendingLists(database)
  expect(await cleanPendingLists(database)).toBe(0)
  for (let nth = 0; nth < 20; nth++) await say(alice, channelId, `tea and cake number ${nth}`)
  const found = await Promise.all([1, 2, 3].map(() => cleanPendingLists(database)))
  expect(found.reduce((sum, pages) => sum + pages, 0)).toBeGreaterThan(0)
  expect(await cleanPendingLists(database)).toBe(0)

  await say(alice, channelId, 'more tea')
  expect(await cleanAllPendingLists(database)).toBe(1)
})
