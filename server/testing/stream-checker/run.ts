import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createRandom, type Random } from '../random.ts'
import { killAll } from '../server-process.ts'
import { startStore, type Store } from '../store-checker/store.ts'
import { type Audience, type Corrupt, gatherAudience, joinLate, opening } from './audience.ts'
import { type Bus, buses } from './bus.ts'
import { type Cast, makeCast } from './cast.ts'
import { type Chronicle, createChronicle, type Promised } from './chronicle.ts'
import { createTrouble } from './faults.ts'
import { createLedger } from './ledger.ts'
import { compareWeights, inMB, weighAll } from './memory.ts'
import { createGuests, move } from './movers.ts'
import { createPresence } from './presence.ts'
import { createReplica, type Replica } from './replicas.ts'
import { makeSelections } from './selections.ts'
import { createSenders, type Said } from './senders.ts'
import { comesAbout, createStage, type Stage } from './stage.ts'
import { verify } from './verify.ts'

export type CheckOptions = {
  /** An empty folder. */
  dataDir: string
  seed: number
  /** How long things go wrong, and how much is to be delivered meanwhile, at least. */
  seconds: number
  deliveries: number
  /** After so many seconds everything stands still and is looked at. */
  roundSeconds: number
  /** The most that passes between two faults, in milliseconds. */
  quietMs: number
  /** Devices that listen. */
  subscribers: number
  bus: keyof typeof buses
  /**
   * Whether there is the time, a minute and more, in which servers find out who has gone without a word: then what the
   * replicas hold at the end is weighed.
   */
  weigh: boolean
  /** Promises that are not watched over. */
  except?: readonly Promised[]
  /** Lets some devices be lied to. */
  corrupt?: Corrupt
  isLiedTo?: (name: string) => boolean
  /** Called when everybody is there, and nothing has gone wrong yet. */
  onStart?: (stage: Stage, cast: Cast) => void
  onProgress?: (chronicle: Chronicle) => void
  onRound?: (nth: number, chronicle: Chronicle) => void
  signal?: AbortSignal
}

const lanesOfWriters = 16

/** Newcomers in a round. */
const newcomers = 4

/** How long the calm beginning is, in which nothing may be missed by anybody. Milliseconds. */
const overtureMs = 6_000

/**
 * Replicas compare heads once a second, and what they find behind the bus's back they may tell of in one with what
 * happened to the same message meanwhile: so nothing happens to one for longer than that. Milliseconds.
 */
const foldingMs = 2_000

/**
 * Lets people talk on three replicas while everything goes wrong that can, and holds the streams to what they promise.
 * The seed decides who wants what and which faults come after which. What must not be is found in the chronicle.
 */
export async function checkStreams(options: CheckOptions): Promise<Chronicle> {
  const random = createRandom(options.seed)
  const fork = () => createRandom(random.below(2 ** 32))
  const chronicle = createChronicle(options.except)
  options.signal?.addEventListener('abort', () => chronicle.end(new Error('Somebody broke it off.')))
  const stray = (error: unknown) => {
    if (!chronicle.over.aborted) chronicle.find('answer', 'the checker', String((error as Error).stack ?? error))
  }
  process.on('unhandledRejection', stray)
  let [store, bus, stage]: [Store | null, Bus | null, Stage | null] = [null, null, null]
  const progress = setInterval(() => options.onProgress?.(chronicle), 5_000)
  try {
    store = await startStore(options.dataDir, 3, fork(), (reason) => chronicle.find('replica', 'Postgres', reason))
    bus = await buses[options.bus]()
    stage = createStage(chronicle, createLedger(chronicle), await startReplicas(store, bus, chronicle), fork(), options.isLiedTo)
    await perform(options, stage, store, bus, fork)
  } finally {
    clearInterval(progress)
    chronicle.end(new Error('It is over.'))
    await Promise.race([Promise.allSettled(stage?.running ?? []), sleep(3_000)])
    for (const wire of stage?.abandoned ?? []) wire.reset()
    for (const door of stage?.doors ?? []) await door.shut()
    killAll()
    await bus?.stop()
    await store?.stop()
    process.off('unhandledRejection', stray)
  }
  return chronicle
}

async function startReplicas(store: Store, bus: Bus, chronicle: Chronicle): Promise<Replica[]> {
  const env = {
    REDIS_URL: bus.url,
    JWT_SECRET: randomBytes(24).toString('hex'),
    ACCESS_TOKEN_MINUTES: '1440',
    DRAIN_SECONDS: '3',
    DATABASE_POOL_SIZE: '8',
    MAX_SOCKETS_PER_USER: '10000',
    MAX_SUBSCRIPTIONS_PER_USER: '10000',
  }
  const replicas = await Promise.all(
    store.doors.map((door, nth) => createReplica(`replica ${nth + 1}`, { ...env, DATABASE_URL: store.urlThrough(door) }, chronicle)),
  )
  const [first, ...others] = replicas
  // The first one makes the tables.
  await first!.start()
  await Promise.all(others.map((replica) => replica.start()))
  return replicas
}

async function perform(options: CheckOptions, stage: Stage, store: Store, bus: Bus, fork: () => Random): Promise<void> {
  const { chronicle } = stage
  const cast = await makeCast(stage, Math.max(4, Math.round(options.subscribers * 0.7)), fork())
  const senders = createSenders(stage, cast)
  const random = fork()
  for (let nth = 0; nth < opening; nth++) await senders.send(random.pick(cast.writers), cast.general, random)
  const selections = makeSelections(8, random)
  const audience = await gatherAudience(stage, cast, selections, options.subscribers, fork, options.corrupt)
  const { channel } = await stage.ask(cast.writers[0]!, 'query($id: ID!) { channel(id: $id) { cursor } }', cast.general)
  const presence = createPresence(stage, cast, selections[0]!, channel.cursor, fork, {
    corrupt: options.corrupt,
    mayVanish: options.weigh,
  })
  audience.messages.push(...presence.listeners)
  const devices = [...audience.devices, ...presence.devices]

  await overture(stage, cast, audience, senders, fork())
  const before = options.weigh ? await intermission(stage, devices) : null
  // One lives through it all, so that what it loses track of adds up.
  const trouble = createTrouble(
    stage, store, bus,
    { mortal: stage.replicas.slice(0, 2), channelIds: cast.channels.map(({ id }) => id), quietMs: options.quietMs },
    fork,
  )
  options.onStart?.(stage, cast)
  const guests = createGuests(stage, cast, selections[1]!, options.corrupt)
  const isDone = () => chronicle.now() - since >= options.seconds * 1_000 && chronicle.counted('deliveries') >= options.deliveries
  const since = chronicle.now()
  for (let nth = 1; ; nth++) {
    const began = performance.now()
    const isOver = () => chronicle.over.aborted || isDone() || performance.now() - began > options.roundSeconds * 1_000
    stage.setCalm(false)
    await Promise.all([
      trouble(isOver),
      ...Array.from({ length: lanesOfWriters }, (_, lane) => senders.write(cast.writers[lane % cast.writers.length]!, fork(), isOver, 60)),
      move(stage, cast, fork(), isOver),
      guests.come(fork(), isOver),
      comeLate(),
    ])
    stage.setCalm(true)
    chronicle.note('all', 'calm')
    await Promise.all([verify(stage, cast, audience, false), guests.verify()])
    // Afterwards, since some have to go for it who would not hear what they have missed.
    if (options.except?.includes('presence') !== true) await presence.verify()
    options.onRound?.(nth, chronicle)
    if (chronicle.findings.length > 0 || isDone() || chronicle.over.aborted) break

    async function comeLate() {
      for (let late = 1; late <= newcomers; late++) {
        await sleep(random.below((options.roundSeconds * 1_000) / newcomers))
        if (isOver()) return
        await joinLate(stage, cast, audience, random.pick(selections), nth * 100 + late, fork())
      }
    }
  }
  if (before === null || chronicle.over.aborted) return
  // Whoever does not read any more is found out by the servers themselves.
  const after = await intermission(stage, [...devices, ...audience.devices])
  compareWeights(stage, before, after)
  for (const [replica, weight] of after) {
    const [had, has] = [inMB(before.get(replica)!), inMB(weight)]
    chronicle.note(replica.name, `heap ${had.heap} MB before, ${has.heap} after; resident ${had.resident} and ${has.resident}`)
    chronicle.count(`${replica.name}: MB of heap before`, had.heap)
    chronicle.count(`${replica.name}: MB of heap after`, has.heap)
    chronicle.count(`${replica.name}: MB resident before`, had.resident)
    chronicle.count(`${replica.name}: MB resident after`, has.resident)
  }
}

/** Before anything goes wrong: whoever listens must be told of every change, and of none in passing. */
async function overture(stage: Stage, cast: Cast, audience: Audience, senders: ReturnType<typeof createSenders>, random: Random) {
  await comesAbout(() => audience.devices.every((device) => device.at() !== null), 20_000)
  await verify(stage, cast, audience, false)
  // What was just asked for is live by then.
  await sleep(2_000)
  const [replica] = stage.replicas
  const until = performance.now() + overtureMs
  const sent: { at: number; said: Said }[] = []
  // One after the other and by one replica, so that the bus has them in their order.
  while (performance.now() < until) {
    const { channel, author } = pickScene(cast, random)
    const id = await senders.send(author, channel, random, null, replica)
    if (id !== null) sent.push({ at: performance.now(), said: { id, author, channel } })
    if (sent[0] !== undefined && performance.now() - sent[0].at > foldingMs) {
      await senders.edit(sent.shift()!.said, random, replica)
    }
    await sleep(random.below(20))
  }
  await verify(stage, cast, audience, true)
}

function pickScene(cast: Cast, random: Random) {
  const channel = random.pick(cast.channels)
  return { channel, author: random.pick(cast.writers.filter((writer) => channel.members.includes(writer))) }
}

/** Lets everybody go, weighs the replicas, and lets them come back. */
async function intermission(stage: Stage, devices: Audience['devices']) {
  for (const device of devices) await device.stayAway()
  const weights = await weighAll(stage)
  for (const device of devices) device.comeBack()
  return weights
}
