import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { startEmbeddedPostgres } from './embedded-postgres.ts'

/** How long a start may take after a crash, with the leftovers to be stopped first. */
const READY_MS = 5_000

let parent: string
let dataDir: string
const children = new Set<ChildProcess>()

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'maru-postgres-'))
  dataDir = join(parent, 'data')
})

afterEach(async () => {
  for (const child of children) child.kill('SIGKILL')
  children.clear()
  // The next start stops what a killed process has left: here, what a test that failed has.
  if (existsSync(join(dataDir, 'postgres', 'postmaster.pid'))) {
    await startEmbeddedPostgres({ dataDir }).then((embedded) => embedded.stop(), () => {})
  }
  await rm(parent, { recursive: true })
})

/** Starts another process that holds the folder, and waits for the address it prints, or for its end. */
async function startChild() {
  const script = new URL('../testing/embedded-postgres-child.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [script, dataDir], { stdio: ['ignore', 'pipe', 'pipe'] })
  children.add(child)
  let complaints = ''
  child.stderr.on('data', (chunk) => (complaints += chunk))
  const exit = once(child, 'exit').then(([code, signal]) => signal ?? code)
  const printed = once(child.stdout, 'data').then(([chunk]) => String(chunk).trim())
  const url = await Promise.race([printed, exit.then(() => '')])
  return {
    pid: child.pid!,
    url,
    exit,
    complaints: () => complaints,
    end(signal: NodeJS.Signals) {
      child.kill(signal)
      return exit
    },
  }
}

/** The postmaster's own word on who it is. */
const postgresPid = () => Number.parseInt(readFileSync(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8'))

/** A process that has ended, and that init has only not noticed yet, is not alive. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return process.platform !== 'linux' || !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')
  } catch {
    return false
  }
}

async function withSql<T>(url: string, work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  try {
    return await work(sql)
  } finally {
    await sql.end({ timeout: 1 })
  }
}

const countRows = (url: string) =>
  withSql(url, async (sql) => Number((await sql`select count(*) from messages`)[0]!.count))

/** Writes rows one after the other until the connection breaks; gives how many were acknowledged. */
async function writeUntilBroken(url: string, whenUnderWay: () => void): Promise<number> {
  const sql = postgres(url, { max: 1, onnotice: () => {}, connect_timeout: 1, backoff: false })
  await sql`create table if not exists messages (seq bigint primary key)`
  let acknowledged = 0
  try {
    for (;;) {
      await sql`insert into messages values (${acknowledged + 1})`
      if (++acknowledged === 300) whenUnderWay()
    }
  } catch {
    return acknowledged
  } finally {
    await sql.end({ timeout: 0 })
  }
}

describe('a first start', () => {
  test('sets up a Postgres that is safe with data, speaks Hangul, and listens to this machine alone', async () => {
    const embedded = await startEmbeddedPostgres({ dataDir, maxConnections: 40 })
    await withSql(embedded.url, async (sql) => {
      const setting = async (name: string) => (await sql`select current_setting(${name}) as value`)[0]!.value
      expect(await setting('fsync')).toBe('on')
      expect(await setting('synchronous_commit')).toBe('on')
      expect(await setting('server_encoding')).toBe('UTF8')
      expect(await setting('TimeZone')).toBe('UTC')
      expect(await setting('max_connections')).toBe('40')
      expect(await setting('listen_addresses')).toBe('127.0.0.1')

      await sql`create extension pg_trgm`
      expect((await sql`select show_trgm('마루는 넓다') as trigrams`)[0]!.trigrams).toHaveLength(7)
      expect(await sql`select v from (values ('나'), ('b'), ('가'), ('B')) t (v) order by v`.values()).toEqual([
        ['B'], ['b'], ['가'], ['나'],
      ])
    })
    for (const name of ['postgres.password', 'postgres.url', 'postgres.log']) {
      expect(statSync(join(dataDir, name)).mode & 0o777, name).toBe(0o600)
    }
    await embedded.stop()
    await embedded.stop()
  })

  test('lets nobody in without the password', async () => {
    const embedded = await startEmbeddedPostgres({ dataDir })
    const url = new URL(embedded.url)
    url.password = 'guess'
    await expect(withSql(url.href, (sql) => sql`select 1`)).rejects.toThrow('password authentication failed')
    await embedded.stop()
  })

  test('works where the path is longer than a socket could have', async () => {
    dataDir = join(parent, 'd'.repeat(120), '마루')
    const embedded = await startEmbeddedPostgres({ dataDir })
    expect(await withSql(embedded.url, (sql) => sql`select 1 as one`)).toEqual([{ one: 1 }])
    await embedded.stop()
  })

  test('that was killed half-way is done again', async () => {
    for (const [index, delay] of [60, 150, 300].entries()) {
      const starting = startChild()
      await vi.waitFor(async () => {
        expect((await readdir(dataDir)).filter((name) => name.startsWith('postgres.initdb-'))).not.toEqual([])
      }, { interval: 5 })
      await sleep(delay)
      for (const child of children) child.kill('SIGKILL')
      await starting
      expect(existsSync(join(dataDir, 'postgres')), `attempt ${index}`).toBe(false)
    }
    const embedded = await startEmbeddedPostgres({ dataDir })
    expect(await withSql(embedded.url, (sql) => sql`select 1 as one`)).toEqual([{ one: 1 }])
    expect((await readdir(dataDir)).filter((name) => name.includes('initdb'))).toEqual([])
    await embedded.stop()
  })
})

describe('a later start', () => {
  test('finds the data, with the same password', async () => {
    const first = await startEmbeddedPostgres({ dataDir })
    await withSql(first.url, (sql) => sql`create table messages as select 1 as seq`)
    await first.stop()
    expect(existsSync(join(dataDir, 'postgres.url'))).toBe(false)

    const second = await startEmbeddedPostgres({ dataDir })
    expect(await countRows(second.url)).toBe(1)
    expect(new URL(second.url).password).toBe(new URL(first.url).password)
    expect((await readFile(join(dataDir, 'postgres.url'), 'utf8')).trim()).toBe(second.url)
    await second.stop()
  })

  test('of a second process is refused, and the first goes on', async () => {
    const alice = await startChild()
    const bob = await startChild()
    expect(await bob.exit).toBe(1)
    expect(bob.complaints()).toContain(`DATA_DIR ${dataDir} is in use by process ${alice.pid}; stop it`)
    await expect(startEmbeddedPostgres({ dataDir })).rejects.toThrow(`in use by process ${alice.pid}`)
    expect(await withSql(alice.url, (sql) => sql`select 1 as one`)).toEqual([{ one: 1 }])
    expect(await alice.end('SIGTERM')).toBe(0)
  })

  test('is refused for data of another major version, and without its password', async () => {
    await (await startEmbeddedPostgres({ dataDir })).stop()
    await writeFile(join(dataDir, 'postgres', 'PG_VERSION'), '17\n')
    const refusal = /written by Postgres 17.*comes with Postgres 18.*pg_dump/
    await expect(startEmbeddedPostgres({ dataDir })).rejects.toThrow(refusal)
    await unlink(join(dataDir, 'postgres.password'))
    await expect(startEmbeddedPostgres({ dataDir })).rejects.toThrow('Put the file back')
  })

  test('that fails says what Postgres said, and gives the folder free', async () => {
    await (await startEmbeddedPostgres({ dataDir })).stop()
    await writeFile(join(dataDir, 'postgres', 'postgresql.auto.conf'), "work_mem = 'plenty'\n")
    await expect(startEmbeddedPostgres({ dataDir })).rejects.toThrow('invalid value for parameter "work_mem": "plenty"')
    await writeFile(join(dataDir, 'postgres', 'postgresql.auto.conf'), '')
    await (await startEmbeddedPostgres({ dataDir })).stop()
  })
})

describe('after kill -9', () => {
  test('of our process the Postgres left behind is replaced, and each acknowledged row is there', async () => {
    const alice = await startChild()
    const left = postgresPid()
    let acknowledged = 0
    const writing = writeUntilBroken(alice.url, () => void alice.end('SIGKILL')).then((count) => (acknowledged = count))
    expect(await alice.exit).toBe('SIGKILL')
    expect(isAlive(left)).toBe(true)

    const start = Date.now()
    const logged: string[] = []
    const embedded = await startEmbeddedPostgres({ dataDir, log: (line) => logged.push(line) })
    expect(Date.now() - start).toBeLessThan(READY_MS)
    await writing
    expect(logged.join()).toContain('left behind')
    expect(isAlive(left)).toBe(false)
    expect(acknowledged).toBeGreaterThanOrEqual(300)
    expect(await countRows(embedded.url)).toBeOneOf([acknowledged, acknowledged + 1])
    await embedded.stop()
  })

  test('of both each acknowledged row is there, though the pid in postmaster.pid is another program’s', async () => {
    const alice = await startChild()
    const writing = writeUntilBroken(alice.url, () => {
      process.kill(postgresPid(), 'SIGKILL')
      void alice.end('SIGKILL')
    })
    const acknowledged = await writing
    await alice.exit

    // Whoever has the pid now must live on.
    const bystander = spawn('sleep', ['60'], { cwd: dataDir })
    children.add(bystander)
    const pidFile = join(dataDir, 'postgres', 'postmaster.pid')
    await writeFile(pidFile, (await readFile(pidFile, 'utf8')).replace(/^\d+/, String(bystander.pid)))

    const start = Date.now()
    const embedded = await startEmbeddedPostgres({ dataDir })
    expect(Date.now() - start).toBeLessThan(READY_MS)
    expect(await countRows(embedded.url)).toBeOneOf([acknowledged, acknowledged + 1])
    expect(isAlive(bystander.pid!)).toBe(true)
    await embedded.stop()
  })

  test('of both with a backend that is busy and a server that is frozen', async () => {
    const alice = await startChild()
    const sql = postgres(alice.url, { max: 1, onnotice: () => {} })
    // Never looks up to see whether its server is gone.
    const busy = sql`do $$ begin loop end loop; end $$`.catch(() => {})
    await sleep(200)
    process.kill(postgresPid(), 'SIGSTOP')
    await alice.end('SIGKILL')

    const start = Date.now()
    const embedded = await startEmbeddedPostgres({ dataDir })
    expect(Date.now() - start).toBeLessThan(READY_MS)
    await busy
    await sql.end({ timeout: 0 })
    await embedded.stop()
  }, 15_000)

  test('of the server alone its death is told, once, and a new start works', async () => {
    const embedded = await startEmbeddedPostgres({ dataDir })
    const listener = vi.fn()
    embedded.onExit(listener)
    process.kill(postgresPid(), 'SIGKILL')
    await vi.waitFor(() => expect(listener).toHaveBeenCalled())
    expect(listener.mock.calls).toEqual([['Postgres was ended by SIGKILL.']])
    await embedded.stop()
    const next = await startEmbeddedPostgres({ dataDir })
    next.onExit(listener)
    await next.stop()
    expect(listener).toHaveBeenCalledTimes(1)
  })
})

describe('the end', () => {
  test('comes at once when a process is told to stop, with sessions open', async () => {
    const alice = await startChild()
    const left = postgresPid()
    const sql = postgres(alice.url, { max: 1, onclose: () => {} })
    await sql`select 1`
    const start = Date.now()
    expect(await alice.end('SIGTERM')).toBe(0)
    expect(Date.now() - start).toBeLessThan(2_000)
    expect(isAlive(left)).toBe(false)
    await sql.end({ timeout: 0 })
  })

  test('of a process that exits without stopping takes Postgres along', async () => {
    const program = `
      import { startEmbeddedPostgres } from ${JSON.stringify(import.meta.resolve('./embedded-postgres.ts'))}
      await startEmbeddedPostgres({ dataDir: ${JSON.stringify(dataDir)} })
      throw new Error('unforeseen')`
    const child = spawn(process.execPath, ['--input-type=module', '--eval', program], { stdio: 'ignore' })
    const [code] = await once(child, 'exit')
    expect(code).toBe(1)
    const pidFile = join(dataDir, 'postgres', 'postmaster.pid')
    await vi.waitFor(() => expect(existsSync(pidFile)).toBe(false), { timeout: 3_000 })
  })

  test('does not come from Ctrl-C, which a terminal sends to the whole process group', async () => {
    const embedded = await startEmbeddedPostgres({ dataDir })
    const pid = postgresPid()
    // A negative pid is a group's: there is one that Postgres leads.
    expect(() => process.kill(-pid, 0)).not.toThrow()
    await embedded.stop()
  })
})
