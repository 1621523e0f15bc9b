import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import {
  ChannelDocument,
  CreateChannelDocument,
  HistoryDocument,
  JoinChannelDocument,
  MembersDocument,
  MessageThreadDocument,
  PublicChannelsDocument,
  SendMessageDocument,
} from '../../client-sdk/index.ts'
import { lockDataDir } from '../lib/data-dir-lock.ts'
import { type Person, startTestApp, type TestApp } from '../testing/test-app.ts'
import { lines, runImport, spawnImport, writeLog } from './testing/run-import.ts'

// Each of them starts processes, on a machine that may have others to run.
vi.setConfig({ testTimeout: 60_000 })

let app: TestApp
let alice: Person
let bob: Person
beforeAll(async () => {
  app = await startTestApp()
  alice = await app.signUp('alice')
  bob = await app.signUp('bob')
})
afterAll(() => app.stop())

const importLog = (file: string, ...options: string[]) => runImport(app.databaseUrl, file, ...options)

async function findChannel(name: string): Promise<string> {
  const { publicChannels } = await alice.client.request(PublicChannelsDocument, { query: name })
  const found = publicChannels.edges.filter((edge) => edge.node.name === name)
  expect(found).toHaveLength(1)
  return found[0]!.node.id
}

type PageRequest = { first?: number; last?: number; aroundDate?: string }

async function history(channelId: string, page: PageRequest = { last: 100 }) {
  const { channel } = await alice.client.request(HistoryDocument, { channelId, ...page })
  return channel!.messages.edges.map((edge) => edge.node)
}

/** How much there is, so that a test can tell that nothing came. */
async function countRows() {
  const [row] = await app.app.database.run(
    `select (select count(*)::int from messages) as messages, (select count(*)::int from users) as users,
            (select count(*)::int from channels) as channels, (select count(*)::int from members) as members`,
    [],
  )
  return row
}

test('a log becomes channels, people, replies, mentions and times, as everybody sees them', async () => {
  const file = await writeLog(
    lines(
      { channel: 'garden', author: 'carol', text: 'late in the file', time: '2020-01-01T12:00:00.000Z', id: 'c' },
      { channel: 'garden', author: 'alice', text: 'who waters the roses?', time: '2020-01-01T09:00:00.000Z', id: 'a' },
      { channel: 'garden', author: 'carol', text: 'alice: I do', time: '2020-01-01T18:30:00+09:00', replyTo: 'a' },
      { channel: 'shed', author: '|carl|', text: 'looks for the spade', time: '2021-06-01T00:00:00Z', action: true },
      { channel: 'garden', author: 'Alice', text: 'another one, in capitals', time: '2020-01-01T10:00:00.000Z' },
      { channel: 'garden', author: 'carol', text: 'Alice, alice: @CAROL', time: '2020-01-01T11:00:00Z', replyTo: 'a' },
      { channel: 'garden', author: 'carol', text: 'carol: I', time: '2020-01-01T13:00:00Z', mentions: ['alice', 'x'] },
      { channel: 'garden', author: 'alice', text: '  ', time: '2020-01-01T14:00:00.000Z' },
    ),
    'plants.jsonl.gz',
  )
  const run = await importLog(file)
  expect(run).toMatchObject({ code: 0 })
  expect(run.stdout).toMatch(/^Imported "plants" \(maru\) in .* 8 messages/)

  const garden = await findChannel('garden')
  await alice.client.request(JoinChannelDocument, { channelId: garden })
  const messages = (await history(garden)).slice(0, 7)
  const mentioned = messages.map((message) => message.mentions.map((user) => user.displayName).toSorted())
  expect(messages.map(({ seq, author, content }) => [seq, author.displayName, content])).toEqual([
    [1, 'alice', 'who waters the roses?'],
    [2, 'carol', 'alice: I do'],
    [3, 'Alice', 'another one, in capitals'],
    [4, 'carol', 'Alice, alice: @CAROL'],
    [5, 'carol', 'late in the file'],
    [6, 'carol', 'carol: I'],
    [7, 'alice', ''],
  ])
  expect(messages.map((message) => message.createdAt)).toEqual(
    ['09:00', '09:30', '10:00', '11:00', '12:00', '13:00', '14:00'].map((time) => `2020-01-01T${time}:00.000Z`),
  )
  expect(mentioned).toEqual([[], ['alice'], [], ['Alice', 'alice', 'carol'], [], ['alice'], []])
  expect(messages.map((message) => message.replyTo?.seq ?? null)).toEqual([null, 1, null, 1, null, null, null])
  expect(messages[0]!.replyCount).toBe(2)
  expect(messages[6]!.deletedAt).toBe('2020-01-01T14:00:00.000Z')

  const thread = await alice.client.request(MessageThreadDocument, { id: messages[0]!.id, first: 10 })
  expect(thread.node).toMatchObject({ replies: { edges: [{ node: { seq: 2 } }, { node: { seq: 4 } }] } })
  const around = await history(garden, { aroundDate: '2020-01-01T10:59:00.000Z', first: 1 })
  expect(around.map((message) => message.seq)).toEqual([4])

  // The log's alice is not the one who has the name here; the name in the log is what others see.
  expect(messages[0]!.author.id).not.toBe(alice.id)
  const usernames = new Map(messages.map(({ author }) => [author.displayName, author.username]))
  expect([...usernames.values()].map((name) => name.toLowerCase()).toSorted()).toEqual(['alice-2', 'alice-3', 'carol'])

  const { channel } = await alice.client.request(MembersDocument, { channelId: garden, first: 10 })
  const members = channel!.members.edges.map((edge) => edge.node)
  expect(channel!.members.totalCount).toBe(4)
  const others = members.filter((member) => member.user.id !== alice.id)
  expect(others.map(({ role, lastReadSeq }) => `${role} ${lastReadSeq}`)).toEqual(['MEMBER 7', 'MEMBER 7', 'MEMBER 7'])
  expect(others.map((member) => member.joinedAt).toSorted()).toEqual([
    '2020-01-01T09:00:00.000Z',
    '2020-01-01T09:30:00.000Z',
    '2020-01-01T10:00:00.000Z',
  ])

  const shed = await findChannel('shed')
  await alice.client.request(JoinChannelDocument, { channelId: shed })
  const [action] = await history(shed)
  expect(action).toMatchObject({ kind: 'ACTION', author: { username: 'carl_', displayName: '|carl|' } })
})

test('a log goes into the public channel of its name; who is there has it to read, and hears it live', async () => {
  const input = { kind: 'PUBLIC' as const, name: 'kitchen' }
  const { createChannel } = await bob.client.request(CreateChannelDocument, { input })
  const channelId = createChannel.channel.id
  const stream = bob.client.messages({ channelId, after: createChannel.channel.cursor })
  const file = await writeLog(
    lines(
      { channel: 'kitchen', author: 'dora', text: '@bob, soup?' },
      { channel: 'kitchen', author: 'dora', text: '@alice no' },
    ),
    'kitchen.jsonl',
  )
  expect(await importLog(file)).toMatchObject({ code: 0 })
  const heard = [(await stream.next()).value, (await stream.next()).value]
  expect(heard.map((event) => [event!.kind, event!.message.content])).toEqual([
    ['CREATED', '@bob, soup?'],
    ['CREATED', '@alice no'],
  ])
  await stream.return!()
  const { channel } = await bob.client.request(ChannelDocument, { id: channelId })
  expect(channel).toMatchObject({ unreadCount: 2, unreadMentionCount: 1, memberCount: 2, lastSeq: 2 })
})

test('a channel that holds newer messages is refused, and nothing at all is written', async () => {
  const input = { kind: 'PUBLIC' as const, name: 'attic' }
  const { createChannel } = await alice.client.request(CreateChannelDocument, { input })
  const channelId = createChannel.channel.id
  await alice.client.request(SendMessageDocument, { input: { channelId, content: 'I was here first' } })
  const before = await countRows()
  const run = await importLog(await writeLog(lines({ channel: 'cellar' }, { channel: 'attic' }), 'house.jsonl'))
  expect(run).toMatchObject({ code: 1, stdout: '' })
  expect(run.stderr).toMatch(/^attic: the channel holds a message of .* what is to come begins at 2020-01-01T00:00:01/m)
  expect(await countRows()).toEqual(before)
})

test('lines with faults stop the import before anything is written, unless they are to be left out', async () => {
  const text = lines({ channel: 'porch', id: 1 }) + 'no JSON\n' + lines({ channel: 'porch', text: 'kept', replyTo: 9 })
  const file = await writeLog(text, 'porch.jsonl')
  const before = await countRows()
  const refused = await importLog(file)
  expect(refused).toMatchObject({ code: 1, stdout: '' })
  expect(refused.stderr).toContain('2 lines are not as they should be:\nline 2: is no JSON')
  expect(refused.stderr).toContain('line 3: what it answers, 9, is no earlier line of the channel')
  expect(await countRows()).toEqual(before)

  const run = await importLog(file, '--skip-bad')
  expect(run).toMatchObject({ code: 0 })
  expect(run.stdout).toMatch(/skipped +1\n +unlinked +1 /)
  const porch = await findChannel('porch')
  await alice.client.request(JoinChannelDocument, { channelId: porch })
  expect((await history(porch)).slice(0, 2).map((message) => message.content)).toEqual(['hm', 'kept'])
})

test('the IRC corpus is told by its first line, and its days are channels', async () => {
  const line = { channel: 'ubuntu', day: '2005-06-12.train-c', text: 'hi', me: false, replyTo: null }
  const said = [
    { ...line, at: '2005-06-12T23:59:00.000Z', nick: 'sinope[1] ', line: 0 },
    // After midnight, with the date of the day before.
    { ...line, at: '2005-06-12T00:00:00.000Z', nick: 'kbrooks', text: 'sinope[1] : hello', line: 4, replyTo: 0 },
    { ...line, at: '2005-06-12T12:00:00.000Z', nick: 'kbrooks', text: 'yawns', me: true, line: 5 },
  ]
  const run = await importLog(await writeLog(said.map((line) => JSON.stringify(line)).join('\n')))
  expect(run).toMatchObject({ code: 0 })
  expect(run.stdout).toContain('1 of the log dated before what they answer')
  const channelId = await findChannel('ubuntu 2005-06-12.train-c')
  await alice.client.request(JoinChannelDocument, { channelId })
  const messages = (await history(channelId)).slice(0, 3)
  expect(messages.map(({ kind, content, createdAt }) => [kind, content, createdAt])).toEqual([
    ['ACTION', 'yawns', '2005-06-12T12:00:00.000Z'],
    ['USER', 'hi', '2005-06-12T23:59:00.000Z'],
    ['USER', 'sinope[1] : hello', '2005-06-12T23:59:00.000Z'],
  ])
  expect(messages[2]).toMatchObject({ replyTo: { seq: 2 }, mentions: [{ displayName: 'sinope[1]' }] })
})

test('the excerpt of the demo can be imported', async () => {
  const file = new URL('../demo/ubuntu.jsonl', import.meta.url).pathname
  expect(await importLog(file, '--source', 'excerpt')).toMatchObject({ code: 0 })
  const channelId = await findChannel('ubuntu')
  const said = (await readFile(file, 'utf8')).trim().split('\n').map((line) => JSON.parse(line))
  const { channel } = await alice.client.request(ChannelDocument, { id: channelId })
  expect(channel).toMatchObject({ lastSeq: said.length, memberCount: new Set(said.map((line) => line.author)).size })
})

test('what cannot be done is said in a sentence, with an exit code', async () => {
  const away = new URL(app.databaseUrl)
  away.port = '1'
  const [help, noFile, noOption, nowhere, unreachable] = await Promise.all([
    runImport(app.databaseUrl, '--help'),
    runImport(app.databaseUrl),
    importLog('a.jsonl', '--speed', '3'),
    importLog('/nowhere.jsonl'),
    runImport(away.href, await writeLog(lines({}))),
  ])
  expect(help).toMatchObject({ code: 0, stdout: expect.stringContaining('npm run import') })
  expect(noFile).toMatchObject({ code: 2, stderr: expect.stringContaining('Which file?') })
  expect(noOption).toMatchObject({ code: 2, stderr: expect.stringContaining('--speed') })
  expect(nowhere).toMatchObject({ code: 1, stderr: expect.stringContaining('There is no file') })
  expect(unreachable).toMatchObject({ code: 1, stderr: expect.stringMatching(/The database cannot be reached/) })
  expect(unreachable.stderr).not.toContain('    at ')
})

test('the embedded database is imported into when no server uses it, and else it says what to do', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'maru-import-'))
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }))
  const env = { DATA_DIR: dataDir, DATABASE_URL: '' }
  const file = await writeLog(lines({}, {}), 'tea.jsonl')
  const first = await spawnImport(env, file).done
  expect(first).toMatchObject({ code: 0, stdout: expect.stringMatching(/messages +2 +\(0 were in before\)/) })
  const again = await spawnImport(env, file).done
  expect(again).toMatchObject({ code: 0, stdout: expect.stringMatching(/messages +0 +\(2 were in before\)/) })

  const server = lockDataDir(dataDir)
  const refused = await spawnImport(env, file).done
  server.release()
  expect(refused).toMatchObject({ code: 1, stdout: '' })
  expect(refused.stderr).toContain(`DATA_DIR ${dataDir} is in use by process ${process.pid}`)
  expect(refused.stderr).toContain('Stop the server, import, and start it again.')
  expect(refused.stderr).toContain('DATABASE_URL')
})
