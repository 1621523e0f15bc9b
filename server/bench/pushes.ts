import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { PgBoss } from 'pg-boss'
import {
  CreateChannelDocument,
  createMaruClient,
  type MaruClient,
  SendMessageDocument,
  SignUpDocument,
} from '../../client-sdk/index.ts'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { type Platform, type Providers, startProviders, type TestDevice } from '../../workers/push/testing/providers.ts'
import { unavailable } from '../errors.ts'
import { createOutbound } from '../lib/outbound.ts'
import { createPushSender, type PushNotice } from '../push/push-sender.ts'
import { startApnsServer } from '../push/testing/apns-server.ts'
import { startFcmServer } from '../push/testing/fcm-server.ts'
import { startPushService } from '../push/testing/push-service.ts'
import { startWebhookServer } from '../push/testing/webhook-server.ts'
import { startRedis } from '../testing/redis.ts'
import { node, type ServerProcess, serverScript, startProcess } from '../testing/server-process.ts'
import type { Person } from '../testing/test-app.ts'
import { startStore } from './live/maru.ts'
import { inTurns, report, reportTimes } from './measure.ts'
import type { BenchOptions } from './options.ts'

type Plan = { messages: number; jobs: number; burst: number; rounds: number }
const long: Plan = { messages: 100, jobs: 3_000, burst: 60, rounds: 3 }
const short: Plan = { messages: 30, jobs: 1_000, burst: 25, rounds: 1 }

/** How many are in the groups whose messages are counted; one of them writes. */
const members = 20

const platforms: readonly Platform[] = ['APNS', 'FCM', 'WEB_PUSH', 'WEBHOOK']

/** As many jobs as one worker process runs at once (`jobPolicies.push`). */
const atOnce = 16

/** Longer than anything takes here. Milliseconds. */
const patienceMs = 300_000

/** Server and workers on a database of their own, and people with devices in one group. */
type Deployment = {
  database: Database
  databaseUrl: string
  providers: Providers
  /** Everybody's one device but the author's. */
  devices: TestDevice[]
  send(): Promise<void>
  stop(): Promise<void>
}

/**
 * From the acknowledgement of a message to the provider's log, while nothing else happens; jobs a second out of a
 * backlog; and pushes a second, from the first message of a burst to the last of the providers' logs.
 */
export async function benchPushes(options: BenchOptions): Promise<void> {
  const plan = options.short ? short : long
  const store = await startStore()
  const redis = await startRedis()
  const folder = await mkdtemp(join(tmpdir(), 'maru-bench-pushes-'))
  const start = async (workers: 'in the process' | number, people: number, isHeard = true) =>
    startDeployment({
      databaseUrl: await store.makeDatabase(),
      folder,
      redisUrl: isHeard && workers !== 'in the process' ? redis.url : null,
      workers,
      people,
    })
  try {
    await benchDelay(plan, start)
    await benchJobs(plan, start)
    await benchBursts(plan, start)
  } finally {
    await Promise.all([redis.stop(), store.stop()])
    await rm(folder, { recursive: true, force: true })
  }
}

type Start = (workers: 'in the process' | number, people: number, isHeard?: boolean) => Promise<Deployment>

async function benchDelay({ messages }: Plan, start: Start): Promise<void> {
  const deployments: Record<string, Deployment> = {
    'one process': await start('in the process', 2),
    'a worker of its own, Redis between them': await start(1, 2),
    'a worker of its own, without Redis': await start(1, 2, false),
  }
  const times: Record<string, number[]> = Object.fromEntries(Object.keys(deployments).map((name) => [name, []]))
  for (let nth = -5; nth < messages; nth++) {
    for (const [name, deployment] of Object.entries(deployments)) {
      const log = deployment.providers[deployment.devices[0]!.platform].log
      const before = log.length
      await deployment.send()
      const acknowledged = Date.now()
      await until(async () => log.length > before, 1)
      // The first ones open connections and make plans. One may be told before its sender hears of it.
      if (nth >= 0) times[name]!.push(Math.max(0, log[before]!.at - acknowledged))
      // What looks by itself every second must not be met always at the same moment.
      await sleep(50 + Math.random() * 300)
    }
  }
  for (const deployment of Object.values(deployments)) await deployment.stop()
  reportTimes('Milliseconds from the acknowledgement to the provider’s log, one message at a time', times, (name) =>
    name === 'one process' ? null : 'one process',
  )
}

async function benchJobs({ jobs, rounds }: Plan, start: Start): Promise<void> {
  const [one, two] = [await start(1, 2), await start(2, 2)]
  const bare = await startBoss(one.databaseUrl)
  let channel = 1
  /** Messages of channels that are not there any more: what is left is relay and queue. */
  const work = (deployment: Deployment) => async () => {
    const first = channel
    channel += jobs
    const started = performance.now()
    await deployment.database.run(
      'insert into outbox (channel_id, first_seq, last_seq) select id, 1, 1 from generate_series($1::int, $2::int) id',
      [first, channel - 1],
    )
    await until(async () => (await leftOf(deployment.database)) === 0, 20)
    return jobs / ((performance.now() - started) / 1_000)
  }
  const base = `pg-boss alone, ${atOnce} at a time`
  const figures = await inTurns(rounds, {
    [base]: () => bare.run(jobs),
    'outbox and queue, one worker': work(one),
    'outbox and queue, two workers': work(two),
  })
  await bare.stop()
  await one.stop()
  await two.stop()
  report(`Jobs a second, out of a backlog of ${jobs.toLocaleString('en')}`, 'jobs/s', figures, base)
}

async function benchBursts({ burst, rounds }: Plan, start: Start): Promise<void> {
  const sides = {
    'one process': await start('in the process', members),
    'one worker': await start(1, members),
    'two workers': await start(2, members),
  }
  const expected = burst * (members - 1)
  const tell = (deployment: Deployment) => async () => {
    const taken = () => deployment.providers.all.reduce((sum, { log }) => sum + log.length, 0)
    const before = taken()
    const started = performance.now()
    for (let nth = 0; nth < burst; nth++) await deployment.send()
    await until(async () => taken() - before >= expected, 10)
    return expected / ((performance.now() - started) / 1_000)
  }
  const base = 'the sender alone, 200 at a time'
  const alone = await startSender()
  const figures = await inTurns(rounds, {
    [base]: () => alone.run(expected),
    ...Object.fromEntries(Object.entries(sides).map(([name, deployment]) => [name, tell(deployment)])),
  })
  await alone.stop()
  for (const deployment of Object.values(sides)) await deployment.stop()
  const title = `Pushes a second, ${burst} messages to a group of ${members}, a quarter to each platform`
  report(title, 'pushes/s', figures, base)
}

async function until(isSo: () => Promise<boolean>, everyMs: number): Promise<void> {
  for (const since = performance.now(); !(await isSo()); ) {
    if (performance.now() - since > patienceMs) throw new Error('It does not come about.')
    await sleep(everyMs)
  }
}

async function leftOf(database: Database): Promise<number> {
  const [row] = await database.run<{ count: number }>(
    `select (select count(*) from outbox)::int
          + (select count(*) from maru_jobs.job where name = 'push' and state < 'completed')::int as count`,
    [],
  )
  return row!.count
}

async function startDeployment(options: {
  databaseUrl: string
  folder: string
  redisUrl: string | null
  workers: 'in the process' | number
  people: number
}): Promise<Deployment> {
  const { databaseUrl, workers, people } = options
  const providers = await startProviders()
  const env = {
    ...providers.env,
    ...providers.processEnv,
    DATABASE_URL: databaseUrl,
    DATA_DIR: options.folder,
    JWT_SECRET: 'the same for all processes of a run, and long enough',
    PUSH_PER_MINUTE: '1000',
    ...(options.redisUrl === null ? {} : { REDIS_URL: options.redisUrl }),
  }
  const isOne = workers === 'in the process'
  const server = startProcess(node, isOne ? [serverScript] : [serverScript, '--without-workers'], env)
  const processes: ServerProcess[] = [server]
  const { url } = await server.ready
  for (let nth = 0; nth < (isOne ? 0 : workers); nth++) processes.push(startProcess(node, ['workers/main.ts'], env))
  for (const each of processes) await each.ready

  const cast: Person[] = []
  for (let nth = 0; nth < people; nth++) {
    const input = { username: `person${nth}`, password: 'a long password' }
    const { signUp: tokens } = await createMaruClient({ url: url! }).request(SignUpDocument, { input })
    const token = tokens.accessToken
    const client = createMaruClient({ url: url!, token: () => token })
    cast.push({ id: tokens.viewer.id, username: input.username, token, client, tokens })
  }
  const [author, ...others] = cast as [Person, ...Person[]]
  const devices: TestDevice[] = []
  for (const [nth, person] of others.entries()) {
    devices.push(await providers.register(person, platforms[nth % platforms.length]!))
  }
  const input = { kind: 'GROUP' as const, name: 'bench', memberIds: others.map((person) => person.id) }
  const { createChannel } = await author.client.request(CreateChannelDocument, { input })
  const database = openDatabase({ url: databaseUrl, poolSize: 2, deadlineMs: patienceMs, unavailable })
  return {
    database,
    databaseUrl,
    providers,
    devices,
    send: () => say(author.client, createChannel.channel.id),
    async stop() {
      for (const { client } of cast) client.close()
      for (const each of processes.toReversed()) await each.end()
      await database.close()
      await providers.stop()
    },
  }
}

async function say(client: MaruClient, channelId: string): Promise<void> {
  await client.request(SendMessageDocument, { input: { channelId, content: 'The floor is yours. 마루에 앉아요.' } })
}

/** pg-boss and nothing else: jobs that are there are fetched and completed, one by one. */
async function startBoss(databaseUrl: string) {
  const options = { schema: 'bare', max: atOnce, supervise: false, schedule: false }
  const boss = new PgBoss({ connectionString: databaseUrl, ...options })
  await boss.start()
  await boss.createQueue('empty')
  return {
    async run(jobs: number): Promise<number> {
      await boss.insert('empty', Array.from({ length: jobs }, (_, nth) => ({ data: { nth } })))
      const started = performance.now()
      await Promise.all(Array.from({ length: atOnce }, fetchAll))
      return jobs / ((performance.now() - started) / 1_000)
    },
    stop: () => boss.stop({ graceful: false }),
  }

  async function fetchAll(): Promise<void> {
    for (;;) {
      const [job] = await boss.fetch('empty')
      if (job === undefined) return
      await boss.complete('empty', job.id)
    }
  }
}

/** What the pipeline ends in, without anything before it. */
async function startSender() {
  const [apns, fcm, browsers, webhook] = await Promise.all([
    startApnsServer(),
    startFcmServer(),
    startPushService(),
    startWebhookServer(),
  ])
  const outbound = createOutbound({ userAgent: 'Maru', allowed: [browsers.host], ca: browsers.ca! })
  const sender = createPushSender({
    apns: apns.options,
    fcm: fcm.options,
    webPush: browsers.options,
    webhook: webhook.options,
    outbound,
  })
  const tokens: Record<Platform, string> = {
    APNS: randomBytes(32).toString('hex'),
    FCM: `fcm-${randomBytes(16).toString('hex')}`,
    WEB_PUSH: browsers.subscribe(),
    WEBHOOK: 'webhook',
  }
  const targets = platforms.map((platform) => ({ platform, token: tokens[platform], appId: null, sandbox: false }))
  const notice = (nth: number): PushNotice => ({
    kind: 'show',
    collapseId: `message ${nth}`,
    title: 'bench',
    body: 'The floor is yours. 마루에 앉아요.',
    badge: nth,
    threadId: 'bench',
    data: { messageId: String(nth) },
    isUrgent: false,
    expiresAt: new Date(Date.now() + patienceMs),
  })
  return {
    async run(count: number): Promise<number> {
      const started = performance.now()
      let nth = 0
      await Promise.all(
        Array.from({ length: 200 }, async () => {
          while (nth < count) {
            const own = nth++
            await sender.send(targets[own % targets.length]!, notice(own))
          }
        }),
      )
      return count / ((performance.now() - started) / 1_000)
    },
    async stop() {
      await sender.close()
      await outbound.close()
      await Promise.all([apns, fcm, browsers, webhook].map((provider) => provider.stop()))
    },
  }
}
