import type { Database } from '../../drizzle/connection.ts'
import type { JobAdder, NewJob } from '../../server/jobs/jobs.ts'
import { type Claimed, type DeliveryKey, deliveryKey, hold } from './deliveries.ts'

export type BurstsOptions = {
  database: Database
  jobs: JobAdder
  /** Messages to one device within a minute that are pushed one by one. */
  perMinute: number
}

type DeviceKey = Pick<DeliveryKey, 'userId' | 'deviceId'>

const minuteMs = 60_000

/** How long a burst may go on before its summary goes out. Milliseconds. */
const summaryAfterMs = 10_000

export type Bursts = ReturnType<typeof createBursts>

/** Keeps many messages to one device from being as many notices: what is too much waits for a summary. */
export function createBursts({ database, jobs, perMinute }: BurstsOptions) {
  /** How many messages each device was told of within a minute, and is being told of now. */
  async function countLately(devices: readonly DeviceKey[]): Promise<Map<string, number>> {
    const now = Date.now()
    const lists = [[...new Set(devices.map(({ userId }) => userId))], [...new Set(devices.map(({ deviceId }) => deviceId))]]
    const ofThese = `user_id = any ($1::bigint[]) and device_id = any ($2::bigint[]) and kind = 'MESSAGE'`
    const counted = await Promise.all([
      database.run<{ device_id: string; count: number }>(
        `/* pushed lately */ select device_id, count(*)::int as count from push_deliveries
         where ${ofThese} and sent_at > $3::timestamptz group by device_id`,
        [...lists, new Date(now - minuteMs).toISOString()],
      ),
      database.run<{ device_id: string; count: number }>(
        `/* pushed now */ select device_id, count(*)::int as count from push_deliveries
         where ${ofThese} and status = 'PENDING' and claimed_until > $3::timestamptz group by device_id`,
        [...lists, new Date(now).toISOString()],
      ),
    ])
    const counts = new Map<string, number>()
    for (const { device_id, count } of counted.flat()) counts.set(device_id, (counts.get(device_id) ?? 0) + count)
    return counts
  }

  async function addSummaries(devices: readonly DeviceKey[], holding: readonly DeliveryKey[]): Promise<void> {
    const startAfter = new Date(Date.now() + summaryAfterMs)
    const summaries = devices.map(
      ({ userId, deviceId }): NewJob => ({ kind: 'push-summary', data: { userId, deviceId }, key: deviceId, startAfter }),
    )
    await database.transaction(async (tx) => {
      if (holding.length > 0) await hold(tx, holding)
      await jobs.add(tx, summaries)
    })
    // Where one was waiting, nothing was added; it may have begun since, before this was there to be seen. If it still
    // waits, nothing is added again. (Who dies just here leaves it to `revive`.)
    if (holding.length > 0) await database.transaction((tx) => jobs.add(tx, summaries))
  }

  return {
    /** Holds back what is too much of what has just been claimed, the latest first; returns what may be sent now. */
    async limit(claimed: readonly Claimed[], seqOf: (key: DeliveryKey) => number): Promise<Claimed[]> {
      if (claimed.length === 0) return []
      const counts = await countLately(claimed)
      const byDevice = [...Map.groupBy(claimed, ({ deviceId }) => deviceId).values()]
      const excess = byDevice.flatMap((some) => {
        // What has just been claimed is counted, too.
        const before = (counts.get(some[0]!.deviceId) ?? 0) - some.length
        const inOrder = some.toSorted((one, other) => seqOf(one) - seqOf(other))
        return inOrder.slice(Math.max(0, perMinute - before))
      })
      if (excess.length === 0) return [...claimed]
      const devices = new Map(excess.map((key) => [key.deviceId, key]))
      await addSummaries([...devices.values()], excess)
      const held = new Set(excess.map(deliveryKey))
      return claimed.filter((key) => !held.has(deliveryKey(key)))
    },

    /** Has a summary made of what has been held back for a while, as whoever held it back has died. */
    async revive(): Promise<void> {
      const rows = await database.run<{ user_id: string; device_id: string }>(
        `/* push held long */ select distinct user_id, device_id from push_deliveries
         where status = 'HELD' and created_at < now() - interval '1 minute' limit 1000`,
        [],
      )
      const devices = rows.map((row) => ({ userId: row.user_id, deviceId: row.device_id }))
      if (devices.length > 0) await addSummaries(devices, [])
    },
  }
}
