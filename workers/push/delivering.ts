import type { Database } from '../../drizzle/connection.ts'
import { type DeviceRow, dropDevice } from '../../server/domain/devices.ts'
import type { Metrics } from '../../server/observability/metrics.ts'
import type { PushNotice, PushSender } from '../../server/push/push-sender.ts'
import { createSettler, type DeliveryKey, type Settled } from './deliveries.ts'

/** A push that has been claimed, and what it says. */
export type Outgoing = {
  key: DeliveryKey
  device: DeviceRow
  notice: PushNotice
  /** When what it is about happened; null for what has no such moment. */
  since: Date | null
  /** What it counts as once it is taken; SENT where nothing else is said. */
  becomes?: 'SENT' | 'WITHDRAWN'
  /** What it stays as long as it is to be tried again; PENDING where nothing else is said. */
  stays?: 'PENDING' | 'SENT'
}

/** Some of what a job was to send could not be sent yet: the queue tries again, with pauses. */
export class NotYet extends Error {
  constructor(left: number, reason: string | null) {
    super(`${left} ${left === 1 ? 'push is' : 'pushes are'} still to be sent${reason === null ? '' : `: ${reason}`}`)
    this.name = 'NotYet'
  }
}

/** How many pushes are still to be sent, and why the first of them was not. */
export type Left = { left: number; reason: string | null }

/** Throws NotYet unless all is done. */
export function throwIfLeft(lefts: readonly Left[]): void {
  const left = lefts.reduce((sum, each) => sum + each.left, 0)
  if (left > 0) throw new NotYet(left, lefts.find((each) => each.reason !== null)?.reason ?? null)
}

/** Requests under way at a time in one process: so many streams Apple lets a connection have, and some. */
const maxAtOnce = 200

export type Delivering = ReturnType<typeof createDelivering>

/** Hands claimed pushes to their providers, and writes down what became of each as soon as it is known. */
export function createDelivering(options: { database: Database; sender: PushSender; metrics: Metrics }) {
  const { database, sender, metrics } = options
  const settler = createSettler(database)
  const waiting: (() => void)[] = []
  let underWay = 0

  async function inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (underWay >= maxAtOnce) await new Promise<void>((resolve) => waiting.push(resolve))
    else underWay++
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next === undefined) underWay--
      else next()
    }
  }

  /** Null where it is done with, else why it is to be tried again. */
  async function deliver({ key, device, notice, since, becomes = 'SENT', stays = 'PENDING' }: Outgoing): Promise<string | null> {
    const { platform, token, appId, sandbox } = device
    const answer = await inTurn(() => sender.send({ platform, token, appId, sandbox }, notice))
    metrics.pushes.inc({ platform, outcome: answer.outcome })
    if (answer.outcome === 'accepted' && since !== null) metrics.pushSeconds.observe((Date.now() - +since) / 1_000)
    const settled = ((): Omit<Settled, keyof DeliveryKey> => {
      switch (answer.outcome) {
        case 'accepted':
          return { status: becomes, reason: answer.providerId, waitMs: 0 }
        case 'dead':
          return { status: 'DEAD', reason: answer.reason, waitMs: 0 }
        case 'refused':
          return { status: becomes === 'SENT' ? 'REFUSED' : becomes, reason: answer.reason, waitMs: 0 }
        case 'later':
          return { status: stays, reason: answer.reason, waitMs: answer.retryAfterMs ?? 0 }
      }
    })()
    // Nothing is sent to a token that is dead, whoever is about to.
    if (answer.outcome === 'dead') await dropDevice(database, key.userId, key.deviceId)
    await settler.add({ ...key, ...settled })
    return answer.outcome === 'later' ? answer.reason : null
  }

  return {
    /** Sends what is of no account if it does not arrive. */
    async tell(device: DeviceRow, notice: PushNotice): Promise<void> {
      const { platform, token, appId, sandbox } = device
      await inTurn(() => sender.send({ platform, token, appId, sandbox }, notice))
    },

    async deliver(outgoing: readonly Outgoing[]): Promise<Left> {
      const reasons = (await Promise.all(outgoing.map(deliver))).filter((reason) => reason !== null)
      return { left: reasons.length, reason: reasons[0] ?? null }
    },
  }
}
