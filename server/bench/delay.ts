import { setTimeout as sleep } from 'node:timers/promises'
import { findRedis } from '../testing/redis.ts'
import { type Load, startLoad } from './live/load.ts'
import { markOf } from './live/load-socket.ts'
import {
  type Deployment,
  makeChannel,
  messageFields,
  messagesSubscription,
  type Person,
  sendMessage,
  startMaru,
  startStore,
  subscriber,
} from './live/maru.ts'
import { cpuSeconds, requireSockets, sharedClockMs } from './live/processes.ts'
import type { Recorded } from './live/generator.ts'
import { type Delay, delayOf } from './live/rounds.ts'
import { printTable, spell } from './live/table.ts'
import { median } from './measure.ts'
import type { BenchOptions } from './options.ts'

type Plan = { rounds: number; seconds: number }

const long: Plan = { rounds: 5, seconds: 20 }
const short: Plan = { rounds: 1, seconds: 10 }

const perSecond = 200
const channelCount = 200
const people = 100
const membersEach = 10

/** What the sockets have open. */
type Kind = 'messages' | 'inbox'
type Layout = { name: string; sockets: Partial<Record<Kind, number>> }

const layouts: readonly Layout[] = [
  { name: '1,000 sockets with a channel open, five on each', sockets: { messages: 1_000 } },
  // Five devices of each person, who is in twenty channels: 52 deliveries for a message.
  { name: '500 sockets with a channel open, 500 with an inbox', sockets: { messages: 500, inbox: 500 } },
]

const inboxSubscription = `subscription { inbox { __typename ... on MessageEvent {
  cursor stream message { ${messageFields} } } } }`
const prose = 'The quick brown fox jumps over the lazy dog, and then it goes home for tea.'

type Channel = { id: string; members: readonly Person[] }

/** The clients of one kind, and how many of them a message to each channel once reaches. */
type Clients = { kind: Kind; sockets: number; load: Load; eachRound: number }

/** From sending to acknowledgement, and for each kind from either to receipt. */
type Rows = { acknowledged: Delay } & Record<`${'acknowledged' | 'sent'} to received, ${Kind}`, Delay>

/**
 * How long after its acknowledgement a message is received: 200 messages a second to 200 channels of 10 people, sent to
 * both of two replicas in turns, and received over 1,000 sockets on both. Everything runs wherever there is room, since
 * it is the whole that is waited for.
 */
export async function benchDelay({ short: isShort }: BenchOptions): Promise<void> {
  const plan = isShort ? short : long
  requireSockets(1_000)
  const redis = await findRedis()
  const store = await startStore()
  const loads: Load[] = []
  const newLoad = () => {
    const load = startLoad()
    loads.push(load)
    return load
  }
  try {
    const databaseUrl = await store.makeDatabase()
    const maru = await startMaru({ databaseUrl, replicas: 2, redisUrl: redis.url, people, isPinned: false })
    try {
      const channels: Channel[] = []
      for (let nth = 0; nth < channelCount; nth++) {
        // 13 has no factor in common with the number of people, so these are different ones.
        const members = Array.from({ length: membersEach }, (_, k) => maru.people[(nth * 7 + k * 13) % people]!)
        channels.push({ id: await makeChannel(maru, members, 'GROUP'), members })
      }
      for (const layout of layouts) await benchLayout(layout, { maru, channels, plan, storePids: store.pids, newLoad })
    } finally {
      await maru.stop()
    }
  } finally {
    await redis.stop()
    await store.stop()
    // Last, as it is their processes that this one waits for.
    for (const load of loads) load.stop()
  }
}

type Stage = {
  maru: Deployment
  channels: readonly Channel[]
  plan: Plan
  storePids: () => number[]
  newLoad: () => Load
}

async function benchLayout({ name, sockets }: Layout, stage: Stage): Promise<void> {
  const { maru, channels, plan, storePids, newLoad } = stage
  const eachRound = (kind: Kind, count: number) => (kind === 'messages' ? count : (channelCount * membersEach * count) / people)
  const clients = (Object.entries(sockets) as [Kind, number][]).map(
    ([kind, count]): Clients => ({ kind, sockets: count, load: newLoad(), eachRound: eachRound(kind, count) }),
  )
  try {
    await openAll(maru, channels, clients)
    const rounds: Rows[] = []
    const work = { replicas: maru.pids, Postgres: storePids, clients: () => pidsOf(clients) }
    const shares: Record<string, number>[] = []
    for (let round = 0; round < plan.rounds; round++) {
      process.stderr.write(`${name}: round ${round + 1} of ${plan.rounds}\n`)
      const before = usedBy(work)
      const started = performance.now()
      rounds.push(await measure(maru, channels, clients, plan.seconds))
      const seconds = (performance.now() - started) / 1_000
      shares.push(mapValues(usedBy(work), (used, part) => (used - before[part]!) / seconds))
    }
    reportDelays(name, rounds)
    printTable(
      'Of a core, what each had to do meanwhile',
      Object.keys(work),
      [Object.keys(work).map((part) => spell(median(shares.map((share) => share[part]!))))],
    )
  } finally {
    for (const { load } of clients) await load.close()
  }
}

const pidsOf = (clients: readonly Clients[]): number[] => [process.pid, ...clients.map(({ load }) => load.pid)]

/** Seconds of processor time so far. */
const usedBy = (work: Record<string, () => number[]>): Record<string, number> =>
  mapValues(work, (pids) => cpuSeconds(pids()))

const mapValues = <In, Out>(record: Record<string, In>, map: (value: In, key: string) => Out): Record<string, Out> =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value, key)]))

function scriptsOf({ kind, sockets }: Clients, { replicas, people: everybody }: Deployment, channels: readonly Channel[]) {
  const replica = (nth: number) => replicas[nth % replicas.length]!
  return Array.from({ length: sockets }, (_, nth) => {
    // Devices of one person are on both replicas.
    if (kind === 'inbox') return subscriber(replica(nth + Math.floor(nth / people)), everybody[nth % people]!, inboxSubscription, {})
    const { id, members } = channels[nth % channels.length]!
    const member = members[Math.floor(nth / channels.length) % members.length]!
    return subscriber(replica(nth + Math.floor(nth / channels.length)), member, messagesSubscription, { channelId: id })
  })
}

async function openAll(maru: Deployment, channels: readonly Channel[], clients: readonly Clients[]): Promise<void> {
  for (const each of clients) await each.load.open(scriptsOf(each, maru, channels), { probeEvery: 1 })
  // Until a message to each channel reaches all of them.
  for (let attempt = 1; ; attempt++) {
    await sleep(1_000)
    for (const { load } of clients) await load.settle()
    const received = clients.map(({ load, eachRound }) => load.events(eachRound, 3_000))
    try {
      await Promise.all([...received, ...channels.map((channel, nth) => send(maru, channel, nth, 0))])
      return
    } catch (error) {
      await Promise.allSettled(received)
      if (attempt === 10) throw error
    }
  }
}

const send = (maru: Deployment, { id, members }: Channel, nth: number, number: number) =>
  sendMessage(maru.replicas[nth % maru.replicas.length]!, members[nth % members.length]!, id, `${markOf(number)} ${prose}`)

async function measure(
  maru: Deployment,
  channels: readonly Channel[],
  clients: readonly Clients[],
  seconds: number,
): Promise<Rows> {
  const turns = Math.round((perSecond * seconds) / channels.length)
  const sentAt: number[] = []
  const acknowledgedAt: number[] = []
  const publish = async () => {
    const received = clients.map(({ load, eachRound }) => load.events(eachRound * turns))
    const sent: Promise<void>[] = []
    const started = performance.now()
    for (let number = 0; number < turns * channels.length; number++) {
      const wait = started + (number * 1_000) / perSecond - performance.now()
      if (wait > 0) await sleep(wait)
      sentAt[number] = sharedClockMs()
      sent.push(
        // The replica changes from message to message, and for each channel from turn to turn.
        send(maru, channels[number % channels.length]!, number + Math.floor(number / channels.length), number).then(() => {
          acknowledgedAt[number] = sharedClockMs()
        }),
      )
    }
    await Promise.all([...received, ...sent])
  }
  const rows: Partial<Rows> = {}
  const recorded: [Kind, Recorded][] = []
  // Each kind records what it gets while those inside it do, and the innermost publishes.
  const record = clients.reduceRight(
    (inner, { kind, load }) => async () => void recorded.push([kind, await load.recording(inner)]),
    publish,
  )
  await record()
  rows.acknowledged = delayOf(sentAt.map((at, number) => acknowledgedAt[number]! - at))
  for (const [kind, { numbers, times }] of recorded) {
    const since = (from: readonly number[]) => delayOf(Array.from(numbers, (number, nth) => times[nth]! - from[number]!))
    rows[`acknowledged to received, ${kind}`] = since(acknowledgedAt)
    rows[`sent to received, ${kind}`] = since(sentAt)
  }
  return rows as Rows
}

function reportDelays(name: string, rounds: readonly Rows[]): void {
  const shares = ['p50', 'p95', 'p99'] as const
  const rows = Object.keys(rounds[0]!) as (keyof Rows)[]
  printTable(
    `Milliseconds, at ${perSecond} messages a second to ${channelCount} channels over two replicas; ${name}`,
    ['', ...shares],
    rows.map((row) => [
      row === 'acknowledged' ? 'sent to acknowledged' : row,
      ...shares.map((share) => spell(median(rounds.map((delays) => delays[row][share])))),
    ]),
  )
}
