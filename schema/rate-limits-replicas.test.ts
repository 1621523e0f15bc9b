import { afterAll, beforeAll, expect, test } from 'vitest'
import { type MaruClient, MaruClientError, SendMessageDocument, SignInDocument } from '../client-sdk/index.ts'
import { type RedisServer, startRedis } from '../server/testing/redis.ts'
import { type Person, type Replica, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { failure, newChannel, operation, say } from './testing/operations.ts'

/** Sixty at once and nothing to speak of comes back: what gets through is counted, and not when. */
const limits = {
  RATE_LIMITS: 'on',
  RATE_LIMIT_SIGN_UP: 'off',
  RATE_LIMIT_SEND: '60/86400',
  RATE_LIMIT_SIGN_IN: '40/86400',
  // All at once is what it counts as guessing.
  RATE_LIMIT_SIGN_IN_FAILURE: 'off',
}

let redis: RedisServer
let app: TestApp
let replicas: Replica[]
let alice: Person
let bob: Person
beforeAll(async () => {
  redis = await startRedis()
  app = await startTestApp({ ...limits, REDIS_URL: redis.url })
  replicas = [app, await app.addReplica(), await app.addReplica()]
  alice = await app.signUp('alice')
  bob = await app.signUp('bob')
}, 60_000)
afterAll(async () => {
  await app.stop()
  await redis.stop()
})

/** How many of so many on each replica get through; all others are refused by the limit. */
async function through(each: number, ask: (replica: Replica) => Promise<unknown>): Promise<number> {
  const answers = await Promise.all(
    replicas.flatMap((replica) =>
      Array.from({ length: each }, () =>
        ask(replica).then(
          () => 1,
          (error: unknown) => {
            if (!(error instanceof MaruClientError) || error.code !== 'RATE_LIMITED') throw error
            expect(error.retryAfterMs).toBeGreaterThan(0)
            return 0
          },
        ),
      ),
    ),
  )
  return answers.reduce<number>((sum, one) => sum + one, 0)
}

const clients = new Map<string, MaruClient>()
function clientOf(person: Person, replica: Replica): MaruClient {
  const key = `${person.id} ${replica.url}`
  const client = clients.get(key) ?? replica.client(person.token)
  clients.set(key, client)
  return client
}

const isAway = () => replicas.map(({ app: { rateLimits } }) => rateLimits.away())

test('three replicas share a user’s bucket; Redis goes and comes back, and sends, sign-ins and slow mode go on', async () => {
  const channelId = await newChannel(alice, {}, [bob])
  const input = { channelId, content: 'hi' }
  const send = (person: Person) => (replica: Replica) => clientOf(person, replica).request(SendMessageDocument, { input })
  const signIn = (replica: Replica) =>
    replica.client().request(SignInDocument, { input: { username: 'alice', password: 'alice’s password' } })

  expect(await through(40, send(alice))).toBe(60)

  const setSlowMode = operation(
    'mutation Slow($channelId: ID!) { setSlowMode(channelId: $channelId, seconds: 3600) { channel { slowModeSeconds } } }',
  )
  await alice.client.request(setSlowMode, { channelId })
  expect(await through(2, send(bob))).toBe(1)

  await redis.kill()
  await expect.poll(async () => {
    await through(1, send(alice))
    return isAway()
  }).toEqual([1, 1, 1])
  // Twice the limit in each, of which those that asked a moment ago have taken a few.
  const alone = await through(130, send(alice))
  expect(alone).toBeGreaterThanOrEqual(3 * 120 - 100)
  expect(alone).toBeLessThanOrEqual(3 * 120)
  // A quarter in each.
  expect(await through(15, signIn)).toBe(3 * 10)
  // Where bob has written, he waits; elsewhere that is not known.
  expect(await through(1, send(bob))).toBeLessThanOrEqual(2)
  expect(await through(2, send(bob))).toBe(0)

  await redis.start()
  await expect.poll(isAway, { timeout: 20_000 }).toEqual([0, 0, 0])
  // It has lost its memory.
  expect(await through(30, send(alice))).toBe(60)
  expect(await through(20, signIn)).toBe(40)
  expect((await failure(say(alice, channelId, 'more'))).code).toBe('RATE_LIMITED')
}, 120_000)
