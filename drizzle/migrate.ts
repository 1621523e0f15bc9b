import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import type { Database, Transaction } from './connection.ts'
import { distributeAll, isDistributed } from './distribution.ts'

const migrationsFolder = fileURLToPath(new URL('./migrations', import.meta.url))

/** Each file makes one function anew, in the order of their names; it is run again whenever its text is another. */
const functionsFolder = fileURLToPath(new URL('./functions/', import.meta.url))

/** Any number that nothing else on the database locks: the letters "maru" and 1. */
const migrationLock = 0x6d617275_01

export type MigrateOptions = {
  /** Distributes a store that is not distributed yet; one that is stays so. */
  distribute?: boolean
  /** Told of each table that is about to be distributed. */
  onTable?: (name: string) => void
}

/**
 * Brings the database to the newest schema, in one transaction. Processes that start together take turns. Returns the
 * names of what it ran, in order. Throws when the database has been migrated by a newer version than this one.
 */
export async function migrate(database: Database, { distribute = false, onTable }: MigrateOptions = {}): Promise<string[]> {
  const migrations = readMigrationFiles({ migrationsFolder })
  return database.transaction(async ({ run }) => {
    await run('select pg_advisory_xact_lock($1)', [migrationLock])
    // On Citus one transaction may change tables and functions only over one connection to each machine.
    await run(`set local citus.multi_shard_modify_mode = 'sequential'`, [])
    await run('create table if not exists maru_migrations (hash text primary key, applied_at timestamptz not null)', [])
    const applied = await hashesOf({ run }, 'not like')
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
    await defineFunctions({ run })
    if (distribute || (await isDistributed({ run }))) await distributeAll({ run }, functionFiles(), onTable)
    return pending.map((migration) => new Date(migration.folderMillis).toISOString())
  })
}

/** The functions by name, which is also that of their files. */
const functionFiles = () =>
  readdirSync(functionsFolder).filter((file) => file.endsWith('.sql')).map((file) => file.slice(0, -'.sql'.length)).toSorted()

/** What a function's text is remembered by, beside the migrations. */
const functionMark = 'function '

/** What has been run: migrations, or functions. */
async function hashesOf({ run }: Pick<Transaction, 'run'>, how: 'like' | 'not like'): Promise<Set<string>> {
  const rows = await run<{ hash: string }>(`select hash from maru_migrations where hash ${how} '${functionMark}%'`, [])
  return new Set(rows.map((row) => row.hash))
}

/**
 * Makes the functions that this build knows better than whoever made them last. One that is newer stays: while replicas
 * are exchanged one by one, an old one may start again after the new ones.
 */
async function defineFunctions({ run }: Pick<Transaction, 'run'>): Promise<void> {
  const defined = await hashesOf({ run }, 'like')
  for (const file of functionFiles()) {
    const text = readFileSync(`${functionsFolder}${file}.sql`, 'utf8')
    const name = functionMark + file
    const hash = `${name} ${functionVersion(text)} ${createHash('sha256').update(text).digest('hex')}`
    const others = [...defined].filter((other) => other.startsWith(`${name} `))
    if (defined.has(hash) || others.some((other) => versionIn(other) > functionVersion(text))) continue
    await run(text, [])
    await dropOthers({ run }, file)
    await run(`delete from maru_migrations where hash like $1`, [`${name} %`])
    await run('insert into maru_migrations (hash, applied_at) values ($1, now())', [hash])
  }
}

/**
 * Drops what a function was before it had other parameters: `create or replace` has made a second one beside it, and
 * between two nobody could tell which is meant. A process of the older build, which calls it without the parameters that
 * came since, finds the new one by their defaults.
 */
async function dropOthers({ run }: Pick<Transaction, 'run'>, name: string): Promise<void> {
  const others = await run<{ name: string }>(
    `select oid::regprocedure::text as name from pg_proc
     where pronamespace = current_schema()::regnamespace and proname = $1 and xmin <> pg_current_xact_id()::xid`,
    [name],
  )
  for (const { name } of others) await run(`drop function ${name}`, [])
}

/** The version that the text of a function begins with: to be raised with each change. */
export const functionVersion = (text: string): number => Number(/^\/\*\s+(?:\* )?Version (\d+)\./.exec(text)?.[1])

const versionIn = (hash: string): number => Number(/ (\d+) \w+$/.exec(hash)?.[1] ?? 0)
