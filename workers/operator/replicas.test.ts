import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type RedisServer, startRedis } from '../../server/testing/redis.ts'
import { node } from '../../server/testing/server-process.ts'
import { startTestApp, type TestApp } from '../../server/testing/test-app.ts'

let redis: RedisServer
let app: TestApp
beforeAll(async () => {
  redis = await startRedis()
  app = await startTestApp({ REDIS_URL: redis.url, REPLICA_URL: 'https://one.example.org' })
})
afterAll(async () => {
  await app.stop()
  await redis.stop()
})

type Said = { stdout: string; stderr: string; code: number }

const run = (args: string[] = [], env: Record<string, string> = {}): Promise<Said> =>
  promisify(execFile)(node, ['workers/operator/replicas.ts', ...args], {
    env: {
      ...process.env,
      DATABASE_URL: app.databaseUrl,
      JWT_SECRET: 'the same for all replicas of a test',
      REDIS_URL: redis.url,
      ...env,
    },
  }).then(
    (said) => ({ ...said, code: 0 }),
    (error: Said) => error,
  )

test('operators see each replica, its sockets and whether it drains', async () => {
  const second = await app.addReplica({ REPLICA_URL: '' })
  for (let nth = 0; nth < 3; nth++) app.app.replicas.opened()
  await second.app.replicas.drain()
  const said = () => run().then(({ stdout }) => stdout)
  await expect.poll(said, { interval: 500 }).toMatch(/https:\/\/one\.example\.org +3 +0 +up +\d+ s /)
  const { stdout } = await run(['list'])
  expect(stdout).toMatch(/^id +address +sockets +on the way +state +up for +version\n/)
  expect(stdout).toMatch(/ PUBLIC_URL +0 +0 +draining +\d+ s +\d+\.\d+\.\d+$/m)
  const rows = (await run(['--json'])).stdout.trim().split('\n').map((line) => JSON.parse(line) as object)
  expect(rows).toMatchObject([
    { url: 'https://one.example.org', sockets: 3, onTheWay: 0, state: 'up' },
    { url: null, sockets: 0, state: 'draining' },
  ])
  // Who looks does not become one of them.
  expect(rows).toHaveLength(2)
}, 60_000)

test.each([
  ['another word', ['dance'], {}, 2, 'There is no command dance'],
  ['an unknown option', ['--loud'], {}, 2, '--loud'],
  ['no Redis', [], { REDIS_URL: '' }, 1, 'Without REDIS_URL there is one replica'],
  ['a Redis that is away', [], { REDIS_URL: 'redis://127.0.0.1:1' }, 1, 'Redis cannot be read: Redis at 127.0.0.1:1'],
])('%s is told what is wrong', async (_, args, env, code, message) => {
  const said = await run(args, env)
  expect(said).toMatchObject({ code })
  expect(said.stderr).toContain(message)
}, 30_000)

test('help is there', async () => {
  expect((await run(['--help'])).stdout).toContain('npm run replicas')
})
