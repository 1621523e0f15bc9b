import { chmod, chown, cp, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import postgres from 'postgres'
import { launchServer } from '../lib/embedded-postgres-server.ts'
import { chooseAccount, findBinaries } from '../lib/embedded-postgres-setup.ts'
import { makeDataDir } from './server-process.ts'

export type Standby = {
  url: string
  /** Stops applying what the primary sends. */
  pause(): Promise<void>
  resume(): Promise<void>
  /** Ends it. */
  stop(): Promise<void>
}

/**
 * Starts a streaming replica of an embedded Postgres, made from a copy of its folder while it runs, the way a base
 * backup is made (https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-LOWLEVEL-BASE-BACKUP).
 */
export async function startStandby(primary: { url: string; dataDir: string }): Promise<Standby> {
  const dataDir = await makeDataDir()
  const folder = join(dataDir, 'postgres')
  const sql = postgres(primary.url, { max: 1, onnotice: () => {} })
  await sql`select pg_backup_start('standby', true)`
  await cp(join(primary.dataDir, 'postgres'), folder, { recursive: true })
  const [backup] = await sql<{ labelfile: string }[]>`select labelfile from pg_backup_stop(false)`
  await sql.end()

  const { hostname, port, username, password } = new URL(primary.url)
  await rm(join(folder, 'postmaster.pid'), { force: true })
  await writeFile(join(folder, 'backup_label'), backup!.labelfile)
  await writeFile(join(folder, 'standby.signal'), '')
  await writeFile(
    join(folder, 'postgresql.auto.conf'),
    `primary_conninfo = 'host=${hostname} port=${port} user=${username} password=${password}'\n`,
  )
  await chmod(folder, 0o700)
  const account = await chooseAccount(join(primary.dataDir, 'postgres'))
  if (account.uid !== undefined) {
    for (const entry of ['.', ...(await readdir(folder, { recursive: true }))]) {
      await chown(join(folder, entry), account.uid, account.gid!)
    }
  }
  const binaries = await findBinaries(account, () => {})
  const server = await launchServer({ dataDir, folder, binaries, account, maxConnections: 100, log: () => {} })
  const url = new URL(primary.url)
  url.port = String(server.port)
  const admin = postgres(url.href, { max: 1, onnotice: () => {} })
  return {
    url: url.href,
    pause: async () => void (await admin`select pg_wal_replay_pause()`),
    resume: async () => void (await admin`select pg_wal_replay_resume()`),
    async stop() {
      await admin.end({ timeout: 1 })
      await server.stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}
