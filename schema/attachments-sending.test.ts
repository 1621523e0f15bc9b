import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { DeleteMessageDocument, EditMessageDocument, MessagesDocument } from '../client-sdk/index.ts'
import { uploadKey } from '../server/domain/attachments-rows.ts'
import { listen, subscriptions } from '../server/testing/listen.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { bad, conflicting, history, newChannel, refusal, say } from './testing/operations.ts'
import { begin, finishPicture, keyOf, png, upload } from './testing/uploads.ts'

let app: TestApp
let alice: Person
let bob: Person
let channelId: string
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob] = await Promise.all([app.signUp('alice'), app.signUp('bob')])
})
afterAll(() => app.stop())
beforeEach(async () => {
  channelId = await newChannel(alice, {}, [bob])
})

const text = Buffer.from('회의록')
const newFile = async (person = alice) => (await upload(person, text, 'text/plain')).id
const send = (ids: string[], more: object = {}) => say(alice, channelId, 'here', { attachmentIds: ids, ...more })
const idsOf = (message: { attachments: { id: string }[] }) => message.attachments.map(({ id }) => id)
const rowOf = async (id: string) => (await app.app.services.attachments.findMany([keyOf(id)]))[0]
const set = (id: string, what: string) =>
  app.app.database.run(`update attachments set ${what} where user_id = $1 and id = $2`, [keyOf(id).userId, keyOf(id).id])

describe('sending', () => {
  test('a message brings its files, in the order in which its author put them, and may say nothing', async () => {
    const ids = [await newFile(), await newFile(), await newFile()].toReversed()
    const sent = await send(ids, { content: ' ' })
    expect(sent).toMatchObject({ content: '' })
    expect(idsOf(sent)).toEqual(ids)
    const [message] = await history(bob, channelId)
    expect(idsOf(message!)).toEqual(ids)
    expect(await (await fetch(message!.attachments[0]!.url!)).text()).toBe('회의록')
    expect((await rowOf(ids[0]!))!.claimedAt).not.toBeNull()
    expect(await refusal(say(alice, channelId, ' '))).toEqual(bad('input.content'))
  })

  test('an answer brings them too, and so does who is answered, on the stream', async () => {
    const [of, with_] = [await newFile(), await newFile()]
    const root = await send([of])
    const stream = listen(app, bob, MessagesDocument, { channelId })
    await expect.poll(() => subscriptions(app, 'messages')).toBe(1)
    const reply = await send([with_], { replyToId: root.id })
    expect(idsOf(reply)).toEqual([with_])
    await expect.poll(() => stream.events.length).toBe(2)
    expect(stream.events.map(({ messages }) => [messages.kind, idsOf(messages.message)])).toEqual([
      ['CREATED', [with_]],
      ['ENRICHED', [of]],
    ])
    stream.stop()
  })

  test('messages that are written together keep theirs apart', async () => {
    const ids = await Promise.all(Array.from({ length: 10 }, () => newFile()))
    const sends = ids.map((id, nth) => (nth % 3 === 0 ? say(alice, channelId, 'none') : send([id])))
    const sent = await Promise.all(sends)
    expect(sent.map(idsOf)).toEqual(ids.map((id, nth) => (nth % 3 === 0 ? [] : [id])))
    const read = new Map((await history(bob, channelId)).map((message) => [message.id, idsOf(message)]))
    for (const message of sent) expect(read.get(message.id)).toEqual(idsOf(message))
  })

  test('the same key again gives the same message, with other files it is a conflict', async () => {
    const [id, other] = [await newFile(), await newFile()]
    const again = () => send([id], { idempotencyKey: 'once' })
    const [first, ...others] = await Promise.all([again(), again(), again()])
    expect(new Set([first, ...others].map((message) => message!.id)).size).toBe(1)
    expect(await refusal(send([id, other], { idempotencyKey: 'once' }))).toEqual(conflicting('input.idempotencyKey'))
    expect(await refusal(send([], { idempotencyKey: 'once' }))).toEqual(conflicting('input.idempotencyKey'))
    // What it would have brought is free, and what the first has is not.
    expect(idsOf(await send([other]))).toEqual([other])
    expect(await refusal(send([id]))).toEqual(conflicting('input.attachmentIds'))
    await alice.client.request(DeleteMessageDocument, { messageId: first!.id })
    await app.app.services.attachments.remove(keyOf(id).userId, [keyOf(id).id])
    expect((await again()).id).toBe(first!.id)
  })

  test('a file is of one message, also when two want it at the same moment', async () => {
    const id = await newFile()
    const outcomes = await Promise.allSettled([send([id]), send([id]), send([id])])
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect((await history(bob, channelId)).flatMap(idsOf)).toEqual([id])
  })

  test('what was claimed by a send that never came to be is free after a minute', async () => {
    const id = await newFile()
    const never = `claimed_channel_id = 7, claimed_key = '00000000-0000-0000-0000-000000000007', claimed_at = null`
    await set(id, `${never}, completed_at = now() - interval '50 seconds'`)
    expect(await refusal(send([id]))).toMatchObject({ code: 'UNAVAILABLE' })
    await set(id, `completed_at = now() - interval '61 seconds'`)
    expect(idsOf(await send([id]))).toEqual([id])
  })

  test('a claim that was never confirmed is good where there is a message', async () => {
    const id = await newFile()
    await send([id])
    await set(id, `claimed_at = null, completed_at = now() - interval '1 hour'`)
    expect(await refusal(send([id]))).toEqual(conflicting('input.attachmentIds'))
  })

  test('what is not the viewer’s own, complete and whole is refused, and takes nothing along', async () => {
    const id = await newFile()
    const field = bad('input.attachmentIds')
    const pending = (await begin(alice, text, 'text/plain')).attachment.id
    const failed = (await upload(alice, text, 'image/png')).id
    for (const wrong of [pending, failed, await newFile(bob), alice.id, 'x', `${id.split('_')[0]}_1`, id]) {
      expect(await refusal(send([id, wrong])), wrong).toEqual(field)
    }
    const eleven = await Promise.all(Array.from({ length: 11 }, () => newFile()))
    expect(await refusal(send(eleven))).toEqual(field)
    expect(idsOf(await send([id]))).toEqual([id])
    expect(idsOf(await send(eleven.slice(1)))).toHaveLength(10)
  })

  test('who may not write here claims nothing', async () => {
    const elsewhere = await newChannel(bob)
    const id = await newFile()
    expect(await refusal(send([id], { channelId: elsewhere }))).toMatchObject({ code: 'FORBIDDEN' })
    expect(idsOf(await send([id]))).toEqual([id])
  })

  test('text alone asks for nothing more', async () => {
    await say(alice, channelId, 'warm')
    const before = app.statements.length
    await say(alice, channelId, 'plain')
    const statements = app.statements.slice(before).filter((statement) => statement.includes('attachments'))
    expect(statements).toEqual([])
  })

  test('what a message shows may be all that is left of it', async () => {
    const { id } = await send([await newFile()])
    const edit = (messageId: string, content: string) =>
      alice.client.request(EditMessageDocument, { input: { messageId, content } })
    expect((await edit(id, '')).editMessage.message).toMatchObject({ content: '', attachments: [{}] })
    const plain = await say(alice, channelId, 'text')
    expect(await refusal(edit(plain.id, ' '))).toEqual(bad('input.content'))
  })
})

describe('pictures in messages', () => {
  test('are sent at once, and those who see it are told when they can be shown', async () => {
    const stream = listen(app, bob, MessagesDocument, { channelId })
    await expect.poll(() => subscriptions(app, 'messages')).toBeGreaterThan(0)
    const picture = await upload(alice, png, 'image/png')
    const sent = await send([picture.id])
    expect(sent.attachments[0]).toMatchObject({ status: 'PROCESSING', url: null })
    await finishPicture(app, picture.id)
    await expect.poll(() => stream.events.length).toBe(2)
    const [created, enriched] = stream.events.map(({ messages }) => messages)
    expect(created).toMatchObject({ kind: 'CREATED', message: { attachments: [{ url: null }] } })
    expect(enriched).toMatchObject({ kind: 'ENRICHED', message: { id: sent.id, attachments: [{ status: 'READY' }] } })
    expect((await fetch(enriched!.message.attachments[0]!.url!)).status).toBe(200)
    stream.stop()
  })

  test('that were done before are shown with the message, and nobody is told twice', async () => {
    const picture = await upload(alice, png, 'image/png')
    await finishPicture(app, picture.id)
    const sent = await send([picture.id])
    expect(sent.attachments[0]).toMatchObject({ status: 'READY', thumbnails: [{}, {}] })
    expect((await history(bob, channelId))[0]!.version).toBe(sent.version)
  })

  test('a job that died before it could tell tells when it runs again', async () => {
    const picture = await upload(alice, png, 'image/png')
    const sent = await send([picture.id])
    await set(picture.id, `status = 'READY'`)
    const { userId, id } = keyOf(picture.id)
    expect(await app.app.services.attachments.begin(userId, id)).toBeNull()
    expect((await history(bob, channelId))[0]!.version).toBeGreaterThan(sent.version)
  })

  test('whose job is lost are looked at anew, and given up when nothing has come of them for a day', async () => {
    const { attachments } = app.app.services
    const waiting = async () => (await app.app.jobs.operator.counts()).find(({ kind }) => kind === 'media')?.ready ?? 0
    const [lost, over] = [await upload(alice, png, 'image/png'), await upload(alice, png, 'image/png')]
    await send([lost.id, over.id])
    const before = await waiting()
    await set(lost.id, `created_at = now() - interval '4 hours', completed_at = now() - interval '4 hours'`)
    await set(over.id, `created_at = now() - interval '31 hours'`)
    await Promise.all([attachments.sweep(), attachments.sweep()])
    await attachments.sweep()
    expect(await waiting()).toBe(before + 1)
    const [message] = await history(bob, channelId)
    expect(message!.attachments).toMatchObject([{ status: 'PROCESSING' }, { status: 'FAILED', failure: 'TIMED_OUT' }])
  })

  test('of which nothing can be made say so in the message', async () => {
    const picture = await upload(alice, png, 'image/png')
    await send([picture.id])
    const { userId, id } = keyOf(picture.id)
    await app.app.services.attachments.fail(userId, id, 'TOO_LARGE')
    const [message] = await history(bob, channelId)
    expect(message!.attachments[0]).toMatchObject({ status: 'FAILED', failure: 'TOO_LARGE' })
  })
})

describe('removing', () => {
  test('a deleted message shows nothing, and its files go', async () => {
    const picture = await upload(alice, png, 'image/png')
    const keys = await finishPicture(app, picture.id)
    const sent = await send([picture.id])
    const { deleteMessage } = await alice.client.request(DeleteMessageDocument, { messageId: sent.id })
    expect(deleteMessage.message.attachments).toEqual([])
    const { userId, id } = keyOf(picture.id)
    const jobs = await app.app.jobs.operator.counts()
    expect(jobs.find(({ kind }) => kind === 'files-remove')!.ready).toBeGreaterThan(0)
    await app.app.services.attachments.remove(userId, [id])
    await app.app.services.attachments.remove(userId, [id])
    for (const key of keys) expect(await app.app.files.head(key), key).toBeNull()
    expect(await rowOf(picture.id)).toBeUndefined()
  })

  test('the job of a picture that is gone says so', async () => {
    const picture = await upload(alice, png, 'image/png')
    const { userId, id } = keyOf(picture.id)
    const { key } = (await app.app.services.attachments.begin(userId, id))!
    await app.app.services.attachments.remove(userId, [id])
    const made = { key, contentType: 'image/png', byteSize: 1, width: 1, height: 1, placeholder: null, durationMs: null, waveform: null, thumbnails: [] }
    expect(await app.app.services.attachments.finish(userId, id, made)).toEqual([])
  })

  test('the sweep takes what was never completed for a day and what is part of nothing after a week', async () => {
    const day = (days: number) => `created_at = now() - interval '${days} days' - interval '1 minute'`
    const pending = (await begin(alice, text, 'text/plain')).attachment.id
    const young = (await begin(alice, text, 'text/plain')).attachment.id
    const [loose, recent, sent, unconfirmed, claimed] = [await newFile(), await newFile(), await newFile(), await newFile(), await newFile()]
    const failed = (await upload(alice, text, 'image/png')).id
    await send([sent])
    await send([unconfirmed])
    await set(pending, day(1))
    await set(recent, day(6))
    for (const id of [loose, failed, sent]) await set(id, day(7))
    await set(unconfirmed, `${day(7)}, completed_at = now() - interval '61 minutes', claimed_at = null`)
    await set(claimed, `${day(7)}, completed_at = now() - interval '61 minutes', claimed_channel_id = 7, claimed_key = '00000000-0000-0000-0000-000000000007'`)
    expect(await app.app.services.attachments.sweep()).toBe(4)
    expect(await app.app.services.attachments.sweep()).toBe(0)
    for (const id of [pending, loose, failed, claimed]) expect(await rowOf(id), id).toBeUndefined()
    for (const id of [young, recent, sent, unconfirmed]) expect(await rowOf(id), id).toBeDefined()
    expect((await rowOf(unconfirmed))!.claimedAt).not.toBeNull()
    expect(uploadKey(keyOf(young))).toContain('uploads/')
  })
})
