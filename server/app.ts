import { type Database, openDatabase } from '../drizzle/connection.ts'
import { migrate } from '../drizzle/migrate.ts'
import { checkRequirements, lockShortage } from '../drizzle/requirements.ts'
import type { Config } from './config.ts'
import { unavailable } from './errors.ts'
import type { EventBus } from './event-bus/event-bus.ts'
import { createMemoryBus } from './event-bus/memory-bus.ts'
import { createRedisBus } from './event-bus/redis-bus.ts'
import { accountSource } from './fanout/account-source.ts'
import { createAnnouncer } from './fanout/announcer.ts'
import { createAudiences } from './fanout/live/audience.ts'
import { channelSource } from './fanout/channel-source.ts'
import { createFeeds } from './fanout/feed.ts'
import { createGathering } from './fanout/live/gathering.ts'
import { createPresenceHub } from './fanout/streams/presence.ts'
import { createReturning } from './fanout/returning/returning.ts'
import { createSignalHub } from './fanout/streams/signals.ts'
import type { StreamDeps } from './fanout/streams/stream-deps.ts'
import { nextFrames } from './http/frames.ts'
import { createAccessTokens, createExternalTokens } from './lib/access-tokens.ts'
import { startEmbeddedPostgres } from './lib/embedded-postgres.ts'
import { connectRedis } from './lib/redis.ts'
import { loadSecrets } from './lib/secrets.ts'
import { createMessageStore, type MessageStore } from './message-store/message-store.ts'
import { ensureBuckets } from './message-store/partitions.ts'
import { createSnowflakes } from './message-store/snowflake.ts'
import { leaseWorker } from './message-store/worker-lease.ts'
import type { Log } from './observability/log.ts'
import type { Metrics } from './observability/metrics.ts'
import { measureBus } from './observability/bus.ts'
import { measureStatements } from './observability/statements.ts'
import { createMemoryRegistry } from './presence/memory-registry.ts'
import { redisRegistry } from './presence/redis-registry.ts'
import { createServices, type Services } from './services.ts'
import { explainStoreFailure } from './start-error.ts'

/** What every process stands on: the store, and what starts and stops with it. */
export type Store = {
  database: Database
  /** A read replica of it; null where there is none. */
  replica: Database | null
  /** The same for work that nobody waits for: few connections, on which a statement may take an hour. */
  maintenance: Database
  secrets: { jwtSecret: string }
  close(): Promise<void>
}

/** Everything behind the transports. */
export type App = {
  database: Database
  messages: MessageStore
  bus: EventBus
  services: Services
  streams: StreamDeps
  ready(): Promise<{ ok: boolean; checks: Record<string, string> }>
  close(): Promise<void>
}

type Surroundings = { config: Config; log: Log; metrics: Metrics }

/**
 * Opens the database that the configuration names, the embedded one where it names none, and brings it up to date.
 * `onLost` is called when the embedded one dies. Throws a StartError where its operator can do something about it.
 */
export async function openStore({ config, log, metrics }: Surroundings, onLost: (reason: string) => void): Promise<Store> {
  const embedded =
    config.database.url === null
      ? await startEmbeddedPostgres({ dataDir: config.dataDir, log: (line) => log.info(line) }).catch(rethrow)
      : null
  embedded?.onExit(onLost)
  const url = embedded?.url ?? config.database.url!
  const database = openDatabase({
    url,
    poolSize: config.database.poolSize,
    unavailable,
    around: measureStatements(metrics),
  })
  const replica = config.database.replicaUrl === null ? null : openReplica(config.database.replicaUrl, { config, metrics })
  const maintenance = openDatabase({
    url,
    poolSize: maintenancePoolSize,
    deadlineMs: maintenanceDeadlineMs,
    unavailable,
    around: measureStatements(metrics),
  })
  const close = async () => {
    await maintenance.close()
    await replica?.close()
    await database.close()
    await embedded?.stop()
  }
  try {
    const secrets = await loadSecrets(config.dataDir, { jwtSecret: config.auth.jwtSecret })
    const ran = await migrateAt(url)
    await ensureBuckets(database)
    if (ran.length > 0) log.info({ migrations: ran.length }, 'database migrated')
    const shortage = await lockShortage(database, config.database.poolSize)
    if (shortage !== null) log.warn(shortage)
    return { database, replica, maintenance, secrets, close }
  } catch (error) {
    await close()
    return rethrow(error)
  }
}

/** Opened when they are needed: for what is done every second, for what takes long, and for the lock on that. */
const maintenancePoolSize = 3

/** To write a month of messages anew may take its time. */
const maintenanceDeadlineMs = 3_600_000

/** A page that the replica does not give in this time is read on the primary. Milliseconds. */
const replicaDeadlineMs = 1_000

const openReplica = (url: string, { config, metrics }: Pick<Surroundings, 'config' | 'metrics'>) =>
  openDatabase({
    url,
    poolSize: config.database.poolSize,
    deadlineMs: replicaDeadlineMs,
    unavailable,
    around: measureStatements(metrics),
  })

function rethrow(error: unknown): never {
  throw explainStoreFailure(error)
}

/** A migration of a large store may take its time, and whoever starts meanwhile waits for it. */
const migrationDeadlineMs = 3_600_000

async function migrateAt(url: string): Promise<string[]> {
  const database = openDatabase({ url, poolSize: 1, deadlineMs: migrationDeadlineMs, unavailable })
  try {
    await checkRequirements(database)
    return await migrate(database)
  } finally {
    await database.close()
  }
}

/** What sets this deployment apart from others on the same Redis: the database and the schema that it lives in. */
async function deploymentOf(database: Database): Promise<string> {
  const [row] = await database.run<{ name: string }>(
    `select concat_ws('.', current_database(), current_schema(),
       (select min(extract(epoch from applied_at)::bigint) from maru_migrations)) as name`,
    [],
  )
  return row!.name
}

/** The one place that chooses engines. */
export async function createApp(
  { config, log, metrics }: Surroundings,
  store: Omit<Store, 'maintenance'>,
): Promise<App> {
  const { database } = store
  const onError = (error: unknown) => log.warn({ err: error }, 'will be tried again')
  const lease = await leaseWorker(database, onError)
  const deployment = await deploymentOf(database)
  const redis = config.redisUrl === null ? null : await connectRedis({ url: config.redisUrl, onError })
  const bus = measureBus(
    config.redisUrl === null
      ? createMemoryBus()
      : createRedisBus({ url: config.redisUrl, deployment, onError, onLost: () => metrics.busPublishErrors.inc() }),
    metrics,
  )
  const announce = createAnnouncer(bus, (channelId, changes) => channelFeeds.tell(channelId, changes))
  const snowflakes = createSnowflakes(lease.worker)
  const messageStore = createMessageStore({
    database,
    replica: store.replica,
    snowflakes,
    announce: (changes) => {
      metrics.messagesSent.inc(changes.filter((change) => change.type === 'message' && change.kind === 'CREATED').length)
      announce.channel(changes)
    },
    onBatch: (size) => metrics.sendBatchSize.observe(size),
    onReplicaRead: (outcome) => metrics.replicaReads.inc({ outcome }),
  })
  const { provider } = config.auth
  const tokens =
    provider === null
      ? createAccessTokens({ secret: store.secrets.jwtSecret, minutes: config.auth.accessTokenMinutes })
      : createExternalTokens({ ...provider, audience: config.auth.providerAudience })
  const services = createServices(
    { database, store: messageStore, snowflakes, announce, limits: { groupMembers: config.limits.groupMaxMembers } },
    { tokens, refreshDays: config.auth.refreshTokenDays, external: provider !== null },
    redis === null ? createMemoryRegistry : redisRegistry({ redis, deployment, onError }),
  )

  const watched = {
    bus,
    onError,
    onMissed: () => metrics.catchUpReads.inc(),
    onCompared(milliseconds: number, behind: number) {
      metrics.headsPollSeconds.observe(milliseconds / 1_000)
      metrics.headsBehind.inc(behind)
    },
  }
  const channels = channelSource(messageStore)
  const accounts = accountSource(database)
  const { poolSize } = config.database
  const returning = createReturning({
    database,
    store: messageStore,
    channels,
    accounts,
    poolSize,
    onAdmitted: (milliseconds) => metrics.admissionSeconds.observe(milliseconds / 1_000),
  })
  const channelFeeds = createFeeds({ source: channels, openingHeads: returning.channels.heads, ...watched })
  const accountFeeds = createFeeds({ source: accounts, openingHeads: returning.accounts.heads, ...watched })
  const gathering = createGathering((error) => log.error({ err: error }, 'a round of sending failed'))
  const streams: StreamDeps = {
    database,
    bus,
    channels: { source: channels, feeds: channelFeeds, ...returning.channels },
    accounts: { source: accounts, feeds: accountFeeds, ...returning.accounts },
    admission: returning.admission,
    standings: returning.standings,
    gathering,
    signals: createSignalHub({ bus, standings: returning.standings, feeds: channelFeeds, onError }),
    presence: createPresenceHub({ bus, look: services.presence.look, visible: services.presence.visible, onError }),
    audiences: createAudiences({
      feeds: channelFeeds,
      gathering,
      frames: nextFrames,
      onError,
      onDelivered: (deliveries) => metrics.eventsDelivered.inc(deliveries),
    }),
  }
  metrics.watch({
    streamsWatched: () => streams.channels.feeds.size() + streams.accounts.feeds.size(),
    streamsReading: () => streams.audiences.reading,
    audiences: () => streams.audiences.size(),
    headLag: () => Math.max(streams.channels.feeds.lag(), streams.accounts.feeds.lag()) / 1_000,
    busUp: () => (bus.isUp() ? 1 : 0),
    busShards: () => bus.state().shards,
    busShardsUp: () => bus.state().shardsUp,
    admissionWaiting: returning.admission.waiting,
    admissionRunning: returning.admission.running,
  })

  return {
    database,
    messages: messageStore,
    bus,
    services,
    streams,

    async ready() {
      const up = await database.run('select 1', []).then(
        () => true,
        () => false,
      )
      // Without the bus streams lag by a second and nothing fails: the replica stays in service, and says so.
      const leased = lease.isHeld()
      return {
        ok: up && leased,
        checks: { database: up ? 'up' : 'down', bus: bus.isUp() ? 'up' : 'down', lease: leased ? 'held' : 'lost' },
      }
    },

    async close() {
      await messageStore.drain()
      streams.channels.feeds.close()
      streams.accounts.feeds.close()
      returning.close()
      streams.presence.close()
      await services.presence.close()
      redis?.close()
      await bus.close()
      await lease.release().catch(onError)
    },
  }
}
