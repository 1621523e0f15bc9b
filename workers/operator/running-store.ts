import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { readConfig } from '../../server/config.ts'
import { unavailable } from '../../server/errors.ts'
import { StartError } from '../../server/start-error.ts'

/** The store of a deployment that runs, for somebody who looks in from outside. Throws a StartError where there is none. */
export async function openRunningStore(env: NodeJS.ProcessEnv): Promise<Database> {
  const config = readConfig(env)
  const url = config.database.url ?? (await embeddedUrl(config.dataDir))
  const database = openDatabase({ url, poolSize: 3, deadlineMs: 30_000, unavailable })
  try {
    await database.run('select from maru_migrations limit 1', [])
    return database
  } catch (error) {
    await database.close()
    const { cause, message } = error as Error
    throw new StartError(`The store cannot be read: ${cause instanceof Error ? cause.message : message}`)
  }
}

async function embeddedUrl(dataDir: string): Promise<string> {
  try {
    return (await readFile(join(dataDir, 'postgres.url'), 'utf8')).trim()
  } catch {
    throw new StartError(
      `No Maru runs on ${dataDir}. Start it with npm start, or name its DATA_DIR, or the DATABASE_URL of your deployment.`,
    )
  }
}
