import { parseArgs } from 'node:util'
import type { Database } from '../../drizzle/connection.ts'
import { channelGlobalId, deviceGlobalId, messageGlobalId, parseGlobalId } from '../../server/lib/global-id.ts'
import { findableKey } from '../../server/lib/text.ts'
import { UsageError } from '../../server/lib/usage-error.ts'
import { runCommand, table } from './run.ts'

export const help = `Tells what became of somebody's pushes, for those whom users ask why they heard nothing.

  npm run pushes -- USERNAME   counts by outcome, devices, and the latest pushes with what became of each

  --channel ID   only of this channel
  --limit N      at most so many pushes (50)
  --json         for programs: one JSON object a line

SENT was taken by the provider; WITHDRAWN was taken off the screen again; HELD and SUMMARISED came too many at once and
are part of a summary; SKIPPED was not to be told, and why; REFUSED and DEAD is what the provider said; PENDING is tried
again. It looks into the deployment that DATABASE_URL names, or that runs on DATA_DIR, as far back as PUSH_LOG_DAYS.
`

type Delivery = {
  created_at: Date
  status: string
  reason: string | null
  kind: string
  platform: string | null
  user_id: string
  device_id: string
  channel_id: string
  subject_id: string
  seq: number
  attempts: number
  sent_at: Date | null
}

async function findUser({ run }: Database, username: string): Promise<string> {
  const [user] = await run<{ user_id: string }>('select user_id from usernames where key = $1', [findableKey(username)])
  if (user === undefined) throw new UsageError(`There is nobody called ${username}.`)
  return user.user_id
}

/** Runs the command and returns what it says. */
export async function pushesCommand(args: string[], open: () => Promise<Database>): Promise<string> {
  const { values, positionals } = parse(args)
  const [username, ...more] = positionals
  if (username === undefined || more.length > 0) throw new UsageError('Whose? npm run pushes -- USERNAME')
  if (!/^[1-9]\d{0,4}$/.test(values.limit)) throw new UsageError('--limit is a number from 1 to 99999.')
  const channel = values.channel === undefined ? null : parseGlobalId(values.channel)
  if (channel !== null && channel?.type !== 'Channel') throw new UsageError(`${values.channel} is not the id of a channel.`)
  const channelId = channel?.channelId ?? null
  const database = await open()
  const userId = await findUser(database, username)
  const counts = await database.run<{ status: string; reason: string | null; count: number }>(
    `select status, case when reason ~ '^[A-Za-z_ 0-9]{1,40}$' and reason !~ '^[0-9]+$' then reason end as reason, count(*)::int as count
     from push_deliveries where user_id = $1 and ($2::bigint is null or channel_id = $2) group by 1, 2 order by 3 desc`,
    [userId, channelId],
  )
  const deliveries = await database.run<Delivery>(
    `select d.*, v.platform from push_deliveries d
     left join devices v on v.user_id = d.user_id and v.id = d.device_id
     where d.user_id = $1 and ($2::bigint is null or d.channel_id = $2) order by d.created_at desc limit $3`,
    [userId, channelId, Number(values.limit)],
  )
  const devices = await database.run<{ id: string; platform: string; created_at: Date; locale: string | null }>(
    'select id, platform, created_at, locale from devices where user_id = $1 order by created_at',
    [userId],
  )
  if (values.json) return deliveries.map((row) => `${JSON.stringify(row)}\n`).join('')
  return [
    devices.length === 0 ? `${username} has no device.` : `Devices of ${username}:`,
    table(['id', 'platform', 'since'], devices.map((row) => [deviceGlobalId(userId, row.id), row.platform, row.created_at.toISOString()])),
    counts.length === 0 ? '\nNothing was to be pushed.' : '\nWhat became of it:',
    table(['outcome', 'why', 'count'], counts.map((row) => [row.status, row.reason ?? '', String(row.count)])),
    '\nThe latest:',
    table(['when', 'outcome', 'why', 'device', 'about', 'attempts'], deliveries.map(toCells)),
  ].join('\n')
}

const toCells = (row: Delivery): string[] => [
  row.created_at.toISOString(),
  row.status,
  row.reason ?? '',
  `${row.platform ?? 'gone'} ${deviceGlobalId(row.user_id, row.device_id)}`,
  row.kind === 'MESSAGE'
    ? `message ${messageGlobalId(row.channel_id, row.subject_id)}, no. ${row.seq} of ${channelGlobalId(row.channel_id)}`
    : row.kind.toLowerCase(),
  String(row.attempts),
]

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        channel: { type: 'string' },
        limit: { type: 'string', default: '50' },
        json: { type: 'boolean', default: false },
      },
    })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

if (import.meta.main) await runCommand(help, pushesCommand)
