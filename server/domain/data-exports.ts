import { randomBytes } from 'node:crypto'
import { and, desc, eq } from 'drizzle-orm'
import type { Database, Transaction } from '../../drizzle/connection.ts'
import { dataExports } from '../../drizzle/tables/index.ts'
import { MaruError } from '../errors.ts'
import type { SignedDownload } from '../files/files.ts'
import { type NewJob, jobPolicies } from '../jobs/jobs.ts'
import { storeTime } from '../lib/store-time.ts'
import type { Deps } from './deps.ts'
import { lockPerson } from './later.ts'

export type DataExportRow = typeof dataExports.$inferSelect
export type DataExportStatus = DataExportRow['status']

/** Which export, and which attempt at it: the place where that puts the file is its own. */
export type DataExportAttempt = { userId: string; id: string; key: string }

export type DataExportsService = ReturnType<typeof createDataExportsService>

const dayMs = 86_400_000

/** How long a finished file is kept. Milliseconds. */
const keptMs = 7 * dayMs

/** How long after one was asked for another can be: it reads all that somebody has ever said. Milliseconds. */
const pauseMs = dayMs
/** The same where it came to nothing. Milliseconds. */
const pauseAfterFailureMs = 3_600_000

/** Nobody works as long on one: its job has been lost, or was tried as often as it is worth. */
const lostAfter = '2 days'

/** How long it is told of those that are over. */
const rememberedFor = '60 days'

/**
 * How often an export is tried again that fails of itself, or dies with its worker: that is of its data, and would take
 * other jobs along each time. Where the store or the storage is away it is tried for as long as the job's policy says.
 */
export const exportRetries = 4

/**
 * The jobs that remove what an attempt has put in its place, or is about to: a worker may write its file a moment after
 * this, and die before it finds out that nobody wants it. When no attempt can be under way any more it is removed again.
 */
export function removalOf({ key, status }: Pick<DataExportRow, 'key' | 'status'>): NewJob[] {
  if (key === null) return []
  const removal: NewJob = { kind: 'files-remove', data: { keys: [key] } }
  if (status !== 'RUNNING') return [removal]
  return [removal, { ...removal, startAfter: new Date(Date.now() + 2_000 * jobPolicies['data-export'].expireIn) }]
}

/** Exports that one list holds; there are no more in the time that they are remembered. */
const listed = 100

/** What is swept in one round. */
const sweptAtOnce = 200

/** What people ask to be given of their own: asked for, made by a worker, and kept for a week. */
export function createDataExportsService({ database, snowflakes, jobs, files }: Deps) {
  const { orm } = database
  const own = ({ userId, id }: Pick<DataExportRow, 'userId' | 'id'>) => and(eq(dataExports.userId, userId), eq(dataExports.id, id))

  return {
    /**
     * Asks for all that is the viewer's. While one is under way that one is given back. Throws RATE_LIMITED where there
     * was one within a day.
     */
    request: (viewerId: string): Promise<DataExportRow> =>
      database.transaction(async (tx) => {
        await lockPerson(tx, viewerId)
        const [last] = await tx.orm
          .select()
          .from(dataExports)
          .where(eq(dataExports.userId, viewerId))
          .orderBy(desc(dataExports.createdAt), desc(dataExports.id))
          .limit(1)
        if (last?.status === 'PENDING' || last?.status === 'RUNNING') return last
        const now = await storeTime(tx)
        const pause = last?.status === 'FAILED' ? pauseAfterFailureMs : pauseMs
        const retryAfterMs = last === undefined ? 0 : +last.createdAt + pause - +now
        if (retryAfterMs > 0) throw new MaruError('RATE_LIMITED', 'Your data can be asked for once a day.', { retryAfterMs })
        const id = snowflakes.next()
        const [made] = await tx.orm.insert(dataExports).values({ userId: viewerId, id, createdAt: now }).returning()
        await jobs.add(tx, [{ kind: 'data-export', data: { userId: viewerId, id } }])
        return made!
      }),

    /** The viewer's, the latest first. */
    async list(viewerId: string): Promise<DataExportRow[]> {
      const rows = await orm
        .select()
        .from(dataExports)
        .where(eq(dataExports.userId, viewerId))
        .orderBy(desc(dataExports.createdAt), desc(dataExports.id))
        .limit(listed)
      const now = Date.now()
      // What is about to be swept is not to be had any more.
      return rows.map((row) => (row.status === 'READY' && +row.expiresAt! <= now ? { ...row, status: 'EXPIRED', key: null } : row))
    },

    /** Where a finished one can be fetched, by whoever is told, for an hour or two; null where it cannot. */
    async address({ status, key, createdAt }: DataExportRow): Promise<SignedDownload | null> {
      if (status !== 'READY' || key === null) return null
      const filename = `maru-${createdAt.toISOString().slice(0, 10)}.zip`
      return files.signDownload({ key, contentType: 'application/zip', filename })
    },

    /**
     * Begins an attempt, for the job; null where there is nothing to do. What another has left half done is not shown,
     * and removed. `retries`: how often it was tried before; where that is as often as it is worth, and the last one has
     * died without a word, there is nothing to do any more.
     */
    begin: ({ userId, id }: Pick<DataExportRow, 'userId' | 'id'>, retries = 0): Promise<DataExportAttempt | null> =>
      database.transaction(async (tx) => {
        const [row] = await tx.orm.select().from(dataExports).where(own({ userId, id })).for('update')
        if (row === undefined || (row.status !== 'PENDING' && row.status !== 'RUNNING')) return null
        if (row.status === 'RUNNING' && retries >= exportRetries) {
          await giveUp(tx, row)
          return null
        }
        // Nobody can guess it, so that no address but a signed one leads there.
        const key = `exports/${userId}/${id}/${randomBytes(18).toString('base64url')}`
        await tx.orm.update(dataExports).set({ status: 'RUNNING', key }).where(own(row))
        await jobs.add(tx, removalOf(row))
        return { userId, id, key }
      }),

    /** The attempt came to nothing, and another will follow. What it may have put in its place goes then. */
    async letGo(attempt: DataExportAttempt): Promise<void> {
      await orm
        .update(dataExports)
        .set({ status: 'PENDING' })
        .where(and(own(attempt), eq(dataExports.status, 'RUNNING'), eq(dataExports.key, attempt.key)))
    },

    /** The file is in its place. False where another attempt has taken over, or the account is gone: then the file goes. */
    async finish(attempt: DataExportAttempt, byteSize: number): Promise<boolean> {
      const expiresAt = new Date(+(await storeTime(database)) + keptMs)
      const finished = await orm
        .update(dataExports)
        .set({ status: 'READY', byteSize, expiresAt })
        .where(and(own(attempt), eq(dataExports.status, 'RUNNING'), eq(dataExports.key, attempt.key)))
        .returning({ id: dataExports.id })
      if (finished.length === 0) await files.remove([attempt.key])
      return finished.length > 0
    },

    /** It was tried as often as it is worth. */
    async fail({ userId, id }: Pick<DataExportRow, 'userId' | 'id'>): Promise<void> {
      await database.transaction(async (tx) => {
        const [row] = await tx.orm.select().from(dataExports).where(own({ userId, id })).for('update')
        if (row === undefined || (row.status !== 'PENDING' && row.status !== 'RUNNING')) return
        await giveUp(tx, row)
      })
    },

    /**
     * Takes away files that were kept long enough, gives up what nobody works on, and forgets what was over long ago.
     * Returns how many there were.
     */
    async sweep(maintenance: Pick<Database, 'run'>): Promise<number> {
      const found = await maintenance.run<{ user_id: string; id: string; status: DataExportStatus }>(
        `/* exports to sweep */ select user_id, id, status from data_exports
         where status = 'READY' and expires_at < now()
           or status in ('PENDING', 'RUNNING') and created_at < now() - interval '${lostAfter}'
         limit ${sweptAtOnce}`,
        [],
      )
      for (const { user_id: userId, id, status } of found) {
        if (status === 'READY') await expire({ userId, id })
        else await this.fail({ userId, id })
      }
      const forgotten = await maintenance.run(
        `/* forget exports */ delete from data_exports
         where status in ('FAILED', 'EXPIRED') and created_at < now() - interval '${rememberedFor}' returning id`,
        [],
      )
      return found.length + forgotten.length
    },
  }

  async function giveUp(tx: Transaction, row: DataExportRow): Promise<void> {
    await tx.orm.update(dataExports).set({ status: 'FAILED', key: null }).where(own(row))
    await jobs.add(tx, removalOf(row))
  }

  /** A file's time is over. */
  async function expire(which: Pick<DataExportRow, 'userId' | 'id'>): Promise<void> {
    await database.transaction(async (tx) => {
      const [row] = await tx.orm.select().from(dataExports).where(own(which)).for('update')
      if (row?.status !== 'READY') return
      await tx.orm.update(dataExports).set({ status: 'EXPIRED', key: null }).where(own(row))
      await jobs.add(tx, [{ kind: 'files-remove', data: { keys: [row.key!] } }])
    })
  }
}
