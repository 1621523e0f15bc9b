import { setTimeout as sleep } from 'node:timers/promises'
import { percentile } from '../measure.ts'
import type { Load } from './load.ts'
import { cpuSeconds, sharedClockMs } from './processes.ts'
import type { Publisher, Side } from './side.ts'

/** What is told to whom: a side, whose sockets are open and subscribed. */
export type Stage = { side: Side; publisher: Publisher; load: Load; sockets: number }

/** What deliveries cost. */
export type Cost = {
  /** Seconds of the server's processor time for a million deliveries. */
  cpuPerMillion: number
  deliveriesPerSecond: number
  /** How much of a core the clients took, from 0 to 1: near 1 they were what was waited for. */
  clientsBusy: number
}

/** Milliseconds from sending a message to its receipt by a client. */
export type Delay = { p50: number; p95: number; p99: number }

/** Fewer are too few for a figure, however long they take. */
const leastTurns = 3

/** Publishes so many messages at a time, and the next when all sockets have got all of them, for so many seconds. */
export async function measureCost(stage: Stage, underWay: number, seconds: number): Promise<Cost> {
  const { side, publisher, load, sockets } = stage
  const pids = side.pids()
  const clients = (await load.state()).cpuSeconds
  const before = cpuSeconds(pids)
  const started = performance.now()
  let deliveries = 0
  for (let turn = 0; turn < leastTurns || performance.now() - started < seconds * 1_000; turn++) {
    const count = underWay * sockets
    const received = load.events(count)
    const sent = Array.from({ length: underWay }, (_, lane) => publisher.publish(lane).acknowledged)
    await Promise.all([received, ...sent])
    deliveries += count
  }
  const elapsed = (performance.now() - started) / 1_000
  return {
    cpuPerMillion: ((cpuSeconds(pids) - before) / deliveries) * 1e6,
    deliveriesPerSecond: deliveries / elapsed,
    clientsBusy: ((await load.state()).cpuSeconds - clients) / elapsed,
  }
}

/** Seconds of the server's processor time for one message, so many at a time, that is told to nobody. */
export async function measureSends(
  { side, publisher }: Pick<Stage, 'side' | 'publisher'>,
  underWay: number,
  seconds: number,
): Promise<number> {
  const pids = side.pids()
  const before = cpuSeconds(pids)
  const started = performance.now()
  let messages = 0
  while (performance.now() - started < seconds * 1_000) {
    await Promise.all(Array.from({ length: underWay }, (_, lane) => publisher.publish(lane).acknowledged))
    messages += underWay
  }
  return (cpuSeconds(pids) - before) / messages
}

/** Publishes so many messages a second, come what may, and measures how long each takes to the probes. */
export async function measureDelay(stage: Stage, perSecond: number, seconds: number): Promise<Delay> {
  const { publisher, load, sockets } = stage
  const count = Math.round(perSecond * seconds)
  const sentAt = new Map<number, number>()
  const { numbers, times } = await load.recording(async () => {
    const received = load.events(count * sockets)
    const sent: Promise<unknown>[] = []
    const started = performance.now()
    for (let nth = 0; nth < count; nth++) {
      const wait = started + (nth * 1_000) / perSecond - performance.now()
      if (wait > 0) await sleep(wait)
      const now = sharedClockMs()
      const { number, acknowledged } = publisher.publish(nth % 16)
      sentAt.set(number, now)
      sent.push(acknowledged)
    }
    await Promise.all([received, ...sent])
  })
  return delayOf(Array.from(numbers, (number, nth) => times[nth]! - sentAt.get(number)!))
}

export const delayOf = (times: readonly number[]): Delay => ({
  p50: percentile(times, 0.5),
  p95: percentile(times, 0.95),
  p99: percentile(times, 0.99),
})
