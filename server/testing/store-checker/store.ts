import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../lib/embedded-postgres.ts'
import type { Random } from '../random.ts'
import { postgresPid } from '../server-process.ts'
import { createDoor, type Door } from './door.ts'
import { broken } from './history.ts'

/** A Postgres that may be killed, frozen and held up, with a door for each client. */
export type Store = {
  /** Past all doors, for whoever looks at the store while nothing is wrong with it. It is another after each start. */
  url(): string
  /** A client's own way in; it stays the same. */
  doors: readonly Door[]
  urlThrough(door: Door): string
  /** Kills Postgres, all of it and at once, or lets it drop everything; and starts it again. */
  kill(how: 'SIGKILL' | 'SIGQUIT'): Promise<void>
  /** Kills one process that serves a client: Postgres then ends all the others, and begins anew by itself. */
  killBackend(): Promise<void>
  /** Stops the clients' processes, or only one of them, for a while. */
  freeze(which: 'one' | 'all', ms: number): Promise<void>
  /** Has Postgres end the clients' sessions. */
  terminate(which: 'one' | 'all'): Promise<void>
  /** A stranger holds the row of a channel. */
  hold(channelId: string, ms: number): Promise<void>
  /** Cuts all clients off, and waits until nothing that they have asked for is still being done. */
  settle(): Promise<void>
  stop(): Promise<void>
}

/** Longer than Postgres takes to replay its log, or to end what it was told to do. Milliseconds. */
const recoveryMs = 20_000

/** Clients' sessions; the checker's own bear another name. */
const clients = `from pg_stat_activity where backend_type = 'client backend' and application_name = 'maru'`

/** Starts a Postgres under `dataDir`, with so many doors. `onDeath` is called when it ends for no fault of ours. */
export async function startStore(
  dataDir: string,
  doorCount: number,
  random: Random,
  onDeath: (reason: string) => void,
): Promise<Store> {
  let isKilled = false
  let embedded = await start()
  async function start(): Promise<EmbeddedPostgres> {
    const started = await startEmbeddedPostgres({ dataDir })
    isKilled = false
    started.onExit((reason) => {
      if (!isKilled) onDeath(reason)
    })
    return started
  }
  const doors: Door[] = []
  for (let nth = 0; nth < doorCount; nth++) doors.push(await createDoor(random))
  const openAll = () => Promise.all(doors.map((door) => door.open(Number(new URL(embedded.url).port))))
  await openAll()

  /** Asks past all doors; again and again, where Postgres is about to begin anew. */
  async function ask<Row extends object>(statement: string): Promise<Row[]> {
    for (const since = performance.now(); ; ) {
      try {
        return await askOnce<Row>(statement)
      } catch (error) {
        if (performance.now() - since > recoveryMs) throw error
        await sleep(50)
      }
    }
  }

  async function askOnce<Row extends object>(statement: string): Promise<Row[]> {
    const sql = postgres(embedded.url, { max: 1, onnotice: () => {}, connection: { application_name: 'checker' } })
    try {
      return (await sql.unsafe<Row[]>(statement)) as Row[]
    } finally {
      await sql.end({ timeout: 1 })
    }
  }

  const backends = async (which: 'one' | 'all') => {
    const pids = (await ask<{ pid: number }>(`select pid ${clients} order by pid`)).map((row) => row.pid)
    return which === 'all' || pids.length === 0 ? pids : [random.pick(pids)]
  }

  let restarting = Promise.resolve()
  async function restart(how: 'SIGKILL' | 'SIGQUIT') {
    const pid = postgresPid(dataDir)!
    isKilled = true
    if (how === 'SIGKILL') {
      // Before any of them can do so much as notice.
      process.kill(pid, 'SIGSTOP')
      for (const child of childrenOf(pid)) signal(child, 'SIGKILL')
    }
    process.kill(pid, how)
    await Promise.all(doors.map((door) => door.shut()))
    await embedded.stop()
    embedded = await start()
    await openAll()
  }

  return {
    url: () => embedded.url,
    doors,
    urlThrough(door) {
      const url = new URL(embedded.url)
      url.port = String(door.port)
      return url.href
    },

    kill: (how) => (restarting = restart(how)),

    async killBackend() {
      for (const pid of await backends('one')) signal(pid, 'SIGKILL')
    },

    async freeze(which, ms) {
      const chosen = await backends(which)
      const frozen = which === 'all' ? [postgresPid(dataDir)!, ...chosen] : chosen
      for (const pid of frozen) signal(pid, 'SIGSTOP')
      try {
        await sleep(ms)
      } finally {
        for (const pid of frozen) signal(pid, 'SIGCONT')
      }
    },

    async terminate(which) {
      const chosen = await backends(which)
      if (chosen.length > 0) await ask(`select pg_terminate_backend(pid) from unnest(array[${chosen.join()}]) pid`)
    },

    async hold(channelId, ms) {
      const lock = `select from channels where id = ${channelId} for update`
      await askOnce(`begin; ${lock}; select pg_sleep(${ms / 1_000}); rollback`)
    },

    async settle() {
      for (const door of doors) door.cut('all')
      const [cut] = await ask<{ at: string }>('select clock_timestamp()::text as at')
      // What they were told before they were cut off they still do.
      for (const since = performance.now(); ; ) {
        const left = await ask<{ query: string }>(`select query ${clients} and backend_start < '${cut!.at}'`)
        if (left.length === 0) return
        if (performance.now() - since > recoveryMs) broken('A statement that nobody waits for goes on:', left)
        await sleep(20)
      }
    },

    async stop() {
      await restarting.catch(() => {})
      await Promise.all(doors.map((door) => door.shut()))
      await embedded.stop()
    },
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** The processes that a process has started. From Linux's own files where there are any, as those answer at once. */
function childrenOf(pid: number): number[] {
  const file = `/proc/${pid}/task/${pid}/children`
  if (existsSync(file)) return readFileSync(file, 'utf8').split(' ').filter(Boolean).map(Number)
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n')
  const pairs = lines.map((line) => line.trim().split(/\s+/).map(Number))
  return pairs.flatMap(([child, parent]) => (parent === pid ? [child!] : []))
}
