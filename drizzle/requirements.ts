import type { Database } from './connection.ts'

/** The oldest Postgres that the statements are tested on. */
const oldestMajor = 15

/** Throws, with the remedy, where the database is not one that Maru can run on. */
export async function checkRequirements(database: Database): Promise<void> {
  const [server] = await database.run<{ version: number; encoding: string }>(
    `select current_setting('server_version_num')::int as version, current_setting('server_encoding') as encoding`,
    [],
  )
  const major = Math.floor(server!.version / 10_000)
  if (major < oldestMajor) {
    throw new Error(`This database is Postgres ${major}. Maru needs ${oldestMajor} or newer: upgrade it, or name another in DATABASE_URL.`)
  }
  if (server!.encoding !== 'UTF8') {
    throw new Error(
      `This database stores text as ${server!.encoding}, which has no room for every script. ` +
        `Make one with: create database maru encoding 'UTF8' template template0`,
    )
  }
}

/** Locks that a statement about messages takes for each month: the table, and its indexes while it is planned. */
const locksOfMonth = 4

/**
 * A warning where the server has too few locks for so many connections at once: each takes those of all months, and
 * where they run out statements fail. Null where there is room.
 */
export async function lockShortage(database: Database, connections: number): Promise<string | null> {
  const [row] = await database.run<{ months: number; locks: number; connections: number }>(
    `select (select count(*)::int from buckets) as months, current_setting('max_connections')::int as connections,
            current_setting('max_locks_per_transaction')::int * (
              current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int
            ) as locks`,
    [],
  )
  const { months, locks } = row!
  const needed = locksOfMonth * months * connections
  if (needed <= locks) return null
  return (
    `${connections} connections over ${months} months of messages may need ${needed.toLocaleString('en')} locks, and this ` +
    `Postgres has ${locks.toLocaleString('en')}: set max_locks_per_transaction to ${Math.ceil(needed / row!.connections)} or more.`
  )
}
