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
