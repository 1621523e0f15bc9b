import type { Database } from '../../drizzle/connection.ts'

/**
 * A database whose `nth` statement, counted from 1 over all connections, is the death of the connection that it is run
 * on, as when a process is killed there. `isDead` tells whether it came to that.
 */
export function dying(database: Database, nth: number): Database & { isDead(): boolean } {
  let count = 0
  const guard =
    (run: Database['run']): Database['run'] =>
    (text, parameters) =>
      ++count === nth ? run('select pg_terminate_backend(pg_backend_pid())', []) : run(text, parameters)
  return {
    ...database,
    run: guard(database.run),
    transaction: (work) => database.transaction((tx) => work({ ...tx, run: guard(tx.run) })),
    async reserve(onLost) {
      const session = await database.reserve(onLost)
      return { ...session, run: guard(session.run) }
    },
    isDead: () => count >= nth,
  }
}
