import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  AddContactDocument,
  AddReactionDocument,
  BlockUserDocument,
  DeleteMessageDocument,
  LeaveChannelDocument,
  OpenDirectChannelDocument,
  RegisterDeviceDocument,
  RemoveReactionDocument,
  SaveDraftDocument,
} from '../client-sdk/index.ts'
import { openDatabase } from '../drizzle/connection.ts'
import { failure, newChannel, say } from '../schema/testing/operations.ts'
import { upload } from '../schema/testing/uploads.ts'
import { exportedTexts } from '../server/domain/data-exports-contents.ts'
import { unavailable } from '../server/errors.ts'
import { parseGlobalId } from '../server/lib/global-id.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { type Exporting, startExporting, userIdOf } from './testing/exporting.ts'

/** Without workers: the job is run by hand, so that it meets whatever comes in between. */
let exporting: Exporting
let app: TestApp
let bob: Person
beforeAll(async () => {
  exporting = await startExporting()
  app = exporting.app
  bob = await app.signUp('bob')
})
afterAll(() => exporting.stop())

const lines = (file: Buffer | undefined): any[] =>
  (file?.toString() ?? '').split('\n').filter((line) => line !== '').map((line) => JSON.parse(line))
const wholeOf = async (text: string | AsyncIterable<string>) =>
  typeof text === 'string' ? text : (await Array.fromAsync(text)).join('')
const json = (file: Buffer | undefined) => JSON.parse(file!.toString())

test('it holds what is one’s own, and nothing that others have said', async () => {
  const alice = await exporting.newPerson()
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

  expect(await exporting.request(alice)).toMatchObject({ status: 'PENDING', url: null, expiresAt: null, byteSize: null })
  await exporting.work(alice)
  const { row, answer: download, body, files } = await exporting.fetchExport(alice)
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
  expect(lines(files.get('drafts.jsonl'))).toMatchObject([{ channelId, content: 'not yet' }])
  for (const name of ['settings', 'scheduled', 'reminders', 'reports', 'searches']) json(files.get(`${name}.json`))
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

test('of what others did that is about one it says who, and not with what, nor what is taken back', async () => {
  const own = await startTestApp()
  try {
    // What others did is noted by workers.
    await own.startWorkers()
    const [alice, bobby, carol] = await Promise.all([own.signUp('alice'), own.signUp('bobby'), own.signUp('carol')])
    const channelId = await newChannel(alice, {}, [bobby, carol])
    const { id: messageId } = await say(alice, channelId, 'hello')
    const { database } = own.app
    const noted = () =>
      database.run(`select from activities where user_id = $1 and kind = 'REACTION' and not withdrawn`, [userIdOf(alice)])
    await carol.client.request(AddReactionDocument, { messageId, emoji: '🖕' })
    await bobby.client.request(AddReactionDocument, { messageId, emoji: '👎' })
    await expect.poll(noted, { timeout: 20_000 }).toHaveLength(2)
    await bobby.client.request(RemoveReactionDocument, { messageId, emoji: '👎' })
    await expect.poll(noted, { timeout: 20_000 }).toHaveLength(1)
    const found = new Map<string, string>()
    for await (const { path, text } of exportedTexts(database, userIdOf(alice))) found.set(path, await wholeOf(text))
    const activity = lines(Buffer.from(found.get('activity.jsonl')!))
    expect(activity).toEqual([{ kind: 'REACTION', at: expect.any(String), actorId: carol.id, channelId, messageId }])
  } finally {
    await own.stop()
  }
}, 60_000)

test('one is under way at a time, and one a day', async () => {
  const alice = await exporting.newPerson()
  const [first, second] = await Promise.all([exporting.request(alice), exporting.request(alice)])
  expect(second).toEqual(first)
  await exporting.work(alice)
  const refused = await failure(exporting.request(alice))
  expect(refused.code).toBe('RATE_LIMITED')
  expect(refused.retryAfterMs).toBeGreaterThan(86_000_000)
  await app.app.database.run(`update data_exports set created_at = now() - interval '25 hours' where user_id = $1`, [userIdOf(alice)])
  expect((await exporting.request(alice)).status).toBe('PENDING')
  expect((await exporting.list(alice)).map(({ status }) => status)).toEqual(['PENDING', 'READY'])
  expect(await exporting.list(bob)).toEqual([])
})

test('it is kept for a week', async () => {
  const alice = await exporting.newPerson()
  await exporting.request(alice)
  await exporting.work(alice)
  const { row } = await exporting.fetchExport(alice)
  const key = (await exporting.keyOf(alice))!
  const { dataExports } = app.app.services
  await dataExports.sweep(app.app.database)
  expect(await exporting.list(alice)).toMatchObject([{ status: 'READY' }])
  await app.app.database.run(`update data_exports set expires_at = now() - interval '1 second' where user_id = $1`, [userIdOf(alice)])
  expect(await exporting.list(alice)).toMatchObject([{ status: 'EXPIRED', url: null }])
  await dataExports.sweep(app.app.database)
  expect(await exporting.list(alice)).toMatchObject([{ status: 'EXPIRED', url: null, byteSize: row.byteSize }])
  expect((await exporting.jobsOf('files-remove')).map(({ data }) => data)).toContainEqual({ keys: [key] })
  await app.app.database.run(`update data_exports set created_at = now() - interval '61 days' where user_id = $1`, [userIdOf(alice)])
  await dataExports.sweep(app.app.database)
  expect(await exporting.list(alice)).toEqual([])
})

test('what nobody works on any more is given up', async () => {
  const alice = await exporting.newPerson()
  await exporting.request(alice)
  await app.app.database.run(`update data_exports set created_at = now() - interval '3 days' where user_id = $1`, [userIdOf(alice)])
  await app.app.services.dataExports.sweep(app.app.database)
  expect(await exporting.list(alice)).toMatchObject([{ status: 'FAILED' }])
})

test('files beyond the limit are listed, and those that are gone', async () => {
  const alice = await exporting.newPerson()
  for (const name of ['old', 'large', 'gone', 'new']) await upload(alice, Buffer.alloc(name === 'large' ? 5_000 : 1_000, name), 'text/plain', `${name}.txt`)
  const [gone] = await app.app.database.run<{ key: string }>(`select key from attachments where user_id = $1 and filename = 'gone.txt'`, [userIdOf(alice)])
  await app.app.files.remove([gone!.key])
  await exporting.request(alice)
  await exporting.work(alice, { maxBytes: 2_500 })
  const { files } = await exporting.fetchExport(alice)
  const listed = lines(files.get('attachments.jsonl')).map(({ filename, path }) => [filename, path !== null && files.has(path)])
  expect(listed).toEqual([['new.txt', true], ['gone.txt', false], ['large.txt', false], ['old.txt', true]])
})

test('any number of drafts, and of what others did, is written a few at a time', async () => {
  const alice = await exporting.newPerson()
  const userId = userIdOf(alice)
  const { database } = app.app
  await database.run(
    `insert into activities (user_id, id, kind, channel_id, message_id, subject, actor_id, at)
     select $1::bigint, n, 'REACTION', 7, 8, n, n, now() from generate_series(0, 4500) n`,
    [userId],
  )
  await database.run(
    `insert into drafts (user_id, channel_id, content, saved_at) select $1::bigint, n, 'draft ' || n, now() from generate_series(1, 45) n`,
    [userId],
  )
  const most = { drafts: 0, activities: 0 }
  const counting = openDatabase({ url: app.databaseUrl, poolSize: 1, unavailable, around: async (text, run) => {
    const rows = await run()
    for (const table of ['drafts', 'activities'] as const) {
      if (text.includes(`from "${table}"`)) most[table] = Math.max(most[table], (rows as unknown[]).length)
    }
    return rows
  } })
  const found = new Map<string, string>()
  for await (const { path, text } of exportedTexts(counting, userId)) {
    found.set(path, await wholeOf(text))
  }
  await counting.close()
  const actors = lines(Buffer.from(found.get('activity.jsonl')!)).map(({ actorId }) => (parseGlobalId(actorId) as { userId: string }).userId)
  expect(actors).toEqual(Array.from({ length: 4_501 }, (_, nth) => `${nth}`))
  expect(lines(Buffer.from(found.get('drafts.jsonl')!)).map(({ content }) => content)).toEqual(Array.from({ length: 45 }, (_, nth) => `draft ${nth + 1}`))
  expect(most.drafts).toBeGreaterThan(0)
  expect(most.drafts).toBeLessThan(45)
  expect(most.activities).toBeLessThan(4_501)
})
