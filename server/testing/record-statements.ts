import type { Database, Orm } from '../../drizzle/connection.ts'

/** A statement that was run, with its parameters. */
export type Statement = { text: string; parameters: readonly unknown[] }

/** What Drizzle runs statements by. */
type Client = { unsafe(text: string, parameters: unknown[]): unknown }

/** Notes every statement that is run on a database from now on, in order, Drizzle's too; returns the list. */
export function recordStatements(database: Database): Statement[] {
  const statements: Statement[] = []

  const noting =
    (run: Database['run']): Database['run'] =>
    (text, parameters) => {
      statements.push({ text, parameters })
      return run(text, parameters)
    }

  function listen(orm: Orm): Orm {
    const client = (orm as Orm & { $client: Client }).$client
    const { unsafe } = client
    client.unsafe = (text, parameters) => {
      statements.push({ text, parameters })
      return unsafe(text, parameters)
    }
    return orm
  }

  listen(database.orm)
  database.run = noting(database.run)
  const { transaction } = database
  database.transaction = (work) => transaction((tx) => work({ ...tx, run: noting(tx.run), orm: listen(tx.orm) }))
  return statements
}
