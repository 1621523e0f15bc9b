import { setTimeout as sleep } from 'node:timers/promises'
import type { JobWithMetadata, PgBoss } from 'pg-boss'
import type { Database } from '../../drizzle/connection.ts'
import { laidAside, on, openBoss } from './boss.ts'
import { type JobAdder, type JobContext, type JobHandlers, type JobKind, jobKinds, jobPolicies, type NewJob } from './jobs.ts'

/**
 * Work that nobody waits for, kept in the store, so that a job is there exactly if what it is about was committed. Jobs
 * run at least once, by whichever worker is free: one that throws is tried again, with pauses that double; one whose
 * worker dies goes to another within a heartbeat; one that fails for good is laid aside for an operator to look at.
 */
export type JobQueue = JobAdder & {
  /** Makes the queues, where nobody has; whoever adds a job first does it otherwise. */
  open(): Promise<void>
  /** Starts to run jobs in this process. Called once. */
  work(handlers: JobHandlers): Promise<void>
  /** Looks at once for jobs of these kinds, rather than with the next turn; nothing where this process runs none. */
  wake(kinds: readonly JobKind[]): void
  operator: JobOperator
  /** Lets what is under way come to its end, for so long; then its signal is aborted, and others do it anew. */
  close(graceMs?: number): Promise<void>
}

/** What a person can see and do about jobs. */
export type JobOperator = {
  /** Counted now, which takes as long as there are many. */
  counts(): Promise<JobCounts[]>
  /** As counted a few seconds ago, by whichever worker looks after the queues. */
  estimate(): Promise<{ ready: number; laidAside: number }>
  /** The latest jobs that were laid aside. */
  laidAside(limit: number): Promise<LaidAside[]>
  /** Puts jobs that were laid aside back into their queues: those of one kind, or one by its id. Returns how many. */
  requeue(which: { kind?: JobKind; id?: string }): Promise<number>
  /** Throws jobs that were laid aside away. Returns how many. */
  discard(ids: readonly string[]): Promise<number>
}

export type JobCounts = { kind: string; ready: number; deferred: number; active: number; laidAside: number }

export type LaidAside = { id: string; kind: string; data: object; reason: string; createdAt: Date; laidAsideAt: Date }

export type JobQueueOptions = {
  database: Database
  /** Told of kinds of which there are new jobs: whoever runs workers elsewhere wakes them. */
  onAdded?: (kinds: readonly JobKind[]) => void
  onDone?: (kind: JobKind, outcome: 'done' | 'failed', seconds: number) => void
  onError: (error: unknown) => void
}

/** How often one that is idle of each kind is woken to look, in milliseconds: for what is due later, and what was not told of. */
const lookMs = 2_000

/** How often workers look by themselves, in seconds: seldom, as who finds something wakes the next. */
const idleSeconds = 60

/** One of the workers of a kind. */
type Seat = { id: string; isBusy: boolean }

const defaultGraceMs = 5_000

/** Opens the queue with its first use: a process that has nothing to add never does. */
export function createJobQueue({ database, onAdded, onDone, onError }: JobQueueOptions): JobQueue {
  let opened: Promise<{ boss: PgBoss; schema: string }> | null = null
  let isWorker = false
  const workers = new Map<JobKind, Seat[]>()
  const ending = new AbortController()
  let looking: NodeJS.Timeout | null = null

  function open() {
    opened ??= openBoss({ database, isWorker, onError }).catch((error: unknown) => {
      // The store was away; the next one tries again.
      opened = null
      throw error
    })
    return opened
  }

  /** Wakes one worker of each of these kinds, which wakes the next if it finds something. Who is busy looks anyway. */
  function wake(kinds: readonly JobKind[]) {
    if (opened === null) return
    const idle = kinds.flatMap((kind) => workers.get(kind)?.find((seat) => !seat.isBusy) ?? [])
    void opened.then(
      ({ boss }) => idle.forEach((seat) => boss.notifyWorker(seat.id)),
      () => {},
    )
  }

  /** Runs one job, however its handler takes being asked to stop. */
  async function run<Kind extends JobKind>(kind: Kind, handlers: JobHandlers, job: JobWithMetadata<object>) {
    const began = performance.now()
    const context: JobContext = {
      signal: AbortSignal.any([job.signal, ending.signal]),
      retries: job.retryCount,
      createdAt: job.createdOn,
    }
    try {
      await (handlers[kind] as (data: object, context: JobContext) => Promise<void>)(job.data, context)
      onDone?.(kind, 'done', (performance.now() - began) / 1_000)
    } catch (error) {
      onDone?.(kind, 'failed', (performance.now() - began) / 1_000)
      throw error
    }
  }

  /** Puts back all of one kind, or of all, some at a time, as pg-boss does. */
  async function redrive(boss: PgBoss, kind: JobKind | undefined): Promise<number> {
    let moved = 0
    for (let last = 1; last > 0; moved += last) {
      last = await boss.redrive(laidAside, kind === undefined ? {} : { sourceName: kind })
    }
    return moved
  }

  async function requeueOne(boss: PgBoss, id: string): Promise<number> {
    const [job] = await boss.findJobs<object>(laidAside, { id, queued: true })
    const { sourceName, singletonKey, data } = job ?? {}
    if (sourceName == null) return 0
    await database.transaction(async (tx) => {
      const again = { data: data!, ...(singletonKey == null ? {} : { singletonKey }) }
      await boss.insert(sourceName, [again], { db: on(tx) })
      await boss.deleteJob(laidAside, id, { db: on(tx) })
    })
    return 1
  }

  return {
    async open() {
      await open()
    },

    async add(tx, jobs) {
      if (jobs.length === 0) return
      const { boss } = await open()
      const kinds = Map.groupBy(jobs, (job: NewJob) => job.kind)
      for (const [kind, some] of kinds) {
        const rows = some.map(({ data, startAfter, key }) => ({
          data,
          ...(startAfter === undefined ? {} : { startAfter }),
          ...(jobPolicies[kind].isSingle ? { singletonKey: key ?? crypto.randomUUID() } : {}),
        }))
        await boss.insert(kind, rows, { db: on(tx) })
      }
      tx.afterCommit(() => {
        wake([...kinds.keys()])
        onAdded?.([...kinds.keys()])
      })
    },

    async work(handlers) {
      // Opened by somebody before, it looks after nothing.
      if (opened !== null) await opened.then(({ boss }) => boss.stop({ close: false, graceful: false }))
      opened = null
      isWorker = true
      const { boss } = await open()
      for (const kind of jobKinds) {
        const seats: Seat[] = []
        workers.set(kind, seats)
        // Each with an id of its own, by which it can be woken.
        for (let nth = 0; nth < jobPolicies[kind].concurrency; nth++) {
          const seat: Seat = { id: '', isBusy: false }
          const options = { includeMetadata: true, batchSize: 1, pollingIntervalSeconds: idleSeconds } as const
          seat.id = await boss.work<object, void, typeof options>(kind, options, async ([job]) => {
            seat.isBusy = true
            // Where there was one there may be more: for the others, and for this one afterwards.
            wake([kind])
            try {
              await run(kind, handlers, job!)
            } finally {
              seat.isBusy = false
              boss.notifyWorker(seat.id)
            }
          })
          seats.push(seat)
        }
      }
      looking = setInterval(() => wake(jobKinds), lookMs)
    },

    wake,

    operator: {
      async counts() {
        const { schema } = await open()
        const rows = await database.run<JobCounts & { name: string }>(
          `/* job counts */ select coalesce(source_name, name) as kind,
             (count(*) filter (where state < 'active' and name <> '${laidAside}' and start_after <= now()))::int as ready,
             (count(*) filter (where state < 'active' and name <> '${laidAside}' and start_after > now()))::int as deferred,
             (count(*) filter (where state = 'active'))::int as active,
             (count(*) filter (where name = '${laidAside}'))::int as "laidAside"
           from ${schema}.job where state <= 'active' group by 1`,
          [],
        )
        const nothing = { ready: 0, deferred: 0, active: 0, laidAside: 0 }
        return jobKinds.map((kind) => rows.find((row) => row.kind === kind) ?? { kind, ...nothing })
      },

      async estimate() {
        const { boss } = await open()
        const queues = await boss.getQueues()
        return {
          ready: queues.reduce((sum, queue) => sum + (queue.name === laidAside ? 0 : queue.readyCount), 0),
          laidAside: queues.find((queue) => queue.name === laidAside)?.queuedCount ?? 0,
        }
      },

      async laidAside(limit) {
        const { schema } = await open()
        return database.run<LaidAside>(
          `/* jobs laid aside */ select id, coalesce(source_name, 'unknown') as kind, data,
             coalesce(output->>'message', output->'value'->>'message', 'unknown') as reason,
             coalesce(source_created_on, created_on) as "createdAt", created_on as "laidAsideAt"
           from ${schema}.job where name = '${laidAside}' and state < 'active' order by created_on desc limit $1`,
          [limit],
        )
      },

      async requeue({ kind, id }) {
        const { boss } = await open()
        const requeued = id === undefined ? await redrive(boss, kind) : await requeueOne(boss, id)
        wake(jobKinds)
        onAdded?.(jobKinds)
        return requeued
      },

      async discard(ids) {
        const { boss } = await open()
        const { affected } = (await boss.deleteJob(laidAside, [...ids])) as { affected: number }
        return affected
      },
    },

    async close(graceMs = defaultGraceMs) {
      if (looking !== null) clearInterval(looking)
      if (opened === null) return
      const { boss } = await opened.catch(() => ({ boss: null }))
      if (boss === null) return
      const stopping = boss.stop({ close: false, graceful: true, timeout: Math.max(graceMs, 1_000) })
      await Promise.race([stopping, sleep(graceMs, undefined, { ref: false })])
      ending.abort(new Error('The process is stopping'))
      await stopping
    },
  }
}
