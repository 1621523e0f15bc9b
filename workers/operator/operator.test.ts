import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { CreateChannelDocument, SendMessageDocument } from '../../client-sdk/index.ts'
import { node } from '../../server/testing/server-process.ts'
import { startTestApp, type TestApp } from '../../server/testing/test-app.ts'
import { type Providers, startProviders } from '../push/testing/providers.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

let app: TestApp
let providers: Providers
beforeAll(async () => {
  providers = await startProviders()
  app = await startTestApp(providers.env)
  await app.startWorkers(providers.trusted)
})
afterAll(async () => {
  await app.stop()
  await providers.stop()
})

type Said = { stdout: string; stderr: string; code: number }

const run = (command: 'jobs' | 'pushes', ...args: string[]): Promise<Said> =>
  promisify(execFile)(node, [`workers/operator/${command}.ts`, ...args], {
    env: { ...process.env, DATABASE_URL: app.databaseUrl, JWT_SECRET: 'the same for all replicas of a test' },
  }).then(
    (said) => ({ ...said, code: 0 }),
    (error: Said) => error,
  )

test('jobs are counted, those that were laid aside are shown with why, put back and thrown away', async () => {
  const { jobs, database } = app.app
  expect((await run('jobs')).stdout).toContain('npm run jobs -- counts')
  // It cannot be sent, as there is no such row of a schedule that the handler takes for one.
  await database.transaction((tx) =>
    jobs.add(tx, [{ kind: 'push-read', data: { userId: 'nobody', channelId: '1', seq: 1 } }]),
  )
  const counts = await run('jobs', 'counts')
  expect(counts.stdout).toMatch(/^kind +ready +later +running +laid aside\n/)
  expect(counts.stdout).toMatch(/^push-read /m)

  const { boss } = await openLaidAside()
  const id = await boss('link-preview', { channelId: '1', messageId: '2' }, 'the site has gone')
  const aside = await run('jobs', 'laid-aside')
  expect(aside.stdout).toContain(`${id}  link-preview`)
  expect(aside.stdout).toContain('the site has gone')
  expect((await run('jobs', 'requeue', '--id', id)).stdout).toBe('1 put back.\n')
  expect((await run('jobs', 'laid-aside')).stdout).toBe('Nothing was laid aside.\n')
  const other = await boss('media', { userId: '1', attachmentId: '2' }, 'no')
  expect(JSON.parse((await run('jobs', 'laid-aside', '--json')).stdout)).toMatchObject({ id: other, kind: 'media' })
  expect((await run('jobs', 'discard', '--id', other)).stdout).toBe('1 thrown away.\n')
})

/** Lays jobs aside as the queue does. */
async function openLaidAside() {
  const { database } = app.app
  const [row] = await database.run<{ name: string }>('select current_schema() as name', [])
  return {
    async boss(kind: string, data: object, reason: string): Promise<string> {
      const [job] = await database.run<{ id: string }>(
        `insert into ${row!.name}_jobs.job (name, data, source_name, source_id, source_created_on, output, policy)
         values ('laid-aside', $1::text::jsonb, $2, gen_random_uuid(), now(), $3::text::jsonb, 'standard') returning id`,
        [JSON.stringify(data), kind, JSON.stringify({ message: reason })],
      )
      return job!.id
    },
  }
}

test('support sees what became of somebody’s pushes', async () => {
  const [alice, bob] = [await app.signUp('alice'), await app.signUp('bob')]
  const phone = await providers.register(bob, 'FCM')
  const { createChannel } = await alice.client.request(CreateChannelDocument, {
    input: { kind: 'GROUP', name: 'tea', memberIds: [bob.id] },
  })
  const channelId = createChannel.channel.id
  await alice.client.request(SendMessageDocument, { input: { channelId, content: 'hello' } })
  await expect.poll(() => providers.told(phone), { timeout: 15_000 }).toHaveLength(1)
  const said = await expect
    .poll(() => run('pushes', 'bob').then(({ stdout }) => stdout), { timeout: 15_000 })
    .toMatch(/SENT +1/)
    .then(() => run('pushes', 'bob', '--channel', channelId))
  expect(said.stdout).toMatch(/FCM d\w+ +message m\w+_\w+, no\. \d+ of c\w+ +1/)
  expect(await run('pushes', 'nobody-of-that-name')).toMatchObject({ code: 2, stderr: 'There is nobody called nobody-of-that-name.\n' })
})

test.each([
  ['jobs', ['requeue'], 'Which?'],
  ['jobs', ['requeue', '--kind', 'sing'], '--kind is one of'],
  ['jobs', ['dance'], 'There is no command dance'],
  ['jobs', ['laid-aside', '--limit', 'x'], '--limit is a number'],
  ['jobs', ['discard', '--id', '7'], '7 is not the id of a job.'],
  ['pushes', ['bob', 'carol'], 'Whose?'],
] as const)('%s %j is told what is wrong', async (command, args, message) => {
  const { code, stderr } = await run(command, ...args)
  expect(code).toBe(2)
  expect(stderr).toContain(message)
})
