import { setTimeout as sleep } from 'node:timers/promises'
import { openDatabase } from '../../../drizzle/connection.ts'
import { unavailable } from '../../errors.ts'
import { createRandom, type Random } from '../random.ts'
import { change } from './changers.ts'
import { type Client, startClient } from './client.ts'
import { createTrouble } from './faults.ts'
import { Broken, broken, createHistory, type History } from './history.ts'
import { openReader, type Reader, readPages } from './readers.ts'
import { createWatch, type Stage } from './stage.ts'
import { makeChannel, makeTables, readState } from './state.ts'
import { startStore, type Store } from './store.ts'
import { verify } from './verify.ts'
import { write } from './writers.ts'

export type CheckOptions = {
  /** An empty folder. */
  dataDir: string
  seed: number
  /** After each round everything stands still and is looked at. */
  rounds: number
  /** Sends to be acknowledged in a round, and things to go wrong in it, at least. */
  sends: number
  faults: number
  /** How long clients wait for the store, in milliseconds. */
  deadlineMs: number
  onRound?: (round: Round) => void
  /** Breaks it off. */
  signal?: AbortSignal
}

/** How it stood after a round. */
export type Round = {
  nth: number
  acknowledged: number
  /** Messages in all channels, all of them looked at. */
  messages: number
  /** How often what has happened so far. */
  counts: ReadonlyMap<string, number>
  /** The longest that anything has taken so far, by its kind, in milliseconds. */
  longest: ReadonlyMap<string, number>
}

const minuteMs = 60_000

/** The channels' Snowflakes, the most popular one first. */
const channelIds = ['11', '12', '13', '14', '15']
const authors = ['101', '102', '103', '104', '105', '106', '107', '108']
const comers = authors.slice(5)
const reader = '200'

const writersOfEach = 14
const changersOfEach = 3
const newcomers = 4

/** No fault lasts so long that nothing would be acknowledged meanwhile. */
const standstillMs = 60_000

/** How long whoever takes part may go on after something has turned out to be wrong. */
const patienceMs = 3_000

/**
 * Lets two clients use one message store as hard as they can while everything goes wrong that can, and holds the store
 * to what it has told them. The seed decides who wants what and which faults come after which. Throws Broken at the
 * first thing that is not as it must be, or that the store throws and must not.
 */
export async function checkStore(options: CheckOptions): Promise<Round> {
  const random = createRandom(options.seed)
  const fork = () => createRandom(random.below(2 ** 32))
  const history = createHistory(channelIds)
  const store = await startStore(options.dataDir, 2, fork(), (reason) => history.breakOff(new Error(reason)))
  options.signal?.addEventListener('abort', () => history.breakOff(new Broken('Somebody broke it off.')))
  const stray = (error: unknown) => history.breakOff(error)
  process.on('unhandledRejection', stray)
  process.on('uncaughtException', stray)
  const longest = new Map<string, number>()
  const watch = createWatch(history, longest)
  const clients: Client[] = []
  try {
    await prepare(store, history)
    const patience = { deadlineMs: options.deadlineMs }
    for (const [nth, skewMs] of [4 * minuteMs, -3 * minuteMs].entries()) {
      const url = store.urlThrough(store.doors[nth]!)
      clients.push(await startClient({ name: `client ${nth + 1}`, url, skewMs, patience, history, random: fork() }))
    }
    const stage = { history, clients, patience, channelIds, authors, comers, reader, watch: watch.watch, longest }
    return await runRounds(options, store, stage, fork)
  } catch (error) {
    const what = error instanceof Broken ? error.message : error instanceof Error ? error.stack : String(error)
    throw new Broken(`After ${history.counted('acknowledged')} acknowledged sends: ${what}`, { cause: error })
  } finally {
    watch.stop()
    history.breakOff(new Error('It is over'))
    await Promise.race([Promise.allSettled(clients.map((client) => client.close())), sleep(patienceMs)])
    await store.stop()
    process.off('unhandledRejection', stray)
    process.off('uncaughtException', stray)
  }
}

/** A look at the store past all faults, with all the time it takes. */
async function look<T>(store: Store, work: (database: ReturnType<typeof openDatabase>) => Promise<T>): Promise<T> {
  const database = openDatabase({ url: store.url(), poolSize: 2, deadlineMs: minuteMs, unavailable })
  try {
    return await work(database)
  } finally {
    await database.close()
  }
}

const prepare = (store: Store, history: History) =>
  look(store, async (database) => {
    await makeTables(database)
    for (const id of channelIds) {
      const changes = await makeChannel(database, id, [...authors, reader])
      for (const change of changes) history.channel(id).hear(change, 'who made it')
    }
  })

async function runRounds(
  options: CheckOptions,
  store: Store,
  stage: Omit<Stage, 'isRoundOver'>,
  fork: () => Random,
): Promise<Round> {
  const { history } = stage
  let isOver = false
  const whole: Stage = { ...stage, isRoundOver: () => isOver || history.over.aborted }
  const faithful = channelIds.map((id) =>
    openReader(`the reader of ${id} from its beginning`, history.channel(id), { change: 0, seq: 0 }, whole, fork()),
  )
  const goWrong = createTrouble(store, whole, fork())
  for (let nth = 1; ; nth++) {
    isOver = false
    const readers = [...faithful, ...joinLater(faithful, nth, whole, fork)]
    const lanes = readers.map((reader) => reader.follow())
    for (const client of stage.clients) {
      const nameOf = (lane: number) => `${client.name}.${nth}.${lane}`
      for (let lane = 1; lane <= writersOfEach; lane++) lanes.push(write(nameOf(lane), client, whole, fork()))
      for (let lane = 1; lane <= changersOfEach; lane++) lanes.push(change(nameOf(lane), client, whole, fork()))
      lanes.push(readPages(`who reads pages on ${client.name}`, client, whole, fork()))
    }
    let faults = 0
    lanes.push(goWrong(() => faults++))
    for (const lane of lanes) lane.catch(history.breakOff)

    const wanted = nth * options.sends
    let [seen, since] = [-1, performance.now()]
    while (history.counted('acknowledged') < wanted || faults < options.faults) {
      await sleep(20)
      history.over.throwIfAborted()
      const acknowledged = history.counted('acknowledged')
      if (acknowledged > seen) [seen, since] = [acknowledged, performance.now()]
      else if (performance.now() - since > standstillMs) {
        broken('Nothing is acknowledged any more:', Object.fromEntries(history.counts))
      }
    }
    isOver = true
    await Promise.race([Promise.all(lanes), aborted(history.over)])
    const messages = await inspect(store, history, readers)
    const { counts } = history
    const round = { nth, acknowledged: history.counted('acknowledged'), messages, counts, longest: stage.longest }
    options.onRound?.(round)
    if (nth === options.rounds) return round
  }
}

/** Readers who come for one round and begin anywhere. */
function joinLater(faithful: readonly Reader[], nth: number, stage: Stage, fork: () => Random): Reader[] {
  const random = fork()
  return Array.from({ length: newcomers }, (_, place) => {
    const { channel, positions } = random.pick(faithful)
    const from = random.pick([{ change: 0, seq: 0 }, ...positions.filter((position) => position !== undefined)])
    return openReader(`newcomer ${nth}.${place} to ${channel.id}`, channel, from, stage, fork())
  })
}

const aborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })

/** Looks at everything while nobody writes; gives the number of messages. */
async function inspect(store: Store, history: History, readers: readonly Reader[]): Promise<number> {
  await store.settle()
  return look(store, async (database) => {
    const ids = new Set<string>()
    let [count, shared] = [0, 0]
    for (const channel of history.channels.values()) {
      const state = await readState(database, channel.id)
      verify(channel, state)
      for (const { id } of state.messages) {
        if (ids.has(id)) shared++
        ids.add(id)
        count++
      }
      for (const reader of readers) if (reader.channel === channel) await reader.settle(state)
      history.over.throwIfAborted()
    }
    // A message is known by its channel and its id, so that this does no harm; it ought to be seldom.
    history.counts.set('ids that two channels have', shared)
    return count
  })
}
