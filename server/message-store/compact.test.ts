import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { isDistributed } from '../../drizzle/distribution.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { unavailable } from '../errors.ts'
import { messageTerms, searchTerms } from '../lib/search-terms.ts'
import { dying } from '../testing/dying.ts'
import { checkChannel, contentOf, fillMonths, makeChannel } from '../testing/old-messages.ts'
import { createTestDatabase } from '../testing/test-app.ts'
import { bucketAt, tableOf } from './bucket-time.ts'
import { changeChannel } from './channel-lock.ts'
import { compact, type Compacted } from './compact.ts'
import { readMessages, readSpan } from './pages.ts'

vi.setConfig({ testTimeout: 120_000 })

const author = '5'
const all = ['11', '12', '13']
const newest = bucketAt(Date.now())
const old = newest - 5
const perMonth = 400

let database: Database
let workers: Database
/** On Citus nothing is compacted, which is one test of these. */
let isSpread: boolean
beforeEach(async () => {
  const url = await createTestDatabase()
  database = openDatabase({ url, poolSize: 8, unavailable })
  workers = openDatabase({ url, poolSize: 3, deadlineMs: 60_000, unavailable })
  await migrate(workers)
  isSpread = await isDistributed(workers)
  for (const channelId of all) {
    await makeChannel(database, channelId, [author])
    await fillMonths(workers, { channelId, author, buckets: [old, old + 1, newest], perMonth })
  }
})
afterEach(async () => {
  await database.close()
  await workers.close()
})

const run = (on = workers, done: Compacted[] = []) => compact(on, { afterMonths: 3 }, (each) => done.push(each))

/** Changes what a message says as the API does; empty deletes it. */
async function edit(channelId: string, seq: number, content: string): Promise<void> {
  const [message] = await readSpan(database, channelId, { from: seq, to: seq }, 'start')
  await changeChannel(database, channelId, (channel) =>
    channel.touchMessage(message!.id, content === '' ? 'DELETED' : 'EDITED', { content, editedAt: new Date() }),
  )
}

const stored = () =>
  database.run<{ channel_id: string; id: string; seq: number; content: string; terms: number[] | null }>(
    'select channel_id, id, seq, content, terms from messages order by channel_id, id',
    [],
  )

/** Partitions, and how they are made: whether each index of the table has its part in each of them. */
async function shape() {
  const rows = await database.run<{ name: string; indexes: number; constraints: number; triggers: number }>(
    `select c.relname as name,
            (select count(*)::int from pg_index i join pg_inherits h on h.inhrelid = i.indexrelid
             where i.indrelid = c.oid and i.indisvalid) as indexes,
            (select count(*)::int from pg_constraint k where k.conrelid = c.oid and k.contype = 'c') as constraints,
            (select count(*)::int from pg_trigger t where t.tgrelid = c.oid) as triggers
     from pg_inherits p join pg_class c on c.oid = p.inhrelid where p.inhparent = 'messages'::regclass`,
    [],
  )
  return rows
}

const leftBehind = () =>
  database.run(
    `select relname from pg_class where relnamespace = current_schema()::regnamespace and relname ~ '(_new|_touched)$'
     union all select proname from pg_proc where pronamespace = current_schema()::regnamespace and proname ~ 'touched'
     union all select relname from pg_class where relnamespace = current_schema()::regnamespace and reloptions::text ~ 'autovacuum'`,
    [],
  )

test('old buckets are written anew, once, and hold what they held', async () => {
  if (isSpread) return
  const before = await stored()
  const done: Compacted[] = []
  expect(await run(workers, done)).toBe(2)
  expect(done.map((each) => each.bucket)).toEqual([old + 1, old])
  for (const each of done) expect(each.after).toBeLessThan(each.before)
  expect(await stored()).toEqual(before)
  for (const id of all) await checkChannel(database, id)
  for (const each of await shape()) expect(each).toMatchObject({ indexes: 3, constraints: 0, triggers: 0 })
  expect(await leftBehind()).toEqual([])
  expect(await run()).toBe(0)
  const rows = await database.run('select bucket from buckets where compacted_at is not null order by bucket', [])
  expect(rows).toEqual([{ bucket: old }, { bucket: old + 1 }])
  // What is found by its words is found there, too.
  const terms = searchTerms(contentOf(7))
  const found = await database.run(`select seq from ${tableOf(old)} where terms @> $1::int[] and channel_id = $2`, [terms, all[0]])
  expect(found).toEqual([{ seq: 7 }])
})

test('edits and deletes meanwhile are kept, all of them, and nobody who reads or writes is held up for long', async () => {
  if (isSpread) return
  const expected = new Map<string, string>()
  const state = { over: false, slowest: 0, edits: 0 }
  const timed = async (work: () => Promise<unknown>) => {
    const started = performance.now()
    await work()
    state.slowest = Math.max(state.slowest, performance.now() - started)
  }
  const editors = all.map(async (channelId) => {
    for (let turn = 0; !state.over; turn++) {
      const seq = 1 + ((turn * 37) % (2 * perMonth))
      const content = turn % 5 === 4 ? '' : `edited ${turn}`
      await timed(() => edit(channelId, seq, content))
      expected.set(`${channelId} ${seq}`, content)
      state.edits++
    }
  })
  const readers = [0, 1].map(async () => {
    for (let turn = 0; !state.over; turn++) {
      const channelId = all[turn % 3]!
      const from = 1 + ((turn * 53) % (2 * perMonth - 50))
      await timed(async () => {
        const page = await readSpan(database, channelId, { from, to: from + 49 }, 'start')
        if (page.length !== 50) throw new Error(`A page has ${page.length} of 50`)
      })
    }
  })
  for (let turn = 0; turn < 4; turn++) {
    await database.run('update buckets set compacted_at = null', [])
    expect(await run()).toBe(2)
  }
  state.over = true
  await Promise.all([...editors, ...readers])
  expect(state.edits).toBeGreaterThan(50)
  expect(state.slowest).toBeLessThan(5_000)
  for (const row of await stored()) {
    const content = expected.get(`${row.channel_id} ${row.seq}`) ?? contentOf(row.seq)
    expect(row.content).toBe(content)
    expect(row.terms ?? []).toEqual(messageTerms(row.channel_id, content))
  }
  expect(await leftBehind()).toEqual([])
})

test('killed at any step, everything is there and can be changed, and the next run does it', async () => {
  if (isSpread) return
  const before = await stored()
  let deaths = 0
  for (let nth = 1; ; nth++) {
    const mortal = dying(workers, nth)
    const outcome = await run(mortal).catch(() => 'killed')
    expect(await readSpan(database, all[0]!, { from: 1, to: 50 }, 'start')).toHaveLength(50)
    await edit(all[1]!, 1 + (nth % 100), 'edited')
    if (!mortal.isDead()) {
      expect(outcome).not.toBe('killed')
      break
    }
    expect(outcome).toBe('killed')
    deaths++
  }
  expect(deaths).toBeGreaterThan(15)
  expect((await stored()).filter((row) => row.content !== 'edited')).toEqual(
    before.filter((row) => row.channel_id !== all[1] || row.seq < 2 || row.seq > deaths + 2 || row.seq > 100),
  )
  expect(await leftBehind()).toEqual([])
  for (const each of await shape()) expect(each).toMatchObject({ indexes: 3, constraints: 0, triggers: 0 })
})

test('a reader who takes their time is waited for, without others having to wait as long', async () => {
  if (isSpread) return
  const slow = await database.reserve()
  await slow.run('begin', [])
  await slow.run('select count(*) from messages', [])
  const done = run()
  let slowest = 0
  for (let turn = 0; turn < 20; turn++) {
    const started = performance.now()
    await readMessages(database, [{ channelId: '11', messageId: '1' }])
    await edit('11', 1 + turn, `edited ${turn}`)
    slowest = Math.max(slowest, performance.now() - started)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  await slow.run('commit', [])
  slow.release()
  expect(await done).toBe(2)
  expect(slowest).toBeLessThan(4_000)
  const page = await readSpan(database, '11', { from: 1, to: 20 }, 'start')
  expect(page.map((message) => message.content)).toEqual(Array.from({ length: 20 }, (_, turn) => `edited ${turn}`))
})

test('of several workers one does it; and none where it is never to be done', async () => {
  if (isSpread) return
  expect(await compact(workers, { afterMonths: null })).toBe(0)
  const done = await Promise.all([1, 2].map(() => run()))
  expect(done.filter((each) => each === 2)).toHaveLength(1)
  expect(await leftBehind()).toEqual([])
})

test('on Citus everything stays as it is', async () => {
  if (!isSpread) return
  const before = await stored()
  expect(await run()).toBe(0)
  expect(await stored()).toEqual(before)
})
