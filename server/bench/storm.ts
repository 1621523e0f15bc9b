import { setTimeout as sleep } from 'node:timers/promises'
import { type Load, startLoad } from './live/load.ts'
import type { Script } from './live/load-socket.ts'
import { type Deployment, makeChannel, messageFields, sendMessage, startMaru, startStore, subscriber } from './live/maru.ts'
import { metricOf } from './live/metrics.ts'
import { cpuSeconds, pinElsewhere, requireSockets, residentKb } from './live/processes.ts'
import { printTable, ratio, spell } from './live/table.ts'
import { median } from './measure.ts'
import type { BenchOptions } from './options.ts'

type Plan = { clients: number; changes: number; rounds: number; channels: readonly number[] }

const long: Plan = { clients: 5_000, changes: 100, rounds: 3, channels: [1, 100] }
const short: Plan = { clients: 500, changes: 100, rounds: 1, channels: [1, 20] }

const subscription = `subscription ($channelId: ID!, $after: String) { messages(channelId: $channelId, after: $after) {
  cursor message { ${messageFields} } } }`
const content = 'The quick brown fox jumps over the lazy dog, and then it goes home for tea. '.repeat(3)

/** Senders that each wait for their answer. */
const senders = 16
/** Nothing comes for so long only where something was lost. */
const silenceMs = 60_000

/** What one storm took, in seconds; how often the store was asked, by statement; and memory at its highest, in MB. */
type Storm = {
  caughtUp: number
  live: number
  cpu: number
  retried: number
  statements: ReadonlyMap<string, number>
  residentMb: number
}

/**
 * Clients that lost their sockets all at once and come back with cursors that are a hundred changes old: how long until
 * all of them are live again, and what is asked of the store meanwhile. A client that is turned away tries again, as
 * graphql-ws does.
 */
export async function benchStorm({ short: isShort }: BenchOptions): Promise<void> {
  const plan = isShort ? short : long
  requireSockets(plan.clients)
  const unpin = pinElsewhere()
  const store = await startStore()
  const load = startLoad()
  const storms = new Map<number, Storm[]>(plan.channels.map((channels) => [channels, []]))
  try {
    const maru = await startMaru({ databaseUrl: await store.makeDatabase() })
    try {
      const made = new Map<number, string[]>()
      for (const count of plan.channels) {
        const channels: string[] = []
        for (let nth = 0; nth < count; nth++) channels.push(await makeChannel(maru, maru.people, 'PUBLIC'))
        made.set(count, channels)
      }
      for (let round = 0; round < plan.rounds; round++) {
        for (const count of plan.channels) {
          process.stderr.write(`round ${round + 1} of ${plan.rounds}: ${plan.clients} clients, ${count} channels\n`)
          storms.get(count)!.push(await breakLoose(plan, maru, made.get(count)!, load))
          await load.close()
        }
      }
    } finally {
      await maru.stop()
    }
  } finally {
    await store.stop()
    load.stop()
    unpin()
  }
  reportStorms(plan, storms)
}

async function breakLoose(plan: Plan, maru: Deployment, channels: readonly string[], load: Load): Promise<Storm> {
  const { clients, changes } = plan
  const [server] = maru.replicas
  const cursors = new Map<string, string>()
  for (const id of channels) {
    const query = 'query ($id: ID!) { channel(id: $id) { cursor } }'
    const { channel } = await server!.run<{ channel: { cursor: string } }>(query, { id }, maru.people[0]!.token)
    cursors.set(id, channel.cursor)
  }
  const scripts = Array.from({ length: clients }, (_, nth): Script => {
    const channelId = channels[nth % channels.length]!
    const person = maru.people[Math.floor(nth / channels.length) % maru.people.length]!
    const script = subscriber(server!, person, subscription, { channelId, after: '%CURSOR%' })
    return { ...script, cursor: cursors.get(channelId)! }
  })
  // They were all there before, so that nothing is new to the server but how they come back.
  await load.open(scripts)
  await reachAll(maru, channels, load, clients)
  await load.close()
  for (let nth = 1; nth < changes; nth++) await sendToAll(maru, channels)

  await load.settle()
  const statementsBefore = await statementsOf(maru)
  const cpuBefore = cpuSeconds(maru.pids())
  const memory = watchMemory(maru)
  const started = performance.now()
  const received = load.events(clients * changes, silenceMs)
  await Promise.all([load.open(scripts, { atOnce: clients, retries: true }), received])
  const caughtUp = (performance.now() - started) / 1_000
  const told = load.events(clients, silenceMs)
  await Promise.all([told, sendToAll(maru, channels)])
  const live = (performance.now() - started) / 1_000
  const statements = await statementsOf(maru)
  for (const [name, count] of statementsBefore) statements.set(name, statements.get(name)! - count)
  const { retried } = await load.state()
  return { caughtUp, live, cpu: cpuSeconds(maru.pids()) - cpuBefore, retried, statements, residentMb: memory.stop() }
}

/** Sends one message to each channel. */
async function sendToAll({ replicas: [server], people }: Deployment, channels: readonly string[]): Promise<void> {
  let next = 0
  const lane = async () => {
    while (next < channels.length) {
      const nth = next++
      await sendMessage(server!, people[nth % people.length]!, channels[nth]!, content)
    }
  }
  await Promise.all(Array.from({ length: senders }, lane))
}

/** Waits until a message to each channel reaches everybody: the first change that is missed is the one after it. */
async function reachAll(maru: Deployment, channels: readonly string[], load: Load, clients: number): Promise<void> {
  await sleep(1_000)
  await load.settle()
  const { events } = await load.state()
  // Those that subscribed late were given it all the same: they had a cursor.
  await sendToAll(maru, channels)
  for (let before = -1; before !== (await load.state()).events; await sleep(1_000)) before = (await load.state()).events
  const more = (await load.state()).events - events
  if (more < clients) throw new Error(`Only ${more} of ${clients} clients were told.`)
}

/** How often each statement of the store has been run. */
async function statementsOf({ replicas }: Deployment): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  for (const replica of replicas) {
    for (const [labels, count] of await metricOf(replica, 'maru_store_statement_duration_seconds_count')) {
      const name = /statement="([^"]*)"/.exec(labels)![1]!
      counts.set(name, (counts.get(name) ?? 0) + count)
    }
  }
  return counts
}

/** Reads again and again how much memory the servers hold; `stop` gives the most that there was, in MB. */
function watchMemory(maru: Deployment): { stop(): number } {
  let most = 0
  const look = () => {
    most = Math.max(most, residentKb(maru.pids()) / 1_024)
  }
  const timer = setInterval(look, 100)
  return {
    stop() {
      clearInterval(timer)
      look()
      return most
    },
  }
}

function reportStorms({ clients, changes, channels }: Plan, storms: ReadonlyMap<number, readonly Storm[]>): void {
  const of = (count: number, pick: (storm: Storm) => number) => median(storms.get(count)!.map(pick))
  const sum = (storm: Storm) => [...storm.statements.values()].reduce((all, count) => all + count, 0)
  const name = (count: number) => (count === 1 ? 'one channel' : `${count} channels`)
  const title = `${clients.toLocaleString('en')} clients that come back at once, each ${changes} changes behind`
  printTable(
    title,
    ['', 'all caught up, s', 'all live, s', 'ratio', 'CPU, s', 'queries', 'ratio', 'retries', 'most memory, MB'],
    channels.map((count) => [
      name(count),
      spell(of(count, (storm) => storm.caughtUp)),
      spell(of(count, (storm) => storm.live)),
      ratio(of(count, (storm) => storm.live), of(channels[0]!, (storm) => storm.live)),
      spell(of(count, (storm) => storm.cpu)),
      String(of(count, sum)),
      ratio(of(count, sum), of(channels[0]!, sum)),
      String(of(count, (storm) => storm.retried)),
      spell(of(count, (storm) => storm.residentMb)),
    ]),
  )
  const names = new Set([...storms.values()].flat().flatMap((storm) => [...storm.statements.keys()]))
  const asked = [...names].filter((statement) =>
    channels.some((count) => of(count, (storm) => storm.statements.get(statement) ?? 0) > 0),
  )
  printTable(
    `${title}: queries by statement`,
    ['', ...channels.map(name)],
    asked.map((statement) => [
      statement,
      ...channels.map((count) => String(of(count, (storm) => storm.statements.get(statement) ?? 0))),
    ]),
  )
}
