import { createClient } from 'graphql-ws'
import { setTimeout as wait } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { InboxDocument } from '../client-sdk/index.ts'
import { listen } from '../server/testing/listen.ts'
import { withFreePort } from '../server/testing/redis-process.ts'
import { type RedisServer, startRedis } from '../server/testing/redis.ts'
import { discardDataDir, makeDataDir, type ServerProcess, startServer } from '../server/testing/server-process.ts'
import { type Person, type Replica, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { newChannel, operation, say } from './testing/operations.ts'

type Answer = { endpoint: { url: string; expiresAt: string } }
const endpointDocument = operation<Answer, {}>('query Endpoint { endpoint { url expiresAt } }')

/** Long enough for a lease to end and a list to settle, on a machine that is busy. */
const patience = { timeout: 20_000, interval: 100 }

const ask = (replica: Pick<Replica, 'client'>, person?: Person) =>
  replica.client(person?.token).request(endpointDocument).then(({ endpoint }) => endpoint)
const urlFor = async (replica: Pick<Replica, 'client'>, person?: Person) => (await ask(replica, person)).url

describe('one replica', () => {
  let app: TestApp
  beforeAll(async () => {
    app = await startTestApp()
  })
  afterAll(() => app.stop())

  test('is found at its address, by whoever asks, for half a minute', async () => {
    const alice = await app.signUp('alice')
    const url = `ws://localhost:${app.server.port}/graphql`
    const endpoint = await ask(app, alice)
    expect(endpoint.url).toBe(url)
    const left = new Date(endpoint.expiresAt).getTime() - Date.now()
    expect(left).toBeGreaterThan(15_000)
    expect(left).toBeLessThanOrEqual(30_000)
    expect(await urlFor(app)).toBe(url)
    const channelId = await newChannel(alice)
    const inbox = listen({ url: url.replace('ws', 'http') }, alice, InboxDocument, { after: [] })
    await expect.poll(() => inbox.events.length).toBe(1)
    await say(alice, channelId, 'hello')
    await expect.poll(() => inbox.events.length).toBeGreaterThan(1)
    inbox.stop()
  })

  test('is found behind what stands before it', async () => {
    const proxied = await app.addReplica({ PUBLIC_URL: 'https://chat.example.org/maru/' })
    expect(await urlFor(proxied)).toBe('wss://chat.example.org/maru/graphql')
  })

  test('is found past what stands before it, until it drains', async () => {
    const own = await app.addReplica({ PUBLIC_URL: 'https://chat.example.org', REPLICA_URL: 'HTTPS://one.example.org' })
    expect(await urlFor(own)).toBe('wss://one.example.org/graphql')
    await own.app.replicas.drain()
    expect(await urlFor(own)).toBe('wss://chat.example.org/graphql')
  })
})

describe('three replicas on a Redis', () => {
  const publicUrl = 'wss://chat.example.org/graphql'
  let redis: RedisServer
  let app: TestApp
  let second: Replica
  let third: ServerProcess
  let dataDir: string
  let people: Person[]
  let urls: string[]
  const open: { dispose(): unknown }[] = []

  beforeAll(async () => {
    redis = await startRedis()
    urls = []
    /** Starts a replica that knows its own address, which takes a port that is known before. */
    async function at<T>(start: (env: { PORT: string; REPLICA_URL: string }) => Promise<T>): Promise<T> {
      return withFreePort(async (port) => {
        const started = await start({ PORT: String(port), REPLICA_URL: `http://127.0.0.1:${port}` })
        urls.push(`ws://127.0.0.1:${port}/graphql`)
        return started
      })
    }
    const shared = { REDIS_URL: redis.url, PUBLIC_URL: 'https://chat.example.org' }
    app = await at((env) => startTestApp({ ...shared, ...env }))
    second = await at((env) => app.addReplica(env))
    dataDir = await makeDataDir()
    third = await at(async (env) => {
      const own = { JWT_SECRET: 'the same for all replicas of a test', DATA_DIR: dataDir, DATABASE_POOL_SIZE: '4' }
      const server = startServer({ ...shared, DATABASE_URL: app.databaseUrl, ...own, ...env }, '--without-workers')
      await server.ready
      return server
    })
    people = []
    for (let nth = 0; nth < 40; nth++) people.push(await app.signUp(`user-${nth}`))
  }, 90_000)
  afterAll(async () => {
    for (const client of open) await Promise.resolve(client.dispose()).catch(() => {})
    await third.end('SIGKILL')
    await app.stop()
    await discardDataDir(dataDir)
    await redis.stop()
  })

  /** Opens a socket at this address, as a client does; it stays. */
  async function connect(url: string, { token }: Person): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const options = { url, webSocketImpl: WebSocket, lazy: false, connectionParams: { token }, retryAttempts: 0 }
    open.push(createClient({ ...options, on: { connected: () => resolve() }, onNonLazyError: reject }))
    await promise
  }

  /** Where each of these is sent, as two replicas say by turns. */
  const sentTo = (some: readonly Person[]) =>
    Promise.all(some.map((person, nth) => urlFor(nth % 2 === 0 ? app : second, person)))
  const placesUsed = async () => [...new Set(await sentTo(people))].toSorted()
  const seenBy = (replica: Replica): Record<string, number> =>
    Object.fromEntries((replica.app.replicas.members() ?? []).map(({ url, sockets }) => [url, sockets]))

  test('each send everybody to where the others send them, as soon as they know all', async () => {
    await expect.poll(placesUsed, patience).toEqual(urls.toSorted())
    // Those who were only asked about are not expected any more.
    await wait(7_000)
    const [alice] = people as [Person]
    const url = await urlFor(app, alice)
    for (const replica of [app, second, app, second]) expect(await urlFor(replica, alice)).toBe(url)
    const whoAsks = await urlFor(app)
    expect(urls).toContain(whoAsks)
    expect(await urlFor(second)).toBe(whoAsks)
  }, 30_000)

  test('share the sockets evenly, with the devices of one person together', async () => {
    const devices: string[][] = people.map(() => [])
    for (let device = 0; device < 3; device++) {
      await Promise.all(
        people.map(async (person, nth) => {
          const url = await urlFor(nth % 2 === 0 ? app : second, person)
          devices[nth]!.push(url)
          await connect(url, person)
        }),
      )
    }
    expect(devices.filter((taken) => new Set(taken).size === 1).length).toBeGreaterThan(people.length / 2)
    const sum = (counts: number[]) => counts.reduce((all, count) => all + count, 0)
    await expect.poll(() => sum(Object.values(seenBy(app))), patience).toBe(120)
    const counts = Object.values(seenBy(app))
    expect(counts).toHaveLength(3)
    // A quarter over the mean, and a few who came while others did.
    expect(Math.max(...counts)).toBeLessThanOrEqual(50 + 6)
    await expect.poll(() => seenBy(second), patience).toEqual(seenBy(app))
    const { body } = await app.metrics.render()
    expect(body).toMatch(/^maru_replicas_known 3$/m)
    for (const [url, count] of Object.entries(seenBy(app))) {
      expect(body).toContain(`maru_replica_sockets{replica="${url}",state="up"} ${count}\n`)
    }
  }, 60_000)

  test('take sockets of pages that the public address has served, and of no others', async () => {
    const statusFrom = (origin: string) =>
      new Promise((resolve) => {
        const socket = new WebSocket(urls[1]!, 'graphql-transport-ws', { origin })
        socket.once('open', () => {
          socket.terminate()
          resolve('open')
        })
        socket.once('unexpected-response', (_request, { statusCode }) => resolve(statusCode))
      })
    expect(await statusFrom('https://chat.example.org')).toBe('open')
    expect(await statusFrom('https://evil.example.org')).toBe(403)
  })

  test('serve whoever comes to another one than they were sent to', async () => {
    const [alice, bob] = people as [Person, Person]
    const elsewhere = urls.find((url) => url !== urls[2])!
    const channelId = await newChannel(alice, {}, [bob])
    const inbox = listen({ url: elsewhere.replace('ws', 'http') }, bob, InboxDocument, { after: [] })
    await expect.poll(() => inbox.events.length).toBe(1)
    await say(alice, channelId, 'hello')
    await expect.poll(() => inbox.events.length).toBeGreaterThan(1)
    inbox.stop()
  })

  test('send a share by the public address where one has none of its own', async () => {
    const fourth = await app.addReplica({ PORT: '0', REPLICA_URL: '' })
    await expect.poll(placesUsed, patience).toEqual([...urls, publicUrl].toSorted())
    const sent = await sentTo(people)
    expect(sent.filter((url) => url === publicUrl).length).toBeLessThan(people.length / 2)
    const stateOf = (url: string | null) => app.app.replicas.members()?.find((member) => member.url === url)?.draining
    expect(stateOf(null)).toBe(false)
    await fourth.server.drain(1_000)
    await expect.poll(() => stateOf(null), patience).toBe(true)
    await fourth.stop()
    await expect.poll(() => stateOf(null), patience).toBe(undefined)
    await expect.poll(placesUsed, patience).toEqual(urls.toSorted())
  }, 60_000)

  test('send nobody to one that drains, from the first moment', async () => {
    await second.app.replicas.drain()
    const rest = [urls[0]!, urls[2]!].toSorted()
    expect(new Set(await Promise.all(people.map((person) => urlFor(second, person))))).toEqual(new Set(rest))
    await expect
      .poll(async () => new Set(await Promise.all(people.map((person) => urlFor(app, person)))), patience)
      .toEqual(new Set(rest))
    await wait(3_000)
    expect(await placesUsed()).toEqual(rest)
  }, 30_000)

  test('send nobody any more to one that was killed, after a few seconds', async () => {
    await third.end('SIGKILL')
    const killed = performance.now()
    await expect.poll(placesUsed, patience).toEqual([urls[0]])
    // Four seconds and a beat, and what a busy machine adds.
    expect(performance.now() - killed).toBeLessThan(12_000)
  }, 30_000)

  test('send everybody to the public address while Redis is away, and to replicas once it is back', async () => {
    await redis.kill()
    await expect.poll(placesUsed, patience).toEqual([publicUrl])
    expect((await app.metrics.render()).body).toMatch(/^maru_replicas_known 0$/m)
    await redis.start()
    await expect.poll(placesUsed, patience).toEqual([urls[0]])
  }, 60_000)
})

describe('two replicas that take two sockets of one user each', () => {
  let redis: RedisServer
  let app: TestApp
  let second: Replica
  beforeAll(async () => {
    redis = await startRedis()
    const at = <T>(start: (env: Record<string, string>) => Promise<T>) =>
      withFreePort((port) => start({ PORT: String(port), REPLICA_URL: `http://127.0.0.1:${port}` }))
    app = await at((env) => startTestApp({ REDIS_URL: redis.url, MAX_SOCKETS_PER_USER: '2', ...env }))
    second = await at((env) => app.addReplica(env))
  }, 60_000)
  afterAll(async () => {
    await app.stop()
    await redis.stop()
  })

  test('take four of one who asks, and tries the public address where that fails', async () => {
    const alice = await app.signUp('alice')
    await expect.poll(() => [app, second].map(({ app }) => app.replicas.members()?.length), patience).toEqual([2, 2])
    const advised = await urlFor(app, alice)
    // The balancer leads to the other one.
    const other = [app, second].map(({ url }) => url.replace('http', 'ws')).find((url) => new URL(url).port !== new URL(advised).port)!
    const open: { dispose(): unknown }[] = []
    const refusals: string[] = []
    /** As the README has it. */
    async function connect(): Promise<void> {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      let asked = false
      open.push(
        createClient({
          url: async () => {
            asked = !asked
            return asked ? urlFor(app, alice) : other
          },
          webSocketImpl: WebSocket,
          lazy: false,
          connectionParams: { token: alice.token },
          retryAttempts: 3,
          retryWait: () => wait(50),
          on: {
            connected() {
              asked = false
              resolve()
            },
            closed: (event) => void refusals.push((event as { reason: string }).reason),
          },
          onNonLazyError: reject,
        }),
      )
      await promise
    }
    for (let nth = 0; nth < 4; nth++) await connect()
    expect(refusals).toEqual(Array(2).fill('Too many sockets for one user; try the public address'))
    for (const client of open) await client.dispose()
  }, 30_000)
})
