import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { UpdateProfileDocument, UserDocument } from '../client-sdk/index.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { bad, conflicting, newChannel, refusal, say } from './testing/operations.ts'
import { finishPicture, keyOf, png, upload } from './testing/uploads.ts'

let app: TestApp
let alice: Person
let bob: Person
let people = 0
beforeAll(async () => {
  app = await startTestApp()
  bob = await app.signUp('bob')
})
afterAll(() => app.stop())
beforeEach(async () => {
  alice = await app.signUp(`alice${++people}`)
})

const field = 'input.avatarAttachmentId'

async function newPicture(person = alice) {
  const { id } = await upload(person, png, 'image/png')
  const keys = await finishPicture(app, id)
  return { id, keys }
}

const show = async (avatarAttachmentId: string | null, more: object = {}) =>
  (await alice.client.request(UpdateProfileDocument, { input: { avatarAttachmentId, ...more } })).updateProfile
const seenBy = async (person: Person) =>
  (await person.client.request(UserDocument, { username: alice.username })).user!.avatarUrl
const rowOf = async (id: string) => (await app.app.services.attachments.findMany([keyOf(id)]))[0]
const waiting = async () =>
  (await app.app.jobs.operator.counts()).find(({ kind }) => kind === 'files-remove')?.ready ?? 0

test('a picture of one’s own is seen by everybody, as a square; null shows none', async () => {
  const { id, keys } = await newPicture()
  const { avatarUrl } = await show(id)
  expect(avatarUrl).toContain(keys[1])
  expect(await seenBy(bob)).toBe(avatarUrl)
  expect((await fetch(avatarUrl!)).headers.get('content-type')).toBe('image/jpeg')
  // What is left out stays.
  await alice.client.request(UpdateProfileDocument, { input: { displayName: 'Alice' } })
  expect(await seenBy(bob)).toBe(avatarUrl)
  expect((await show(id)).avatarUrl).toBe(avatarUrl)
  expect((await show(null)).avatarUrl).toBeNull()
  expect(await seenBy(bob)).toBeNull()
})

test('it is not swept, and goes with its files when another takes its place', async () => {
  const [first, second] = [await newPicture(), await newPicture()]
  await show(first.id)
  await app.app.database.run(`update attachments set created_at = now() - interval '30 days' where user_id = $1`, [keyOf(first.id).userId])
  await app.app.services.attachments.sweep()
  expect(await rowOf(first.id)).toBeDefined()
  expect(await rowOf(second.id)).toBeUndefined()
  const third = await newPicture()
  const before = await waiting()
  await show(third.id)
  expect(await waiting()).toBe(before + 1)
  await show(third.id)
  expect(await waiting()).toBe(before + 1)
})

test('what is no picture of one’s own that is ready is refused, and nothing is changed', async () => {
  const file = await upload(alice, Buffer.from('text'), 'text/plain')
  const processing = await upload(alice, png, 'image/png')
  const another = await newPicture(bob)
  for (const id of [file.id, processing.id, another.id, bob.id, `${file.id.split('_')[0]}_1`]) {
    expect(await refusal(show(id, { displayName: 'Other' })), id).toEqual(bad(field))
  }
  const { user } = await bob.client.request(UserDocument, { username: alice.username })
  expect(user).toMatchObject({ displayName: alice.username, avatarUrl: null })
})

test('a picture is of a message or of a person', async () => {
  const channelId = await newChannel(alice)
  const [sent, shown] = [await newPicture(), await newPicture()]
  await say(alice, channelId, 'here', { attachmentIds: [sent.id] })
  expect(await refusal(show(sent.id))).toEqual(conflicting(field))
  await show(shown.id)
  expect(await refusal(say(alice, channelId, 'here', { attachmentIds: [shown.id] }))).toEqual(conflicting('input.attachmentIds'))
})
