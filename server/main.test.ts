import { once } from 'node:events'
import { createServer } from 'node:net'
import postgres from 'postgres'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import {
  CreateChannelDocument,
  createMaruClient,
  HistoryDocument,
  SendMessageDocument,
  SignInDocument,
  SignUpDocument,
  ViewerDocument,
} from '../client-sdk/index.ts'
import { findRedis } from './testing/redis.ts'
import {
  discardDataDir,
  isAlive,
  killAll,
  makeDataDir,
  postgresPid,
  type ServerProcess,
  startProcess,
  startServer,
} from './testing/server-process.ts'
import { createTestDatabase } from './testing/test-app.ts'

const firstStartMs = 10_000
const laterStartMs = 5_000

const jwtSecret = 'the same for all replicas, and long enough'
const alice = { username: 'alice', password: 'a long password' }

// Each test starts several processes, on a machine that may have other things to do.
vi.setConfig({ testTimeout: 60_000 })

/** One folder for all tests: each finds there what the one before has left. */
let dataDir: string
beforeAll(async () => {
  dataDir = await makeDataDir()
})
afterEach(killAll)
afterAll(() => discardDataDir(dataDir))

const get = async (url: string, accept = '*/*') => {
  const response = await fetch(url, { headers: { accept } })
  return { status: response.status, text: await response.text() }
}

async function clientOf(server: ServerProcess, token?: string) {
  const { url } = await server.ready
  return createMaruClient({ url: url!, webSocketImpl: WebSocket, ...(token === undefined ? {} : { token: () => token }) })
}

describe('with nothing set', () => {
  test('a first start is ready at once, and a later one finds everything', async () => {
    const first = startServer({ DATA_DIR: dataDir })
    const { url, origin, afterMs } = await first.ready
    expect(afterMs).toBeLessThan(firstStartMs)
    expect(url).toMatch(/^http:\/\/localhost:\d+\/graphql$/)
    expect(await get(`${origin}/health/live`)).toMatchObject({ status: 200 })
    expect(await get(`${origin}/health/ready`)).toMatchObject({ status: 200, text: expect.stringContaining('"up"') })
    expect(await get(url!, 'text/html')).toMatchObject({ status: 200, text: expect.stringContaining('GraphiQL') })

    const anybody = await clientOf(first)
    const { signUp } = await anybody.request(SignUpDocument, { input: alice })
    const client = await clientOf(first, signUp.accessToken)
    const { createChannel } = await client.request(CreateChannelDocument, { input: { kind: 'GROUP', name: 'tea' } })
    const channelId = createChannel.channel.id
    await client.request(SendMessageDocument, { input: { channelId, content: '안녕' } })
    expect(await first.end()).toBe(0)

    const second = startServer({ DATA_DIR: dataDir })
    expect((await second.ready).afterMs).toBeLessThan(laterStartMs)
    // Tokens stay good too: the secret that signed them was kept.
    const again = await clientOf(second, signUp.accessToken)
    const { channel } = await again.request(HistoryDocument, { channelId, last: 10 })
    expect(channel!.messages.edges.map((edge) => edge.node.content)).toEqual(['안녕'])
    const { signIn } = await again.request(SignInDocument, { input: alice })
    expect(signIn.viewer.id).toBe(signUp.viewer.id)
    expect(await second.end('SIGINT')).toBe(0)
  })

  test('SIGTERM lets sockets go with a code that clients come back after, and takes Postgres along', async () => {
    const server = startServer({ DATA_DIR: dataDir })
    const { url } = await server.ready
    const socket = new WebSocket(url!.replace('http', 'ws'), 'graphql-transport-ws')
    await once(socket, 'open')
    const closed = once(socket, 'close')
    const pid = postgresPid(dataDir)!
    expect(isAlive(pid)).toBe(true)

    const started = performance.now()
    expect(await server.end('SIGTERM')).toBe(0)
    expect(performance.now() - started).toBeLessThan(3_000)
    expect((await closed)[0]).toBe(1012)
    expect(isAlive(pid)).toBe(false)
    expect(postgresPid(dataDir)).toBe(null)
  })

  test('a second process on the same folder is refused, and the first goes on', async () => {
    const first = startServer({ DATA_DIR: dataDir })
    const { origin } = await first.ready
    const second = startServer({ DATA_DIR: dataDir })
    expect(await second.exit).toBe(1)
    const [complaint] = second.complaints()
    expect(complaint!.msg).toBe(
      `DATA_DIR ${dataDir} is in use by process ${first.pid}; stop it, or give this one another DATA_DIR and PORT.`,
    )
    expect(complaint).not.toHaveProperty('err')
    expect(await get(`${origin}/health/ready`)).toMatchObject({ status: 200 })
  })

  test('a Postgres that dies under a living process ends that, and the next start is well', async () => {
    const first = startServer({ DATA_DIR: dataDir })
    await first.ready
    process.kill(postgresPid(dataDir)!, 'SIGKILL')
    expect(await first.exit).toBe(1)
    expect(first.complaints().map((line) => line.msg)).toContain(
      'The embedded Postgres is gone: Postgres was ended by SIGKILL.',
    )
    expect(first.output()).not.toContain('unforeseen')
    expect((await startServer({ DATA_DIR: dataDir }).ready).afterMs).toBeLessThan(laterStartMs)
  })
})

test('faults of the configuration are told all at once, before anything is started', async () => {
  const server = startServer({
    DATA_DIR: dataDir,
    PORT: '99999',
    DATABASE_URL: 'postgres://maru@localhost/maru',
    LOG_LEVEL: 'loud',
  })
  expect(await server.exit).toBe(1)
  expect(server.output()).toContain('Maru cannot start: 3 settings are at fault.')
  expect(server.output()).toContain('PORT must be a whole number from 0 to 65535; it is "99999".')
  expect(server.output()).toContain('LOG_LEVEL must be one of')
  expect(server.output()).toContain('JWT_SECRET is missing where DATABASE_URL is set')
})

describe('on a database of its own', () => {
  const start = (databaseUrl: string, more: Record<string, string> = {}, ...args: string[]) =>
    startServer({ DATABASE_URL: databaseUrl, JWT_SECRET: jwtSecret, DATA_DIR: dataDir, ...more }, ...args)

  test('what is under way at SIGTERM is finished, and a signal that comes twice is one', async () => {
    const databaseUrl = await createTestDatabase()
    const server = start(databaseUrl)
    const { signUp } = await (await clientOf(server)).request(SignUpDocument, { input: alice })
    const client = await clientOf(server, signUp.accessToken)
    const { createChannel } = await client.request(CreateChannelDocument, { input: { kind: 'GROUP', name: 'tea' } })

    const sql = postgres(databaseUrl, { max: 2 })
    const held = await sql.reserve()
    await held`begin`
    await held`select from channels for update`
    const input = { channelId: createChannel.channel.id, content: 'wait for me' }
    const sending = client.request(SendMessageDocument, { input })
    const stuck = () => sql`select from pg_locks where not granted`
    await expect.poll(stuck).not.toHaveLength(0)
    process.kill(server.pid, 'SIGTERM')
    process.kill(server.pid, 'SIGTERM')
    await expect.poll(server.output).toContain('stopping')
    await held`rollback`
    expect((await sending).sendMessage.message.content).toBe('wait for me')
    expect(await server.exit).toBe(0)
    held.release()
    await sql.end()
  })

  test('a second replica is refused where replicas cannot hear of each other', async () => {
    const databaseUrl = await createTestDatabase()
    const first = start(databaseUrl)
    const { origin } = await first.ready
    const second = start(databaseUrl)
    expect(await second.exit).toBe(1)
    expect(second.complaints()).toMatchObject([
      { msg: expect.stringMatching(/^Another replica is running on this database\..* set the same REDIS_URL for all/) },
    ])
    expect(await get(`${origin}/health/ready`)).toMatchObject({ status: 200 })

    // Its lock goes with it, also when nobody told it to stop.
    expect(await first.end('SIGKILL')).toBe('SIGKILL')
    const third = start(databaseUrl)
    await third.ready
    expect(await third.end()).toBe(0)
  })

  test('with Redis two replicas run, and none without joins them', async () => {
    const databaseUrl = await createTestDatabase()
    const redis = await findRedis()
    const replicas = [1, 2].map(() => start(databaseUrl, { REDIS_URL: redis.url }, '--without-workers'))
    for (const replica of replicas) {
      const { origin } = await replica.ready
      await expect.poll(async () => (await get(`${origin}/health/ready`)).text).toContain('"bus":"up"')
      expect(replica.output()).toContain('at least one must run: npm run worker')
    }
    const deaf = start(databaseUrl)
    expect(await deaf.exit).toBe(1)
    expect(deaf.complaints()).toMatchObject([{ msg: expect.stringContaining('set the same REDIS_URL for all of them') }])

    const anybody = await clientOf(replicas[0]!)
    const { signUp } = await anybody.request(SignUpDocument, { input: alice })
    const client = await clientOf(replicas[1]!, signUp.accessToken)
    expect((await client.request(ViewerDocument)).viewer!.username).toBe('alice')
    expect(await Promise.all(replicas.map((replica) => replica.end()))).toEqual([0, 0])
    await redis.stop()
  })

  test('a database that cannot be reached is said to be, with why', async () => {
    const server = start('postgres://maru@127.0.0.1:1/maru')
    expect(await server.exit).toBe(1)
    expect(server.complaints()).toMatchObject([
      { msg: 'The database cannot be reached: connect ECONNREFUSED 127.0.0.1:1. Start it, or mend DATABASE_URL.' },
    ])
  })

  test('a port that is taken is said to be', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as { port: number }
    const server = start(await createTestDatabase(), { PORT: String(port) })
    expect(await server.exit).toBe(1)
    expect(server.complaints()).toMatchObject([
      { msg: `Port ${port} is taken by another program. Stop that one, or start with another port: PORT=${port + 1}.` },
    ])
    other.close()
  })

  test('npm run server and npm run worker hand signals on', async () => {
    const env = { DATABASE_URL: await createTestDatabase(), JWT_SECRET: jwtSecret, DATA_DIR: dataDir }
    const server = startProcess('npm', ['run', 'server'], env)
    const worker = startProcess('npm', ['run', 'worker'], env)
    const { origin } = await server.ready
    await worker.ready
    expect(await server.end('SIGTERM')).toBe(0)
    expect(await worker.end('SIGTERM')).toBe(0)
    // Not only npm is gone.
    await expect(fetch(origin)).rejects.toThrow('fetch failed')
  })
})
