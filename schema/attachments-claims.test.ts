import postgres from 'postgres'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { AttachmentDocument } from '../client-sdk/index.ts'
import { parseGlobalId } from '../server/lib/global-id.ts'
import { keyHash } from '../server/message-store/send.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { history, newChannel, refusal, say } from './testing/operations.ts'
import { keyOf, upload } from './testing/uploads.ts'

let app: TestApp
let alice: Person
let bob: Person
let channelId: string
let other: postgres.Sql
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob] = await Promise.all([app.signUp('alice'), app.signUp('bob')])
  const url = new URL(app.databaseUrl)
  const search_path = url.searchParams.get('search_path')!
  url.search = ''
  other = postgres(url.href, { max: 1, connection: { search_path }, onnotice: () => {} })
})
afterAll(async () => {
  await other.end()
  await app.stop()
})
beforeEach(async () => {
  channelId = await newChannel(alice, {}, [bob])
})

const newFile = async () => (await upload(alice, Buffer.from('회의록'), 'text/plain')).id
const send = (ids: string[], more: object = {}) => say(alice, channelId, 'here', { attachmentIds: ids, ...more })
const idsOf = (message: { attachments: { id: string }[] }) => message.attachments.map(({ id }) => id)
const rowOf = async (id: string) => (await app.app.services.attachments.findMany([keyOf(id)]))[0]
const set = (id: string, what: string) =>
  app.app.database.run(`update attachments set ${what} where user_id = $1 and id = $2`, [keyOf(id).userId, keyOf(id).id])
const channelKey = () => (parseGlobalId(channelId) as { channelId: string }).channelId

/** Has somebody else hold the channel until a send has claimed this file, and do something then. */
async function whileSending<T>(id: string, sending: () => Promise<T>, work: (tx: postgres.TransactionSql) => Promise<unknown>) {
  let sent: Promise<T> | undefined
  await other.begin(async (tx) => {
    await tx`select from channels where id = ${channelKey()} for update`
    sent = sending()
    sent.catch(() => {})
    await expect.poll(async () => (await rowOf(id))!.claimedKey).not.toBeNull()
    await work(tx)
  })
  return sent!
}

test('what is being sent is not swept, however old it is', async () => {
  const id = await newFile()
  await set(id, `created_at = now() - interval '8 days', completed_at = now() - interval '8 days'`)
  const sent = await whileSending(id, () => send([id]), async () => {
    expect(await app.app.services.attachments.sweep()).toBe(0)
  })
  expect(idsOf(sent)).toEqual([id])
  expect(idsOf((await history(bob, channelId))[0]!)).toEqual([id])
  expect(await (await fetch(sent.attachments[0]!.url!)).text()).toBe('회의록')
})

test('what a send has claimed and claims again is let alone for an hour from then', async () => {
  const id = await newFile()
  const { userId } = keyOf(id)
  const { attachments } = app.app.services
  const claim = { channelId: channelKey(), keyHash: keyHash({ authorId: userId, key: 'again' }) }
  await attachments.claim(userId, [keyOf(id)], claim)
  await set(id, `created_at = now() - interval '8 days', completed_at = now() - interval '61 minutes'`)
  await attachments.claim(userId, [keyOf(id)], claim)
  expect(await attachments.sweep()).toBe(0)
  await set(id, `completed_at = now() - interval '61 minutes'`)
  expect(await attachments.sweep()).toBe(1)
})

test('what was left out when a send was tried again is free at once', async () => {
  const [kept, left] = [await newFile(), await newFile()]
  const { userId } = keyOf(kept)
  // The first attempt died after it had claimed both.
  const claim = { channelId: channelKey(), keyHash: keyHash({ authorId: userId, key: 'one' }) }
  await app.app.services.attachments.claim(userId, [keyOf(kept), keyOf(left)], claim)
  expect(idsOf(await send([kept], { idempotencyKey: 'one' }))).toEqual([kept])
  expect(idsOf(await send([left], { idempotencyKey: 'two' }))).toEqual([left])
  expect(await refusal(send([kept]))).toMatchObject({ code: 'CONFLICT' })
})

test('who is refused after all sends the same elsewhere at once', async () => {
  const id = await newFile()
  const elsewhere = await newChannel(alice)
  const { userId } = keyOf(id)
  const refused = whileSending(id, () => send([id]), async (tx) => {
    await tx`update members set left_at = now() where channel_id = ${channelKey()} and user_id = ${userId}`
    await tx`update channels set membership_version = membership_version + 1 where id = ${channelKey()}`
  })
  expect(await refusal(refused)).toMatchObject({ code: 'FORBIDDEN' })
  expect(idsOf(await send([id], { channelId: elsewhere }))).toEqual([id])
})

test('who gives back what a copy of the send has claimed since gives back nothing', async () => {
  const id = await newFile()
  const { userId } = keyOf(id)
  const claim = { channelId: channelKey(), keyHash: keyHash({ authorId: userId, key: 'copied' }) }
  const { attachments } = app.app.services
  const since = await attachments.claim(userId, [keyOf(id)], claim)
  expect(since).not.toBeNull()
  expect(await attachments.claim(userId, [keyOf(id)], claim)).toBeNull()
  await attachments.giveBack(userId, [keyOf(id)], claim, since)
  expect((await rowOf(id))!.claimedKey).not.toBeNull()
  await attachments.giveBack(userId, [keyOf(id)], claim)
  expect((await rowOf(id))!.claimedKey).toBeNull()
})

test('what a build that knew of no attachments has deleted is shown to nobody', async () => {
  const id = await newFile()
  await send([id])
  await other`update messages set content = '', deleted_at = now() where channel_id = ${channelKey()}`
  const [message] = await history(bob, channelId)
  expect(message!.attachments).toEqual([])
  expect((await bob.client.request(AttachmentDocument, { id })).node).toBeNull()
})
