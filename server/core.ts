import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Database } from '../drizzle/connection.ts'
import type { Config } from './config.ts'
import { deploymentOf } from './deployment.ts'
import { openContentFilter, openWordList } from './content-filter/open-filter.ts'
import type { Announcer } from './domain/announcer.ts'
import type { Finding } from './domain/deps.ts'
import type { EventBus } from './event-bus/event-bus.ts'
import { createMemoryBus } from './event-bus/memory-bus.ts'
import { createRedisBus } from './event-bus/redis-bus.ts'
import { createAnnouncer } from './fanout/announcer.ts'
import { createDiskFiles, type DiskFiles } from './files/disk-files.ts'
import type { Files } from './files/files.ts'
import { createS3Files } from './files/s3-files.ts'
import { addressSecret } from './files/signed-address.ts'
import { createJobNews, type JobNews } from './jobs/job-news.ts'
import { createJobQueue, type JobQueue } from './jobs/job-queue.ts'
import { createAccessTokens, createExternalTokens } from './lib/access-tokens.ts'
import { createBlockedParts } from './lib/hangul-keys.ts'
import { connectRedis } from './lib/redis.ts'
import { deriveVapidKeys, type VapidKeys } from './lib/vapid-keys.ts'
import type { Change } from './message-store/changes.ts'
import { createMessageStore, type MessageStore } from './message-store/message-store.ts'
import { createSnowflakes, type SnowflakeSource } from './message-store/snowflake.ts'
import { leaseWorker, type WorkerLease } from './message-store/worker-lease.ts'
import { measureBus } from './observability/bus.ts'
import type { Log } from './observability/log.ts'
import type { Metrics } from './observability/metrics.ts'
import { createMemoryRegistry } from './presence/memory-registry.ts'
import { redisRegistry } from './presence/redis-registry.ts'
import { createMemoryReplicas } from './replicas/memory-registry.ts'
import { redisReplicas } from './replicas/redis-registry.ts'
import type { ReplicaRegistry } from './replicas/registry.ts'
import { version } from './replicas/version.ts'
import { createMemoryLimits } from './rate-limits/memory-limits.ts'
import type { RateLimits, Watcher } from './rate-limits/rate-limits.ts'
import { createRedisLimits } from './rate-limits/redis-limits.ts'
import { createServices, type Services } from './services.ts'
import type { Store } from './store.ts'

/** What replicas and workers have in common: whatever can be done, without those who listen. */
export type Core = {
  database: Database
  messages: MessageStore
  bus: EventBus
  announce: Announcer
  snowflakes: SnowflakeSource
  services: Services
  jobs: JobQueue
  jobNews: JobNews
  lease: WorkerLease
  rateLimits: RateLimits
  /** Which replicas there are; this process is one once it has joined. */
  replicas: ReplicaRegistry
  files: Files
  finding: Finding
  /** The same where this process serves them itself. */
  diskFiles: DiskFiles | undefined
  vapid: VapidKeys
  /** What signs access tokens, and what the keys of other things are derived from. */
  secret: string
  /** Where people reach this deployment, without a slash at its end. */
  publicUrl(): string
  /** Says which port was taken, where any would do. */
  listening(port: number): void
  close(): Promise<void>
}

export type CoreOptions = {
  config: Config
  log: Log
  metrics: Metrics
  /** Told at once of what this process has changed in a channel, before the bus comes round. */
  onChanges?: (channelId: string, changes: readonly Change[]) => void
}

/** The one place that chooses engines. */
export async function createCore(
  { config, log, metrics, onChanges }: CoreOptions,
  store: Omit<Store, 'maintenance' | 'close'>,
): Promise<Core> {
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
  const watcher = watchLimits(metrics, log)
  const { rules } = config.rateLimits
  const rateLimits =
    redis === null ? createMemoryLimits(rules, watcher) : createRedisLimits({ redis, deployment, rules, ...watcher })
  metrics.watch({ rateLimitsAway: rateLimits.away })
  const jobNews = createJobNews(bus)
  const announce = createAnnouncer(bus, (channelId, changes) => {
    onChanges?.(channelId, changes)
    // Each reaction, too, has left something there.
    if (changes.some((change) => change.type === 'message' && change.kind === 'REACTIONS_CHANGED')) jobNews.tell(['outbox'])
  })
  const snowflakes = createSnowflakes(lease.worker)
  const jobs = createJobQueue({
    database: store.jobs,
    onAdded: jobNews.tell,
    onDone: (kind, outcome, seconds) => metrics.jobSeconds.observe({ kind, outcome }, seconds),
    onError,
  })
  const messages = createMessageStore({
    database,
    replica: store.replica,
    snowflakes,
    announce: (changes) => {
      metrics.messagesSent.inc(changes.filter((change) => change.type === 'message' && change.kind === 'CREATED').length)
      announce.channel(changes)
      jobNews.tell(['outbox'])
    },
    onBatch: (size) => metrics.sendBatchSize.observe(size),
    onReplicaRead: (outcome) => metrics.replicaReads.inc({ outcome }),
  })
  const { provider } = config.auth
  const tokens =
    provider === null
      ? createAccessTokens({ secret: store.secrets.jwtSecret, minutes: config.auth.accessTokenMinutes })
      : createExternalTokens({ ...provider, audience: config.auth.providerAudience })
  let { port } = config.http
  const publicUrl = () => config.http.publicUrl ?? `http://localhost:${port}`
  const diskFiles = config.s3 === null ? openDiskFiles(config.dataDir, publicUrl, store.secrets.jwtSecret) : undefined
  const files = diskFiles ?? createS3Files(config.s3!)
  const isBlockedWord = openWordList(config.contentFilter)
  const filter = openContentFilter(config.contentFilter, isBlockedWord, onError)
  const vapid = config.push.vapid ?? deriveVapidKeys(store.secrets.jwtSecret)
  const openReplicas = redis === null ? createMemoryReplicas : redisReplicas({ redis, bus, deployment, onError })
  const replicas = openReplicas({ url: config.http.replicaUrl, version })
  if (publicUrl().startsWith('https:') && config.http.replicaUrl?.startsWith('http:')) {
    log.warn('REPLICA_URL is http:// and PUBLIC_URL https://: browsers will not open such sockets from its pages')
  }
  const { blockedWordsFile } = config.contentFilter
  const finding: Finding = {
    sampleShare: config.searchSampleShare,
    // Read a moment ago, for messages.
    isBlockedTerm: blockedWordsFile === null ? () => false : createBlockedParts(readFileSync(blockedWordsFile, 'utf8')),
  }
  const services = createServices(
    {
      database,
      store: messages,
      snowflakes,
      announce,
      jobs,
      files,
      pauses: rateLimits.pauses,
      limits: {
        groupMembers: config.limits.groupMaxMembers,
        uploadBytes: config.uploads.maxBytes,
        uploadTypes: config.uploads.types,
      },
      filter,
      finding,
    },
    { tokens, refreshDays: config.auth.refreshTokenDays, external: provider !== null },
    redis === null ? createMemoryRegistry : redisRegistry({ redis, deployment, onError }),
    {
      webPushKey: vapid.publicKey,
      askForVerification:
        config.mail === null
          ? null
          : (tx, userId) => jobs.add(tx, [{ kind: 'email-verification', data: { userId } }]),
      publicUrl,
      socketsPerUser: config.http.maxSocketsPerUser,
    },
    replicas,
  )

  return {
    database,
    messages,
    bus,
    announce,
    snowflakes,
    services,
    jobs,
    jobNews,
    lease,
    rateLimits,
    replicas,
    files,
    finding,
    diskFiles,
    vapid,
    secret: store.secrets.jwtSecret,
    publicUrl,
    listening(taken) {
      port = taken
    },
    async close() {
      await services.searchSamples.flush()
      await services.presence.close()
      await replicas.close()
      await jobs.close()
      jobNews.close()
      await files.close()
      await filter?.close()
      rateLimits.close()
      redis?.close()
      await bus.close()
      await lease.release().catch(onError)
    },
  }
}

/** Counts what is taken and refused, and says once when this process goes by its own buckets, and once when it is over. */
const watchLimits = (metrics: Metrics, log: Log): Watcher => ({
  onTake: (kind, outcome, points) => metrics.rateLimits.inc({ kind, outcome }, points),
  onError: () => metrics.rateLimitErrors.inc(),
  onAway(isAway, reason) {
    if (isAway) log.warn({ err: reason }, 'rate limits are counted in this process alone, as Redis does not answer in time')
    else log.info('rate limits are shared with other replicas again')
  },
})

/** Files beside the database, which the server hands out itself. */
const openDiskFiles = (dataDir: string, baseUrl: () => string, jwtSecret: string): DiskFiles =>
  createDiskFiles({
    folder: join(dataDir, 'files'),
    baseUrl,
    secret: addressSecret(jwtSecret),
  })
