import {
  type AttachmentFragment,
  CompleteUploadDocument,
  CreateUploadDocument,
  type CreateUploadMutation,
} from '../../client-sdk/index.ts'
import { parseGlobalId } from '../../server/lib/global-id.ts'
import type { Person, Replica } from '../../server/testing/test-app.ts'

/** The smallest PNG there is: one pixel. */
export const png = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
)

/** Sends a file to where it was signed for, as a browser does. Gives the answer's status. */
export async function put({ url, headers }: CreateUploadMutation['createUpload'], body: Buffer): Promise<number> {
  const type = headers.find(({ name }) => name === 'Content-Type')!.value
  const answer = await fetch(url, { method: 'PUT', body: Uint8Array.from(body), headers: { 'content-type': type } })
  return answer.status
}

/** Begins an upload. */
export async function begin(person: Person, body: Buffer, contentType: string, filename = 'file') {
  const input = { filename, contentType, byteSize: body.length }
  return (await person.client.request(CreateUploadDocument, { input })).createUpload
}

export async function complete(person: Person, attachmentId: string): Promise<AttachmentFragment> {
  return (await person.client.request(CompleteUploadDocument, { attachmentId })).completeUpload
}

/** Uploads a file, from the first request to the last. */
export async function upload(person: Person, body: Buffer, contentType: string, filename?: string) {
  const target = await begin(person, body, contentType, filename)
  const status = await put(target, body)
  if (status !== 200) throw new Error(`The upload was answered with ${status}`)
  return complete(person, target.attachment.id)
}

export function keyOf(id: string): { userId: string; id: string } {
  const parsed = parseGlobalId(id)
  if (parsed?.type !== 'Attachment') throw new Error('Not the id of an attachment')
  return { userId: parsed.userId, id: parsed.attachmentId }
}

/** Does what the media job does to a picture, with files that are what they were. Gives all keys there are then. */
export async function finishPicture({ app }: Replica, id: string): Promise<string[]> {
  const key = keyOf(id)
  const { files, services } = app
  const work = await services.attachments.begin(key.userId, key.id)
  if (work === null) throw new Error('Nothing to do')
  const shown = `${work.key}.original`
  const square = { key: `${work.key}.square-256.jpg`, width: 256, height: 256, contentType: 'image/jpeg' }
  const fit = { key: `${work.key}.fit-320.webp`, width: 320, height: 200, contentType: 'image/webp' }
  for (const place of [shown, square.key, fit.key]) await files.write(place, png, 'image/png')
  const kept = await services.attachments.finish(key.userId, key.id, {
    key: shown,
    contentType: 'image/png',
    byteSize: png.length,
    width: 1,
    height: 1,
    placeholder: 'AAAA',
    durationMs: null,
    waveform: null,
    thumbnails: [square, fit],
  })
  if (!kept.includes(shown)) throw new Error('Not finished')
  await files.remove([work.key])
  return [shown, square.key, fit.key]
}
