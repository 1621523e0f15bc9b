import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { afterEach, describe, expect, test } from 'vitest'
import { connectRedis, type RedisConnection } from '../lib/redis.ts'
import { type RedisServer, startRedis } from '../testing/redis.ts'
import { type RedisCluster, startRedisCluster } from '../testing/redis-cluster.ts'
import { type Kind, noRules, type Rules, rulesWhileAway } from './kinds.ts'
import { newSubject } from './rate-limits.conformance.ts'
import { answerMs, type Charge, type RateLimits } from './rate-limits.ts'
import { createRedisLimits } from './redis-limits.ts'

/** Twenty a second, sixty at once; and five accounts in ten seconds. */
const rules: Rules = {
  ...noRules,
  SEND: { capacity: 60, fillMs: 3_000 },
  SIGN_UP: { capacity: 8, fillMs: 16_000 },
}
const away = rulesWhileAway(rules)

/** What a machine that is busy may take longer than a timer says. Milliseconds. */
const slack = 1_000
type Replica = { limits: RateLimits; redis: RedisConnection; said: string[]; errors: unknown[]; reasons: unknown[] }

let stop: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const end of stop.toReversed()) await end()
  stop = []
})

async function startReplicas(url: string, count: number): Promise<Replica[]> {
  const replicas: Replica[] = []
  for (let nth = 0; nth < count; nth++) {
    const redis = await connectRedis({ url, onError: () => {} })
    const said: string[] = []
    const errors: unknown[] = []
    const reasons: unknown[] = []
    const limits = createRedisLimits({
      redis,
      deployment: `faults.${process.pid}`,
      rules,
      onAway(isAway, reason) {
        said.push(isAway ? 'away' : 'back')
        if (isAway) reasons.push(reason)
      },
      onError: (error) => errors.push(error),
    })
    replicas.push({ limits, redis, said, errors, reasons })
    stop.push(async () => {
      limits.close()
      redis.close()
    })
  }
  return replicas
}

/** One redis, and so many replicas on it. */
async function startAll(count: number): Promise<{ redis: RedisServer; replicas: Replica[] }> {
  const redis = await startRedis()
  stop.push(redis.stop)
  return { redis, replicas: await startReplicas(redis.url, count) }
}

const take = async ({ limits }: Replica, subject: string, kind: Kind = 'SEND', points = 1) =>
  (await limits.take([{ kind, subject, points }])).refused === null

/** Comes to a replica at a moment, by `performance.now()`; whether it got through, and how long it waited for that. */
type Attempt = { at: number; replica: number; taken: boolean; waitedMs: number }

/** Questions under way on each replica, and on all: what was let through before a moment may be told after it. */
const atOnce = 4
const underWay = 3 * atOnce

/** Asks all replicas as fast as they answer, several at a time on each, until it is told to end. */
function press(replicas: readonly Replica[], subject: string, kind: Kind = 'SEND') {
  const attempts: Attempt[] = []
  let isOver = false
  const running = replicas.flatMap((replica, number) =>
    Array.from({ length: atOnce }, async () => {
      while (!isOver) {
        const started = performance.now()
        const taken = await take(replica, subject, kind)
        const at = performance.now()
        attempts.push({ at, replica: number, taken, waitedMs: at - started })
        await sleep(4)
      }
    }),
  )
  return {
    attempts,
    /** How many got through since a moment, of one replica or of all. */
    takenSince: (from: number, replica?: number) =>
      attempts.filter((one) => one.taken && one.at >= from && (replica === undefined || one.replica === replica)).length,
    async end() {
      isOver = true
      await Promise.all(running)
    },
  }
}

/** How long they waited, but for the one in a hundred that met a moment in which the machine did something else. */
const longest = (attempts: readonly Attempt[]) =>
  attempts.map(({ waitedMs }) => waitedMs).toSorted((a, b) => a - b)[Math.floor(attempts.length * 0.99)]!

/** The most that a bucket of this kind lets through in so many milliseconds, beginning full or empty. */
const most = (of: Rules, kind: Kind, ms: number, isFull: boolean) =>
  Math.ceil((isFull ? of[kind]!.capacity : 0) + (ms * of[kind]!.capacity) / of[kind]!.fillMs) + 1

const allSay = async (replicas: readonly Replica[], said: string[]) => {
  for (const replica of replicas) await expect.poll(() => replica.said, { timeout: 15_000, interval: 20 }).toEqual(said)
}

describe('three replicas by the clock', () => {
  test('together they let through what one bucket holds; without Redis each what it may alone; and then together again', async () => {
    const { redis, replicas } = await startAll(3)
    const subject = newSubject()
    const started = performance.now()
    const pressure = press(replicas, subject)

    await sleep(3_000)
    let now = performance.now()
    expect(pressure.takenSince(started)).toBeLessThanOrEqual(most(rules, 'SEND', now - started, true))
    // They ask hundreds of times a second: what the bucket holds is used up, and most of what comes in.
    expect(pressure.takenSince(started)).toBeGreaterThanOrEqual(60 + Math.floor(((now - started) / 1_000) * 20 * 0.5))
    expect(replicas.flatMap(({ said }) => said)).toEqual([])

    const lostAt = performance.now()
    await redis.kill()
    await allSay(replicas, ['away'])
    await sleep(2_000)
    expect(replicas.map(({ limits }) => limits.away())).toEqual([1, 1, 1])
    now = performance.now()
    for (const [number] of replicas.entries()) {
      // Each had not been asked before: a full bucket of its own, twice as large and as fast. Until it was lost, it asked
      // the one in Redis, which was empty.
      const alone = pressure.takenSince(lostAt, number)
      expect(alone).toBeLessThanOrEqual(most(away, 'SEND', now - lostAt, true) + most(rules, 'SEND', slack, false))
      expect(alone).toBeGreaterThanOrEqual(away.SEND!.capacity)
    }

    await redis.start()
    await allSay(replicas, ['away', 'back'])
    expect(replicas.map(({ limits }) => limits.away())).toEqual([0, 0, 0])
    const backAt = performance.now()
    await sleep(2_000)
    now = performance.now()
    // Redis has lost its memory, so that its bucket began full, if the first replica that was back did not begin it
    // before this moment.
    expect(pressure.takenSince(backAt)).toBeLessThanOrEqual(most(rules, 'SEND', now - backAt, true) + underWay)
    expect(pressure.takenSince(backAt)).toBeGreaterThanOrEqual(1)
    await pressure.end()
    expect(pressure.takenSince(started)).toBeGreaterThan(200)
    expect(longest(pressure.attempts)).toBeLessThan(answerMs + slack)
  }, 60_000)

  test('signing up goes on without Redis, by a quarter in each process', async () => {
    const { redis, replicas } = await startAll(3)
    await redis.kill()
    for (const replica of replicas) {
      const subject = newSubject()
      const answers = await Promise.all(Array.from({ length: 20 }, () => take(replica, subject, 'SIGN_UP')))
      expect(answers.filter(Boolean)).toHaveLength(2)
      // Nor in one operation that asks for more, whose bucket stays as it is.
      const other = newSubject()
      const { refused } = await replica.limits.take([{ kind: 'SIGN_UP', subject: other, points: 5 }])
      expect(refused).toEqual({ kind: 'SIGN_UP', waitMs: expect.any(Number) })
      expect(refused!.waitMs).toBeGreaterThanOrEqual(0)
      expect(await take(replica, other, 'SIGN_UP', 2)).toBe(true)
    }
  }, 30_000)

  test('what was taken is given back where it came from, with Redis and without', async () => {
    const { redis, replicas } = await startAll(1)
    const [replica] = replicas as [Replica]
    const all: Charge = { kind: 'SIGN_UP', subject: newSubject(), points: 8 }
    const there = await replica.limits.take([all])
    there.giveBack([all])
    await expect.poll(() => take(replica, all.subject, 'SIGN_UP', 8)).toBe(true)
    await redis.kill()
    await expect.poll(() => take(replica, newSubject()).then(() => replica.said)).toEqual(['away'])
    // What was taken in Redis is not given back here.
    expect(await take(replica, all.subject, 'SIGN_UP', 2)).toBe(true)
    there.giveBack([all])
    expect(await take(replica, all.subject, 'SIGN_UP')).toBe(false)
    const some: Charge = { kind: 'SIGN_UP', subject: newSubject(), points: 2 }
    const here = await replica.limits.take([some])
    expect(await take(replica, some.subject, 'SIGN_UP')).toBe(false)
    here.giveBack([some])
    expect(await take(replica, some.subject, 'SIGN_UP', 2)).toBe(true)
  }, 30_000)
})

describe('a Redis that is frozen', () => {
  test('holds nobody up for longer than a moment, and only until that is known; thawed, it counts again', async () => {
    const { redis, replicas } = await startAll(2)
    const subject = newSubject()
    const pressure = press(replicas, subject)
    await sleep(500)
    const frozenAt = performance.now()
    redis.freeze()
    await allSay(replicas, ['away'])
    await sleep(3_000)
    for (const number of replicas.keys()) {
      const here = pressure.attempts.filter((one) => one.replica === number && one.at > frozenAt)
      // Those who were asking at that moment, and whoever came within the time that nobody knew.
      const slow = here.filter(({ waitedMs }) => waitedMs > answerMs / 2)
      expect(here.length).toBeGreaterThan(slow.length * 5)
      expect(longest(here)).toBeLessThan(answerMs + slack)
      expect(pressure.takenSince(frozenAt, number)).toBeGreaterThanOrEqual(away.SEND!.capacity)
    }
    redis.thaw()
    await allSay(replicas, ['away', 'back'])
    const backAt = performance.now()
    await sleep(1_500)
    expect(pressure.takenSince(backAt)).toBeLessThanOrEqual(most(rules, 'SEND', performance.now() - backAt, true) + underWay)
    await pressure.end()
  }, 60_000)

  test('who begins while Redis is away is served, and joins the others when it comes', async () => {
    const redis = await startRedis()
    stop.push(redis.stop)
    await redis.kill()
    const replicas = await startReplicas(redis.url, 2)
    const subject = newSubject()
    for (const replica of replicas) expect(await take(replica, subject, 'SEND', 60)).toBe(true)
    await allSay(replicas, ['away'])
    await redis.start()
    await allSay(replicas, ['away', 'back'])
    expect(await take(replicas[0]!, subject, 'SEND', 60)).toBe(true)
    expect(await take(replicas[1]!, subject, 'SEND', 60)).toBe(false)
  }, 60_000)
})

describe('pauses', () => {
  test('hold in the process while Redis is away, also those that began before', async () => {
    const { redis, replicas } = await startAll(2)
    const [a, b] = replicas as [Replica, Replica]
    const name = newSubject()
    expect(await a.limits.pauses.begin(name, 'one', 60_000)).toBe('begun')
    expect(await b.limits.pauses.begin(name, 'two', 60_000)).toMatchObject({ holder: 'one' })
    await redis.kill()
    expect(await a.limits.pauses.begin(name, 'two', 60_000)).toMatchObject({ holder: 'one' })
    expect(await a.limits.pauses.begin(name, 'one', 60_000)).toBe('own')
    expect(await a.limits.pauses.left(name, 60_000)).toBeGreaterThan(0)
    // The other one goes by what it has seen itself.
    expect(await b.limits.pauses.begin(name, 'two', 60_000)).toBe('begun')
    a.limits.pauses.end(name, 'one')
    expect(await a.limits.pauses.begin(name, 'three', 60_000)).toBe('begun')
  }, 30_000)
})

describe('what is kept in Redis', () => {
  test('goes by itself, and lies under the name of the deployment, one slot for each subject', async () => {
    const { redis, replicas } = await startAll(1)
    const admin = new Redis(redis.url)
    stop.push(async () => admin.disconnect())
    const [{ limits }] = replicas as [Replica]
    const subject = newSubject()
    const signUp: Charge = { kind: 'SIGN_UP', subject, points: 1 }
    const { giveBack } = await limits.take([{ kind: 'SEND', subject, points: 5 }, signUp])
    await limits.pauses.begin(subject, 'one', 60_000)
    const keys = await admin.keys('*')
    expect(keys).toHaveLength(3)
    expect(new Set(keys.map((key) => /^maru:faults\.\d+:limits:\{(\d+)\}:/.exec(key)?.[1])).size).toBe(1)
    for (const key of keys) expect(await admin.pttl(key)).toBeGreaterThan(0)
    await expect.poll(() => admin.keys('*SEND*'), { timeout: 5_000 }).toEqual([])
    giveBack([signUp])
    await expect.poll(() => admin.keys('*SIGN_UP*'), { timeout: 5_000 }).toEqual([])
  })

  test('a clock that is put back empties no bucket', async () => {
    const { redis, replicas } = await startAll(1)
    const admin = new Redis(redis.url)
    stop.push(async () => admin.disconnect())
    const [{ limits }] = replicas as [Replica]
    const charge: Charge = { kind: 'SIGN_UP', subject: newSubject(), points: 1 }
    await limits.take([charge])
    const [key] = await admin.keys('*SIGN_UP*')
    // Written by a clock that was an hour ahead.
    await admin.set(key!, `3.000000 ${Date.now() + 3_600_000}.000`)
    expect((await limits.take([charge])).standings).toMatchObject([{ remaining: 2 }])
  })

  test.each(['-eval', '-evalsha', '-set'])('a Redis whose access list has %s is away, once, and for one reason', async (forbidden) => {
    const redis = await startRedis()
    stop.push(redis.stop)
    const admin = new Redis(redis.url)
    stop.push(async () => admin.disconnect())
    await admin.call('ACL', 'SETUSER', 'maru', 'on', '>secret', '~maru:*', '&*', '+@all', forbidden)
    // Another has brought its scripts there, which can then be run by name.
    const [other] = await startReplicas(redis.url, 1)
    await take(other!, newSubject())
    const [replica] = await startReplicas(redis.url.replace('://', '://maru:secret@'), 1)
    const name = newSubject()
    // Several looks long.
    for (let nth = 0; nth < 40; nth++) {
      expect(await take(replica!, newSubject())).toBe(true)
      await replica!.limits.pauses.begin(name, 'one', 60_000)
      await sleep(100)
    }
    expect(replica!.said).toEqual(['away'])
    expect(String(replica!.reasons[0])).toMatch(/NOPERM|can't run this command/)
    await admin.call('ACL', 'SETUSER', 'maru', forbidden.replace('-', '+'))
    await allSay([replica!], ['away', 'back'])
  }, 30_000)

  test('a Redis that refuses to be written to is as good as none', async () => {
    const { redis, replicas } = await startAll(1)
    const admin = new Redis(redis.url)
    stop.push(async () => admin.disconnect())
    await admin.config('SET', 'maxmemory', '1')
    for (let nth = 0; nth < 50; nth++) await take(replicas[0]!, newSubject())
    expect(replicas[0]!.said).toEqual(['away'])
    expect(replicas[0]!.errors.length).toBeGreaterThan(0)
    await admin.config('SET', 'maxmemory', '0')
    await allSay(replicas, ['away', 'back'])
  }, 30_000)
})

describe('a Redis Cluster that has lost a node', () => {
  test('only the subjects on that node are counted in the process, until it is back', async () => {
    const cluster: RedisCluster = await startRedisCluster()
    stop.push(cluster.stop)
    const replicas = await startReplicas(cluster.url, 1)
    const [replica] = replicas as [Replica]
    await cluster.masters[1]!.kill()
    const subjects = Array.from({ length: 300 }, newSubject)
    // The others go on once the cluster has found out; with a node gone it refuses all, unless it is told not to.
    for (const node of [cluster.masters[0]!, cluster.masters[2]!]) await node.ask('CONFIG', 'SET', 'cluster-require-full-coverage', 'no')
    await sleep(3_000)
    await expect.poll(async () => {
      await Promise.all(subjects.map((subject) => take(replica, subject)))
      return replica.limits.away() > 0.1 && replica.limits.away() < 0.6
    }, { timeout: 20_000, interval: 200 }).toBe(true)
    expect(replica.said).toEqual(['away'])
    // Whoever is counted where Redis is there gets back what they were charged there.
    for (const subject of subjects) {
      const charge: Charge = { kind: 'SIGN_UP', subject, points: 2 }
      for (let nth = 0; nth < 6; nth++) {
        const { refused, giveBack } = await replica.limits.take([charge])
        expect(refused, subject).toBeNull()
        giveBack([charge])
      }
    }
    await cluster.masters[1]!.start()
    await cluster.isWhole()
    await allSay(replicas, ['away', 'back'])
    expect(replica.limits.away()).toBe(0)
  }, 90_000)
})
