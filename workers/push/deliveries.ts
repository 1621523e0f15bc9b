import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../../drizzle/connection.ts'
import type { pushDeliveries } from '../../drizzle/tables/index.ts'

type Row = typeof pushDeliveries.$inferSelect

/** One push: to which device, and about what. */
export type DeliveryKey = Pick<Row, 'userId' | 'deviceId' | 'channelId' | 'subjectId'>

/** Why somebody is not told. */
export type Skip = 'READ' | 'LEVEL' | 'MUTED' | 'BLOCKED' | 'QUIET_HOURS' | 'DO_NOT_DISTURB' | 'ACTIVE' | 'DELETED' | 'LEFT'

/** A push that is to be, or that is not to be, and why. */
export type Wanted = DeliveryKey & Pick<Row, 'kind' | 'seq'> & { skip: Skip | null }

export type Claimed = DeliveryKey & { attempts: number }

/** What became of an attempt. `PENDING` is to be tried again, not before `waitMs` from now. */
export type Settled = DeliveryKey & {
  /** What the row is while it is tried; where it is something else, another worker has settled it. */
  from: Extract<Row['status'], 'PENDING' | 'SENT'>
  status: Extract<Row['status'], 'SENT' | 'REFUSED' | 'DEAD' | 'PENDING' | 'WITHDRAWN' | 'SKIPPED'>
  reason: string | null
  waitMs: number
  /** The number that the device shows from now on; null where it is not known. */
  badge: number | null
}

/** How long an attempt may take before another worker may try: a provider's deadline and some. Milliseconds. */
export const claimMs = 30_000

export const deliveryKey = ({ userId, deviceId, channelId, subjectId }: DeliveryKey): string =>
  `${userId} ${deviceId} ${channelId} ${subjectId}`

const keyLists = (keys: readonly DeliveryKey[]) => [
  keys.map((key) => key.userId),
  keys.map((key) => key.deviceId),
  keys.map((key) => key.channelId),
  keys.map((key) => key.subjectId),
]

const toKey = (row: { user_id: string; device_id: string; channel_id: string; subject_id: string }): DeliveryKey => ({
  userId: row.user_id,
  deviceId: row.device_id,
  channelId: row.channel_id,
  subjectId: row.subject_id,
})

type RawKey = Parameters<typeof toKey>[0]

/** Always in the same order, so that two workers never wait for each other. */
const inOrder = <Key extends DeliveryKey>(keys: readonly Key[]): Key[] =>
  keys
    .map((key) => ({ key, name: deliveryKey(key) }))
    .toSorted((one, other) => (one.name < other.name ? -1 : 1))
    .map(({ key }) => key)

/**
 * Notes pushes in the log, each once for good, and gives those that the caller is to send now: nobody else will try
 * them for `claimMs`. What was sent, left out or given up before is not given again; nor what somebody else is at.
 */
export async function claim(database: Pick<Database, 'run'>, wanted: readonly Wanted[]): Promise<Claimed[]> {
  if (wanted.length === 0) return []
  const now = Date.now()
  const rows = inOrder(wanted)
  const claimed = await database.run<RawKey & { status: Row['status']; attempts: number }>(
    `/* push claim */ insert into push_deliveries as d
       (user_id, device_id, channel_id, subject_id, kind, seq, reason, status, attempts, claimed_until, created_at)
     select w.user_id, w.device_id, w.channel_id, w.subject_id, w.kind, w.seq, nullif(w.skip, ''),
            case when w.skip = '' then 'PENDING' else 'SKIPPED' end, 1, $8::timestamptz, $9::timestamptz
     from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::int[], $7::text[])
       as w (user_id, device_id, channel_id, subject_id, kind, seq, skip)
     on conflict (user_id, device_id, channel_id, subject_id) do update
       set status = excluded.status, reason = coalesce(excluded.reason, d.reason), attempts = d.attempts + 1,
           claimed_until = excluded.claimed_until
       where d.status = 'PENDING' and (d.claimed_until is null or d.claimed_until < excluded.created_at)
     returning d.user_id, d.device_id, d.channel_id, d.subject_id, d.status, d.attempts`,
    [
      ...keyLists(rows),
      rows.map((row) => row.kind),
      rows.map((row) => row.seq),
      rows.map((row) => row.skip ?? ''),
      new Date(now + claimMs).toISOString(),
      new Date(now).toISOString(),
    ],
  )
  return claimed.filter((row) => row.status === 'PENDING').map((row) => ({ ...toKey(row), attempts: row.attempts }))
}

/** Those of these pushes that are still to be sent, by whomever. */
export async function findPending(
  database: Pick<Database, 'run'>,
  keys: readonly DeliveryKey[],
): Promise<DeliveryKey[]> {
  if (keys.length === 0) return []
  const rows = await database.run<RawKey>(
    `/* push pending */ select user_id, device_id, channel_id, subject_id from push_deliveries
     where user_id = any ($1::bigint[]) and device_id = any ($2::bigint[]) and channel_id = any ($3::bigint[])
       and subject_id = any ($4::bigint[]) and status = 'PENDING'`,
    keyLists(keys).map((list) => [...new Set(list)]),
  )
  const asked = new Set(keys.map(deliveryKey))
  return rows.map(toKey).filter((key) => asked.has(deliveryKey(key)))
}

/** Writes down what became of attempts. What somebody else has settled meanwhile stays as it is. */
export async function settle(database: Pick<Database, 'run'>, outcomes: readonly Settled[]): Promise<void> {
  if (outcomes.length === 0) return
  const rows = inOrder(outcomes)
  const now = Date.now()
  await database.run(
    `/* push settle */ update push_deliveries d
     set status = w.status, reason = nullif(w.reason, ''), claimed_until = w.claimed_until,
         sent_at = case when w.status = 'SENT' and d.sent_at is null then $9::timestamptz else d.sent_at end
     from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[],
                 $8::text[]::timestamptz[])
       as w (user_id, device_id, channel_id, subject_id, old_status, status, reason, claimed_until)
     where d.user_id = w.user_id and d.device_id = w.device_id and d.channel_id = w.channel_id
       and d.subject_id = w.subject_id and d.user_id = any ($1::bigint[]) and d.status = w.old_status`,
    [
      ...keyLists(rows),
      rows.map((row) => row.from),
      rows.map((row) => row.status),
      rows.map((row) => row.reason?.slice(0, maxReason) ?? ''),
      rows.map((row) => (row.waitMs > 0 ? new Date(now + row.waitMs).toISOString() : null)),
      new Date(now).toISOString(),
    ],
  )
  await noteBadges(database, rows)
}

/**
 * Notes which number each device shows, so that it can be corrected when something is read elsewhere: of several of one
 * device the last, and nothing where it is null.
 */
export async function noteBadges(
  database: Pick<Database, 'run'>,
  shown: readonly { userId: string; deviceId: string; badge: number | null }[],
): Promise<void> {
  const latest = new Map(shown.filter(({ badge }) => badge !== null).map((row) => [row.deviceId, row]))
  const badges = [...latest.values()]
  if (badges.length === 0) return
  await database.run(
    `/* device badges */ update devices d set badge = w.badge
     from unnest($1::bigint[], $2::bigint[], $3::int[]) as w (user_id, id, badge)
     where d.user_id = w.user_id and d.id = w.id and d.user_id = any ($1::bigint[]) and d.badge <> w.badge`,
    [badges.map((row) => row.userId), badges.map((row) => row.deviceId), badges.map((row) => row.badge)],
  )
}

/** What a provider says at length says no more. */
const maxReason = 200

/** How long an outcome is held on to while the store is away, and how often it is tried to write it. Milliseconds. */
const heldMs = 120_000
const againMs = 500

/**
 * Gathers outcomes while the ones before them are being written. What a provider has taken and nobody has noted would be
 * sent again, should this process die: so each waits for nothing but its turn. While the store is away they are kept,
 * and whoever waits for them sends nothing more.
 */
export function createSettler(database: Pick<Database, 'run'>) {
  let gathered: Settled[] = []
  let writing: Promise<void> | null = null

  async function persist(outcomes: readonly Settled[]): Promise<void> {
    for (const until = performance.now() + heldMs; ; await sleep(againMs)) {
      try {
        return await settle(database, outcomes)
      } catch (error) {
        if (performance.now() > until) throw error
      }
    }
  }

  async function write(): Promise<void> {
    try {
      while (gathered.length > 0) {
        const some = gathered
        gathered = []
        await persist(some)
      }
    } finally {
      writing = null
    }
  }

  return {
    /** Resolves once it is written. */
    async add(outcome: Settled): Promise<void> {
      gathered.push(outcome)
      writing ??= write()
      await writing
    },
  }
}

/** Holds pushes back for a summary. */
export async function hold(database: Pick<Database, 'run'>, keys: readonly DeliveryKey[]): Promise<void> {
  await database.run(
    `/* push hold */ update push_deliveries d set status = 'HELD', claimed_until = null
     from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
       as w (user_id, device_id, channel_id, subject_id)
     where d.user_id = w.user_id and d.device_id = w.device_id and d.channel_id = w.channel_id
       and d.subject_id = w.subject_id and d.user_id = any ($1::bigint[]) and d.status = 'PENDING'`,
    keyLists(inOrder(keys)),
  )
}
