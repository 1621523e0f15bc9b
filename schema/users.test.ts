import { afterAll, beforeAll, expect, test } from 'vitest'
import { UpdateProfileDocument, UserDocument, ViewerDocument } from '../client-sdk/index.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { bad, failure, refusal } from './testing/operations.ts'

let app: TestApp
let alice: Person
let minsu: Person
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, minsu] = await Promise.all([app.signUp('alice'), app.signUp('민수')])
})
afterAll(() => app.stop())

const find = async (username: string, person = alice) => (await person.client.request(UserDocument, { username })).user

async function update(displayName?: string | null) {
  const input = displayName === undefined ? {} : { displayName }
  return (await alice.client.request(UpdateProfileDocument, { input })).updateProfile
}

test('the viewer is who asks, and nobody when signed out', async () => {
  expect((await alice.client.request(ViewerDocument)).viewer).toMatchObject({ id: alice.id, username: 'alice' })
  expect((await app.client().request(ViewerDocument)).viewer).toBeNull()
})

test('a user is found by name, whatever its case and form', async () => {
  expect(await find('ALICE')).toMatchObject({ id: alice.id, username: 'alice', displayName: 'alice', bot: false })
  expect(await find('민수'.normalize('NFD'))).toMatchObject({ id: minsu.id })
  const { createdAt } = (await find('alice'))!
  expect(Math.abs(Date.now() - Date.parse(createdAt))).toBeLessThan(60_000)
})

/** Normalising it would take minutes. */
const accents = `a${'\u0301'.repeat(1_000_000)}`

test('nobody is called what nobody can be called', async () => {
  for (const username of ['nobody', '', 'a b', '\u0000', '\ud800', 'alice\u3164', 'x'.repeat(1_000), accents]) {
    expect(await find(username)).toBeNull()
  }
})

test('people are for those who are signed in', async () => {
  expect((await failure(app.client().request(UserDocument, { username: 'alice' }))).code).toBe('UNAUTHENTICATED')
})

test('a profile changes for everybody; an absent field keeps what is there, and null shows the username', async () => {
  expect(await update(' Alice  Liddell ')).toMatchObject({ username: 'alice', displayName: 'Alice  Liddell' })
  expect(await update()).toMatchObject({ displayName: 'Alice  Liddell' })
  expect(await find('alice', minsu)).toMatchObject({ displayName: 'Alice  Liddell' })
  expect(await update('앨리스'.normalize('NFD'))).toMatchObject({ displayName: '앨리스' })
  expect(await update(null)).toMatchObject({ displayName: 'alice' })
  for (const name of ['', ' ', '\u200b', 'a\nb', 'x'.repeat(81), '\u0000', '\ud800', accents]) {
    expect(await refusal(update(name))).toEqual(bad('input.displayName'))
  }
})
