import type { Database } from '../drizzle/connection.ts'

/** What sets this deployment apart from others on the same Redis: the database and the schema that it lives in. */
export async function deploymentOf(database: Database): Promise<string> {
  const [row] = await database.run<{ name: string }>(
    `select concat_ws('.', current_database(), current_schema(),
       (select min(extract(epoch from applied_at)::bigint) from maru_migrations)) as name`,
    [],
  )
  return row!.name
}
