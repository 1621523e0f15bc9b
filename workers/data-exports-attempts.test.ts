import { readdir } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { failure, newChannel, say } from '../schema/testing/operations.ts'
import { unavailable } from '../server/errors.ts'
import type { Files } from '../server/files/files.ts'
import { jobPolicies } from '../server/jobs/jobs.ts'
import type { TestApp } from '../server/testing/test-app.ts'
import { type Exporting, startExporting, userIdOf } from './testing/exporting.ts'

/** Without workers: the job is run by hand, so that it meets whatever comes in between. */
let exporting: Exporting
let app: TestApp
beforeAll(async () => {
  exporting = await startExporting()
  app = exporting.app
})
afterAll(() => exporting.stop())

test('an attempt that dies has shown nothing, and the next begins anew', async () => {
  const alice = await exporting.newPerson()
  const { files } = app.app
  await exporting.request(alice)
  // Killed when all is written and nobody knows of it.
  const dying = { ...files, write: async (...rest: Parameters<Files['write']>) => {
    await files.write(...rest)
    throw new Error('killed')
  } }
  await expect(exporting.work(alice, { files: dying })).rejects.toThrow('killed')
  const left = (await exporting.keyOf(alice))!
  expect(await files.head(left)).not.toBeNull()
  expect(await exporting.list(alice)).toMatchObject([{ status: 'PENDING', url: null }])
  await exporting.work(alice, { retries: 1 })
  expect(await exporting.keyOf(alice)).not.toBe(left)
  const removal = await exporting.jobsOf('files-remove')
  expect(removal.map(({ data }) => data)).toContainEqual({ keys: [left] })
  expect((await exporting.fetchExport(alice)).row.status).toBe('READY')
  expect(await readdir(exporting.tempDir)).toEqual([])
})

test('of two workers that have the same job the later shows its file, and the other’s goes', async () => {
  const alice = await exporting.newPerson()
  const { files } = app.app
  await exporting.request(alice)
  let first: string | undefined
  const slow = { ...files, write: async (...rest: Parameters<Files['write']>) => {
    first = rest[0]
    await exporting.work(alice)
    await files.write(...rest)
  } }
  await exporting.work(alice, { files: slow })
  expect(await exporting.keyOf(alice)).not.toBe(first)
  expect(await files.head(first!)).toBeNull()
  await exporting.fetchExport(alice)
})

test('an attempt that another has taken over shows nothing, though that is not done yet', async () => {
  const alice = await exporting.newPerson()
  await exporting.request(alice)
  const { dataExports } = app.app.services
  const which = await exporting.latest(alice)
  const first = (await dataExports.begin(which))!
  const second = (await dataExports.begin(which))!
  expect(await dataExports.finish(first, 1)).toBe(false)
  expect(await exporting.list(alice)).toMatchObject([{ status: 'RUNNING' }])
  expect(await dataExports.finish(second, 1)).toBe(true)
  expect(await dataExports.begin(which)).toBeNull()
})

test('what cannot be made is FAILED in the end, and can be asked for after an hour', async () => {
  const alice = await exporting.newPerson()
  await exporting.request(alice)
  const broken = { ...app.app.files, write: () => Promise.reject(new Error('no room')) }
  for (let retries = 0; retries < 4; retries++) await expect(exporting.work(alice, { files: broken, retries })).rejects.toThrow('no room')
  await exporting.work(alice, { files: broken, retries: 4 })
  expect(await exporting.list(alice)).toMatchObject([{ status: 'FAILED', url: null }])
  expect((await failure(exporting.request(alice))).retryAfterMs).toBeLessThanOrEqual(3_600_000)
  expect(await readdir(exporting.tempDir)).toEqual([])
})

test('a worker that is to stop lets go', async () => {
  const alice = await exporting.newPerson()
  await say(alice, await newChannel(alice), 'hello')
  await exporting.request(alice)
  await expect(exporting.work(alice, { signal: AbortSignal.abort(new Error('stopping')), retries: 50 })).rejects.toThrow('stopping')
  expect(await exporting.list(alice)).toMatchObject([{ status: 'PENDING' }])
  await exporting.work(alice, { retries: 51 })
  await exporting.fetchExport(alice)
})

test('an account that is deleted meanwhile gets none', async () => {
  const alice = await exporting.newPerson()
  await exporting.request(alice)
  let key = ''
  const { files, database, services } = app.app
  const deleting = { ...files, write: async (...rest: Parameters<Files['write']>) => {
    key = rest[0]
    await files.write(...rest)
    const viewer = { userId: userIdOf(alice), sessionId: '1', expiresAt: null }
    await services.accountDeletion.delete(viewer, { username: alice.username, password: `${alice.username}’s password` })
    await services.accountDeletion.finish({ userId: viewer.userId, deleteMessages: false }, database, new AbortController().signal)
  } }
  await exporting.work(alice, { files: deleting })
  expect(await files.head(key)).toBeNull()
  expect(await database.run('select from data_exports where user_id = $1', [userIdOf(alice)])).toEqual([])
})

test('storage that is away over night keeps nobody from their data', async () => {
  const alice = await exporting.newPerson()
  await exporting.request(alice)
  const away = { ...app.app.files, write: () => Promise.reject(unavailable('The storage is away.')) }
  const { retries: most } = jobPolicies['data-export']
  for (const retries of [0, 4, 5, most - 1]) {
    await expect(exporting.work(alice, { files: away, retries })).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(await exporting.list(alice)).toMatchObject([{ status: 'PENDING' }])
  }
  await exporting.work(alice, { retries: most })
  await exporting.fetchExport(alice)
  // And who has tried for as long as that says so.
  const other = await exporting.newPerson()
  await exporting.request(other)
  await exporting.work(other, { files: away, retries: most })
  expect(await exporting.list(other)).toMatchObject([{ status: 'FAILED' }])
  // It lasts for a night.
  expect(most * jobPolicies['data-export'].retryDelayMax).toBeGreaterThan(12 * 3_600)
})

test('what a worker dies of again and again is given up, and its file goes', async () => {
  const alice = await exporting.newPerson()
  await exporting.request(alice)
  const { dataExports } = app.app.services
  const which = await exporting.latest(alice)
  let last = ''
  // Each is the last that is heard of its worker.
  for (let retries = 0; retries < 4; retries++) last = (await dataExports.begin(which, retries))!.key
  await exporting.work(alice, { retries: 4 })
  expect(await exporting.list(alice)).toMatchObject([{ status: 'FAILED' }])
  expect((await exporting.jobsOf('files-remove')).map(({ data }) => data)).toContainEqual({ keys: [last] })
})

test('a worker that dies with the file of a deleted account leaves none', async () => {
  const alice = await exporting.newPerson()
  await exporting.request(alice)
  const { database, services } = app.app
  const viewer = { userId: userIdOf(alice), sessionId: '1', expiresAt: null }
  const { key } = (await services.dataExports.begin(await exporting.latest(alice)))!
  await services.accountDeletion.delete(viewer, { username: alice.username, password: `${alice.username}’s password` })
  await services.accountDeletion.finish({ userId: viewer.userId, deleteMessages: false }, database, new AbortController().signal)
  // The first removal may come before the worker has written it. No attempt lasts as long as until the second.
  const found = (await exporting.jobsOf('files-remove')).filter(({ data }) => 'keys' in data && String(data.keys) === key)
  expect(found.map(({ startAfter }) => +startAfter - Date.now() > jobPolicies['data-export'].expireIn * 1_000).toSorted()).toEqual([false, true])
})
