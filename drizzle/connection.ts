import { drizzle, type PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'

/** Drizzle's query builder, on the pool or within a transaction. */
export type Orm = PostgresJsDatabase

export type DatabaseOptions = {
  url: string
  /** Connections that this process may hold. */
  poolSize: number
  /** How long a statement may take before its caller is told so, in milliseconds. */
  deadlineMs?: number
  /** Makes the error that callers get when the database is away, too slow or cuts the connection. */
  unavailable: (cause: unknown) => Error
  /** Runs around each statement, for whoever measures; must give back what `run` gives. */
  around?: <T>(text: string, run: () => Promise<T>) => Promise<T>
}

/**
 * The door to Postgres. Every statement, Drizzle's too, passes through one gate, which gives it a deadline and turns
 * the loss of the database into the one error that callers know.
 */
export type Database = {
  orm: Orm
  /** Runs one statement, prepared by its text. Parameters are `$1`, `$2`, …; rows come back as Postgres names them. */
  run<Row extends object>(text: string, parameters: readonly unknown[]): Promise<Row[]>
  /** Runs `work` in one transaction on one connection: commits when it returns, rolls back when it throws. */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>
  /** A connection of one's own, for session locks; lost when the database cuts it. */
  reserve(): Promise<{ run: Database['run']; release(): void }>
  close(): Promise<void>
}

export type Transaction = { orm: Orm; run: Database['run'] }

type Client = Pick<postgres.Sql, 'unsafe'>

/**
 * What says that the database is away, and not that the statement is wrong: the driver's own codes, the system's, and
 * Postgres's classes 08 (connection), 53 (resources), 57 (shut down, cancelled by a timeout).
 */
const isAway = (error: unknown) => {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' && /^(CONNECT|CONNECTION_|E[A-Z]{4,}|08|53|57)/.test(code)
}

const defaultDeadlineMs = 5_000

/** Opens a pool on the database at `url`. Nothing is connected until the first statement. */
export function openDatabase(options: DatabaseOptions): Database {
  const deadlineMs = options.deadlineMs ?? defaultDeadlineMs
  const pool = postgres(options.url, {
    max: options.poolSize,
    connect_timeout: 5,
    // A lost database is asked again often: it is usually back within seconds, and the pool is small.
    backoff: (retries) => Math.min(0.05 * 2 ** retries, 1),
    onnotice: () => {},
    connection: {
      application_name: 'maru',
      TimeZone: 'UTC',
      // The server gives up a little after the caller has, so that what nobody waits for does not hold its locks.
      statement_timeout: deadlineMs + 1_000,
    },
  })

  const explain = (error: unknown) => (isAway(error) ? options.unavailable(error) : error)

  /** Rejects when `promise` has not settled by the deadline; its own late outcome is nobody's any more. */
  function bounded<T>(promise: PromiseLike<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => reject(options.unavailable(new Error('deadline'))), deadlineMs)
      promise.then(
        (value) => {
          clearTimeout(timer)
          resolve(value)
        },
        (error: unknown) => {
          clearTimeout(timer)
          reject(explain(error))
        },
      )
    })
  }

  const around = options.around ?? ((_, run) => run())
  const gated = <T>(text: string, promise: PromiseLike<T>): Promise<T> => around(text, () => bounded(promise))

  const runOn =
    (client: Client): Database['run'] =>
    <Row extends object>(text: string, parameters: readonly unknown[]) =>
      gated(text, client.unsafe(text, parameters as never[], { prepare: true })) as unknown as Promise<Row[]>

  /** Drizzle on a client whose statements all pass the gate. */
  function ormOn(client: Client): Orm {
    const gate = {
      options: { parsers: {}, serializers: {} },
      unsafe(text: string, parameters: never[]) {
        const pending = client.unsafe(text, parameters, { prepare: true })
        return {
          // oxlint-disable-next-line unicorn/no-thenable -- Drizzle awaits what the driver returns
          then: (...handlers: Parameters<Promise<unknown>['then']>) => gated(text, pending).then(...handlers),
          values: () => gated(text, pending.values()),
        }
      },
    }
    return drizzle(gate as unknown as postgres.Sql)
  }

  async function reserve() {
    const reserving = pool.reserve()
    try {
      return await bounded(reserving)
    } catch (error) {
      // A connection that comes too late goes back at once.
      reserving.then((late) => late.release(), () => {})
      throw error
    }
  }

  return {
    orm: ormOn(pool),
    run: runOn(pool),

    async transaction(work) {
      const connection = await reserve()
      const run = runOn(connection)
      // `pool.begin()` would be shorter, but kills the process when its backend dies (postgres 3.4).
      let settled: PromiseLike<unknown> = Promise.resolve()
      try {
        await run('begin', [])
        const result = await work({ orm: ormOn(connection), run })
        await run('commit', [])
        return result
      } catch (error) {
        // The connection goes back only once the rollback is through: it must not carry a half-made transaction along.
        settled = connection.unsafe('rollback').then(
          () => {},
          () => {},
        )
        throw error
      } finally {
        void settled.then(() => connection.release())
      }
    },

    async reserve() {
      const connection = await reserve()
      return { run: runOn(connection), release: () => connection.release() }
    },

    close: () => pool.end({ timeout: 5 }),
  }
}
