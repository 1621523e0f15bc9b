import { parseArgs } from 'node:util'
import type { Database } from '../../drizzle/connection.ts'
import { createJobQueue, type JobQueue } from '../../server/jobs/job-queue.ts'
import { type JobKind, jobKinds } from '../../server/jobs/jobs.ts'
import { UsageError } from '../../server/lib/usage-error.ts'
import { runCommand, table } from './run.ts'

export const help = `Shows what workers have to do, and what they could not do.

  npm run jobs -- counts                how many jobs of each kind wait, run, and were laid aside
  npm run jobs -- laid-aside            jobs that were tried as often as they may, the latest first, and why
  npm run jobs -- requeue --id ID       tries one of them again
  npm run jobs -- requeue --kind KIND   tries all of one kind again
  npm run jobs -- requeue --all         tries all of them again
  npm run jobs -- discard --id ID       throws one away, for good

  --limit N   at most so many lines (50)
  --json      for programs: one JSON object a line

It looks into the deployment that DATABASE_URL names, or that runs on DATA_DIR. Kinds: ${jobKinds.join(', ')}.
`

const asJson = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('')

async function counts(queue: JobQueue, json: boolean): Promise<string> {
  const rows = await queue.operator.counts()
  if (json) return asJson(rows)
  const head = ['kind', 'ready', 'later', 'running', 'laid aside']
  return table(head, rows.map((row) => [row.kind, ...[row.ready, row.deferred, row.active, row.laidAside].map(String)]))
}

async function laidAside(queue: JobQueue, limit: number, json: boolean): Promise<string> {
  const rows = await queue.operator.laidAside(limit)
  if (json) return asJson(rows)
  if (rows.length === 0) return 'Nothing was laid aside.'
  return table(
    ['id', 'kind', 'laid aside', 'why', 'about'],
    rows.map((row) => [row.id, row.kind, row.laidAsideAt.toISOString(), row.reason, JSON.stringify(row.data)]),
  )
}

/** Runs the command and returns what it says. */
export async function jobsCommand(args: string[], open: () => Promise<Database>): Promise<string> {
  const { values, positionals } = parse(args)
  const [verb, ...more] = positionals
  const kind = values.kind
  if (more.length > 0) throw new UsageError(`One thing at a time: ${more.join(', ')}. npm run jobs -- --help`)
  if (!/^[1-9]\d{0,4}$/.test(values.limit)) throw new UsageError('--limit is a number from 1 to 99999.')
  if (kind !== undefined && !(jobKinds as string[]).includes(kind)) {
    throw new UsageError(`--kind is one of ${jobKinds.join(', ')}, and not ${kind}.`)
  }
  if (values.id !== undefined && !/^[\da-f-]{36}$/i.test(values.id)) throw new UsageError(`${values.id} is not the id of a job.`)
  const queue = createJobQueue({ database: await open(), onError: () => {} })
  try {
    switch (verb) {
      case 'counts':
        return await counts(queue, values.json)
      case 'laid-aside':
        return await laidAside(queue, Number(values.limit), values.json)
      case 'requeue': {
        if ([values.id, kind, values.all || undefined].filter((each) => each !== undefined).length !== 1) {
          throw new UsageError('Which? One of --id ID, --kind KIND and --all.')
        }
        const which = { ...(values.id === undefined ? {} : { id: values.id }), ...(kind === undefined ? {} : { kind: kind as JobKind }) }
        return `${await queue.operator.requeue(which)} put back.`
      }
      case 'discard':
        if (values.id === undefined) throw new UsageError('Which? --id ID')
        return `${await queue.operator.discard([values.id])} thrown away.`
      default:
        throw new UsageError(`There is no command ${verb ?? ''}. npm run jobs -- --help`)
    }
  } finally {
    await queue.close(0)
  }
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        id: { type: 'string' },
        kind: { type: 'string' },
        all: { type: 'boolean', default: false },
        limit: { type: 'string', default: '50' },
        json: { type: 'boolean', default: false },
      },
    })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

if (import.meta.main) await runCommand(help, jobsCommand)
