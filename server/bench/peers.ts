import { setTimeout as sleep } from 'node:timers/promises'
import { findRedis } from '../testing/redis.ts'
import { installPeers } from './live/install-peers.ts'
import { type Load, startLoad } from './live/load.ts'
import { type Deployment, maruSide, startMaru, startStore, type Store } from './live/maru.ts'
import { startNchan } from './live/nchan.ts'
import { nodePeers, startPeer } from './live/peer-sides.ts'
import { pinElsewhere, requireSockets, residentKb } from './live/processes.ts'
import { measureCost, measureDelay, measureSends } from './live/rounds.ts'
import { createPublisher, type Publisher, type Side } from './live/side.ts'
import type { BenchOptions } from './options.ts'
import { busy, calm, type IdleKb, reportIdle, reportTurns, type Results, type Turn } from './peers-report.ts'

type Plan = {
  /** How many sockets on the one channel. */
  sizes: readonly number[]
  rounds: number
  /** For each figure of a turn. */
  seconds: number
  /** Sockets that memory is taken of. */
  idle: number
  /** Before memory is read, for what is let go of by and by. Seconds. */
  settleSeconds: number
}

const long: Plan = { sizes: [1_000, 5_000], rounds: 3, seconds: 3, idle: 10_000, settleSeconds: 5 }
const short: Plan = { sizes: [500], rounds: 1, seconds: 1, idle: 1_000, settleSeconds: 1 }

const underWay = 16

/** Sockets that come and go before memory is read, so that code and buffers which all share are there. */
const warmUpSockets = 100

/** Everything there is to compare, by the names that `--peers` takes; started when it is its turn for the first time. */
type Starters = Record<string, () => Promise<Side>>

/**
 * Fan-out to the sockets of one channel beside that of other servers: processor time, deliveries a second, delay, and
 * memory of a socket. All of them take turns.
 */
export async function benchPeers({ short: isShort, peers, rounds, memory }: BenchOptions): Promise<void> {
  const defaults = isShort ? short : long
  const plan = { ...defaults, rounds: rounds ?? defaults.rounds }
  requireSockets(Math.max(plan.idle, ...plan.sizes))
  const unpin = pinElsewhere()
  const chosen = (name: string) => peers === null || name === 'ws-string' || peers.includes(name)
  const unknown = peers?.filter((name) => name !== 'nchan' && !(name in nodePeers)) ?? []
  if (unknown.length > 0) throw new Error(`No such peer: ${unknown}. There are: ${Object.keys(nodePeers)}, nchan`)

  const folder = installPeers()
  const redis = await findRedis()
  const store = await startStore()
  const starters: Starters = Object.fromEntries(
    Object.entries(nodePeers)
      .filter(([name]) => chosen(name))
      .map(([name, peer]) => [name, () => startPeer(peer, { folder, redisUrl: redis.url })]),
  )
  if (chosen('nchan')) starters.nchan = startNchan
  const load = startLoad()
  try {
    if (!memory) await compare(plan, starters, store, redis.url, load)
    await measureIdle(plan, starters, store, load)
  } finally {
    await redis.stop()
    await store.stop()
    load.stop()
    unpin()
  }
}

async function compare(plan: Plan, starters: Starters, store: Store, redisUrl: string, load: Load): Promise<void> {
  const one = await startMaru({ databaseUrl: await store.makeDatabase() })
  const two = await startMaru({ databaseUrl: await store.makeDatabase(), replicas: 2, redisUrl })
  const sides: Side[] = []
  try {
    for (const start of Object.values(starters)) sides.push(await start())
    const marus = [
      await maruSide('Maru', one),
      await maruSide('Maru, equal subscription ids', one, 'equal'),
      await maruSide('Maru, two replicas over Redis', two),
    ]
    const all = [...sides, ...marus].map((side) => ({ side, publisher: createPublisher(side) }))
    for (const sockets of plan.sizes) {
      const results: Results = new Map(all.map(({ side }) => [side.name, []]))
      for (let round = 0; round < plan.rounds; round++) {
        for (const { side, publisher } of all) {
          process.stderr.write(`round ${round + 1} of ${plan.rounds}, ${sockets} sockets: ${side.name}\n`)
          const isMaru = marus.some((maru) => maru === side)
          const turn = await takeTurn(plan, side, publisher, load, sockets, isMaru).catch((error: Error) => {
            process.stderr.write(`  gave up: ${error.message}\n`)
          })
          await load.close()
          if (turn !== undefined) results.get(side.name)!.push(turn)
        }
      }
      reportTurns(sockets, results)
    }
  } finally {
    for (const part of [...sides, one, two]) await part.stop()
  }
}

async function takeTurn(
  { seconds }: Plan,
  side: Side,
  publisher: Publisher,
  load: Load,
  sockets: number,
  isMaru: boolean,
): Promise<Turn> {
  const sends: Pick<Turn, 'sendOne' | 'sendMany'> = {}
  if (isMaru) {
    sends.sendOne = await measureSends({ side, publisher }, 1, seconds)
    sends.sendMany = await measureSends({ side, publisher }, underWay, seconds)
  }
  await load.open(side.scripts(sockets))
  await publisher.prepare(load, sockets)
  const stage = { side, publisher, load, sockets }
  // The first messages compile the code that handles the rest, and clean up after the opening.
  await measureCost(stage, underWay, seconds / 2)
  const one = await measureCost(stage, 1, seconds)
  const many = await measureCost(stage, underWay, seconds)
  const holds = (rate: number) => Math.max(one.deliveriesPerSecond, many.deliveriesPerSecond) > rate
  return {
    ...sends,
    one,
    many,
    // So few messages are a second that more time is needed for some of them.
    ...(holds(calm) && { calm: await measureDelay(stage, calm / sockets, seconds * 2) }),
    ...(holds(busy) && { busy: await measureDelay(stage, busy / sockets, seconds * 2) }),
  }
}

/** Memory of a socket that is subscribed and gets nothing; each server anew, as memory once taken is rarely given back. */
async function measureIdle(plan: Plan, starters: Starters, store: Store, load: Load): Promise<void> {
  const figures = new Map<string, IdleKb>()
  const maru = async (): Promise<Side> => {
    // Hashing passwords leaves memory behind that sockets would then be given, so that another process does it.
    const databaseUrl = await store.makeDatabase()
    const { people, stop } = await startMaru({ databaseUrl })
    await stop()
    const deployment: Deployment = await startMaru({ databaseUrl, people })
    return { ...(await maruSide('Maru', deployment)), stop: deployment.stop }
  }
  for (const start of [...Object.values(starters), maru]) {
    const side = await start()
    try {
      process.stderr.write(`memory of ${plan.idle} sockets: ${side.name}\n`)
      figures.set(side.name, await idleKb(plan, side, load))
    } catch (error) {
      process.stderr.write(`  gave up: ${(error as Error).message}\n`)
    } finally {
      await load.close()
      await side.stop()
    }
  }
  reportIdle(plan.idle, figures)
}

/** That all of the sockets are subscribed is tried afterwards, as it moves much memory. */
async function idleKb({ idle, settleSeconds }: Plan, side: Side, load: Load): Promise<IdleKb> {
  const publisher = createPublisher(side)
  const settled = async () => {
    for (let time = 0; time < 3; time++) {
      side.collectGarbage()
      await sleep((settleSeconds * 1_000) / 3)
    }
    return residentKb(side.pids())
  }
  await load.open(side.scripts(warmUpSockets))
  await publisher.prepare(load, warmUpSockets)
  await load.close()
  const none = await settled()
  await load.open(side.scripts(idle / 2))
  const half = await settled()
  await load.open(side.scripts(idle / 2))
  const all = await settled()
  await publisher.prepare(load, idle)
  return { all: (all - none) / idle, secondHalf: (all - half) / (idle / 2) }
}
