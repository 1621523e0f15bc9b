import { parseArgs } from 'node:util'
import type { Database } from '../../drizzle/connection.ts'
import { readConfig } from '../../server/config.ts'
import { deploymentOf } from '../../server/deployment.ts'
import { connectRedis } from '../../server/lib/redis.ts'
import { UsageError } from '../../server/lib/usage-error.ts'
import { beat, type Found, replicaKeys } from '../../server/replicas/redis-script.ts'
import { StartError } from '../../server/start-error.ts'
import { runCommand, table } from './run.ts'

export const help = `Shows the replicas of a deployment, as those who are sent somewhere are spread over them.

  npm run replicas          each with its address, sockets, how many were sent there and are on their way, and its age
  npm run replicas -- list  the same

  --json   for programs: one JSON object a line

It looks into the deployment that DATABASE_URL and REDIS_URL name.
`

type Row = {
  id: string
  url: string | null
  sockets: number
  onTheWay: number
  state: 'up' | 'draining'
  since: Date
  version: string
}

const rowsOf = ({ members, sent }: Found): Row[] =>
  Array.from(members, ([id, said]) => ({
    id,
    url: said.url,
    sockets: said.sockets,
    onTheWay: Math.max(0, (sent.get(id) ?? 0) - said.arrived),
    state: said.draining ? ('draining' as const) : ('up' as const),
    since: new Date(said.since),
    version: said.version,
  })).toSorted((one, other) => one.since.getTime() - other.since.getTime())

/** Runs the command and returns what it says. */
export async function replicasCommand(args: string[], open: () => Promise<Database>): Promise<string> {
  const { values, positionals } = parse(args)
  const [verb = 'list', ...more] = positionals
  if (verb !== 'list' || more.length > 0) {
    throw new UsageError(`There is no command ${positionals.join(' ')}. npm run replicas -- --help`)
  }
  const { redisUrl } = readConfig(process.env)
  if (redisUrl === null) {
    throw new StartError('Without REDIS_URL there is one replica, and no list. Name REDIS_URL, and DATABASE_URL or DATA_DIR, of your deployment.')
  }
  const deployment = await deploymentOf(await open())
  const rows = rowsOf(await look(redisUrl, deployment))
  if (values.json) return rows.map((row) => `${JSON.stringify(row)}\n`).join('')
  if (rows.length === 0) return 'There is no replica.'
  return table(
    ['id', 'address', 'sockets', 'on the way', 'state', 'up for', 'version'],
    rows.map((row) => [
      row.id,
      row.url ?? 'PUBLIC_URL',
      String(row.sockets),
      String(row.onTheWay),
      row.state,
      spell(Date.now() - row.since.getTime()),
      row.version,
    ]),
  )
}

async function look(url: string, deployment: string): Promise<Found> {
  let reason = ''
  const redis = await connectRedis({ url, onError: ({ message }) => (reason = message) })
  try {
    return await beat(redis.client, replicaKeys(deployment), { id: '', said: null, sent: new Map() })
  } catch (error) {
    throw new StartError(`Redis cannot be read: ${reason || (error as Error).message}`)
  } finally {
    redis.close()
  }
}

/** An age in its two largest units: `3 d 4 h`, `2 min 5 s`. Clocks may disagree: what is to come is no age. */
function spell(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000))
  const [minutes, hours, days] = [60, 3_600, 86_400].map((unit) => Math.floor(seconds / unit)) as [number, number, number]
  if (days > 0) return `${days} d ${hours % 24} h`
  if (hours > 0) return `${hours} h ${minutes % 60} min`
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`
}

function parse(args: string[]) {
  try {
    return parseArgs({ args, allowPositionals: true, options: { json: { type: 'boolean', default: false } } })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

if (import.meta.main) {
  // With nothing said it lists.
  if (process.argv.length === 2) process.argv.push('list')
  await runCommand(help, replicasCommand)
}
