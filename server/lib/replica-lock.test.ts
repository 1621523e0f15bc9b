import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { unavailable } from '../errors.ts'
import { createTestDatabase } from '../testing/test-app.ts'
import { lockReplica, type ReplicaLock } from './replica-lock.ts'

let url: string
const databases: Database[] = []
const locks: ReplicaLock[] = []
beforeEach(async () => {
  url = await createTestDatabase()
})
afterEach(async () => {
  for (const lock of locks.splice(0)) lock.release()
  for (const database of databases.splice(0)) await database.close()
})

function open(at = url): Database {
  const database = openDatabase({ url: at, poolSize: 2, unavailable })
  databases.push(database)
  return database
}

/** Starts as a replica would, with connections of its own. */
async function lock(options: { hasBus: boolean; at?: string; onTaken?: (reason: string) => void }): Promise<ReplicaLock> {
  const nobody = () => {
    throw new Error('Nobody else took the lock')
  }
  const taken = await lockReplica(open(options.at), options.hasBus, options.onTaken ?? nobody)
  locks.push(taken)
  return taken
}

/** The sessions here that hold a lock, or wait for one. */
async function sessions(granted: boolean): Promise<number[]> {
  const rows = await databases[0]!.run<{ pid: number }>(
    `select l.pid from pg_locks l join pg_stat_activity a on a.pid = l.pid
     where l.locktype = 'advisory' and l.granted = $1 and a.application_name = current_setting('application_name')`,
    [granted],
  )
  return rows.map((row) => row.pid)
}

test('a replica that hears nobody is alone, and those with a bus share', async () => {
  const deaf = await lock({ hasBus: false })
  await expect(lock({ hasBus: false })).rejects.toThrow('set the same REDIS_URL for all of them')
  await expect(lock({ hasBus: true })).rejects.toThrow('A replica without REDIS_URL is running')
  await lock({ hasBus: false, at: await createTestDatabase() })

  deaf.release()
  await databases.shift()!.close()
  await lock({ hasBus: true })
  await lock({ hasBus: true })
  await expect(lock({ hasBus: false })).rejects.toThrow('Another replica is running')
})

test('a lock that went with its session is taken again', async () => {
  await lock({ hasBus: false })
  const [holder] = await sessions(true)
  await databases[0]!.run('select pg_terminate_backend($1::int)', [holder])
  await expect.poll(() => sessions(true)).toEqual([expect.not.toBeOneOf([holder])])
  await expect(lock({ hasBus: false })).rejects.toThrow('Another replica is running')
})

test('a replica whose lock somebody else got meanwhile is told to go', async () => {
  const reasons: string[] = []
  await lock({ hasBus: false, onTaken: (reason) => reasons.push(reason) })
  const [holder] = await sessions(true)
  // Who waits for the lock has it the moment that it is free.
  const faster = await open().reserve()
  const waiting = faster.run(`select pg_advisory_lock(${0x6d61}, hashtext(current_schema()))`, [])
  await expect.poll(() => sessions(false)).toHaveLength(1)
  await databases[0]!.run('select pg_terminate_backend($1::int)', [holder])
  await waiting
  await expect.poll(() => reasons).toEqual([expect.stringContaining('Another replica is running on this database.')])
  faster.release()
})
