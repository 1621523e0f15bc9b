import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  AddContactDocument,
  AddReactionDocument,
  BlockUserDocument,
  DeleteMessageDocument,
  LeaveChannelDocument,
  OpenDirectChannelDocument,
  RegisterDeviceDocument,
  SaveDraftDocument,
} from '../client-sdk/index.ts'
import { failure, newChannel, operation, say } from '../schema/testing/operations.ts'
import { upload } from '../schema/testing/uploads.ts'
import type { Files } from '../server/files/files.ts'
import type { JobContext } from '../server/jobs/jobs.ts'
import { parseGlobalId } from '../server/lib/global-id.ts'
import { createLog } from '../server/observability/log.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { createDataExportJob } from './data-exports.ts'
import { unzip } from './testing/unzip.ts'

type Export = { status: string; createdAt: string; url: string | null; expiresAt: string | null; byteSize: number | null }
const fields = 'status createdAt url expiresAt byteSize'
const Request = operation<{ requestDataExport: Export }>(`mutation Request { requestDataExport { ${fields} } }`)
const List = operation<{ dataExports: Export[] }>(`query List { dataExports { ${fields} } }`)

/** Without workers: the job is run by hand, so that it meets whatever comes in between. */
let app: TestApp
let tempDir: string
let bob: Person
let count = 0
beforeAll(async () => {
  app = await startTestApp()
  tempDir = await mkdtemp(join(tmpdir(), 'maru-test-exports-'))
  bob = await app.signUp('bob')
})
afterAll(async () => {
  await app.stop()
  await rm(tempDir, { recursive: true, force: true })
})

const newPerson = () => app.signUp(`alice-${++count}`)
const userIdOf = ({ id }: Person) => (parseGlobalId(id) as { userId: string }).userId
const request = async (person: Person) => (await person.client.request(Request)).requestDataExport
const list = async (person: Person) => (await person.client.request(List)).dataExports

type Options = { files?: Files; retries?: number; signal?: AbortSignal; maxBytes?: number }

/** Does the job of the latest that somebody has asked for. */
async function work(person: Person, { files = app.app.files, retries = 0, signal, maxBytes }: Options = {}) {
  const { database, services } = app.app
  const log = createLog({ level: 'silent', format: 'json' })
  const job = createDataExportJob({ dataExports: services.dataExports, database, files, tempDir, log, ...(maxBytes === undefined ? {} : { maxBytes }) })
  const userId = userIdOf(person)
  const [row] = await database.run<{ id: string }>('select id from data_exports where user_id = $1 order by id desc limit 1', [userId])
  await job({ userId, id: row!.id }, { signal: signal ?? new AbortController().signal, retries, createdAt: new Date() } satisfies JobContext)
}

async function fetchExport(person: Person) {
  const [row] = await list(person)
  const answer = await fetch(row!.url!)
  expect(answer.status).toBe(200)
  const body = Buffer.from(await answer.arrayBuffer())
  return { row: row!, answer, body, files: await unzip(body) }
}

const lines = (file: Buffer | undefined): any[] =>
  file === undefined ? [] : file.toString().trimEnd().split('\n').map((line) => JSON.parse(line))
const json = (file: Buffer | undefined) => JSON.parse(file!.toString())

/** What else lies where files are, by what the row says that it wrote there. */
const keyOf = async (person: Person) => {
  const rows = await app.app.database.run<{ key: string | null }>('select key from data_exports where user_id = $1 order by id desc', [userIdOf(person)])
  return rows[0]!.key
}

test('it holds what is one’s own, and nothing that others have said', async () => {
  const alice = await newPerson()
  const channelId = await newChannel(alice, { name: '우리 차방' }, [bob])
  const left = await newChannel(bob, { name: 'what it was' }, [alice])
  const direct = (await alice.client.request(OpenDirectChannelDocument, { userId: bob.id })).openDirectChannel.channel.id
  const asked = await say(bob, channelId, 'secret of bob’s')
  const text = await upload(alice, Buffer.from('to buy: tea'), 'text/plain', '../list:to*buy.txt')
  const answer = await say(alice, channelId, '안녕 @bob', { replyToId: asked.id, attachmentIds: [text.id] })
  const taken = await say(alice, channelId, 'taken back')
  await alice.client.request(DeleteMessageDocument, { messageId: taken.id })
  await alice.client.request(AddReactionDocument, { messageId: asked.id, emoji: '🍵' })
  await bob.client.request(AddReactionDocument, { messageId: answer.id, emoji: '👎' })
  await say(alice, left, 'I was here')
  await alice.client.request(LeaveChannelDocument, { channelId: left })
  await say(alice, direct, 'between us')
  await alice.client.request(SaveDraftDocument, { channelId, content: 'not yet' })
  await alice.client.request(AddContactDocument, { userId: bob.id })
  const carol = await app.signUp('carol')
  await alice.client.request(BlockUserDocument, { userId: carol.id })
  const token = 'a-token-that-is-nobody’s-but-the-phone’s'.replaceAll('’', '')
  await alice.client.request(RegisterDeviceDocument, { input: { platform: 'FCM', token } })

  expect(await request(alice)).toMatchObject({ status: 'PENDING', url: null, expiresAt: null, byteSize: null })
  await work(alice)
  const { row, answer: download, body, files } = await fetchExport(alice)
  expect(row).toMatchObject({ status: 'READY', byteSize: body.length })
  expect(Date.parse(row.expiresAt!) - Date.now()).toBeGreaterThan(6.9 * 86_400_000)
  expect(download.headers.get('content-disposition')).toMatch(/^attachment; filename="maru-\d{4}-\d\d-\d\d\.zip"/)

  expect(json(files.get('export.json'))).toMatchObject({ format: 'maru-export', version: 1, userId: alice.id })
  expect(files.get('README.txt')!.toString()).toMatch(/내 계정에[^]*What is stored/)
  expect(json(files.get('profile.json'))).toMatchObject({ id: alice.id, username: alice.username, identities: [] })
  expect(json(files.get('contacts.json'))).toMatchObject([{ userId: bob.id, username: 'bob' }])
  expect(json(files.get('blocks.json'))).toMatchObject([{ userId: carol.id, username: 'carol' }])
  expect(json(files.get('devices.json'))).toMatchObject([{ platform: 'FCM' }])
  expect(json(files.get('sessions.json'))).toHaveLength(1)
  expect(json(files.get('drafts.json'))).toMatchObject([{ channelId, content: 'not yet' }])
  for (const name of ['settings', 'scheduled', 'reminders', 'reports', 'activity', 'searches']) json(files.get(`${name}.json`))
  const channels = new Map(lines(files.get('channels.jsonl')).map((channel) => [channel.id, channel]))
  expect(channels.get(channelId)).toMatchObject({ name: '우리 차방', role: 'OWNER', leftAt: null })
  expect(channels.get(direct)).toMatchObject({ kind: 'DIRECT', directPeerId: bob.id })
  // What a group that one is no longer in is called is none of one's business.
  expect(channels.get(left)).toMatchObject({ name: null, leftAt: expect.any(String) })
  expect(lines(files.get(`messages/${channelId}.jsonl`))).toEqual([
    {
      id: answer.id,
      seq: answer.seq,
      kind: 'USER',
      createdAt: answer.createdAt,
      editedAt: null,
      replyToId: asked.id,
      content: '안녕 @bob',
      mentionIds: [bob.id],
      attachments: [{ id: text.id, filename: text.filename }],
    },
  ])
  expect(lines(files.get(`messages/${left}.jsonl`))).toMatchObject([{ content: 'I was here' }])
  expect(lines(files.get(`messages/${direct}.jsonl`))).toMatchObject([{ content: 'between us' }])
  expect(lines(files.get(`reactions/${channelId}.jsonl`))).toEqual([{ messageId: asked.id, emoji: '🍵' }])
  const [attached] = lines(files.get('attachments.jsonl'))
  expect(attached.path).toMatch(new RegExp(`^attachments/${text.id}-[^/:*]+\\.txt$`))
  expect(files.get(attached.path)!.toString()).toBe('to buy: tea')
  const everything = [...files.values()].map(String).join('\n')
  for (const secret of ['secret of bob', '👎', token, 'taken back', 'argon2']) expect(everything, secret).not.toContain(secret)
})

test('one is under way at a time, and one a day', async () => {
  const alice = await newPerson()
  const [first, second] = await Promise.all([request(alice), request(alice)])
  expect(second).toEqual(first)
  await work(alice)
  const refused = await failure(request(alice))
  expect(refused.code).toBe('RATE_LIMITED')
  expect(refused.retryAfterMs).toBeGreaterThan(86_000_000)
  await app.app.database.run(`update data_exports set created_at = now() - interval '25 hours' where user_id = $1`, [userIdOf(alice)])
  expect((await request(alice)).status).toBe('PENDING')
  expect((await list(alice)).map(({ status }) => status)).toEqual(['PENDING', 'READY'])
  expect(await list(bob)).toEqual([])
})

test('an attempt that dies has shown nothing, and the next begins anew', async () => {
  const alice = await newPerson()
  const { files } = app.app
  await request(alice)
  // Killed when all is written and nobody knows of it.
  const dying = { ...files, write: async (...rest: Parameters<Files['write']>) => {
    await files.write(...rest)
    throw new Error('killed')
  } }
  await expect(work(alice, { files: dying })).rejects.toThrow('killed')
  const left = (await keyOf(alice))!
  expect(await files.head(left)).not.toBeNull()
  expect(await list(alice)).toMatchObject([{ status: 'RUNNING', url: null }])
  await work(alice, { retries: 1 })
  expect(await keyOf(alice)).not.toBe(left)
  const removal = await jobsOf('files-remove')
  expect(removal.map(({ data }) => data)).toContainEqual({ keys: [left] })
  expect((await fetchExport(alice)).row.status).toBe('READY')
  expect(await readdir(tempDir)).toEqual([])
})

async function jobsOf(kind: string): Promise<{ data: object }[]> {
  const [schema] = await app.app.database.run<{ name: string }>(`select current_schema() || '_jobs' as name`, [])
  return app.app.database.run(`select data from ${schema!.name}.job where name = $1`, [kind])
}

test('of two workers that have the same job the later shows its file, and the other’s goes', async () => {
  const alice = await newPerson()
  const { files } = app.app
  await request(alice)
  let first: string | undefined
  const slow = { ...files, write: async (...rest: Parameters<Files['write']>) => {
    first = rest[0]
    await work(alice)
    await files.write(...rest)
  } }
  await work(alice, { files: slow })
  expect(await keyOf(alice)).not.toBe(first)
  expect(await files.head(first!)).toBeNull()
  await fetchExport(alice)
})

test('an attempt that another has taken over shows nothing, though that is not done yet', async () => {
  const alice = await newPerson()
  await request(alice)
  const { dataExports } = app.app.services
  const [row] = await app.app.database.run<{ id: string }>('select id from data_exports where user_id = $1', [userIdOf(alice)])
  const which = { userId: userIdOf(alice), id: row!.id }
  const first = (await dataExports.begin(which))!
  const second = (await dataExports.begin(which))!
  expect(await dataExports.finish(first, 1)).toBe(false)
  expect(await list(alice)).toMatchObject([{ status: 'RUNNING' }])
  expect(await dataExports.finish(second, 1)).toBe(true)
  expect(await dataExports.begin(which)).toBeNull()
})

test('what cannot be made is FAILED in the end, and can be asked for after an hour', async () => {
  const alice = await newPerson()
  await request(alice)
  const broken = { ...app.app.files, write: () => Promise.reject(new Error('no room')) }
  for (let retries = 0; retries < 4; retries++) await expect(work(alice, { files: broken, retries })).rejects.toThrow('no room')
  await work(alice, { files: broken, retries: 4 })
  expect(await list(alice)).toMatchObject([{ status: 'FAILED', url: null }])
  expect((await failure(request(alice))).retryAfterMs).toBeLessThanOrEqual(3_600_000)
  expect(await readdir(tempDir)).toEqual([])
})

test('a worker that is to stop lets go', async () => {
  const alice = await newPerson()
  await say(alice, await newChannel(alice), 'hello')
  await request(alice)
  await expect(work(alice, { signal: AbortSignal.abort(new Error('stopping')), retries: 4 })).rejects.toThrow('stopping')
  expect(await list(alice)).toMatchObject([{ status: 'RUNNING' }])
  await work(alice)
  await fetchExport(alice)
})

test('it is kept for a week', async () => {
  const alice = await newPerson()
  await request(alice)
  await work(alice)
  const { row } = await fetchExport(alice)
  const key = (await keyOf(alice))!
  const { dataExports } = app.app.services
  await dataExports.sweep(app.app.database)
  expect(await list(alice)).toMatchObject([{ status: 'READY' }])
  await app.app.database.run(`update data_exports set expires_at = now() - interval '1 second' where user_id = $1`, [userIdOf(alice)])
  expect(await list(alice)).toMatchObject([{ status: 'EXPIRED', url: null }])
  await dataExports.sweep(app.app.database)
  expect(await list(alice)).toMatchObject([{ status: 'EXPIRED', url: null, byteSize: row.byteSize }])
  expect((await jobsOf('files-remove')).map(({ data }) => data)).toContainEqual({ keys: [key] })
  await app.app.database.run(`update data_exports set created_at = now() - interval '61 days' where user_id = $1`, [userIdOf(alice)])
  await dataExports.sweep(app.app.database)
  expect(await list(alice)).toEqual([])
})

test('what nobody works on any more is given up', async () => {
  const alice = await newPerson()
  await request(alice)
  await app.app.database.run(`update data_exports set created_at = now() - interval '3 days' where user_id = $1`, [userIdOf(alice)])
  await app.app.services.dataExports.sweep(app.app.database)
  expect(await list(alice)).toMatchObject([{ status: 'FAILED' }])
})

test('files beyond the limit are listed, and those that are gone', async () => {
  const alice = await newPerson()
  for (const name of ['old', 'large', 'gone', 'new']) await upload(alice, Buffer.alloc(name === 'large' ? 5_000 : 1_000, name), 'text/plain', `${name}.txt`)
  const [gone] = await app.app.database.run<{ key: string }>(`select key from attachments where user_id = $1 and filename = 'gone.txt'`, [userIdOf(alice)])
  await app.app.files.remove([gone!.key])
  await request(alice)
  await work(alice, { maxBytes: 2_500 })
  const { files } = await fetchExport(alice)
  const listed = lines(files.get('attachments.jsonl')).map(({ filename, path }) => [filename, path !== null && files.has(path)])
  expect(listed).toEqual([['new.txt', true], ['gone.txt', false], ['large.txt', false], ['old.txt', true]])
})

test('an account that is deleted meanwhile gets none', async () => {
  const alice = await newPerson()
  await request(alice)
  let key = ''
  const { files, database, services } = app.app
  const deleting = { ...files, write: async (...rest: Parameters<Files['write']>) => {
    key = rest[0]
    await files.write(...rest)
    const viewer = { userId: userIdOf(alice), sessionId: '1', expiresAt: null }
    await services.accountDeletion.delete(viewer, { username: alice.username, password: `${alice.username}’s password` })
    await services.accountDeletion.finish({ userId: viewer.userId, deleteMessages: false }, database, new AbortController().signal)
  } }
  await work(alice, { files: deleting })
  expect(await files.head(key)).toBeNull()
  expect(await database.run('select from data_exports where user_id = $1', [userIdOf(alice)])).toEqual([])
})
