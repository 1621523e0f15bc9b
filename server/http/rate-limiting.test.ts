import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { connectRedis } from '../lib/redis.ts'
import { noRules, type Rules } from '../rate-limits/kinds.ts'
import { createMemoryLimits } from '../rate-limits/memory-limits.ts'
import { createRedisLimits } from '../rate-limits/redis-limits.ts'
import { startRedis } from '../testing/redis.ts'
import { post, send, startTestServer } from './test-server.ts'

let stop: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of stop.toReversed()) await end()
  stop = []
})

const rules: Rules = { ...noRules, CONNECT: { capacity: 10, fillMs: 600_000 } }

test('a socket that is counted while the server begins to stop is not opened any more', async () => {
  const redis = await startRedis()
  const connection = await connectRedis({ url: redis.url, onError: () => {} })
  const rateLimits = createRedisLimits({ redis: connection, deployment: 'tests', rules })
  stop.push(redis.stop, async () => connection.close(), async () => rateLimits.close())
  const server = await startTestServer({ rateLimits })
  // Its answer takes as long as anybody waits for it.
  redis.freeze()
  const socket = new WebSocket(server.socketUrl, 'graphql-transport-ws')
  const answer = new Promise<number>((resolve) => {
    socket.on('open', () => resolve(101))
    socket.on('unexpected-response', (_, response) => resolve(response.statusCode!))
    socket.on('error', () => {})
  })
  await sleep(50)
  await server.drain(2_000)
  expect(await answer).toBe(503)
  socket.terminate()
  redis.thaw()
})

test('the log says once that requests come through a proxy, where none is trusted and limits go by address', async () => {
  const start = async (...args: Parameters<typeof startTestServer>) => {
    const server = await startTestServer(...args)
    stop.push(() => server.drain(0))
    return server
  }
  const told = async (...args: Parameters<typeof startTestServer>) => {
    const server = await start(...args)
    for (let nth = 0; nth < 2; nth++) await post(server.graphql, '{ hello }', { 'x-forwarded-for': '192.0.2.1' })
    await send(`${server.url}/health/live`)
    return server.lines.filter(({ msg }) => String(msg).includes('TRUST_PROXY')).length
  }
  expect(await told({ rateLimits: createMemoryLimits(rules) })).toBe(1)
  expect(await told({ rateLimits: createMemoryLimits(rules), trustProxy: 1 })).toBe(0)
  expect(await told({ rateLimits: createMemoryLimits(noRules) })).toBe(0)
  expect(await told({})).toBe(0)
})
