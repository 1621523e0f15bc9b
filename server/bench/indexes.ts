import type { Database } from '../../drizzle/connection.ts'

/**
 * Takes the indexes and keys off some tables while `work` fills them, and makes them again: sorting a whole table is
 * several times as fast as finding the place of each row. `onMade` is told the name of each.
 */
export async function withoutIndexes(
  admin: Database,
  tables: readonly string[],
  work: () => Promise<void>,
  onMade: (name: string) => void,
): Promise<void> {
  const keys = await admin.run<{ table: string; name: string; definition: string }>(
    `select conrelid::regclass::text as table, conname as name, pg_get_constraintdef(oid) as definition
     from pg_constraint where contype = 'p' and conrelid::regclass::text = any ($1::text[])`,
    [tables],
  )
  const indexes = await admin.run<{ name: string; definition: string }>(
    `select indexname as name, indexdef as definition from pg_indexes
     where schemaname = current_schema and tablename = any ($1::text[]) and indexname <> all ($2::text[])`,
    [tables, keys.map((key) => key.name)],
  )
  for (const { table, name } of keys) await admin.run(`alter table ${table} drop constraint ${name}`, [])
  for (const { name } of indexes) await admin.run(`drop index ${name}`, [])
  await work()
  for (const { table, name, definition } of keys) {
    await admin.run(`alter table ${table} add constraint ${name} ${definition}`, [])
    onMade(name)
  }
  for (const { name, definition } of indexes) {
    // Of a table in partitions it says ONLY, which would leave them out.
    await admin.run(definition.replace(' ON ONLY ', ' ON '), [])
    onMade(name)
  }
}
