import { PgBoss } from 'pg-boss'
import type { Database } from '../../drizzle/connection.ts'
import { type JobKind, jobKinds, jobPolicies } from './jobs.ts'

/** Jobs that were tried as often as their kind allows, of all kinds. */
export const laidAside = 'laid-aside'

/**
 * How long a job stays with a worker that does not say that it is alive, in seconds; less than ten pg-boss does not
 * take. Workers say so twice in that time, and every `watchSeconds` somebody looks.
 */
const heartbeatSeconds = 10
const watchSeconds = 5

/** Finished jobs are of no use to anybody; what became of pushes stands in a log of its own. Seconds. */
const keepFinished = 600

/** How long a job that was laid aside waits for somebody to look at it: a month, in seconds. */
const keepLaidAside = 30 * 86_400

/** Whose tables the jobs are in: one schema for each store, beside the store's own. */
async function schemaOf(database: Database): Promise<string> {
  const [row] = await database.run<{ name: string }>('select current_schema() as name', [])
  return row!.name === 'public' ? 'maru_jobs' : `${row!.name}_jobs`
}

type Value = string | number | boolean | Date | object | null | undefined

/**
 * What pg-boss hands over, as the driver takes it. JSON that is spelt already would be spelt again by the driver, and
 * arrays are spelt here, as the driver knows few of their types.
 */
export function toParameter(value: Value): unknown {
  if (Array.isArray(value)) {
    return `{${value.map((each) => `"${String(each).replace(/["\\]/g, '\\$&')}"`).join(',')}}`
  }
  if (typeof value === 'string' && /^[[{]/.test(value)) {
    try {
      return asJson(JSON.parse(value) as object)
    } catch {
      return value
    }
  }
  return value ?? null
}

/** The driver takes an array for one of Postgres's, unless it hides what it is. */
const asJson = (value: object): object => (Array.isArray(value) ? { toJSON: () => value } : value)

/** Statements on whatever `run` runs them on. */
export const on = ({ run }: Pick<Database, 'run'>) => ({
  executeSql: async (text: string, values: Value[] = []) => ({ rows: await run<object>(text, values.map(toParameter)) }),
})

/** The store as pg-boss wants it: what it sends without values may be several statements, with a transaction of its own. */
const onStore = (database: Database) => ({
  async executeSql(text: string, values: Value[] = []) {
    if (values.length > 0) return on(database).executeSql(text, values)
    const session = await database.reserve()
    try {
      const results = (await session.run<object>(text, [])) as unknown as object[] | object[][]
      return { rows: results.flat() }
    } finally {
      session.release()
    }
  },
})

export type BossOptions = {
  database: Database
  /** Whether this process runs jobs, too, and looks after those of others. */
  isWorker: boolean
  onError: (error: unknown) => void
}

/** Opens the queues, and makes what is missing of them. Any number of processes may do so at once. */
export async function openBoss({ database, isWorker, onError }: BossOptions): Promise<{ boss: PgBoss; schema: string }> {
  const schema = await schemaOf(database)
  const boss = new PgBoss({
    db: onStore(database),
    schema,
    supervise: isWorker,
    schedule: false,
    superviseIntervalSeconds: watchSeconds,
    monitorIntervalSeconds: watchSeconds,
    maintenanceIntervalSeconds: keepFinished / 6,
  })
  boss.on('error', onError)
  try {
    await boss.start()
    await makeQueues(boss)
  } catch (error) {
    await boss.stop({ close: false, graceful: false }).catch(onError)
    throw error
  }
  return { boss, schema }
}

async function makeQueues(boss: PgBoss): Promise<void> {
  const made = new Set((await boss.getQueues()).map((queue) => queue.name))
  if (!made.has(laidAside)) await boss.createQueue(laidAside, { retryLimit: 0, retentionSeconds: keepLaidAside })
  for (const kind of jobKinds) {
    if (made.has(kind)) await boss.updateQueue(kind, queueOf(kind))
    else await boss.createQueue(kind, { ...queueOf(kind), policy: jobPolicies[kind].isSingle ? 'short' : 'standard' })
  }
}

function queueOf(kind: JobKind) {
  const { retries, retryDelayMax, expireIn } = jobPolicies[kind]
  return {
    heartbeatSeconds,
    retryLimit: retries,
    retryDelay: 1,
    retryBackoff: true,
    retryDelayMax,
    expireInSeconds: expireIn,
    deleteAfterSeconds: keepFinished,
    deadLetter: laidAside,
  }
}
