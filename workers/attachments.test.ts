import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import sharp from 'sharp'
import {
  AttachmentDocument,
  CompleteUploadDocument,
  CreateChannelDocument,
  CreateUploadDocument,
  DeleteMessageDocument,
  MessagesDocument,
  SendMessageDocument,
  UpdateProfileDocument,
} from '../client-sdk/index.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { latitudes, look, phonePicture } from './media/testing/pictures.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

let app: TestApp
let alice: Person
let bob: Person
let channelId: string
beforeAll(async () => {
  app = await startTestApp()
  await app.startWorkers()
  alice = await app.signUp('alice')
  bob = await app.signUp('bob')
  const input = { kind: 'GROUP' as const, name: 'pictures', memberIds: [bob.id] }
  channelId = (await alice.client.request(CreateChannelDocument, { input })).createChannel.channel.id
})
afterAll(() => app.stop())

/** Brings a file in, as a client does. */
async function upload(by: Person, filename: string, contentType: string, body: Buffer) {
  const input = { filename, contentType, byteSize: body.length }
  const { createUpload } = await by.client.request(CreateUploadDocument, { input })
  const headers = Object.fromEntries(createUpload.headers.map(({ name, value }) => [name, value]))
  const put = await fetch(createUpload.url, { method: createUpload.method, headers, body: new Uint8Array(body) })
  expect(put.ok, await put.text()).toBe(true)
  const attachmentId = createUpload.attachment.id
  return (await by.client.request(CompleteUploadDocument, { attachmentId })).completeUpload
}

const find = async (by: Person, id: string) => {
  const { node } = await by.client.request(AttachmentDocument, { id })
  return node?.__typename === 'Attachment' ? node : null
}

const settled = async (by: Person, id: string) =>
  expect
    .poll(() => find(by, id).then((found) => found?.status), { timeout: 45_000, interval: 200 })
    .toMatch(/READY|FAILED/)
    .then(() => find(by, id))

const download = async (url: string) => {
  const response = await fetch(url)
  expect(response.status).toBe(200)
  return { headers: response.headers, body: Buffer.from(await response.arrayBuffer()) }
}

test('a phone’s picture: sent at once, enriched when its thumbnails are in, upright, and without where it was taken', async () => {
  const picture = await phonePicture(900, 1_200, (image) => image.jpeg())
  expect(latitudes.some((place) => picture.includes(place))).toBe(true)
  const completed = await upload(alice, '휴가 사진.jpg', 'image/jpeg', picture)
  expect(completed).toMatchObject({ filename: '휴가 사진.jpg', url: null })

  const events = bob.client.subscribe(MessagesDocument, { channelId })[Symbol.asyncIterator]()
  const first = events.next()
  await new Promise((resolve) => setTimeout(resolve, 300))
  const input = { channelId, content: '', attachmentIds: [completed.id] }
  const { message } = (await alice.client.request(SendMessageDocument, { input })).sendMessage
  expect(message.attachments.map(({ id }) => id)).toEqual([completed.id])
  let latest = (await first).value!.messages
  expect(latest).toMatchObject({ kind: 'CREATED', message: { id: message.id, content: '' } })
  while (latest.message.attachments[0]!.status !== 'READY') latest = (await events.next()).value!.messages
  await events.return?.()

  const [shown] = latest.message.attachments
  expect(shown).toMatchObject({ width: 900, height: 1_200, contentType: 'image/jpeg', failure: null })
  expect(shown!.placeholder).toMatch(/^[\w+/]{20,40}=*$/)
  const files = [shown!.url!, ...shown!.thumbnails.map((thumbnail) => thumbnail.url)]
  expect(files.length).toBeGreaterThan(5)
  for (const url of files) {
    const { headers, body } = await download(url)
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    for (const place of latitudes) expect(body.includes(place)).toBe(false)
    const { exif, xmp } = await sharp(body).metadata()
    expect(xmp).toBeUndefined()
    // What is served keeps which side is up, which takes 32 bytes, and its pixels as they were.
    expect(exif?.length ?? 0).toBeLessThanOrEqual(url === shown!.url ? 32 : 0)
    expect(await look(body)).toEqual({ top: 'red', left: 'blue', rest: 'white' })
  }
})

test('what is not for one’s eyes is not there; an address that was changed is no good', async () => {
  const carol = await app.signUp('carol')
  const completed = await upload(alice, 'note.txt', 'text/plain', Buffer.from('비밀 note'))
  expect(completed.status).toBe('READY')
  expect(await find(bob, completed.id)).toBeNull()
  const input = { channelId, content: 'read this', attachmentIds: [completed.id] }
  const { message } = (await alice.client.request(SendMessageDocument, { input })).sendMessage
  expect(await find(bob, completed.id)).not.toBeNull()
  expect(await find(carol, completed.id)).toBeNull()
  const { url } = message.attachments[0]!
  const { headers, body } = await download(url!)
  expect(body.toString()).toBe('비밀 note')
  expect(headers.get('content-disposition')).toMatch(/^attachment/)
  const tampered = await fetch(url!.replace(/.(?=.{9}$)/, (letter) => (letter === 'A' ? 'B' : 'A')))
  expect(tampered.status).toBe(403)

  await alice.client.request(DeleteMessageDocument, { messageId: message.id })
  await expect.poll(() => fetch(url!).then((response) => response.status), { timeout: 30_000 }).toBe(404)
  expect(await find(alice, completed.id)).toBeNull()
})

test.each([
  ['an SVG with a script that calls itself .png', 'x.png', 'image/png', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>'), 'DISGUISED'],
  ['a zip that calls itself .jpg', 'x.jpg', 'image/jpeg', Buffer.from('PK\u0003\u0004 and so on, as archives begin', 'latin1'), 'DISGUISED'],
] as const)('%s fails, and says why', async (_, filename, contentType, body, failure) => {
  const completed = await upload(alice, filename, contentType, body)
  expect(await settled(alice, completed.id)).toMatchObject({ status: 'FAILED', failure, url: null, thumbnails: [] })
})

test('a picture that is cut off fails, and the worker goes on', async () => {
  const picture = await phonePicture(1_200, 900, (image) => image.jpeg())
  const [broken, whole] = await Promise.all([
    upload(alice, 'half.jpg', 'image/jpeg', picture.subarray(0, picture.length / 2)),
    upload(alice, 'whole.jpg', 'image/jpeg', picture),
  ])
  expect(await settled(alice, broken.id)).toMatchObject({ status: 'FAILED', failure: 'BROKEN' })
  expect(await settled(alice, whole.id)).toMatchObject({ status: 'READY' })
})

test('an avatar is a small square, seen by everybody, and gone when it is taken back', async () => {
  const completed = await upload(bob, 'me.jpg', 'image/jpeg', await phonePicture(1_200, 900, (image) => image.jpeg()))
  expect(await settled(bob, completed.id)).toMatchObject({ status: 'READY' })
  const { updateProfile } = await bob.client.request(UpdateProfileDocument, { input: { avatarAttachmentId: completed.id } })
  const { body } = await download(updateProfile.avatarUrl!)
  const { width, height } = await sharp(body).metadata()
  expect([width, height]).toEqual([256, 256])
  const cleared = await bob.client.request(UpdateProfileDocument, { input: { avatarAttachmentId: null } })
  expect(cleared.updateProfile.avatarUrl).toBeNull()
})
