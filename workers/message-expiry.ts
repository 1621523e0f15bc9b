import type { Database } from '../drizzle/connection.ts'
import type { Expiring, MessageExpiryService } from '../server/domain/message-expiry.ts'
import { storeTime } from '../server/lib/store-time.ts'
import { alone, messageExpiryLock } from '../server/message-store/maintenance-lock.ts'

/** How often it is looked for messages that are to disappear, in milliseconds. */
export const messageExpiryMs = 5_000

/** Channels that one statement lists, and of which one statement finds the next message. */
const channelsAtOnce = 1_000
const lookedUpAtOnce = 200

/** Channels that are worked on at once. */
const atOnce = 4

/** When the next message of a channel disappears, as long as these two are as they were. */
type Plan = Pick<Expiring, 'disappearedSeq' | 'expireAfterSeconds'> & { at: number }

export type MessageExpiry = {
  /**
   * Lets disappear whatever is due; returns how many messages. Null where another process is at it. Channels that are
   * too busy just now have their turn with the next call.
   */
  run(): Promise<number | null>
}

export type MessageExpiryOptions = {
  /** Holds the lock that lets one process do it. */
  database: Pick<Database, 'reserve' | 'run'>
  service: MessageExpiryService
  /** Told of a channel that has failed, which the others do not wait for. */
  onError: (error: unknown) => void
  /** Once the process is to end, no further channel is begun. */
  signal?: AbortSignal
}

/**
 * Lets messages disappear. Each time it lists the channels with messages that will, and remembers of each when the next
 * one does, so that those of which nothing is due cost no more than their line in the list.
 */
export function createMessageExpiry({ database, service, onError, signal }: MessageExpiryOptions): MessageExpiry {
  let plans = new Map<string, Plan>()

  /** Lists all channels, finds out what is not known of them, and returns those in which something is due. */
  async function findDue(now: number): Promise<Expiring[]> {
    const known = plans
    plans = new Map()
    const due: Expiring[] = []
    for (let after = '0'; ; ) {
      const listed = await service.list(after, channelsAtOnce)
      const unknown: Expiring[] = []
      for (const channel of listed) {
        const plan = known.get(channel.id)
        if (plan !== undefined && isOf(plan, channel)) plans.set(channel.id, plan)
        else unknown.push(channel)
      }
      for (let start = 0; start < unknown.length; start += lookedUpAtOnce) {
        const some = unknown.slice(start, start + lookedUpAtOnce)
        const next = await service.nextOf(some)
        some.forEach((channel, nth) => keep(channel, next[nth]!))
      }
      due.push(...listed.filter(({ id }) => (plans.get(id)?.at ?? Infinity) <= now))
      if (listed.length < channelsAtOnce) return due
      after = listed.at(-1)!.id
    }
  }

  const isOf = (plan: Plan, { disappearedSeq, expireAfterSeconds }: Expiring) =>
    plan.disappearedSeq === disappearedSeq && plan.expireAfterSeconds === expireAfterSeconds

  function keep({ id, disappearedSeq, expireAfterSeconds }: Expiring, at: number | null) {
    if (at !== null) plans.set(id, { disappearedSeq, expireAfterSeconds, at })
  }

  /** Works on these channels, some at once; returns how many messages disappeared, and in which channels more is due. */
  async function workOn(channels: Expiring[], now: number): Promise<{ count: number; more: Expiring[] }> {
    const waiting = channels.values()
    const more: Expiring[] = []
    let count = 0
    async function work() {
      for (const channel of waiting) {
        if (signal?.aborted === true) return
        plans.delete(channel.id)
        try {
          const done = await service.disappear(channel)
          count += done.count
          if (done.left === null) continue
          if (done.nextAt === null || done.nextAt <= now) more.push(done.left)
          else keep(done.left, done.nextAt)
        } catch (error) {
          onError(error)
        }
      }
    }
    await Promise.all(Array.from({ length: atOnce }, work))
    return { count, more }
  }

  async function run(): Promise<number> {
    const now = +(await storeTime(database))
    let total = 0
    // One step of each, and then the next: a channel of which much is due does not keep the others waiting.
    for (let due = await findDue(now); due.length > 0; ) {
      const { count, more } = await workOn(due, now)
      total += count
      // Nothing is due after all where the store's clock has been put back.
      due = count > 0 ? more : []
    }
    return total
  }

  return { run: () => alone(database, run, messageExpiryLock) }
}
