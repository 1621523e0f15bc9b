import { connectRedis } from '../lib/redis.ts'
import { noRules, type Rules } from '../rate-limits/kinds.ts'
import { createMemoryLimits } from '../rate-limits/memory-limits.ts'
import type { RateLimits } from '../rate-limits/rate-limits.ts'
import { createRedisLimits } from '../rate-limits/redis-limits.ts'
import { startRedis } from '../testing/redis.ts'
import { type BenchServer, startBenchServer } from './bench-server.ts'
import { startStore } from './live/maru.ts'
import { cpuSeconds } from './live/processes.ts'
import { inTurns, median, rateOf, report } from './measure.ts'
import type { BenchOptions } from './options.ts'

const senders = 32
const seconds = 3
const rounds = 5
const content = 'The quick brown fox jumps over the lazy dog. 다람쥐 헌 쳇바퀴에 타고파.'

const signUp = 'mutation ($input: SignUpInput!) { signUp(input: $input) { accessToken } }'
const create = 'mutation ($input: CreateChannelInput!) { createChannel(input: $input) { channel { id } } }'
const send = 'mutation ($input: SendMessageInput!) { sendMessage(input: $input) { message { id seq } } }'

/** Points enough that nobody is refused, and each is counted all the same. */
const plenty = { RATE_LIMITS: 'on', RATE_LIMIT_SEND: '1000000/1', RATE_LIMIT_SIGN_UP: 'off', RATE_LIMIT_CREATE: 'off' }
const rules: Rules = { ...noRules, SEND: { capacity: 1_000_000, fillMs: 1_000 } }

/** Sends with limits and without, in the process and on Redis; and what counting one takes by itself. */
export async function benchRateLimits({ short }: BenchOptions): Promise<void> {
  const redis = await startRedis()
  // Neither of the two servers that are waited for in the end keeps this process alive.
  const alive = setInterval(() => {}, 60_000)
  try {
    await benchTakes(redis.url, short)
    await benchSends(redis.url, short)
  } finally {
    await redis.stop()
    clearInterval(alive)
  }
}

async function benchSends(redisUrl: string, short: boolean): Promise<void> {
  const store = await startStore()
  const servers: BenchServer[] = []
  /** Starts a server on a database of its own, and gives what measures it. */
  const start = async (env: Record<string, string>) => {
    const server = await startBenchServer({ databaseUrl: await store.makeDatabase(), env })
    servers.push(server)
    const people: { token: string; channelId: string }[] = []
    for (let nth = 0; nth < senders; nth++) people.push(await makeSender(server, nth))
    return async () => {
      const before = cpuSeconds([server.pid])
      const started = performance.now()
      const rate = await rateOf(people, short ? 1 : seconds, ({ token, channelId }) =>
        server.run(send, { input: { channelId, content } }, token),
      )
      const sends = (rate * (performance.now() - started)) / 1_000
      return { rate, cpu: ((cpuSeconds([server.pid]) - before) * 1e6) / sends }
    }
  }
  try {
    const sides = {
      'without limits': await start({}),
      'limits in the process': await start(plenty),
      'without limits, with Redis': await start({ REDIS_URL: redisUrl }),
      'limits on Redis': await start({ REDIS_URL: redisUrl, ...plenty }),
    }
    const cpu = new Map<string, number[]>(Object.keys(sides).map((name) => [name, []]))
    /** Measures both at once, and gives the one that the turns are about. */
    const rates = Object.entries(sides).map(([name, measure]) => {
      const rate = async () => {
        const figures = await measure()
        cpu.get(name)!.push(figures.cpu)
        return figures.rate
      }
      return [name, rate] as const
    })
    const figures = await inTurns(short ? 1 : rounds, Object.fromEntries(rates))
    const perSend = Object.fromEntries([...cpu].map(([name, all]) => [name, median(all)]))
    const base: string = 'without limits'
    report(`Durable messages a second, ${senders} senders and channels`, 'messages/s', figures, base)
    report('Processor time of the server for each', 'µs', perSend, base)
  } finally {
    for (const server of servers) await server.stop()
    await store.stop()
  }
}

async function makeSender(server: BenchServer, nth: number): Promise<{ token: string; channelId: string }> {
  const account = { username: `sender${nth}`, password: 'a long password' }
  const { signUp: made } = await server.run<{ signUp: { accessToken: string } }>(signUp, { input: account })
  const token = made.accessToken
  const input = { kind: 'GROUP', name: 'bench' }
  const { createChannel } = await server.run<{ createChannel: { channel: { id: string } } }>(create, { input }, token)
  return { token, channelId: createChannel.channel.id }
}

/** How many points are counted in a second, by one process that asks 32 times at once. */
async function benchTakes(redisUrl: string, short: boolean): Promise<void> {
  const connection = await connectRedis({ url: redisUrl, onError: () => {} })
  const memory = createMemoryLimits(rules)
  const shared = createRedisLimits({ redis: connection, deployment: 'bench', rules })
  const subjects = Array.from({ length: senders }, (_, nth) => `u:${nth}`)
  const of = (limits: RateLimits) => () =>
    rateOf(subjects, short ? 0.5 : 2, (subject) => limits.take([{ kind: 'SEND', subject, points: 1 }]))
  const figures = await inTurns(short ? 1 : rounds, {
    'PING, for comparison': () => rateOf(subjects, short ? 0.5 : 2, () => connection.client.ping()),
    'points taken on Redis': of(shared),
    'points taken in the process': of(memory),
  })
  report('Counted a second by one process', 'takes/s', figures, 'PING, for comparison')
  shared.close()
  connection.close()
}
