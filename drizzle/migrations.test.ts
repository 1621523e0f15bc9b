import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { is } from 'drizzle-orm'
import { getTableConfig, PgTable } from 'drizzle-orm/pg-core'
import { generateDrizzleJson, generateMigration } from 'drizzle-kit/api'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createEmptyDatabase } from '../server/testing/test-app.ts'
import { type Database, openDatabase } from './connection.ts'
import { functionVersion, migrate } from './migrate.ts'
import * as tables from './tables/index.ts'

let database: Database
beforeAll(async () => {
  database = openDatabase({ url: await createEmptyDatabase(), poolSize: 8, unavailable: () => new Error('away') })
})
afterAll(() => database.close())

const journal = JSON.parse(readFileSync(new URL('./migrations/meta/_journal.json', import.meta.url), 'utf8')) as {
  entries: { idx: number; tag: string }[]
}

test('the committed migrations are what the tables ask for', async () => {
  const newest = String(journal.entries.at(-1)!.idx).padStart(4, '0')
  const file = new URL(`./migrations/meta/${newest}_snapshot.json`, import.meta.url)
  const snapshot = JSON.parse(readFileSync(file, 'utf8')) as Parameters<typeof generateMigration>[0]
  expect(await generateMigration(snapshot, generateDrizzleJson(tables))).toEqual([])
})

test('processes that start together migrate once, and the next start finds nothing to do', async () => {
  const ran = await Promise.all([migrate(database), migrate(database), migrate(database)])
  expect(ran.flat()).toHaveLength(journal.entries.length)
  expect(await migrate(database)).toEqual([])
})

/** Partitions are what their table is. */
const partition = '^messages_\\d'

test('what the migrations made is what the tables say, column by column and key by key', async () => {
  await migrate(database)
  const columns = await database.run<{ name: string }>(
    `select format('%s.%s %s%s', table_name, column_name, 
                   case udt_name when '_int8' then 'bigint[]' when '_int4' then 'integer[]' else data_type end,
                   case is_nullable when 'NO' then ' not null' else '' end) as name
     from information_schema.columns
     where table_schema = current_schema() and table_name <> 'maru_migrations' and table_name !~ '${partition}'`,
    [],
  )
  const indexes = await database.run<{ name: string }>(
    `select indexname as name from pg_indexes
     where schemaname = current_schema() and tablename <> 'maru_migrations' and tablename !~ '${partition}'`,
    [],
  )
  const configs = Object.values<unknown>(tables).filter((table) => is(table, PgTable)).map((table) => getTableConfig(table))
  const expectedColumns = configs.flatMap((table) =>
    table.columns.map((column) => {
      const required = column.notNull || column.primary || table.primaryKeys.some((key) => key.columns.includes(column))
      return `${table.name}.${column.name} ${column.getSQLType().replace(/ collate "C"$/, '')}${required ? ' not null' : ''}`
    }),
  )
  const expectedIndexes = configs.flatMap((table) => [
    ...table.indexes.map((index) => index.config.name!),
    ...table.primaryKeys.map((key) => key.getName()),
    ...(table.columns.some((column) => column.primary) ? [`${table.name}_pkey`] : []),
  ])
  expect(columns.map((column) => column.name).toSorted()).toEqual(expectedColumns.toSorted())
  expect(indexes.map((index) => index.name).toSorted()).toEqual(expectedIndexes.toSorted())
})

test('a database that a newer version has migrated is left alone', async () => {
  await migrate(database)
  await database.run(`insert into maru_migrations values ('of a later version', now())`, [])
  await expect(migrate(database)).rejects.toThrow(/another version/)
})

describe('functions', () => {
  const folder = new URL('./functions/', import.meta.url)
  const read = (name: string) => readFileSync(new URL(name, folder), 'utf8')
  const versions = JSON.parse(read('versions.json')) as Record<string, { version: number; sha256: string }>

  test('have another version wherever they have another text', () => {
    const files = readdirSync(folder).filter((file) => file.endsWith('.sql'))
    const found = files.map((file) => {
      const text = read(file)
      return [file.replace(/\.sql$/, ''), { version: functionVersion(text), sha256: createHash('sha256').update(text).digest('hex') }]
    })
    // Where this fails, raise the version at the beginning of the function and write what is found into versions.json.
    expect(Object.fromEntries(found)).toEqual(versions)
  })

  test('of a newer build are left alone by an older one that starts again', async () => {
    const own = openDatabase({ url: await createEmptyDatabase(), poolSize: 1, unavailable: () => new Error('away') })
    await migrate(own)
    const body = async () => (await own.run<{ text: string }>(`select prosrc as text from pg_proc where oid = 'message_bucket'::regproc`, []))[0]!.text
    const text = await body()
    await own.run('create or replace function message_bucket(message_id bigint) returns integer language sql immutable as $$ select 7 $$', [])
    const remember = (version: number) =>
      own.run(`update maru_migrations set hash = $1 where hash like 'function message\\_bucket %'`, [`function message_bucket ${version} abc`])
    await remember(2)
    await migrate(own)
    expect(await body()).toContain('7')
    await remember(0)
    await migrate(own)
    expect(await body()).toBe(text)
    await own.close()
  })
})
