import { LRUCache } from 'lru-cache'
import type { Database } from '../../drizzle/connection.ts'
import { type DeviceRow, dropDevice } from '../../server/domain/devices.ts'
import { chunksOf } from '../../server/lib/chunks.ts'
import type { Metrics } from '../../server/observability/metrics.ts'
import type { PushNotice, PushOutcome, PushSender } from '../../server/push/push-sender.ts'
import { createSettler, type DeliveryKey, type Settled } from './deliveries.ts'

/** A push that is to be sent now, and what it says. */
export type Outgoing = {
  key: DeliveryKey
  /** Whether it is given up where it cannot be sent now. */
  isLast: boolean
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
  constructor(left: number) {
    super(`${left} ${left === 1 ? 'push is' : 'pushes are'} still to be sent`)
    this.name = 'NotYet'
  }
}

/** Throws NotYet where something is left. */
export function throwIfLeft(left: readonly unknown[]): void {
  if (left.length > 0) throw new NotYet(left.length)
}

/**
 * Devices that are claimed and told together, all of them before a claim runs out, however slow their providers are; and
 * how many such groups one process has under way: together some more than Apple takes at a time on one connection.
 */
export const groupSize = 50
const groupsAtOnce = 4

/**
 * Attempts after which a push is given up: with the pauses of the queue, which grow to ten minutes, that is after four
 * hours. What one device's provider refuses to take is no reason to lay the job aside.
 */
export const maxAttempts = 30

/**
 * A device whose provider did not answer in time is left alone, so that it does not hold others up: for 15 s, then twice
 * as long each time, up to eight minutes. Milliseconds.
 */
const firstRestMs = 15_000
const longestRestMs = 480_000

/** Devices that are remembered to have hung. */
const maxHanging = 10_000

export type Delivering = ReturnType<typeof createDelivering>

/** Hands claimed pushes to their providers, and writes down what became of each as soon as it is known. */
export function createDelivering(options: { database: Database; sender: PushSender; metrics: Metrics }) {
  const { database, sender, metrics } = options
  const settler = createSettler(database)
  const waiting: (() => void)[] = []
  const hanging = new LRUCache<string, { until: number; restMs: number }>({ max: maxHanging })
  let underWay = 0

  /** Runs work on one group of devices, when its turn has come. */
  async function inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (underWay >= groupsAtOnce) await new Promise<void>((resolve) => waiting.push(resolve))
    else underWay++
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next === undefined) underWay--
      else next()
    }
  }

  async function send({ id, platform, token, appId, sandbox }: DeviceRow, notice: PushNotice): Promise<PushOutcome> {
    const rest = hanging.get(id)
    const now = performance.now()
    if (rest !== undefined && now < rest.until) return { outcome: 'later', reason: 'TIMEOUT', retryAfterMs: rest.until - now }
    const answer = await sender.send({ platform, token, appId, sandbox }, notice)
    metrics.pushes.inc({ platform, outcome: answer.outcome })
    if (answer.outcome !== 'later' || answer.reason !== 'TIMEOUT') hanging.delete(id)
    else {
      const restMs = Math.min(rest === undefined ? firstRestMs : 2 * rest.restMs, longestRestMs)
      hanging.set(id, { until: performance.now() + restMs, restMs })
    }
    return answer
  }

  /** What an answer makes of the row in the log. */
  function settledBy(answer: PushOutcome, { becomes = 'SENT', stays = 'PENDING', isLast }: Outgoing): Omit<Settled, keyof DeliveryKey> {
    switch (answer.outcome) {
      case 'accepted':
        return { status: becomes, reason: answer.providerId, waitMs: 0 }
      case 'dead':
        return { status: 'DEAD', reason: answer.reason, waitMs: 0 }
      case 'refused':
        return { status: becomes === 'SENT' ? 'REFUSED' : becomes, reason: answer.reason, waitMs: 0 }
      case 'later':
        return isLast
          ? { status: stays === 'SENT' ? becomes : 'REFUSED', reason: answer.reason, waitMs: 0 }
          : { status: stays, reason: answer.reason, waitMs: answer.retryAfterMs ?? 0 }
    }
  }

  /** Whether it is done with. */
  async function deliverOne(outgoing: Outgoing): Promise<boolean> {
    const { key, device, notice, since, stays = 'PENDING' } = outgoing
    const answer = await send(device, notice)
    if (answer.outcome === 'accepted' && since !== null) metrics.pushSeconds.observe((Date.now() - +since) / 1_000)
    // Nothing is sent to a token that is dead, whoever is about to.
    if (answer.outcome === 'dead') await dropDevice(database, key.userId, key.deviceId)
    const settled = settledBy(answer, outgoing)
    await settler.add({ ...key, ...settled })
    return answer.outcome !== 'later' || settled.status !== stays
  }

  /** Sends a group, whose turn it is; returns what is still to be sent. */
  async function deliver(group: readonly Outgoing[]): Promise<DeliveryKey[]> {
    const areDone = await Promise.all(group.map(deliverOne))
    return group.filter((_, nth) => !areDone[nth]).map(({ key }) => key)
  }

  return {
    inTurn,
    deliver,

    /** Sends any number, group by group; returns what is still to be sent. */
    async deliverAll(outgoing: readonly Outgoing[]): Promise<DeliveryKey[]> {
      const left = await Promise.all(chunksOf(outgoing, groupSize).map((group) => inTurn(() => deliver(group))))
      return left.flat()
    },

    /** Sends what is of no account if it does not arrive. */
    tell: (device: DeviceRow, notice: PushNotice): Promise<unknown> => inTurn(() => send(device, notice)),
  }
}
