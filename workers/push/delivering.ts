import { LRUCache } from 'lru-cache'
import type { Database } from '../../drizzle/connection.ts'
import { type DeviceRow, dropDevice } from '../../server/domain/devices.ts'
import { chunksOf } from '../../server/lib/chunks.ts'
import type { Log } from '../../server/observability/log.ts'
import type { Metrics } from '../../server/observability/metrics.ts'
import type { PushNotice, PushOutcome, PushSender } from '../../server/push/push-sender.ts'
import { createSettler, type DeliveryKey, noteBadges, type Settled } from './deliveries.ts'

/** A push that is to be sent now, and what it says. */
export type Outgoing = {
  key: DeliveryKey
  /** Which attempt this is, from 1 on. */
  attempts: number
  device: DeviceRow
  notice: PushNotice
  /** When what it is about happened; null for what has no such moment. */
  since: Date | null
  /** What it counts as once it is taken; SENT where nothing else is said. */
  becomes?: 'SENT' | 'WITHDRAWN'
  /** What it is, and stays as long as it is to be tried again; PENDING where nothing else is said. */
  from?: 'PENDING' | 'SENT'
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
 * how many such groups of each platform one process has under way: some more than Apple takes at a time on one connection.
 */
export const groupSize = 50
const groupsAtOnce = 4

/**
 * Attempts that a browser's push service is worth: anybody may name any address as one. By the pauses of the queue that
 * is three quarters of an hour. The others are the operator's, and are tried for as long as the message is news.
 */
const maxAttempts: Partial<Record<DeviceRow['platform'], number>> = { WEB_PUSH: 12 }

/**
 * A device whose provider did not answer in time is left alone, so that it does not hold others up: for 15 s, then twice
 * as long each time, up to eight minutes. A browser's that never answers for hours is dropped. Milliseconds.
 */
const firstRestMs = 15_000
const longestRestMs = 480_000
const maxHangs = 20

/** Devices that are remembered to have hung. */
const maxHanging = 10_000

/** Reasons that the log tells of: providers have some dozens. */
const maxTold = 200

/** What providers say of tokens also where our own settings are for another app, project or stage. */
const maybeOurs = new Set(['SENDER_ID_MISMATCH', 'DeviceTokenNotForTopic', 'BadDeviceToken'])

export type Delivering = ReturnType<typeof createDelivering>

/** Hands claimed pushes to their providers, and writes down what became of each as soon as it is known. */
export function createDelivering(options: { database: Database; sender: PushSender; metrics: Metrics; log: Log }) {
  const { database, sender, metrics, log } = options
  const settler = createSettler(database)
  const lanes = new Map<DeviceRow['platform'], ReturnType<typeof createLane>>()
  const hanging = new LRUCache<string, { until: number; restMs: number; hangs: number }>({ max: maxHanging })
  /** What the log has told of already. */
  const told = new Set<string>()
  /** Apps, of which a provider has taken a push: so our settings are for them. */
  const working = new Set<string>()

  /** Runs work on one group of devices of a platform, when its turn has come. One platform that hangs holds up no other. */
  function inTurn<T>(platform: DeviceRow['platform'], work: () => Promise<T>): Promise<T> {
    const lane = lanes.get(platform) ?? createLane(groupsAtOnce)
    lanes.set(platform, lane)
    return lane(work)
  }

  async function send({ id, platform, token, appId, sandbox }: DeviceRow, notice: PushNotice): Promise<PushOutcome> {
    const app = `${platform} ${appId ?? ''} ${sandbox}`
    const rest = hanging.get(id)
    const now = performance.now()
    if (rest !== undefined && now < rest.until) return { outcome: 'later', reason: 'TIMEOUT', retryAfterMs: rest.until - now }
    const answer = await sender.send({ platform, token, appId, sandbox }, notice)
    metrics.pushes.inc({ platform, outcome: answer.outcome })
    if (answer.outcome === 'accepted') working.add(app)
    else tellOnce(platform, answer)
    // A setting that is wrong must not cost everybody's devices.
    if (answer.outcome === 'dead' && maybeOurs.has(answer.reason) && !working.has(app)) return { ...answer, outcome: 'refused' }
    if (answer.outcome !== 'later' || answer.reason !== 'TIMEOUT') {
      hanging.delete(id)
      return answer
    }
    const restMs = Math.min(rest === undefined ? firstRestMs : 2 * rest.restMs, longestRestMs)
    const hangs = (rest?.hangs ?? 0) + 1
    hanging.set(id, { until: performance.now() + restMs, restMs, hangs })
    return platform === 'WEB_PUSH' && hangs > maxHangs ? { outcome: 'dead', reason: 'TIMEOUT' } : answer
  }

  /** Tells the operator of what keeps pushes from arriving, once of each. What becomes of each stands in the store. */
  function tellOnce(platform: DeviceRow['platform'], { outcome, reason }: Exclude<PushOutcome, { outcome: 'accepted' }>) {
    const what = `${platform} ${reason}`
    if (reason === 'NOT_POSSIBLE' || told.has(what) || told.size > maxTold) return
    told.add(what)
    log.warn({ platform, outcome, reason }, 'a push did not arrive; of the next for this reason only `npm run pushes` tells')
  }

  /** What an answer makes of the row in the log. */
  function settledBy(answer: PushOutcome, outgoing: Outgoing): Pick<Settled, 'status' | 'reason' | 'waitMs'> {
    const { becomes = 'SENT', from = 'PENDING', attempts, device } = outgoing
    switch (answer.outcome) {
      case 'accepted':
        return { status: becomes, reason: answer.providerId, waitMs: 0 }
      case 'dead':
        return { status: 'DEAD', reason: answer.reason, waitMs: 0 }
      case 'refused':
        return { status: becomes === 'SENT' ? 'REFUSED' : becomes, reason: answer.reason, waitMs: 0 }
      case 'later':
        return attempts < (maxAttempts[device.platform] ?? Number.POSITIVE_INFINITY)
          ? { status: from, reason: answer.reason, waitMs: answer.retryAfterMs ?? 0 }
          : { status: from === 'SENT' ? becomes : 'REFUSED', reason: answer.reason, waitMs: 0 }
    }
  }

  /** Whether it is done with. */
  async function deliverOne(outgoing: Outgoing): Promise<boolean> {
    const { key, device, notice, since, from = 'PENDING' } = outgoing
    const answer = await send(device, notice)
    const isTaken = answer.outcome === 'accepted'
    if (isTaken && since !== null) metrics.pushSeconds.observe((Date.now() - +since) / 1_000)
    // Nothing is sent to a token that is dead, whoever is about to.
    if (answer.outcome === 'dead') await dropDevice(database, key.userId, key.deviceId)
    const settled = settledBy(answer, outgoing)
    await settler.add({ ...key, ...settled, from, badge: isTaken && hasIcon(device) ? notice.badge : null })
    return answer.outcome !== 'later' || settled.status !== from
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
      const byPlatform = [...Map.groupBy(outgoing, ({ device }) => device.platform)]
      const left = await Promise.all(
        byPlatform.flatMap(([platform, some]) =>
          chunksOf(some, groupSize).map((group) => inTurn(platform, () => deliver(group))),
        ),
      )
      return left.flat()
    },

    /** Tells a device its number, which is of no account if it does not arrive. */
    async tellBadge(device: DeviceRow, notice: PushNotice): Promise<void> {
      const answer = await inTurn(device.platform, () => send(device, notice))
      if (answer.outcome === 'accepted') await noteBadges(database, [{ userId: device.userId, deviceId: device.id, badge: notice.badge }])
    },
  }
}

/** Whether a device has an icon with a number on it, which we can set without anything being shown. */
export const hasIcon = ({ platform }: Pick<DeviceRow, 'platform'>): boolean => platform === 'APNS' || platform === 'FCM'

/** Lets so many do their work at a time, in the order in which they came. */
function createLane(atOnce: number) {
  const waiting: (() => void)[] = []
  let underWay = 0
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (underWay >= atOnce) await new Promise<void>((resolve) => waiting.push(resolve))
    else underWay++
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next === undefined) underWay--
      else next()
    }
  }
}
