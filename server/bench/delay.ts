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
import { type Delay, delayOf } from './live/rounds.ts'
import { printTable, ratio, spell } from './live/table.ts'
import { median } from './measure.ts'
import type { BenchOptions } from './options.ts'

type Plan = { rounds: number; seconds: number }

const long: Plan = { rounds: 5, seconds: 20 }
const short: Plan = { rounds: 1, seconds: 10 }

const perSecond = 200
const channelCount = 200
const people = 100
const membersEach = 10
/** Half of the sockets have a channel open, half the inbox: five devices of each person. */
const socketsOfKind = 500

const inboxSubscription = `subscription { inbox { __typename ... on MessageEvent {
  cursor stream message { ${messageFields} } } } }`
const prose = 'The quick brown fox jumps over the lazy dog, and then it goes home for tea.'

type Channel = { id: string; members: readonly Person[] }

/** The clients by what they subscribe to, and how many of them a message to each channel once reaches. */
type Clients = Record<'messages' | 'inbox', { load: Load; eachRound: number }>

const rowNames = {
  acknowledged: 'sent to acknowledged',
  messages: 'acknowledged to received, messages',
  inbox: 'acknowledged to received, inbox',
  messagesWhole: 'sent to received, messages',
  inboxWhole: 'sent to received, inbox',
}
type Rows = Record<keyof typeof rowNames, Delay>

/**
 * How long after its acknowledgement a message is received: 200 messages a second to 200 channels of 10 people, sent to
 * both of two replicas in turns, and received over 1,000 sockets on both. Everything runs wherever there is room, since
 * it is the whole that is waited for.
 */
export async function benchDelay({ short: isShort }: BenchOptions): Promise<void> {
  const plan = isShort ? short : long
  requireSockets(2 * socketsOfKind)
  const redis = await findRedis()
  const store = await startStore()
  const clients: Clients = {
    messages: { load: startLoad(), eachRound: socketsOfKind },
    inbox: { load: startLoad(), eachRound: (channelCount * membersEach * socketsOfKind) / people },
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
      await openAll(maru, channels, clients)
      const rounds: Rows[] = []
      const work = { replicas: maru.pids, Postgres: store.pids, clients: () => pidsOf(clients) }
      const shares: Record<string, number>[] = []
      for (let round = 0; round < plan.rounds; round++) {
        process.stderr.write(`round ${round + 1} of ${plan.rounds}\n`)
        const before = usedBy(work)
        const started = performance.now()
        rounds.push(await measure(maru, channels, clients, plan.seconds))
        const seconds = (performance.now() - started) / 1_000
        shares.push(mapValues(usedBy(work), (used, name) => (used - before[name]!) / seconds))
      }
      reportDelays(rounds)
      printTable(
        'Of a core, what each had to do meanwhile',
        Object.keys(work),
        [Object.keys(work).map((name) => spell(median(shares.map((share) => share[name]!))))],
      )
    } finally {
      await maru.stop()
    }
  } finally {
    await redis.stop()
    await store.stop()
    for (const { load } of Object.values(clients)) load.stop()
  }
}

const pidsOf = (clients: Clients): number[] => [process.pid, ...Object.values(clients).map(({ load }) => load.pid)]

/** Seconds of processor time so far. */
const usedBy = (work: Record<string, () => number[]>): Record<string, number> =>
  mapValues(work, (pids) => cpuSeconds(pids()))

const mapValues = <In, Out>(record: Record<string, In>, map: (value: In, key: string) => Out): Record<string, Out> =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value, key)]))

async function openAll(maru: Deployment, channels: readonly Channel[], clients: Clients): Promise<void> {
  const replica = (nth: number) => maru.replicas[nth % maru.replicas.length]!
  const messages = Array.from({ length: socketsOfKind }, (_, nth) => {
    const { id, members } = channels[nth % channels.length]!
    const member = members[Math.floor(nth / channels.length) % members.length]!
    return subscriber(replica(nth), member, messagesSubscription, { channelId: id })
  })
  // Devices of one person are on both replicas.
  const inboxes = Array.from({ length: socketsOfKind }, (_, nth) =>
    subscriber(replica(nth + Math.floor(nth / people)), maru.people[nth % people]!, inboxSubscription, {}),
  )
  await clients.messages.load.open(messages, { probeEvery: 1 })
  await clients.inbox.load.open(inboxes, { probeEvery: 1 })
  // Until a message to each channel reaches all of them.
  for (let attempt = 1; ; attempt++) {
    await sleep(1_000)
    for (const { load } of Object.values(clients)) await load.settle()
    const received = Object.values(clients).map(({ load, eachRound }) => load.events(eachRound, 3_000))
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
  clients: Clients,
  seconds: number,
): Promise<Rows> {
  const turns = Math.round((perSecond * seconds) / channels.length)
  const sentAt: number[] = []
  const acknowledgedAt: number[] = []
  const publish = async () => {
    const received = Object.values(clients).map(({ load, eachRound }) => load.events(eachRound * turns))
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
  const { messages, inbox } = clients
  let ofInbox: Awaited<ReturnType<Load['recording']>> | undefined
  const ofMessages = await messages.load.recording(async () => {
    ofInbox = await inbox.load.recording(publish)
  })
  const since = (from: readonly number[], { numbers, times }: typeof ofMessages) =>
    delayOf(Array.from(numbers, (number, nth) => times[nth]! - from[number]!))
  return {
    acknowledged: delayOf(sentAt.map((at, number) => acknowledgedAt[number]! - at)),
    messages: since(acknowledgedAt, ofMessages),
    inbox: since(acknowledgedAt, ofInbox!),
    messagesWhole: since(sentAt, ofMessages),
    inboxWhole: since(sentAt, ofInbox!),
  }
}

function reportDelays(rounds: readonly Rows[]): void {
  const shares = ['p50', 'p95', 'p99'] as const
  const of = (row: keyof Rows, share: keyof Delay) => median(rounds.map((rows) => rows[row][share]))
  printTable(
    `Milliseconds, at ${perSecond} messages a second to ${channelCount} channels, ${2 * socketsOfKind} sockets on two ` +
      'replicas; ratios to the acknowledgement',
    ['', ...shares, ...shares.map((share) => `ratio of ${share}`)],
    (Object.keys(rowNames) as (keyof Rows)[]).map((row) => [
      rowNames[row],
      ...shares.map((share) => spell(of(row, share))),
      ...shares.map((share) => ratio(of(row, share), of('acknowledged', share))),
    ]),
  )
}
