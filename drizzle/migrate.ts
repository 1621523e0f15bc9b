import { fileURLToPath } from 'node:url'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import type { Database } from './connection.ts'

const migrationsFolder = fileURLToPath(new URL('./migrations', import.meta.url))

/** Any number that nothing else on the database locks: the letters "maru" and 1. */
const migrationLock = 0x6d617275_01

/**
 * Brings the database to the newest schema, in one transaction. Processes that start together take turns. Returns the
 * names of what it ran, in order. Throws when the database has been migrated by a newer version than this one.
 */
export async function migrate(database: Database): Promise<string[]> {
  const migrations = readMigrationFiles({ migrationsFolder })
  return database.transaction(async ({ run }) => {
    await run('select pg_advisory_xact_lock($1)', [migrationLock])
    await run('create table if not exists maru_migrations (hash text primary key, applied_at timestamptz not null)', [])
    const applied = new Set((await run<{ hash: string }>('select hash from maru_migrations', [])).map((row) => row.hash))
    const known = new Set(migrations.map((migration) => migration.hash))
    if ([...applied].some((hash) => !known.has(hash))) {
      throw new Error(
        'The database was migrated by another version of Maru. Start that version, or a newer one; there is no way back.',
      )
    }
    const pending = migrations.filter((migration) => !applied.has(migration.hash))
    for (const migration of pending) {
      for (const statement of migration.sql) if (statement.trim() !== '') await run(statement, [])
      await run('insert into maru_migrations (hash, applied_at) values ($1, now())', [migration.hash])
    }
    return pending.map((migration) => new Date(migration.folderMillis).toISOString())
  })
}
