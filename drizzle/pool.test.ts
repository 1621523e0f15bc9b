import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { MaruError, unavailable } from '../server/errors.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../server/lib/embedded-postgres.ts'
import { discardDataDir, makeDataDir } from '../server/testing/server-process.ts'
import { type Database, openDatabase } from './connection.ts'
import { openWay } from './testing/way.ts'

let dataDir: string
let postgres: EmbeddedPostgres
/** Watches, from outside of the pool under test. */
let watcher: Database
const opened: { close(): Promise<void> }[] = []
beforeAll(async () => {
  dataDir = await makeDataDir()
  // With its own, a test may freeze its processes, and crash it.
  postgres = await startEmbeddedPostgres({ dataDir })
  watcher = openDatabase({ url: postgres.url, poolSize: 2, unavailable })
  await watcher.run('create table notes (tag text, part int)', [])
  await watcher.run('create table doors (id int primary key, opened int not null)', [])
  await watcher.run('insert into doors values (1, 0)', [])
}, 60_000)
afterAll(async () => {
  await watcher.close()
  await postgres.stop()
  await discardDataDir(dataDir)
})
beforeEach(() => watcher.run('truncate notes', []))
afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.close()))
})

/** A pool under test, whose sessions bear its name. */
function open(options: { poolSize: number; name?: string; url?: string; deadlineMs?: number }): Database {
  const url = new URL(options.url ?? postgres.url)
  if (options.name !== undefined) url.searchParams.set('application_name', options.name)
  const database = openDatabase({ ...options, url: url.href, unavailable })
  opened.push(database)
  return database
}

/** Short enough to wait for, and long enough for what is to succeed on a busy machine. */
const deadlineMs = 1_500

const isUnavailable = (error: unknown) => error instanceof MaruError && error.code === 'UNAVAILABLE'
const expectUnavailable = (promise: Promise<unknown>) => expect(promise).rejects.toSatisfy(isUnavailable)

const sessions = (name: string, state = '%') =>
  watcher.run<{ pid: number }>(
    'select pid from pg_stat_activity where application_name = $1 and state like $2',
    [name, state],
  )
const notes = async () =>
  (await watcher.run<{ tag: string }>('select tag from notes order by tag, part', [])).map((row) => row.tag)
const note = (run: Database['run'], tag: string, part = 1) => run('insert into notes values ($1, $2)', [tag, part])

const backendOf = async (run: Database['run']) =>
  (await run<{ pid: number }>('select pg_backend_pid() as pid', []))[0]!.pid

test('who waits for a connection gets one in the order of asking', async () => {
  const database = open({ poolSize: 1 })
  const held = await database.reserve()
  const answered: number[] = []
  const waiting = Array.from({ length: 100 }, async (_, nth) => {
    if (nth % 10 === 0) await database.transaction(({ run }) => run('select $1::int', [nth]))
    else await database.run('select $1::int', [nth])
    answered.push(nth)
  })
  held.release()
  await Promise.all(waiting)
  expect(answered).toEqual(Array.from({ length: 100 }, (_, nth) => nth))
})

test('no more connections are opened than there may be', async () => {
  const database = open({ poolSize: 3, name: 'three' })
  await Promise.all(Array.from({ length: 50 }, () => database.run('select pg_sleep(0.01)', [])))
  expect(await sessions('three')).toHaveLength(3)
})

test('what has waited in vain is not run later', async () => {
  const database = open({ poolSize: 1, deadlineMs })
  const held = await database.reserve()
  await Promise.all([
    expectUnavailable(note(database.run, 'statement')),
    expectUnavailable(database.transaction(({ run }) => note(run, 'transaction'))),
    expectUnavailable(database.reserve()),
  ])
  held.release()
  await note(database.run, 'after')
  expect(await notes()).toEqual(['after'])
})

test('nor is it where connecting takes longer than the deadline', async () => {
  const way = await openWay(postgres.url)
  opened.push(way)
  const database = open({ poolSize: 1, name: 'slow', url: way.url, deadlineMs })
  // There are several ways to and fro until one is connected.
  way.delayMs = deadlineMs / 2
  await Promise.all([
    expectUnavailable(note(database.run, 'statement')),
    expectUnavailable(database.transaction(({ run }) => note(run, 'transaction'))),
  ])
  way.delayMs = 0
  await expect.poll(() => sessions('slow', 'idle')).toHaveLength(1)
  await note(database.run, 'after')
  expect(await notes()).toEqual(['after'])
})

test('a transaction that misses a deadline is rolled back before anybody else has its connection', async () => {
  const database = open({ poolSize: 1, name: 'late', deadlineMs })
  await watcher.transaction(async ({ run }) => {
    await run('update doors set opened = 0', [])
    await expectUnavailable(
      database.transaction(async ({ run }) => {
        await note(run, 'before the door')
        await run('update doors set opened = 1', [])
      }),
    )
  })
  await note(database.run, 'after')
  expect(await notes()).toEqual(['after'])
  expect(await watcher.run('select opened from doors', [])).toEqual([{ opened: 0 }])
  expect(await sessions('late', 'idle')).toHaveLength(1)
})

test('a statement that comes after the end of its transaction is refused', async () => {
  const database = open({ poolSize: 1 })
  let run: Database['run'] | undefined
  const failing = database.transaction((tx) => {
    run = tx.run
    throw new Error('no')
  })
  await expect(failing).rejects.toThrow('no')
  await expect(note(run!, 'straggler')).rejects.toThrow('given back')
  let duringCommit: Promise<unknown> | undefined
  await database.transaction(async (tx) => {
    run = tx.run
    duringCommit = sleep(0).then(() => note(tx.run, 'straggler')).catch(String)
  })
  expect(await duringCommit).toContain('given back')
  await expect(note(run!, 'straggler')).rejects.toThrow('given back')
  const held = await database.reserve()
  held.release()
  held.release()
  await expect(note(held.run, 'straggler')).rejects.toThrow('given back')
  // Had it been given back twice, two would have it at once.
  await Promise.all(['a', 'b'].map((tag) => database.transaction(({ run }) => note(run, tag))))
  expect(await notes()).toEqual(['a', 'b'])
})

test('a transaction that Postgres rolls back fails, though its work did not mind', async () => {
  const database = open({ poolSize: 1 })
  const careless = database.transaction(async ({ run }) => {
    await note(run, 'lost')
    await run('select 1 / $1::int', [0]).catch(() => {})
  })
  await expect(careless).rejects.toThrow('rolled back')
  expect(await notes()).toEqual([])
})

test('where the backend is killed under several statements at once, none of them is run elsewhere', async () => {
  const database = open({ poolSize: 2, name: 'killed' })
  for (let round = 0; round < 20; round++) {
    const transaction = database.transaction(async ({ run }) => {
      const kill = watcher.run('select pg_terminate_backend($1::int)', [await backendOf(run)])
      // New to the connection each time, so that the driver keeps some of them back until the first is prepared.
      const text = `insert into notes values ($1, $2) /* ${round} */`
      const statements = Array.from({ length: 5 }, (_, part) => run(text, ['half', part]))
      await Promise.all([...statements, kill.then(() => sleep(round % 4))])
      await note(run, 'half', 5)
    })
    await expectUnavailable(transaction)
    await database.run('select', []).catch((error: unknown) => expect(error).toSatisfy(isUnavailable))
  }
  await expect.poll(async () => (await sessions('killed')).length).toBeLessThanOrEqual(2)
  expect(await notes()).toEqual([])
  expect(await sessions('killed', '%transaction%')).toEqual([])
})

test('a commit whose answer is lost is unavailable, and what became of it is left to be seen', async () => {
  const way = await openWay(postgres.url)
  opened.push(way)
  const database = open({ poolSize: 1, url: way.url })
  const transaction = database.transaction(async ({ run }) => {
    await note(run, 'committed')
    way.isMute = true
  })
  const expected = expectUnavailable(transaction)
  await expect.poll(notes).toEqual(['committed'])
  way.cut()
  await expected
  way.isMute = false
  await note(database.run, 'goes on')
  expect(await notes()).toEqual(['committed', 'goes on'])
})

test('a frozen backend costs the caller the deadline and the pool, after a while, that one connection', async () => {
  const database = open({ poolSize: 2, name: 'frozen', deadlineMs })
  const held = await database.reserve()
  const pid = await backendOf(held.run)
  held.release()
  // It is in the pool once the last statement has cleaned it.
  const cleaned = `select from pg_stat_activity where pid = $1 and state = 'idle' and query like '%pg_advisory_unlock_all%'`
  await expect.poll(() => watcher.run(cleaned, [pid])).toHaveLength(1)
  process.kill(pid, 'SIGSTOP')
  try {
    await expectUnavailable(database.transaction(({ run }) => note(run, 'frozen')))
    // The other place in the pool is as good as ever, and in time there are two again.
    const backends = () =>
      Promise.all([1, 2].map(() => database.run<{ pid: number }>('select pg_backend_pid() as pid, pg_sleep(0.2)', [])))
    await expect
      .poll(async () => new Set((await backends()).flat().map((row) => row.pid)).add(pid).size, { timeout: 15_000 })
      .toBe(3)
  } finally {
    process.kill(pid, 'SIGCONT')
  }
  await expect.poll(async () => (await sessions('frozen')).map((row) => row.pid)).not.toContain(pid)
  expect(await notes()).toEqual([])
})

test('on a connection of one’s own a late statement means its loss, so that no lock comes late', async () => {
  const database = open({ poolSize: 1, deadlineMs })
  let losses = 0
  await watcher.transaction(async ({ run }) => {
    await run('select pg_advisory_xact_lock(7)', [])
    const held = await database.reserve(() => losses++)
    await expectUnavailable(held.run('select pg_advisory_lock(7)', []))
    await expect.poll(() => losses).toBe(1)
    await expectUnavailable(held.run('select', []))
    held.release()
  })
  // It was waiting for the lock, and notices that nobody is there any more.
  await expect.poll(() => watcher.run(`select pid from pg_locks where locktype = 'advisory'`, [])).toEqual([])
  expect(await database.run('select 1 as one', [])).toEqual([{ one: 1 }])
})

test('what a holder did to the session is undone when it is released', async () => {
  const database = open({ poolSize: 1 })
  const held = await database.reserve()
  await held.run(`select pg_advisory_lock(8), set_config('work_mem', '1MB', false)`, [])
  await held.run('begin', [])
  await note(held.run, 'half')
  held.release()
  const rows = await database.run(
    `select current_setting('work_mem') = '1MB' as changed, current_setting('plan_cache_mode') as mode,
       (select count(*)::int from pg_locks where locktype = 'advisory') as locks`,
    [],
  )
  expect(rows).toEqual([{ changed: false, mode: 'force_generic_plan', locks: 0 }])
  expect(await notes()).toEqual([])
})

test('a statement is prepared once on each connection, and used again', async () => {
  const database = open({ poolSize: 2 })
  const ask = (run: Database['run'], nth: number) => run('select $1::int + 1 as used_again', [nth])
  const held = await Promise.all([database.reserve(), database.reserve()])
  for (const { run, release } of held) {
    for (let nth = 0; nth < 5; nth++) await ask(run, nth)
    release()
  }
  for (let nth = 0; nth < 20; nth++) await ask(database.run, nth)
  const uses = `select generic_plans::int as times from pg_prepared_statements where statement like '%used_again'`
  const prepared = ({ run }: { run: Database['run'] }) => run<{ times: number }>(uses, [])
  const again = await Promise.all([database.reserve(), database.reserve()])
  const [first, second] = await Promise.all(again.map(prepared))
  again.forEach((one) => one.release())
  expect([first!.length, second!.length]).toEqual([1, 1])
  expect(first![0]!.times + second![0]!.times).toBe(30)
})

test('closing lets what is under way come to its end, and refuses what has not begun', async () => {
  const database = open({ poolSize: 1, name: 'closing' })
  const work = database.transaction(async ({ run }) => {
    await note(run, 'begun', 1)
    await sleep(100)
    await note(run, 'begun', 2)
  })
  const waiting = expectUnavailable(note(database.run, 'waiting'))
  await expect.poll(() => sessions('closing', 'idle in transaction')).toHaveLength(1)
  const closing = database.close()
  await expectUnavailable(note(database.run, 'too late'))
  await Promise.all([work, waiting, closing, database.close()])
  await expectUnavailable(database.transaction(({ run }) => note(run, 'too late')))
  expect(await notes()).toEqual(['begun', 'begun'])
  await expect.poll(() => sessions('closing')).toEqual([])
})

test('closing comes to its end beside somebody who never gives a connection back, and a frozen backend', async () => {
  const database = open({ poolSize: 2, name: 'stuck' })
  const held = await database.reserve()
  const frozen = await database.reserve()
  const pid = await backendOf(frozen.run)
  frozen.release()
  await expect.poll(() => sessions('stuck', 'idle')).toHaveLength(2)
  process.kill(pid, 'SIGSTOP')
  await database.close().finally(() => process.kill(pid, 'SIGCONT'))
  await expectUnavailable(held.run('select', []))
  await expect.poll(() => sessions('stuck')).toEqual([])
})
