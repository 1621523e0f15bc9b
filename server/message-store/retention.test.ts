import postgres from 'postgres'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { MaruError, unavailable } from '../errors.ts'
import { channelOf, checkChannel, fillMonths, leftovers, makeChannel } from '../testing/old-messages.ts'
import { createTestDatabase } from '../testing/test-app.ts'
import { appendBatch } from './append.ts'
import { bucketAt, startOf, tableOf } from './bucket-time.ts'
import { changesSince } from './changes.ts'
import { expire } from './expire.ts'
import { readSpan, readSpans, seqAt } from './pages.ts'
import { ensureBuckets } from './partitions.ts'
import { retain, type RetentionOptions, setRetention } from './retention.ts'
import { hashOf, sendBatch } from './send.ts'
import { snowflakeAt } from './snowflake.ts'

vi.setConfig({ testTimeout: 120_000 })

const author = '5'
const [busy, sleeper, other] = ['11', '12', '13']
const dayMs = 86_400_000
/** In the middle of a month, so that no test meets the end of one. */
const newest = bucketAt(Date.now())
const now = startOf(newest) + 14 * dayMs

let url: string
/** What the servers have, and what the workers do. */
let database: Database
let workers: Database
beforeEach(async () => {
  url = await createTestDatabase()
  database = openDatabase({ url, poolSize: 8, unavailable })
  workers = openDatabase({ url, poolSize: 3, deadlineMs: 60_000, unavailable })
  await migrate(workers)
  await ensureBuckets(database)
  for (const id of [busy, sleeper, other]) await makeChannel(database, id, [author])
})
afterEach(async () => {
  await database.close()
  await workers.close()
})

const months = (count: number, end = newest) => Array.from({ length: count }, (_, nth) => end - count + 1 + nth)
const fill = (channelId: string, buckets: readonly number[], perMonth = 12) =>
  fillMonths(workers, { channelId, author, buckets, perMonth })
const run = (options: Partial<RetentionOptions> = {}, on = workers) => retain(on, { days: null, now, ...options })

async function send(channelId: string, content: string, key = content) {
  const sends = [
    { authorId: author, key, bodyHash: hashOf(content), kind: 'USER' as const, content, root: null, mentionIds: [] },
  ]
  const result = await sendBatch(database, channelId, 0, snowflakeAt(Date.now()), sends)
  return result.moved ? null : result.outcomes[0]!
}

const partitions = async () => {
  const rows = await database.run<{ name: string }>(
    `select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent = 'messages'::regclass and not inhdetachpending order by 1`,
    [],
  )
  return rows.map((row) => row.name)
}

/** What follows after a change: its number of changes, or the code of what it is refused with. */
const since = (channelId: string, change: number, seq = 0) =>
  changesSince(database, channelId, { change, seq }, 100, author).then(
    (page) => page!.changes.length,
    (error: unknown) => (error as MaruError).code,
  )

test('of ten years the oldest is dropped while people read and write, and nobody sees more of it than less history', async () => {
  await fill(busy, months(120))
  await fill(sleeper, [...months(12, newest - 108), newest])
  await fill(other, months(120).filter((_, nth) => nth % 3 === 0))
  const all = [busy, sleeper, other]
  const before = await channelOf(database, busy)
  const kept = newest - 108
  const state = { over: false, reads: 0, slowest: 0 }
  const timed = async (work: () => Promise<unknown>) => {
    const started = performance.now()
    await work()
    state.slowest = Math.max(state.slowest, performance.now() - started)
    state.reads++
  }
  const readers = [0, 1, 2].map(async (nth) => {
    for (let turn = nth; !state.over; turn++) {
      const channelId = all[turn % 3]!
      await timed(() => checkChannel(database, channelId))
      const { expired_change, last_change, last_seq } = await channelOf(database, channelId)
      const position = { change: Math.max(expired_change, last_change - 50), seq: last_seq - 50 }
      // Whatever expires in between, it is told or refused; after that it is what comes after it.
      const page = await changesSince(database, channelId, position, 100, author).catch((error: unknown) => {
        expect((error as MaruError).code).toBe('CURSOR_EXPIRED')
      })
      if (page) expect(page.changes.every((change) => change.type !== 'message' || change.message.id !== null)).toBe(true)
      expect(await seqAt(database, channelId, snowflakeAt(startOf(newest - 119)))).not.toBeNull()
    }
  })
  const writers = [0, 1].map(async (nth) => {
    for (let turn = 0; !state.over; turn++) {
      await timed(async () => expect((await send(all[(turn + nth) % 3]!, `new ${nth} ${turn}`))!.outcome).toBe('sent'))
    }
  })
  // A reader who takes their time is waited for, and stands in nobody's way.
  const slow = await database.reserve()
  await slow.run('begin', [])
  await slow.run('select count(*) from messages', [])
  const retained = run({ days: Math.floor((now - startOf(kept)) / dayMs) })
  await expect.poll(() => state.reads).toBeGreaterThan(20)
  await slow.run('commit', [])
  slow.release()
  expect(await retained).toMatchObject({ channels: 3, buckets: months(11, kept - 1), messages: 0, isUnfinished: false })
  state.over = true
  await Promise.all([...readers, ...writers])

  expect(state.slowest).toBeLessThan(5_000)
  expect(await partitions()).toEqual(expect.arrayContaining(months(109).map(tableOf)))
  expect(await partitions()).not.toContain(tableOf(kept - 1))
  for (const id of all) {
    await checkChannel(database, id)
    expect(await leftovers(database, id)).toEqual({})
  }
  const after = await channelOf(database, busy)
  expect(after.first_seq).toBe(11 * 12 + 1)
  expect(await since(busy, after.expired_change - 1)).toBe('CURSOR_EXPIRED')
  expect(await since(busy, after.expired_change, after.first_seq - 1)).toBe(100)
  expect(before.first_seq).toBe(1)
  // The second run finds nothing.
  expect(await run({ days: 3_300 })).toEqual({ channels: 0, messages: 0, buckets: [], isUnfinished: false })
})

test('a channel’s own retention, shorter or longer, is what counts for it', async () => {
  for (const id of [busy, sleeper, other]) await fill(id, months(24))
  await setRetention(database, sleeper, 90)
  await setRetention(database, other, 500)
  const done = await run({ days: 365 })
  const own = (kept: number) => 12 * (24 - (newest - kept + 1)) + 1
  expect((await channelOf(database, busy)).first_seq).toBe(own(bucketAt(now - 365 * dayMs)))
  expect((await channelOf(database, sleeper)).first_seq).toBe(own(bucketAt(now - 90 * dayMs)))
  expect((await channelOf(database, other)).first_seq).toBe(own(bucketAt(now - 500 * dayMs)))
  for (const id of [busy, sleeper, other]) {
    await checkChannel(database, id)
    expect(await leftovers(database, id)).toEqual({})
  }
  // What nobody keeps is dropped; of what somebody keeps, the others' rows are deleted.
  const gone = months(24).filter((bucket) => bucket < bucketAt(now - 500 * dayMs))
  expect(done!.buckets).toEqual(gone)
  const held = months(24).filter((bucket) => bucket >= bucketAt(now - 500 * dayMs) && bucket < bucketAt(now - 365 * dayMs))
  const ofSleeper = months(24).filter((bucket) => bucket >= bucketAt(now - 365 * dayMs) && bucket < bucketAt(now - 90 * dayMs))
  expect(done!.messages).toBe(12 * (2 * held.length + ofSleeper.length))

  // Without a rule for all, only the channels with their own lose anything.
  await setRetention(database, other, 365)
  expect(await run()).toMatchObject({ channels: 1 })
  await setRetention(database, other, null)
  expect(await run({ now: now + 90 * dayMs })).toMatchObject({ channels: 1 })
  expect((await channelOf(database, sleeper)).first_seq).toBe(own(bucketAt(now)))
  await expect(setRetention(database, '99', 1)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  await expect(setRetention(database, other, 0)).rejects.toMatchObject({ code: 'BAD_USER_INPUT', field: 'days' })
})

test('a quiet channel loses all, can be read and written to, and who was at its end reads on', async () => {
  await fill(sleeper, months(3, newest - 20))
  await fill(busy, months(2))
  // Touched lately, which is a change that must not be lost on whoever has not seen it.
  const { last_change } = await channelOf(database, sleeper)
  const [first] = await readSpan(database, sleeper, { from: 1, to: 1 }, 'start')
  await database.run(
    `insert into message_changes (channel_id, message_id, change, kind) values ($1, $2, $3, 'PINS_CHANGED')
     on conflict (channel_id, message_id) do update set change = excluded.change, kind = excluded.kind`,
    [sleeper, first!.id, last_change + 1],
  )
  await database.run('update channels set last_change = last_change + 2, info_change = last_change + 2 where id = $1', [sleeper])
  await run({ days: 300 })
  const channel = await channelOf(database, sleeper)
  expect(channel).toMatchObject({ first_seq: 37, last_seq: 36, expired_change: last_change + 1 })
  expect(await leftovers(database, sleeper)).toEqual({})
  expect(await readSpan(database, sleeper, { from: 1, to: 36 }, 'end')).toEqual([])
  expect(await readSpans(database, [{ channelId: sleeper, span: { from: 1, to: 36 }, anchor: 'start' }])).toEqual([[]])
  expect(await seqAt(database, sleeper, snowflakeAt(startOf(newest - 22)))).toBeNull()
  expect(await since(sleeper, last_change, 36)).toBe('CURSOR_EXPIRED')
  expect(await since(sleeper, last_change + 1, 36)).toBe(1)
  expect(await since(sleeper, last_change + 2, 36)).toBe(0)

  expect(await send(sleeper, 'new')).toMatchObject({ outcome: 'sent', message: { seq: 37 } })
  expect((await channelOf(database, sleeper)).first_seq).toBe(37)
  expect(await readSpan(database, sleeper, { from: 1, to: 37 }, 'end')).toHaveLength(1)
  expect(await since(sleeper, last_change + 2, 36)).toBe(1)
  await checkChannel(database, sleeper)
})

test('a channel that has lost this month too goes on within it', async () => {
  await send(sleeper, 'new')
  await run({ days: 1, now: now + 70 * dayMs })
  expect(await channelOf(database, sleeper)).toMatchObject({ first_seq: 2, last_seq: 1 })
  await send(sleeper, 'new again')
  expect(await readSpan(database, sleeper, { from: 2, to: 2 }, 'end')).toHaveLength(1)
  await run({ days: 1, now: now + 70 * dayMs })
  expect(await channelOf(database, sleeper)).toMatchObject({ first_seq: 3, last_seq: 2 })
  expect(await leftovers(database, sleeper)).toEqual({})
})

test('a key whose message has gone has expired for as long as it is there, and is free then', async () => {
  expect(await send(sleeper, 'new', 'key')).toMatchObject({ outcome: 'sent' })
  expect(await send(sleeper, 'new', 'key')).toMatchObject({ outcome: 'repeated' })
  await database.run('delete from messages where channel_id = $1', [sleeper])
  expect(await send(sleeper, 'new', 'key')).toEqual({ outcome: 'expired' })
  await run({ days: 1, now: now + 70 * dayMs })
  expect(await send(sleeper, 'new', 'key')).toMatchObject({ outcome: 'sent', message: { seq: 2 } })
})

test('what a month has of one channel is removed step by step, and nothing else of it is touched', async () => {
  // The other channel keeps its own, so that the month stays.
  await setRetention(database, other, 3_650)
  await fill(other, months(4))
  await fill(busy, months(4), 700)
  const removed = recording(workers)
  expect(await run({ days: 60 }, removed.database)).toMatchObject({ messages: 700, buckets: [], isUnfinished: false })
  expect(await leftovers(database, busy)).toEqual({})
  for (const id of [busy, other]) await checkChannel(database, id)
  // Only in the month that the channel has lost, and no step looks at what another one has done.
  const steps = removed.statements.filter(({ text }) => text.includes('clear expired messages'))
  expect(steps.map(({ text, parameters }) => [text.includes(tableOf(newest - 3)), ...parameters])).toEqual([
    [true, busy, 1, 500],
    [true, busy, 501, 700],
  ])
  expect(await database.run('select from expirations', [])).toEqual([])
})

test('what is imported into a month after that was taken from its channel stays', async () => {
  await fill(busy, months(3, newest - 9))
  await fill(other, months(1, newest - 9))
  await setRetention(database, other, 3_650)
  expect(await expire(workers, busy, newest - 8)).toBe(true)
  const id = snowflakeAt(startOf(newest - 8) - dayMs)
  const late = { id, kind: 'USER' as const, authorId: author, content: 'new', replyToId: null, mentionIds: [] }
  await database.transaction((tx) => appendBatch(tx, busy, [{ ...late, deletedAt: null }]))
  await setRetention(database, busy, 3_650)
  expect(await run()).toMatchObject({ channels: 0, messages: 36 })
  expect(await readSpan(database, busy, { from: 1, to: 40 }, 'start')).toMatchObject([{ id, seq: 37 }])
  await checkChannel(database, busy)
})

test('a channel that is locked for too long keeps no other back, and has its turn later', async () => {
  for (const id of [busy, sleeper, other]) await fill(id, months(4))
  const held = postgres(url, { max: 1, onnotice: () => {} })
  await held.unsafe('begin')
  await held.unsafe('select from channels where id = $1 for no key update', [busy])
  expect(await run({ days: 60 })).toMatchObject({ channels: 2, isUnfinished: true })
  expect((await channelOf(database, other)).first_seq).toBeGreaterThan(1)
  expect((await channelOf(database, busy)).first_seq).toBe(1)
  await held.unsafe('commit')
  await held.end()
  expect(await run({ days: 60 })).toMatchObject({ channels: 1, isUnfinished: false })
  for (const id of [busy, sleeper, other]) expect(await leftovers(database, id)).toEqual({})
})

/** A database that notes what is run on it, outside of transactions. */
function recording(wrapped: Database) {
  const statements: { text: string; parameters: readonly unknown[] }[] = []
  const run: Database['run'] = (text, parameters) => {
    statements.push({ text, parameters })
    return wrapped.run(text, parameters)
  }
  return { statements, database: { ...wrapped, run } }
}
