import { drizzle, type PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import type postgres from 'postgres'
import { createDrivers } from './driver.ts'
import { type Connection, createPool } from './pool.ts'

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
  /** Runs one statement, prepared by its text. Parameters are `$1`, `$2`, …; rows are as Postgres names them. */
  run<Row extends object>(text: string, parameters: readonly unknown[]): Promise<Row[]>
  /** Runs `work` in one transaction on one connection: commits when it returns, rolls back when it throws. */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>
  /** A connection of one's own, for session locks. `onLost` is called when it dies before it is released. */
  reserve(onLost?: () => void): Promise<{ run: Database['run']; release(): void }>
  close(): Promise<void>
}

export type Transaction = {
  orm: Orm
  run: Database['run']
  /** Runs `work` once the transaction has been committed, and not otherwise. It must not throw. */
  afterCommit(work: () => void): void
}

/** Begins a statement on whatever connection it is given. */
type Begin<T> = (sql: postgres.Sql) => PromiseLike<T>

/** What runs statements: each on a connection of the pool, or all of them on one. */
type Runner = <T>(text: string, begin: Begin<T>) => Promise<T>

const codeOf = (error: unknown): string => {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : ''
}

/** What the driver and the system say of a connection that is no more. */
const isCut = (error: unknown) => /^(CONNECT_|CONNECTION_|E[A-Z_]{4,}$|ERR_(STREAM|SOCKET|SSL|TLS))/.test(codeOf(error))

/** Whether it is the end of the connection: Postgres closes it after whatever is worse than an error. */
const isLoss = (error: unknown) =>
  isCut(error) || ['FATAL', 'PANIC'].includes((error as { severity?: string } | null)?.severity ?? '')

/**
 * What says that the database is away, and not that the statement is wrong: the loss of a connection, and Postgres's
 * classes 08 (connection), 53 (resources), 57 (shut down, cancelled by a timeout).
 */
const isAway = (error: unknown) => isCut(error) || /^(08|53|57)/.test(codeOf(error))

const defaultDeadlineMs = 5_000

/** How much later than its caller the server gives up a statement. */
const serverGraceMs = 1_000

/** How much later than that its answer may come. Where even the giving up is not heard of, the connection is dead. */
const silenceMs = 2_000

/**
 * What each connection begins with. Planning the largest statements anew each time costs as much as running them, and
 * every plan here serves any value. Citus, though, has to see the values, as they say which machine is asked.
 */
const greeting =
  `select set_config('plan_cache_mode', 'force_generic_plan', false) where current_setting('citus.version', true) is null`

/** Opens a pool on the database at `url`. Nothing is connected until the first statement. */
export function openDatabase(options: DatabaseOptions): Database {
  const { unavailable } = options
  const deadlineMs = options.deadlineMs ?? defaultDeadlineMs
  const around = options.around ?? ((_, run) => run())
  const explain = (error: unknown) => (isAway(error) ? unavailable(error) : error)

  const pool = createPool({
    size: options.poolSize,
    open: createDrivers(options.url, {
      application_name: 'maru',
      TimeZone: 'UTC',
      // The server gives up a little after the caller has, so that what nobody waits for does not hold its locks.
      statement_timeout: deadlineMs + serverGraceMs,
      // A process that freezes within a transaction must not hold its locks for longer than others wait.
      idle_in_transaction_session_timeout: Math.min(deadlineMs, defaultDeadlineMs) + serverGraceMs,
    }, greeting),
  })

  /** Promises what `start` comes to, for so long; then it calls what `start` has returned, and rejects. */
  function within<T>(
    ms: number,
    start: (resolve: (value: T) => void, reject: (error: unknown) => void) => () => void,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      let giveUp = () => {}
      const timer = setTimeout(() => {
        giveUp()
        reject(unavailable(new Error('deadline')))
      }, ms)
      giveUp = start(
        (value) => {
          clearTimeout(timer)
          resolve(value)
        },
        (error) => {
          clearTimeout(timer)
          reject(error)
        },
      )
    })
  }

  /** Runs a statement on a connection. Calls one of the two once it has settled there, or the connection is lost. */
  function execute<T>(
    connection: Connection,
    begin: Begin<T>,
    onValue: (value: T) => void,
    onError: (error: unknown) => void,
  ) {
    if (connection.isLost) return onError(unavailable(new Error('The connection was lost')))
    const mourn = (why: unknown) => {
      clearTimeout(silence)
      onError(unavailable(why))
    }
    const silence = setTimeout(
      () => pool.discard(connection, new Error('The database does not answer')),
      deadlineMs + serverGraceMs + silenceMs,
    )
    connection.mourners.add(mourn)
    const settle = () => {
      clearTimeout(silence)
      connection.mourners.delete(mourn)
      return !connection.isLost
    }
    begin(connection.sql).then(
      (value) => {
        if (settle()) onValue(value)
      },
      (error: unknown) => {
        if (isLoss(error)) pool.discard(connection, error)
        else if (settle()) onError(explain(error))
      },
    )
  }

  /** Takes a connection for one statement. The deadline counts the waiting, too. */
  const onPool: Runner = <T>(text: string, begin: Begin<T>) =>
    around(text, () =>
      within<T>(deadlineMs, (resolve, reject) =>
        pool.take(
          (connection) =>
            execute(
              connection,
              begin,
              (value) => {
                pool.give(connection)
                resolve(value)
              },
              (error) => {
                pool.give(connection)
                reject(error)
              },
            ),
          (error) => reject(explain(error)),
        ),
      ),
    )

  /** Gives a connection back once `text` has cleaned it; what is still under way on it comes first. */
  const clean = (connection: Connection, text: string) =>
    execute(
      connection,
      (sql) => sql.unsafe(text),
      () => pool.give(connection),
      (error) => pool.discard(connection, error),
    )

  /** Takes a connection to hold, and runs a first statement on it. The deadline counts both. */
  const take = (first: 'begin' | 'select') =>
    around(first, () =>
      within<Connection>(deadlineMs, (resolve, reject) => {
        let isLate = false
        const withdraw = pool.take(
          (connection) =>
            execute(
              connection,
              (sql) => sql.unsafe(first),
              () => (isLate ? clean(connection, 'rollback') : resolve(connection)),
              (error) => {
                clean(connection, 'rollback')
                reject(error)
              },
            ),
          (error) => reject(explain(error)),
        )
        return () => {
          isLate = true
          withdraw()
        }
      }),
    )

  /** Runs statements on a connection that is held. `onLate` is called when one misses its deadline. */
  const on =
    (connection: Connection, onLate = () => {}): Runner =>
    <T>(text: string, begin: Begin<T>) =>
      around(text, () =>
        within<T>(deadlineMs, (resolve, reject) => {
          execute(connection, begin, resolve, reject)
          return onLate
        }),
      )

  /** What a holder is given. After `end()`, when somebody else may have the connection, it runs nothing more. */
  function lend(runner: Runner) {
    let isOver = false
    const lent: Runner = async (text, begin) => {
      if (isOver) throw new Error('This connection has been given back')
      return runner(text, begin)
    }
    const end = () => {
      isOver = true
    }
    return { run: runBy(lent), orm: ormBy(lent), end }
  }

  const runBy =
    (runner: Runner): Database['run'] =>
    <Row extends object>(text: string, parameters: readonly unknown[]) =>
      runner(text, (sql) => sql.unsafe<Row[]>(text, parameters as never[], { prepare: true }))

  /** Drizzle, whose statements a runner runs. */
  function ormBy(runner: Runner): Orm {
    const gate = {
      options: { parsers: {}, serializers: {} },
      unsafe: (text: string, parameters: never[]) => ({
        // oxlint-disable-next-line unicorn/no-thenable -- Drizzle awaits what the driver returns
        then: (...handlers: Parameters<Promise<unknown>['then']>) =>
          runner(text, (sql) => sql.unsafe(text, parameters, { prepare: true })).then(...handlers),
        values: () => runner(text, (sql) => sql.unsafe(text, parameters, { prepare: true }).values()),
      }),
    }
    return drizzle(gate as unknown as postgres.Sql)
  }

  return {
    orm: ormBy(onPool),
    run: runBy(onPool),

    async transaction(work) {
      const connection = await take('begin')
      const runner = on(connection)
      const { run, orm, end } = lend(runner)
      const afterwards: (() => void)[] = []
      try {
        const result = await work({ orm, run, afterCommit: (later) => void afterwards.push(later) })
        end()
        // Nothing is checked only now, so whatever fails here leaves it open whether it was committed.
        const committed = runner('commit', (sql) => sql.unsafe('commit'))
        const { command } = await committed.catch((error: unknown) => Promise.reject(unavailable(error)))
        // So Postgres answers where a statement has failed, even if `work` did not mind.
        if (command === 'ROLLBACK') throw new Error('A statement had failed, and the transaction was rolled back')
        pool.give(connection)
        for (const later of afterwards) later()
        return result
      } catch (error) {
        end()
        // Nobody waits for it; but the connection must not carry a half-made transaction along.
        clean(connection, 'rollback')
        throw error
      }
    },

    async reserve(onLost = () => {}) {
      const connection = await take('select')
      // Whatever it throws, the others are told.
      const mourn = () => queueMicrotask(onLost)
      connection.mourners.add(mourn)
      // Nobody would know which locks a late answer brings along.
      const { run, end } = lend(on(connection, () => pool.discard(connection, new Error('deadline'))))
      let isReleased = false
      return {
        run,
        release() {
          if (isReleased) return
          isReleased = true
          end()
          connection.mourners.delete(mourn)
          clean(connection, `rollback; reset all; ${greeting}; select pg_advisory_unlock_all()`)
        },
      }
    },

    close: pool.close,
  }
}
