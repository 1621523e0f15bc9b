import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { operation } from '../../schema/testing/operations.ts'
import type { Files } from '../../server/files/files.ts'
import type { JobContext } from '../../server/jobs/jobs.ts'
import { parseGlobalId } from '../../server/lib/global-id.ts'
import { createLog } from '../../server/observability/log.ts'
import { type Person, startTestApp } from '../../server/testing/test-app.ts'
import { createDataExportJob } from '../data-exports.ts'
import { unzip } from './unzip.ts'

type Export = { status: string; createdAt: string; url: string | null; expiresAt: string | null; byteSize: number | null }
const fields = 'status createdAt url expiresAt byteSize'
const Request = operation<{ requestDataExport: Export }>(`mutation Request { requestDataExport { ${fields} } }`)
const List = operation<{ dataExports: Export[] }>(`query List { dataExports { ${fields} } }`)

type Options = { files?: Files; retries?: number; signal?: AbortSignal; maxBytes?: number }

export type Exporting = Awaited<ReturnType<typeof startExporting>>

export const userIdOf = ({ id }: Person) => (parseGlobalId(id) as { userId: string }).userId

/** A server without workers: the job is run by hand, so that it meets whatever comes in between. */
export async function startExporting() {
  const app = await startTestApp()
  const { database, services } = app.app
  const tempDir = await mkdtemp(join(tmpdir(), 'maru-test-exports-'))
  const log = createLog({ level: 'silent', format: 'json' })
  let count = 0
  const list = async (person: Person) => (await person.client.request(List)).dataExports

  /** Which somebody has asked for last. */
  async function latest(person: Person) {
    const userId = userIdOf(person)
    const [row] = await database.run<{ id: string; key: string | null }>(
      'select id, key from data_exports where user_id = $1 order by id desc limit 1',
      [userId],
    )
    return { userId, ...row! }
  }

  return {
    app,
    tempDir,
    list,
    newPerson: () => app.signUp(`alice-${++count}`),
    request: async (person: Person) => (await person.client.request(Request)).requestDataExport,

    /** Does the job of the latest that somebody has asked for. */
    async work(person: Person, { files = app.app.files, retries = 0, signal, maxBytes }: Options = {}) {
      const limit = maxBytes === undefined ? {} : { maxBytes }
      const job = createDataExportJob({ dataExports: services.dataExports, database, files, tempDir, log, ...limit })
      const context: JobContext = { signal: signal ?? new AbortController().signal, retries, createdAt: new Date() }
      const { userId, id } = await latest(person)
      await job({ userId, id }, context)
    },

    /** Fetches the latest that is READY. */
    async fetchExport(person: Person) {
      const [row] = await list(person)
      const answer = await fetch(row!.url!)
      if (answer.status !== 200) throw new Error(`The export was answered with ${answer.status}`)
      const body = Buffer.from(await answer.arrayBuffer())
      return { row: row!, answer, body, files: await unzip(body) }
    },

    latest,

    /** What else lies where files are, by what the row says that it wrote there. */
    keyOf: async (person: Person) => (await latest(person)).key,

    /** Jobs of a kind that nobody has done. */
    async jobsOf<Data extends object>(kind: string): Promise<{ data: Data; startAfter: Date }[]> {
      const [schema] = await database.run<{ name: string }>(`select current_schema() || '_jobs' as name`, [])
      return database.run(`select data, start_after as "startAfter" from ${schema!.name}.job where name = $1`, [kind])
    },

    async stop() {
      await app.stop()
      await rm(tempDir, { recursive: true, force: true })
    },
  }
}
