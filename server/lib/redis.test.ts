import { Cluster, Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type RedisCluster, startRedisCluster } from '../testing/redis-cluster.ts'
import { findFreePort, type RedisServer, startRedisProcess } from '../testing/redis-process.ts'
import { connectRedis, type RedisConnection, redisSilenceMs } from './redis.ts'

const open: RedisConnection[] = []
afterEach(() => open.splice(0).forEach((connection) => connection.close()))

/** Longer than a command may take, and shorter than a test. */
const inTime = redisSilenceMs + 1_500

async function connect(url: string, onError: (error: Error) => void = () => {}): Promise<RedisConnection> {
  const connection = await connectRedis({ url, onError })
  open.push(connection)
  return connection
}

/** How long it takes until this has failed. Milliseconds. */
async function failing(asked: Promise<unknown>): Promise<number> {
  const started = performance.now()
  await expect(asked).rejects.toBeInstanceOf(Error)
  return performance.now() - started
}

describe('one Redis', () => {
  let redis: RedisServer
  beforeAll(async () => {
    redis = await startRedisProcess()
  })
  afterAll(() => redis.stop())

  test('takes commands at once, and fails them in time while it is dead or frozen', async () => {
    const connection = await connect(redis.url)
    expect(connection.client).toBeInstanceOf(Redis)
    expect(connection.isUp()).toBe(true)
    await connection.client.set('alice', 'here')
    redis.freeze()
    expect(await failing(connection.client.get('alice'))).toBeLessThan(inTime)
    redis.thaw()
    await expect.poll(() => connection.client.get('alice').catch(() => null), { timeout: 5_000 }).toBe('here')
    await redis.kill()
    await expect.poll(() => connection.isUp()).toBe(false)
    expect(await failing(connection.client.get('alice'))).toBeLessThan(inTime)
    await redis.start()
    await expect.poll(() => connection.client.get('alice').catch(() => 'away'), { timeout: 5_000 }).toBeNull()
  })

  test('may be away at the start', async () => {
    await redis.kill()
    const complaints: string[] = []
    const started = performance.now()
    const connection = await connect(redis.url, ({ message }) => complaints.push(message))
    expect(performance.now() - started).toBeLessThan(2 * inTime)
    expect(complaints.join()).toContain('ECONNREFUSED')
    await failing(connection.client.get('alice'))
    await redis.start()
    await expect.poll(() => connection.isUp(), { timeout: 5_000 }).toBe(true)
    await connection.client.set('alice', 'late')
  })
})

describe('a Redis Cluster', () => {
  let redis: RedisCluster
  /** A key on each master. */
  let keys: string[]
  beforeAll(async () => {
    redis = await startRedisCluster({ password: 'secret' })
    keys = []
    for (let nth = 0; keys.filter(Boolean).length < 3; nth++) {
      keys[redis.masters.indexOf(await redis.ownerOf(`{${nth}}:key`))] ??= `{${nth}}:key`
    }
  }, 60_000)
  afterEach(() => redis.isWhole())
  afterAll(() => redis.stop())

  const getAll = (connection: RedisConnection) =>
    Promise.all(keys.map((key) => connection.client.get(key).catch(() => 'away')))

  test('is found out by one address, and reached by any that is there', async () => {
    const one = await connect(redis.url)
    expect(one.client).toBeInstanceOf(Cluster)
    await Promise.all(keys.map((key) => one.client.set(key, 'here')))
    const away = `redis://:secret@127.0.0.1:${await findFreePort()}`
    const several = await connect(`${away},127.0.0.1:${redis.masters[1]!.port}`)
    expect(await getAll(several)).toEqual(['here', 'here', 'here'])
    const script = 'return redis.call("incr", KEYS[1]) + redis.call("incr", KEYS[2])'
    expect(await several.client.eval(script, 2, '{bob}:a', '{bob}:b')).toBe(2)
  })

  test('goes on without a node that is dead or frozen, and with it when it is back', async () => {
    const connection = await connect(redis.url)
    const { client } = connection
    await Promise.all(keys.map((key) => client.set(key, 'here')))
    // A node that is away costs the time of a command, and no more; the others answer meanwhile.
    redis.masters[1]!.freeze()
    const slow = failing(client.get(keys[1]!))
    expect(await Promise.all([client.get(keys[0]!), client.get(keys[2]!)])).toEqual(['here', 'here'])
    expect(await slow).toBeLessThan(inTime)
    redis.masters[1]!.thaw()
    await expect.poll(() => getAll(connection), { timeout: 15_000 }).toEqual(['here', 'here', 'here'])

    await redis.masters[1]!.kill()
    expect(await failing(client.get(keys[1]!))).toBeLessThan(inTime)
    await redis.masters[1]!.start()
    await expect.poll(() => getAll(connection), { timeout: 15_000 }).toEqual(['here', null, 'here'])
  }, 60_000)

  test('may be away at the start, and is recognised when it comes', async () => {
    for (const node of redis.masters) await node.kill()
    const connection = await connect(redis.url)
    expect(connection.client).toBeInstanceOf(Redis)
    for (const node of redis.masters) await node.start()
    await expect.poll(() => connection.client, { timeout: 10_000 }).toBeInstanceOf(Cluster)
    await expect.poll(() => getAll(connection), { timeout: 15_000 }).toEqual([null, null, null])
  }, 60_000)
})
