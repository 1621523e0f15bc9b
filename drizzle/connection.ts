import { setTimeout as sleep } from 'node:timers/promises'
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
  /** A connection of one's own, for session locks. `onLost` is called when it dies before it is released. */
  reserve(onLost?: () => void): Promise<{ run: Database['run']; release(): void }>
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

/** How long a connection may take to die: a turn of the event loop, and some. Milliseconds. */
const dyingMs = 5

/** Opens a pool on the database at `url`. Nothing is connected until the first statement. */
export function openDatabase(options: DatabaseOptions): Database {
  const deadlineMs = options.deadlineMs ?? defaultDeadlineMs
  const pool = postgres(options.url, {
    max: options.poolSize,
    connect_timeout: 5,
    // A lost database is asked again often: it is usually back within seconds, and the pool is small.
    backoff: (retries) => Math.min(0.05 * 2 ** retries, 1),
    onnotice: () => {},
    onclose: () => {
      setTimeout(() => waiting.forEach((ask) => ask()), dyingMs)
    },
    connection: {
      application_name: 'maru',
      TimeZone: 'UTC',
      // Planning the largest statements anew each time costs as much as running them; every plan here serves any value.
      plan_cache_mode: 'force_generic_plan',
      // The server gives up a little after the caller has, so that what nobody waits for does not hold its locks.
      statement_timeout: deadlineMs + 1_000,
      // A process that freezes within a transaction must not hold its locks for longer than it may wait itself.
      idle_in_transaction_session_timeout: deadlineMs + 1_000,
    },
  })

  const explain = (error: unknown) => (isAway(error) ? options.unavailable(error) : error)
  const lostConnection = () => options.unavailable(new Error('The connection was lost'))
  const around = options.around ?? ((_, run) => run())

  /** Set while a connection is dying: resolves when its end has come through. */
  let dying: Promise<void> | null = null

  /**
   * Runs a statement, and rejects when it has not settled by the deadline; its own late outcome is nobody's any more.
   *
   * Between the error of a connection and its close, a turn of the event loop later, the driver takes it for a live one
   * (postgres 3.4): what it is given then is never answered, or counts as answered by nothing, and mixes up the answers
   * to come. So nobody is told of the error, and nothing new begins, until that is over.
   */
  async function bounded<T>(begin: () => PromiseLike<T>): Promise<T> {
    if (dying !== null) await dying
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => reject(options.unavailable(new Error('deadline'))), deadlineMs)
      begin().then(
        (value) => {
          clearTimeout(timer)
          resolve(value)
        },
        (error: unknown) => {
          clearTimeout(timer)
          if (!isAway(error)) return reject(error)
          dying ??= sleep(dyingMs).then(() => {
            dying = null
          })
          void dying.then(() => reject(explain(error)))
        },
      )
    })
  }

  /** Runs a statement through the gate. Every answer names its command; one that does not never came. */
  const gated = <T>(text: string, begin: () => PromiseLike<T>): Promise<T> =>
    around(text, async () => {
      const result = await bounded(begin)
      if ((result as { command?: unknown }).command == null) throw lostConnection()
      return result
    })

  const runOn =
    (client: Client): Database['run'] =>
    async <Row extends object>(text: string, parameters: readonly unknown[]) =>
      (await gated(text, () => client.unsafe(text, parameters as never[], { prepare: true }))) as unknown as Row[]

  /** Drizzle on a client whose statements all pass the gate. */
  function ormOn(client: Client): Orm {
    const gate = {
      options: { parsers: {}, serializers: {} },
      unsafe(text: string, parameters: never[]) {
        const begin = () => client.unsafe(text, parameters, { prepare: true })
        return {
          // oxlint-disable-next-line unicorn/no-thenable -- Drizzle awaits what the driver returns
          then: (...handlers: Parameters<Promise<unknown>['then']>) => gated(text, begin).then(...handlers),
          values: () => gated(text, () => begin().values()),
        }
      },
    }
    return drizzle(gate as unknown as postgres.Sql)
  }

  /** Those who wait for a connection of their own. */
  const waiting = new Set<() => void>()

  /**
   * Takes a connection out of the pool, and begins something on it in the same turn, before it can die unseen. Where a
   * connection dies the driver forgets somebody who waits for one (postgres 3.4), so all who wait ask again. What comes
   * in excess goes back.
   */
  function takeConnection<T>(begin: (connection: postgres.ReservedSql) => Promise<T>) {
    return new Promise<{ connection: postgres.ReservedSql; begun: Promise<T> }>((resolve, reject) => {
      const ask = () =>
        void pool.reserve().then(
          (connection) =>
            waiting.delete(ask) ? resolve({ connection, begun: begin(connection) }) : connection.release(),
          (error: unknown) => {
            waiting.delete(ask)
            reject(error)
          },
        )
      waiting.add(ask)
      ask()
    })
  }

  /**
   * Takes a connection out of the pool, runs a first statement on it and watches it from then on. Once it has died it
   * gets no further statement and is not given back: the driver would write to a socket that is gone, and end the
   * process with an error that nobody can catch (postgres 3.4, whose own `begin()` does the same).
   */
  async function reserve(first: 'begin' | 'select', onLost: () => void = () => {}) {
    let held = false
    let lost = false
    // What the driver calls when it executes the statement; it hands over its connection, which says when it closes.
    const onexecute = (inner: { onclose: () => void }) => {
      inner.onclose = () => {
        lost = true
        if (held) onLost()
      }
      return true
    }
    /** Gives the connection back when nothing is left open on it: it must not carry a half-made transaction along. */
    const abandon = (connection: postgres.ReservedSql) => {
      const release = () => {
        if (!lost) connection.release()
      }
      held = false
      if (!lost) void connection.unsafe('rollback').then(release, release)
    }

    if (dying !== null) await dying
    const taking = takeConnection((connection) => connection.unsafe(first, [], { onexecute } as object).execute())
    const connection = await around(first, () =>
      bounded(() => taking.then(({ connection, begun }) => begun.then(() => connection))),
    ).catch((error: unknown) => {
      // One that comes too late goes back at once.
      taking.then(({ connection }) => abandon(connection), () => {})
      throw error
    })
    held = true
    const client: Client = {
      unsafe(...statement) {
        if (lost) throw lostConnection()
        return connection.unsafe(...statement)
      },
    }
    return {
      client,
      release() {
        held = false
        if (!lost) connection.release()
      },
      abandon: () => abandon(connection),
    }
  }

  return {
    orm: ormOn(pool),
    run: runOn(pool),

    async transaction(work) {
      const { client, release, abandon } = await reserve('begin')
      const run = runOn(client)
      try {
        const result = await work({ orm: ormOn(client), run })
        await run('commit', [])
        release()
        return result
      } catch (error) {
        abandon()
        throw error
      }
    },

    async reserve(onLost) {
      const { client, release } = await reserve('select', onLost)
      return { run: runOn(client), release }
    },

    close: () => pool.end({ timeout: 5 }),
  }
}
