import { once } from 'node:events'
import { Cluster, Redis, type RedisOptions } from 'ioredis'
import { redisError, seldom } from './redis-errors.ts'
import { type RedisAddress, redisAddresses } from './redis-url.ts'

/** A Redis that has not answered for so long is taken for gone, and its connection is dropped. Milliseconds. */
export const redisSilenceMs = 2_000

/** How long to wait before trying a Redis again that was away `attempt` times in a row. Milliseconds. */
export const redisRetryMs = (attempt: number) => Math.min(50 * 2 ** attempt, 1_000)

/** With these nothing ever waits for a Redis that is dead or frozen: what is asked of it fails, at once or in time. */
export const redisSettings = {
  enableOfflineQueue: false,
  // What was under way when a connection broke may have been done: sending it again would do it twice.
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  commandTimeout: redisSilenceMs,
  connectTimeout: redisSilenceMs,
  // Without it a frozen Redis would be written to for as long as memory lasts.
  socketTimeout: redisSilenceMs,
  retryStrategy: redisRetryMs,
} satisfies RedisOptions

export type RedisClient = Redis | Cluster

/** A way to Redis for commands; subscriptions are the bus's. */
export type RedisConnection = {
  /**
   * Which of the two it is may turn out only once Redis answers for the first time, so ask for it anew each time.
   *
   * A command fails within `redisSilenceMs` where Redis is away, and is never sent twice; whether it was done is then
   * open. On a cluster all keys of one command, pipeline, transaction or Lua script must have the same hash tag, as
   * `presence:{42}:sockets` and `presence:{42}:status` have; scripts name every key they touch in KEYS.
   */
  readonly client: RedisClient
  /** Whether commands are taken just now; on a cluster, whether by the cluster: some of its nodes may be away. */
  isUp(): boolean
  close(): void
}

/**
 * Connects to what `REDIS_URL` names, and finds out whether that is one Redis or a cluster. Resolves once commands are
 * taken, or after a few seconds where Redis is away: then it is reached for until it is back. `onError` hears why
 * meanwhile, of the same trouble but every ten seconds.
 */
export async function connectRedis(options: { url: string; onError: (error: Error) => void }): Promise<RedisConnection> {
  const onError = seldom(options.onError)
  const addresses = redisAddresses(options.url)
  const closed = new AbortController()
  const open = (isCluster: boolean) => (isCluster ? openCluster(addresses, onError) : openOne(addresses[0], onError))
  const find = () => askRedis(addresses, onError, (redis) => isCluster(redis, addresses))

  const found = await find()
  let client = open(found ?? addresses.length > 1)
  if (found === null) void learn()
  await becomesReady(client)

  /** The number of addresses was the first guess. Asks until somebody knows. */
  async function learn(): Promise<void> {
    let answer: boolean | null = null
    while (answer === null && !closed.signal.aborted) {
      await pause(redisRetryMs(Infinity), closed.signal)
      answer = await find()
    }
    if (answer === null || answer === client.isCluster || closed.signal.aborted) return
    client.disconnect()
    client = open(answer)
  }

  return {
    get client() {
      return client
    },
    isUp: () => client.status === 'ready',
    close() {
      closed.abort()
      client.disconnect()
    },
  }
}

/**
 * Puts a question to all of these at once, each on a connection of its own, and returns the first answer; null where
 * none came within a few seconds. `onError` hears why of each.
 */
export async function askRedis<Answer>(
  addresses: readonly RedisAddress[],
  onError: (error: Error) => void,
  question: (redis: Redis, address: RedisAddress) => Promise<Answer>,
): Promise<Answer | null> {
  const answers = addresses.map(async (address) => {
    const redis = new Redis({ ...address, ...redisSettings, retryStrategy: () => null, lazyConnect: true })
    let reason: Error | null = null
    redis.on('error', (error: Error) => (reason = error))
    try {
      await redis.connect()
      return await question(redis, address)
    } catch (error) {
      onError(redisError(address, reason ?? (error as Error)))
      throw error
    } finally {
      redis.disconnect()
    }
  })
  return Promise.any(answers).catch(() => null)
}

/** Whether this is a node of a cluster. Where the user may not ask, the number of addresses that were given decides. */
export async function isCluster(redis: Redis, addresses: readonly RedisAddress[]): Promise<boolean> {
  try {
    return (await redis.info('cluster')).includes('cluster_enabled:1')
  } catch (error) {
    if ((error as Error).message.startsWith('NOPERM')) return addresses.length > 1
    throw error
  }
}

function openOne(address: RedisAddress, onError: (error: Error) => void): Redis {
  return new Redis({ ...address, ...redisSettings }).on('error', (error: Error) => onError(redisError(address, error)))
}

/** How often the nodes of a cluster are asked who has what now. Milliseconds. */
const slotsIntervalMs = 3_000

function openCluster(addresses: readonly RedisAddress[], onError: (error: Error) => void): Cluster {
  const { username, password, tls } = addresses[0]!
  // A node that is lost is left, and comes back with the next look at who has which slots.
  const { retryStrategy: _, ...settings } = redisSettings
  const cluster = new Cluster(
    addresses.map(({ host, port }) => ({ host, port })),
    {
      redisOptions: {
        ...settings,
        ...(username === undefined ? {} : { username }),
        ...(password === undefined ? {} : { password }),
        ...(tls === undefined ? {} : { tls }),
      },
      enableOfflineQueue: false,
      // It would be refused by nodes that are still being connected to. A cluster that is down says so to each command.
      enableReadyCheck: false,
      clusterRetryStrategy: redisRetryMs,
      slotsRefreshInterval: slotsIntervalMs,
      slotsRefreshTimeout: redisSilenceMs,
      // A node that refuses a command has not done it, so another may be asked; one that broke off may have.
      maxRedirections: 5,
      retryDelayOnFailover: 0,
      retryDelayOnClusterDown: 0,
      // Names stay names: certificates are made out to them, and addresses behind them change.
      dnsLookup: (host, done) => done(null, host),
    },
  )
  cluster.on('error', onError)
  cluster.on('node error', (error: Error, node: string) => onError(redisError(node, error)))
  // Else a node is connected to by its first command, and refuses the others until then.
  cluster.on('+node', (node: Redis) => void node.connect().catch(() => {}))
  return cluster
}

/** Waits until the client takes commands, on a cluster on every master; `redisSilenceMs` at most. */
async function becomesReady(client: RedisClient): Promise<void> {
  const late = AbortSignal.timeout(redisSilenceMs)
  await isReady(client, late)
  if (client.isCluster) await Promise.all((client as Cluster).nodes('master').map((node) => isReady(node, late)))
}

async function isReady(client: RedisClient, late: AbortSignal): Promise<void> {
  if (client.status !== 'ready') await once(client, 'ready', { signal: late }).catch(() => {})
}

/** Waits so many milliseconds, or until the signal. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    timer.unref()
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve()
    }, { once: true })
  })
}
