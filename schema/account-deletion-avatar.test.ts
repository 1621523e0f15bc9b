import { afterAll, beforeAll, expect, test } from 'vitest'
import type { NewJob } from '../server/jobs/jobs.ts'
import { parseGlobalId } from '../server/lib/global-id.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { operation } from './testing/operations.ts'
import { finishPicture, keyOf, png, upload } from './testing/uploads.ts'

/** Without workers: pictures are finished by hand, and what is to be removed stays a job. */
let app: TestApp
let bob: Person
beforeAll(async () => {
  app = await startTestApp()
  bob = await app.signUp('bob')
})
afterAll(() => app.stop())

const userIdOf = ({ id }: Person) => (parseGlobalId(id) as { userId: string }).userId
const never = new AbortController().signal

const Avatar = operation<{ node: { avatarUrl: string | null; deleted: boolean } }, { id: string }>(
  `query Avatar($id: ID!) { node(id: $id) { ... on User { avatarUrl deleted } } }`,
)

async function newPicture(person: Person) {
  const { id } = await upload(person, png, 'image/png', 'dot.png')
  await finishPicture(app, id)
  return keyOf(id)
}

const setAvatar = async (person: Person, key: { userId: string; id: string }) =>
  app.app.services.users.updateProfile(userIdOf(person), { avatar: key })

const remove = (person: Person) =>
  app.app.services.accountDeletion.delete(
    { userId: userIdOf(person), sessionId: '1', expiresAt: null },
    { username: person.username, password: `${person.username}’s password` },
  )

const finish = (person: Person) =>
  app.app.services.accountDeletion.finish({ userId: userIdOf(person), deleteMessages: false }, app.app.database, never)

async function removals(): Promise<NewJob['data'][]> {
  const [schema] = await app.app.database.run<{ name: string }>(`select current_schema() || '_jobs' as name`, [])
  const rows = await app.app.database.run<NewJob>(`select data from ${schema!.name}.job where name = 'files-remove'`, [])
  return rows.map(({ data }) => data)
}

test('the picture goes with the account, and so do its files', async () => {
  const alice = await app.signUp('alice')
  const { userId, id } = await newPicture(alice)
  await setAvatar(alice, { userId, id })
  expect((await bob.client.request(Avatar, { id: alice.id })).node.avatarUrl).not.toBeNull()
  await remove(alice)
  expect((await bob.client.request(Avatar, { id: alice.id })).node).toEqual({ avatarUrl: null, deleted: true })
  expect(await removals()).toContainEqual({ userId, attachmentIds: [id] })
})

test('a request that was under way puts no picture onto a deleted account', async () => {
  const carol = await app.signUp('carol')
  const key = await newPicture(carol)
  await remove(carol)
  await expect(setAvatar(carol, key)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' })
  expect((await bob.client.request(Avatar, { id: carol.id })).node).toEqual({ avatarUrl: null, deleted: true })
  const claimed = 'select from attachments where user_id = $1 and claimed_at is not null'
  expect(await app.app.database.run(claimed, [userIdOf(carol)])).toEqual([])
})

test('what a process of another version has still put there goes in the second round', async () => {
  const dora = await app.signUp('dora')
  const { userId, id } = await newPicture(dora)
  const { database } = app.app
  await remove(dora)
  await finish(dora)
  await database.run('update users set avatar_attachment_id = $2, avatar_key = $3 where id = $1', [userId, id, 'a/b.jpg'])
  await database.run('update attachments set claimed_at = now() where user_id = $1', [userId])
  await database.run(
    `insert into devices (user_id, id, platform, token_hash, token, created_at)
     values ($1, 7, 'FCM', gen_random_uuid(), 'a token', now())`,
    [userId],
  )
  await database.run(`insert into name_keys (lead, key, kind, subject_id, score) values ('d', 'dora', 'USER', $1, 0)`, [userId])
  const ofPicture = async () => (await removals()).filter((data) => 'userId' in data && data.userId === userId)
  // As what was sent nowhere; it was not yet anybody's picture.
  expect(await ofPicture()).toEqual([{ userId, attachmentIds: [id] }])
  await finish(dora)
  expect(await ofPicture()).toHaveLength(2)
  for (const [table, column] of [['devices', 'user_id'], ['name_keys', 'subject_id']]) {
    expect(await database.run(`select from ${table} where ${column} = $1`, [userId]), table).toEqual([])
  }
  expect((await bob.client.request(Avatar, { id: dora.id })).node.avatarUrl).toBeNull()
})
