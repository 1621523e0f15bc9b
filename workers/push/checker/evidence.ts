import type { Database } from '../../../drizzle/connection.ts'
import { channelGlobalId } from '../../../server/lib/global-id.ts'
import type { Delivered } from '../../../server/push/testing/provider.ts'
import type { Platform, Providers } from '../testing/providers.ts'
import { type Device, keyOf, type Ledger } from './ledger.ts'

/** A notice that a provider has taken, by its own log. */
export type Taken = {
  device: Device
  kind: string
  /** The message that it is about; null for a summary and what else is about none. */
  key: string | null
  /** How many messages it sums up; null where it is no summary. */
  count: number | null
  collapseId: string
  badge: number | null
  at: number
}

/** What the store's log says became of a push. Moments are milliseconds since 1970. */
export type Row = {
  device: Device
  /** The message's; null for a summary. */
  key: string | null
  subjectId: string
  kind: string
  status: string
  reason: string | null
  attempts: number
  createdAt: number
  /** Until when nobody else was to try; null once it is settled. */
  claimedUntil: number | null
}

/** What is left to do. */
export type Leftovers = { outbox: number; jobs: { kind: string; state: string; count: number }[]; laidAside: string[] }

/** Of each device that was told something while all was calm: what was last on its icon, and what is unread. */
export type IconCheck = { device: Device; badge: number | null; unread: number }

/** All that is held against what was done. */
export type Evidence = {
  taken: Taken[]
  rows: Row[]
  leftovers: Leftovers
  /** What providers found wrong with requests. */
  complaints: string[]
  icons: IconCheck[]
  /** In the calm at the end: requests that came to providers, and notices that they took. */
  calm: { requests: number; taken: number }
  /** When everything was quiet after the storm. */
  end: number
}

/** A browser's token may be spelt anew by whoever checks it. */
export const plainToken = (token: string): string =>
  token.startsWith('{') ? (JSON.parse(token) as { endpoint: string }).endpoint : token

/** What the providers have taken so far, in the order of time. */
export function readProviders(providers: Providers, ledger: Ledger): Taken[] {
  const devices = new Map(ledger.people.flatMap((person) => person.devices.map((one) => [plainToken(one.token), one])))
  return providers.all
    .flatMap((provider) => provider.log.map((notice) => toTaken(notice, devices.get(plainToken(notice.token))!)))
    .toSorted((one, other) => one.at - other.at)
}

function toTaken({ kind, collapseId, badge, data, at }: Delivered, device: Device): Taken {
  const { messageId, channelId, seq } = data
  const isAboutOne = messageId !== undefined && channelId !== undefined && seq !== undefined
  const key = isAboutOne ? keyOf(channelId, seq) : null
  return { device, kind, key, count: data.count === undefined ? null : Number(data.count), collapseId, badge, at }
}

type RawRow = {
  token: string
  device_id: string
  channel_id: string
  subject_id: string
  kind: string
  seq: number
  status: string
  reason: string | null
  attempts: number
  created_at: string
  claimed_until: string | null
}

/** Ids of devices as the store has them: known while they are registered, and needed when they are gone. */
export async function readDeviceIds(database: Database, ledger: Ledger): Promise<Map<string, Device>> {
  const rows = await database.run<{ id: string; token: string }>('select id, token from devices', [])
  const devices = new Map(ledger.people.flatMap((person) => person.devices.map((one) => [plainToken(one.token), one])))
  return new Map(rows.map((row) => [row.id, devices.get(plainToken(row.token))!]))
}

/** The store's log of pushes, up to a moment. */
export async function readRows(database: Database, devices: ReadonlyMap<string, Device>, by: number): Promise<Row[]> {
  const rows = await database.run<RawRow>(
    // What was withdrawn and never sent by itself was part of a summary.
    `select device_id, channel_id, subject_id, kind, seq, reason, attempts,
            case when status = 'WITHDRAWN' and kind = 'MESSAGE' and sent_at is null then 'SUMMARISED' else status end as status,
            extract(epoch from created_at) * 1000 as created_at,
            extract(epoch from claimed_until) * 1000 as claimed_until
     from push_deliveries where created_at <= $1::timestamptz`,
    [new Date(by).toISOString()],
  )
  return rows.map((row) => ({
    device: devices.get(row.device_id)!,
    key: row.kind === 'MESSAGE' ? keyOf(channelGlobalId(row.channel_id), row.seq) : null,
    subjectId: row.subject_id,
    kind: row.kind,
    status: row.status,
    reason: row.reason,
    attempts: row.attempts,
    createdAt: Number(row.created_at),
    claimedUntil: row.claimed_until === null ? null : Number(row.claimed_until),
  }))
}

/** Where the tables of the queue are: beside the store's own. */
async function queueSchema(database: Database): Promise<string> {
  const [row] = await database.run<{ name: string }>('select current_schema() as name', [])
  return row!.name === 'public' ? 'maru_jobs' : `${row!.name}_jobs`
}

/** Entries of the outbox and jobs about pushes that are still to be done, and jobs of any kind that were laid aside. */
export async function readLeftovers(database: Database): Promise<Leftovers> {
  const schema = await queueSchema(database)
  const [outbox] = await database.run<{ count: number }>('select count(*)::int as count from outbox', [])
  const jobs = await database.run<{ kind: string; state: string; count: number }>(
    `select name as kind, state::text, count(*)::int from ${schema}.job
     where state < 'completed' and name like 'push%' group by 1, 2 order by 1, 2`,
    [],
  )
  const aside = await database.run<{ kind: string | null; reason: string | null }>(
    `select source_name as kind, left(output::text, 200) as reason from ${schema}.job
     where state < 'completed' and name = 'laid-aside'`,
    [],
  )
  return { outbox: outbox!.count, jobs, laidAside: aside.map(({ kind, reason }) => `${kind}: ${reason}`) }
}

export const howMany = ({ outbox, jobs }: Leftovers): number => jobs.reduce((sum, { count }) => sum + count, outbox)

/** Requests that came to all providers so far, taken or not. */
export const countRequests = (providers: Providers): number =>
  providers.all.reduce((sum, provider) => sum + provider.requests(), 0)

/** Notices that a platform's provider has taken so far. */
export const countTaken = (providers: Providers): number =>
  providers.all.reduce((sum, provider) => sum + provider.log.length, 0)

export const platforms: readonly Platform[] = ['APNS', 'FCM', 'WEB_PUSH', 'WEBHOOK']
