import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { ChannelDocument, PublicChannelsDocument } from '../../client-sdk/index.ts'
import { type Person, startTestApp, type TestApp } from '../testing/test-app.ts'

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url))

// Each of them starts processes, on a machine that may have others to run.
vi.setConfig({ testTimeout: 60_000 })

let app: TestApp
let alice: Person
let dataDir: string
beforeAll(async () => {
  app = await startTestApp()
  alice = await app.signUp('alice')
  dataDir = await mkdtemp(join(tmpdir(), 'maru-demo-'))
})
afterAll(async () => {
  await app.stop()
  await rm(dataDir, { recursive: true, force: true })
})

/** Starts `npm run demo -- …`. `output` is all that it has said so far. */
function startDemo(...args: string[]) {
  const child: ChildProcess = spawn(process.execPath, [here('./main.ts'), ...args], {
    env: { ...process.env, DATA_DIR: dataDir },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const demo = { child, output: '', done: once(child, 'close').then(([code]) => code as number | null) }
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding('utf8').on('data', (text: string) => (demo.output += text))
  }
  return demo
}

/** Waits until the demo has said something of this form. */
async function heard(demo: ReturnType<typeof startDemo>, pattern: RegExp): Promise<RegExpExecArray> {
  for (;;) {
    const match = pattern.exec(demo.output)
    if (match !== null) return match
    await Promise.race([once(demo.child.stdout!, 'data'), demo.done.then((code) => expect.fail(`ended with ${code}`))])
  }
}

type ExcerptLine = { author: string; text: string; id?: number; replyTo?: number }
const readExcerpt = async (talk: string): Promise<ExcerptLine[]> =>
  (await readFile(here(`./${talk}.jsonl`), 'utf8')).trim().split('\n').map((line) => JSON.parse(line))

const countPeople = async () => (await app.app.database.run('select count(*)::int from users', []))[0]

test('who pastes what it says watches the whole conversation arrive, replies and all', async () => {
  const demo = startDemo('--url', new URL(app.url).origin, '--speed', '100000', '--wait', '60')
  const [, pasted] = await heard(demo, /(mutation Join [^]*)They begin when somebody joins/)
  const channelId = /joinChannel\(channelId: "(\w+)"\)/.exec(pasted!)![1]!
  const { channel } = await alice.client.request(ChannelDocument, { id: channelId })
  const answer = await fetch(app.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${alice.token}` },
    body: JSON.stringify({ query: pasted, operationName: 'Join' }),
  })
  expect(await answer.json()).toEqual({ data: { joinChannel: { channel: { name: 'ubuntu', memberCount: 20 } } } })

  const excerpt = await readExcerpt('ubuntu')
  const seqs = new Map<number, number>()
  const stream = alice.client.messages({ channelId, after: channel!.cursor })
  const said: unknown[] = []
  for await (const { kind, message } of stream) {
    if (kind !== 'CREATED' || message.kind !== 'USER') continue
    const line = excerpt[said.length]!
    if (line.id !== undefined) seqs.set(line.id, message.seq)
    said.push([message.author.displayName, message.content, message.replyTo?.seq])
    if (said.length === excerpt.length) break
  }
  const seqOf = (id: number | undefined) => (id === undefined ? undefined : seqs.get(id))
  expect(said).toEqual(excerpt.map((line) => [line.author, line.text, seqOf(line.replyTo)]))
  expect(await demo.done).toBe(0)
  expect(demo.output).toContain(`That was all: ${excerpt.length} messages.`)
})

test('the same people go on in the same channel, and nobody else knows their passwords', async () => {
  const before = await countPeople()
  const demo = startDemo('--url', app.url, '--speed', '100000', '--wait', '0')
  expect(await demo.done).toBe(0)
  expect(await countPeople()).toEqual(before)
  const { publicChannels } = await alice.client.request(PublicChannelsDocument, { query: 'ubuntu' })
  expect(publicChannels.edges).toHaveLength(1)
  const secret = join(dataDir, 'demo-secret')
  expect((await stat(secret)).mode & 0o777).toBe(0o600)

  // With another secret the names are other people's.
  await rm(secret)
  const stranger = startDemo('--url', app.url, '--talk', 'korean', '--speed', '100000', '--wait', '0')
  const again = startDemo('--url', app.url, '--speed', '100000', '--wait', '0')
  expect([await stranger.done, await again.done]).toEqual([0, 0])
  const { publicChannels: channels } = await alice.client.request(PublicChannelsDocument, {})
  expect(channels.edges.map((edge) => edge.node.name).toSorted()).toEqual(['ubuntu', 'ubuntu', '수다'])
})

test('Ctrl-C ends it, also when it goes on for ever', async () => {
  const demo = startDemo('--url', app.url, '--talk', 'korean', '--speed', '100000', '--wait', '0', '--loop')
  const [first] = await readExcerpt('korean')
  await heard(demo, new RegExp(`(<${first!.author}> ${first!.text}[^]*){2}`))
  demo.child.kill('SIGINT')
  expect(await demo.done).toBe(0)
})

test('what cannot be done is said in a sentence', async () => {
  const away = startDemo('--url', 'http://127.0.0.1:1', '--wait', '0')
  expect(await away.done).toBe(1)
  expect(away.output).toMatch(/http:\/\/127\.0\.0\.1:1\/graphql: The server cannot be reached\..* npm start/)
  const wrong = startDemo('--talk', 'finnish')
  expect(await wrong.done).toBe(2)
  expect(wrong.output).toContain('--talk is one of ubuntu, korean')
})
