import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Database, openDatabase } from '../../../drizzle/connection.ts'
import { unavailable } from '../../../server/errors.ts'
import { startRedis } from '../../../server/testing/redis.ts'
import { createRandom } from '../../../server/testing/random.ts'
import { node, serverScript, startProcess } from '../../../server/testing/server-process.ts'
import { type Providers, startProviders } from '../testing/providers.ts'
import { createWorker, giveBlows, type Worker } from './blows.ts'
import { beCalm } from './calm.ts'
import { makeCast } from './cast.ts'
import { createDoings, type Doings } from './doings.ts'
import {
  countRequests,
  countTaken,
  type Evidence,
  howMany,
  type Leftovers,
  platforms,
  readDeviceIds,
  readLeftovers,
  readProviders,
  readRows,
} from './evidence.ts'
import { createLedger, type Device, type Ledger } from './ledger.ts'
import type { Verdict } from './verdict.ts'
import { verify } from './verify.ts'

export type CheckOptions = {
  /** An empty database, or an empty schema of one. */
  databaseUrl: string
  dataDir: string
  seed: number
  messages: number
  people: number
  workers: number
  /** Pushes to a device within a minute; what comes beyond is summed up. */
  perMinute: number
  /** The share of requests that providers fail, from 0 to 1. */
  failing: number
  /** Messages after which an answer is lost, on the average. */
  losing: number
  /** The most that passes between two blows, and between two messages of one of those who write, in milliseconds. */
  quietMs: number
  paceMs: number
  /** How long the queue may take to become empty once nothing more is said, in milliseconds. */
  drainMs: number
  onProgress?: (progress: Progress) => void
  signal?: AbortSignal
}

export type Progress = {
  seconds: number
  phase: string
  messages: number
  requests: number
  taken: number
  blows: number
  /** Entries of the outbox, and jobs. */
  left: number
}

export type Outcome = Verdict & { ledger: Ledger; evidence: Evidence; seconds: number; heldUpMs: number }

/** Writers at once. */
const lanes = 6

/** How long providers go on failing when all has been said, so that what is left has to get past them. Milliseconds. */
const failOnMs = 10_000

/**
 * Lets people talk while workers are killed, ended and frozen and providers fail, waits until nothing is left to do,
 * and holds what the providers have taken against what was done. The seed decides who does what.
 */
export async function checkPushes(options: CheckOptions): Promise<Outcome> {
  const random = createRandom(options.seed)
  const fork = () => createRandom(random.below(2 ** 32))
  const ledger = createLedger()
  const over = new AbortController()
  const signal = AbortSignal.any([over.signal, ...(options.signal === undefined ? [] : [options.signal])])
  const faults: string[] = []
  const started = performance.now()
  const stops: (() => Promise<unknown>)[] = []
  let phase = 'starting'
  let left: Leftovers = { outbox: 0, jobs: [], laidAside: [] }
  const lag = watchLag()
  stops.push(async () => lag.stop())
  try {
    const providers = await startProviders()
    stops.push(providers.stop)
    const redis = await startRedis()
    stops.push(redis.stop)
    const env = environment(options, providers, redis.url)
    const server = startProcess(node, [serverScript, '--without-workers'], env)
    stops.push(() => server.end())
    const url = (await server.ready).url!
    const workers = Array.from({ length: options.workers }, (_, nth) =>
      createWorker(`worker ${nth + 1}`, { ...env, ...providers.processEnv }, ledger, (text) => void faults.push(text)),
    )
    stops.push(() => Promise.all(workers.map((worker) => worker.end())))
    await Promise.all(workers.map((worker) => worker.start()))
    const database = openDatabase({ url: options.databaseUrl, poolSize: 3, deadlineMs: 60_000, unavailable })
    stops.push(() => database.close())
    await makeCast(ledger, providers, url, options.people, fork())
    stops.push(async () => ledger.people.forEach((person) => person.client.close()))
    const deviceIds = await readDeviceIds(database, ledger)

    const timer = setInterval(() => {
      void readLeftovers(database).then((now) => (left = now), () => {})
      options.onProgress?.({
        seconds: (performance.now() - started) / 1_000,
        phase,
        messages: ledger.messages.length,
        requests: countRequests(providers),
        taken: countTaken(providers),
        blows: ledger.blows.length,
        left: howMany(left),
      })
    }, 5_000)
    stops.push(async () => clearInterval(timer))

    phase = 'storm'
    const doings = createDoings(ledger, signal)
    await storm(options, doings, ledger, providers, workers, database, fork, signal)
    phase = 'emptying'
    await sleep(Math.min(failOnMs, options.drainMs / 4))
    for (const provider of providers.all) provider.failShare(0, 0)
    const leftovers = await empty(database, options.drainMs, signal)
    const end = Date.now()
    await seeWhoIsGone(ledger, database)
    phase = 'calm'
    const taken = readProviders(providers, ledger)
    const rows = await readRows(database, deviceIds, end)
    const calm =
      howMany(leftovers) === 0
        ? await beCalm(ledger, providers, doings, database, end, fork(), signal)
        : { icons: [], behind: 0, requests: 0, taken: 0, messages: 0 }
    const complaints = [...providers.complaints()]
    const evidence: Evidence = { taken, rows, leftovers, complaints, icons: calm.icons, calm, end }
    phase = 'looking'
    // What was said in the calm is no part of the storm, and of the evidence of it.
    const said = { ...ledger, messages: ledger.messages.slice(0, ledger.messages.length - calm.messages) }
    const verdict = verify(said, evidence)
    verdict.counts.set('icons that were behind after the storm', calm.behind)
    for (const fault of faults) verdict.findings.push({ kind: 'done', text: fault })
    return { ...verdict, ledger: said, evidence, seconds: (performance.now() - started) / 1_000, heldUpMs: lag.most() }
  } finally {
    over.abort(new Error('It is over.'))
    for (const stop of stops.toReversed()) await stop().catch(() => {})
  }
}

function environment(options: CheckOptions, providers: Providers, redisUrl: string): Record<string, string> {
  return {
    ...providers.env,
    DATABASE_URL: options.databaseUrl,
    REDIS_URL: redisUrl,
    DATA_DIR: options.dataDir,
    JWT_SECRET: randomBytes(24).toString('hex'),
    ACCESS_TOKEN_MINUTES: '1440',
    PUSH_PER_MINUTE: String(options.perMinute),
    LINK_PREVIEWS: 'off',
    DRAIN_SECONDS: '2',
  }
}

/** Everything happens at once, until all messages are sent. */
async function storm(
  options: CheckOptions,
  doings: Doings,
  ledger: Ledger,
  providers: Providers,
  workers: readonly Worker[],
  database: Database,
  fork: () => ReturnType<typeof createRandom>,
  signal: AbortSignal,
): Promise<void> {
  const random = fork()
  for (const provider of providers.all) {
    provider.failShare(options.failing, random.below(2 ** 32), ['later', 'throttled', 'cut', 'unseen'])
  }
  const isOver = () => ledger.messages.length >= options.messages || signal.aborted
  const writers = ledger.people.filter((person) => person.role === 'writer')
  const groups = ledger.channels.filter(({ kind }) => kind === 'GROUP')
  const devices = ledger.people.flatMap((person) => person.devices)
  const dying = devices.filter((_, nth) => nth % 9 === 5)
  let sent = 0

  async function write(own: ReturnType<typeof createRandom>): Promise<void> {
    while (sent < options.messages && !signal.aborted) {
      const nth = ++sent
      await sleep(own.below(options.paceMs))
      // Most is said in groups.
      const channel = own.pick(own.chance(0.6) ? groups : ledger.channels)
      const author = own.pick(writers.filter((writer) => channel.members.includes(writer)))
      const message = await doings.send(author, channel, own)
      if (own.chance(0.02)) await doings.remove(message)
      if (own.chance(1 / options.losing)) loseAnswer(providers, ledger, own)
      const victim = dying[Math.floor((nth / options.messages) * (dying.length + 1)) - 1]
      if (victim !== undefined && victim.dead.now() === false) running.push(die(victim, providers, database, isOver))
    }
  }

  const running: Promise<void>[] = []
  await Promise.all([
    giveBlows(workers, fork(), isOver, options.quietMs),
    ...Array.from({ length: lanes }, () => write(fork())),
    ...ledger.people
      .filter((person) => person.role === 'restless')
      .map((person) => doings.beRestless(person, fork(), isOver, 2_000)),
  ])
  await Promise.all(running)
}

/** The next notice that a provider takes, it takes without a word. */
function loseAnswer(providers: Providers, ledger: Ledger, random: ReturnType<typeof createRandom>): void {
  const platform = random.pick(platforms)
  providers[platform].next('lost')
  ledger.lost.push({ platform, at: Date.now() })
}

/** A provider declares a token dead; it is looked when the device is forgotten. */
async function die(device: Device, providers: Providers, database: Database, isOver: () => boolean): Promise<void> {
  const now = Date.now()
  device.dead.set(true, now, now)
  providers[device.platform].kill(device.token)
  const isThere = async () => (await database.run('select from devices where token = $1', [device.token])).length > 0
  while (await isThere()) {
    if (isOver()) return
    await sleep(100)
  }
  device.forgottenBy = Date.now()
}

/** Tokens that died towards the end may have been found dead after all was said. */
async function seeWhoIsGone(ledger: Ledger, database: Database): Promise<void> {
  const there = new Set((await readDeviceIds(database, ledger)).values())
  for (const device of ledger.people.flatMap((person) => person.devices)) {
    if (device.dead.now() && !there.has(device)) device.forgottenBy ??= Date.now()
  }
}

/** Waits until the outbox and the queue are empty, for at most so long; gives what is left. */
export async function empty(database: Database, ms: number, signal: AbortSignal): Promise<Leftovers> {
  for (const since = performance.now(); ; ) {
    const left = await readLeftovers(database)
    if (howMany(left) === 0 || signal.aborted || performance.now() - since > ms) return left
    await sleep(200)
  }
}

/** How late this process, which all providers live in, came to its turn at the worst. */
function watchLag() {
  let [last, most] = [performance.now(), 0]
  const timer = setInterval(() => {
    most = Math.max(most, performance.now() - last - 100)
    last = performance.now()
  }, 100)
  return { most: () => Math.round(most), stop: () => clearInterval(timer) }
}
