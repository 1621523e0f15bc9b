import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { AttachmentDocument, CompleteUploadDocument, CreateUploadDocument, LeaveChannelDocument } from '../client-sdk/index.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { bad, conflicting, failure, missing, newChannel, refusal, say } from './testing/operations.ts'
import { begin, complete, finishPicture, keyOf, png, put, upload } from './testing/uploads.ts'

let app: TestApp
let alice: Person
let bob: Person
let carol: Person
let people = 0
beforeAll(async () => {
  app = await startTestApp({ UPLOAD_MAX_BYTES: '1000000' })
  ;[bob, carol] = await Promise.all([app.signUp('bob'), app.signUp('carol')])
})
afterAll(() => app.stop())
// Each test has a person with no uploads.
beforeEach(async () => {
  alice = await app.signUp(`alice${++people}`)
})

const text = Buffer.from('회의록\n1. 차\n')
const seen = async (person: Person, id: string) => (await person.client.request(AttachmentDocument, { id })).node as any
const rowOf = async (id: string) => (await app.app.services.attachments.findMany([keyOf(id)]))[0]
const waiting = async (wanted: string) =>
  (await app.app.jobs.operator.counts()).find(({ kind }) => kind === wanted)?.ready ?? 0

describe('uploading', () => {
  test('a file is put where it was signed for, completed, and fetched by its name', async () => {
    const target = await begin(alice, text, 'Text/Plain; charset=utf-8', '회의록.txt')
    expect(target).toMatchObject({ method: 'PUT', attachment: { status: 'PENDING', url: null, contentType: 'text/plain' } })
    expect(await put(target, text)).toBe(200)
    const file = await complete(alice, target.attachment.id)
    expect(file).toMatchObject({ filename: '회의록.txt', byteSize: text.length, status: 'READY', failure: null, thumbnails: [] })
    const answer = await fetch(file.url!)
    expect(await answer.text()).toBe(text.toString())
    expect(answer.headers.get('content-disposition')).toMatch(/^attachment; .*%ED%9A%8C/)
    expect(answer.headers.get('content-security-policy')).toContain('sandbox')
    expect(+new Date(file.urlExpiresAt!)).toBeGreaterThan(Date.now() + 3_599_000)
    expect((await seen(alice, file.id)).url).toBe(file.url)
  })

  test('completing again changes nothing, also at the same moment; what is put there later is not seen', async () => {
    const target = await begin(alice, text, 'text/plain')
    await put(target, text)
    const files = await Promise.all([1, 2, 3].map(() => complete(alice, target.attachment.id)))
    expect(new Set(files.map(({ url }) => url)).size).toBe(1)
    await put(target, Buffer.alloc(text.length, 'x'))
    const again = await complete(alice, target.attachment.id)
    expect(await (await fetch(again.url!)).text()).toBe(text.toString())
  })

  test('what is not there yet can be put and completed later', async () => {
    const target = await begin(alice, text, 'text/plain')
    const completing = alice.client.request(CompleteUploadDocument, { attachmentId: target.attachment.id })
    expect(await refusal(completing)).toEqual(conflicting('attachmentId'))
    await put(target, text)
    expect((await complete(alice, target.attachment.id)).status).toBe('READY')
  })

  test('a completion that broke off anywhere is gone on with', async () => {
    const target = await begin(alice, text, 'text/plain')
    await put(target, text)
    const { userId, id } = keyOf(target.attachment.id)
    // The file was moved, and then the process died.
    await app.app.files.move(`uploads/${userId}/${id}`, 'files/broken-off')
    const leave = (seconds: number) =>
      app.app.database.run(
        `update attachments set key = 'files/broken-off', completed_at = now() - interval '1 second' * $3::int
         where user_id = $1 and id = $2`,
        [userId, id, seconds],
      )
    await leave(500)
    expect((await complete(alice, target.attachment.id)).status).toBe('READY')
    expect(await app.app.files.head('files/broken-off')).toBeNull()
  })

  test('only the owner completes, and an id of something else is none', async () => {
    const { attachment } = await begin(alice, text, 'text/plain')
    expect(await refusal(complete(bob, attachment.id))).toEqual(missing('attachmentId'))
    expect(await refusal(complete(alice, alice.id))).toEqual(bad('attachmentId'))
    expect(await refusal(complete(alice, `${attachment.id.split('_')[0]}_1`))).toEqual(missing('attachmentId'))
  })

  test.each([
    ['filename', { filename: ' ' }],
    ['filename', { filename: 'x'.repeat(256) }],
    ['filename', { filename: 'a\nb' }],
    ['contentType', { contentType: 'png' }],
    ['contentType', { contentType: 'text/html' }],
    ['contentType', { contentType: 'application/x-msdownload' }],
    ['byteSize', { byteSize: 0 }],
    ['byteSize', { byteSize: -1 }],
    ['byteSize', { byteSize: 1_000_001 }],
  ])('a bad %s is refused: %o', async (field, wrong) => {
    const input = { filename: 'a.png', contentType: 'image/png', byteSize: 10, ...wrong }
    expect(await refusal(alice.client.request(CreateUploadDocument, { input }))).toEqual(bad(`input.${field}`))
  })

  test('a name leads nowhere and turns nothing round', async () => {
    const { attachment } = await begin(alice, text, 'text/plain', '../../etc/pass\u202Egpj.exe')
    expect(attachment.filename).toBe('.._.._etc_pass_gpj.exe')
  })

  test('who has begun a hundred completes some first', async () => {
    for (let n = 0; n < 100; n++) await begin(alice, text, 'text/plain')
    expect(await failure(begin(alice, text, 'text/plain'))).toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: 60_000 })
    await begin(bob, text, 'text/plain')
  })

  test('who has brought much and sent nothing of it sends some first', async () => {
    const carol = await app.signUp('carol-2')
    const channelId = await newChannel(carol)
    const ids = [await upload(carol, text, 'text/plain'), await upload(carol, text, 'text/plain')].map(({ id }) => id)
    const grow = (id: string) =>
      app.app.database.run('update attachments set byte_size = 10000000 where user_id = $1 and id = $2', [keyOf(id).userId, keyOf(id).id])
    await grow(ids[0]!)
    await begin(carol, text, 'text/plain')
    await grow(ids[1]!)
    expect(await failure(begin(carol, text, 'text/plain'))).toMatchObject({ code: 'RATE_LIMITED' })
    await say(carol, channelId, '', { attachmentIds: ids })
    await begin(carol, text, 'text/plain')
    await app.app.database.run(
      `insert into attachments (user_id, id, filename, content_type, byte_size, status, created_at)
       select user_id, id + n, filename, content_type, 1, 'READY', now() from attachments, generate_series(1, 500) as n
       where user_id = $1 and id = $2`,
      [keyOf(ids[0]!).userId, keyOf(ids[0]!).id],
    )
    expect(await failure(begin(carol, text, 'text/plain'))).toMatchObject({ code: 'RATE_LIMITED' })
  })

  test('what is something else than it says ends as FAILED, and is kept nowhere', async () => {
    const zip = Buffer.concat([Buffer.from('PK\x03\x04'), randomBytes(500)])
    const disguises: [Buffer, string][] = [
      [zip, 'image/jpeg'],
      [Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>'), 'image/png'],
      [png, 'image/jpeg'],
      [png, 'text/plain'],
      [text, 'application/pdf'],
      [Buffer.from('%PDF-1.7\n'), 'video/mp4'],
      [randomBytes(3_000), 'image/webp'],
    ]
    for (const [body, type] of disguises) {
      const file = await upload(alice, body, type)
      expect(file, type).toMatchObject({ status: 'FAILED', failure: 'DISGUISED', url: null })
      expect(await rowOf(file.id)).toMatchObject({ key: null })
    }
    const honest: [Buffer, string][] = [
      [Buffer.from('\uFEFFBMW,PK\nMZ,"가"'), 'text/csv'],
      [Buffer.from('\uFEFF차 한 잔', 'utf16le'), 'text/plain'],
      [Buffer.from('{"a":1}'), 'application/json'],
      [Buffer.from('%PDF-1.7\n'), 'application/pdf'],
      [zip, 'application/zip'],
    ]
    for (const [body, type] of honest) expect(await upload(alice, body, type), type).toMatchObject({ status: 'READY' })
  })
})

describe('pictures', () => {
  test('have no address before they were processed, which is a job of its own', async () => {
    const picture = await upload(alice, png, 'image/png', 'a.png')
    expect(picture).toMatchObject({ status: 'PROCESSING', url: null, urlExpiresAt: null, thumbnails: [] })
    await finishPicture(app, picture.id)
    const file = await seen(alice, picture.id)
    expect(file).toMatchObject({ status: 'READY', width: 1, height: 1, placeholder: 'AAAA' })
    expect(file.thumbnails).toMatchObject([{ width: 256, contentType: 'image/jpeg' }, { width: 320 }])
    for (const { url } of [file, ...file.thumbnails]) {
      const answer = await fetch(url)
      expect(answer.headers.get('content-disposition')).toBe('inline')
      expect(Buffer.from(await answer.arrayBuffer()).equals(png)).toBe(true)
    }
  })

  test('of which nothing can be made say why', async () => {
    const picture = await upload(alice, png, 'image/png')
    const { userId, id } = keyOf(picture.id)
    await app.app.services.attachments.fail(userId, id, 'BROKEN')
    expect(await seen(alice, picture.id)).toMatchObject({ status: 'FAILED', failure: 'BROKEN', url: null })
    // Nothing serves it from now on, and a job removes it.
    const [removal] = await app.app.jobs.operator.counts().then((counts) => counts.filter(({ kind }) => kind === 'files-remove'))
    expect(removal!.ready).toBeGreaterThan(0)
    // The job may run again.
    expect(await app.app.services.attachments.begin(userId, id)).toBeNull()
    await app.app.services.attachments.fail(userId, id, 'TIMED_OUT')
    expect(await seen(alice, picture.id)).toMatchObject({ failure: 'BROKEN' })
  })

  test('a job is written with the status', async () => {
    await upload(alice, png, 'image/png')
    const before = await waiting('media')
    const target = await begin(alice, png, 'image/png')
    await put(target, png)
    expect(await waiting('media')).toBe(before)
    await Promise.all([1, 2, 3].map(() => complete(alice, target.attachment.id)))
    expect(await waiting('media')).toBe(before + 1)
  })
})

describe('who may see an attachment', () => {
  test('its owner; and who may read the message that has it', async () => {
    const channelId = await newChannel(alice, {}, [bob])
    const file = await upload(alice, text, 'text/plain')
    expect(await seen(bob, file.id)).toBeNull()
    await say(alice, channelId, 'here', { attachmentIds: [file.id] })
    expect(await seen(bob, file.id)).toMatchObject({ id: file.id, url: file.url })
    expect(await seen(carol, file.id)).toBeNull()
    await bob.client.request(LeaveChannelDocument, { channelId })
    expect(await seen(bob, file.id)).toBeNull()
    expect(await seen(alice, file.id)).not.toBeNull()
  })
})
