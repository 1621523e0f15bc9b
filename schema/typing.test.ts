import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { RemoveMemberDocument, SetTypingDocument, TypingDocument } from '../client-sdk/index.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { bad, failure, missing, newChannel, refusal, repeatUntil } from './testing/operations.ts'

let app: TestApp
let alice: Person
let bob: Person
let carol: Person
let channelId: string
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
})
beforeEach(async () => {
  channelId = await newChannel(alice, {}, [bob, carol])
})
afterAll(() => app.stop())

async function setTyping(person: Person, typing: boolean, id = channelId) {
  return (await person.client.request(SetTypingDocument, { channelId: id, typing })).setTyping
}

/** What `person` is told of who types, once they are listening: carol types until then, and stops. */
async function listen(person: Person) {
  const stream = person.client.subscribe(TypingDocument, { channelId })
  const next = async () => {
    const { user, typing } = (await stream.next()).value!.typing
    return [user.username, typing]
  }
  const first = next()
  await repeatUntil(first, () => setTyping(carol, true))
  expect(await first).toEqual(['carol', true])
  await setTyping(carol, false)
  expect(await next()).toEqual(['carol', false])
  return { next, stream }
}

test('members see who begins and stops, but not themselves, and each once', async () => {
  const { next } = await listen(alice)
  expect(await setTyping(bob, true)).toBe(true)
  expect(await next()).toEqual(['bob', true])
  await setTyping(alice, true)
  await setTyping(bob, true)
  await setTyping(carol, false)
  await setTyping(carol, true)
  expect(await next()).toEqual(['carol', true])
  await setTyping(bob, false)
  expect(await next()).toEqual(['bob', false])
})

test('who is not heard of for six seconds has stopped', async () => {
  const { next } = await listen(alice)
  await setTyping(bob, true)
  expect(await next()).toEqual(['bob', true])
  await setTyping(carol, true)
  expect(await next()).toEqual(['carol', true])
  const last = Date.now()
  await setTyping(bob, true)
  // Bob was heard of again after carol, so that he stops after her.
  expect(await next()).toEqual(['carol', false])
  expect(await next()).toEqual(['bob', false])
  expect(Date.now() - last).toBeGreaterThanOrEqual(5_900)
})

test('who is put out hears no more', async () => {
  const { stream } = await listen(bob)
  await alice.client.request(RemoveMemberDocument, { channelId, userId: bob.id })
  expect((await failure(stream.next())).code).toBe('FORBIDDEN')
  expect((await failure(setTyping(bob, true))).code).toBe('FORBIDDEN')
})

test('says which input is at fault', async () => {
  expect(await refusal(setTyping(alice, true, alice.id))).toEqual(bad('channelId'))
  expect(await refusal(setTyping(alice, true, 'c1'))).toEqual(missing('channelId'))
  const open = (id: string) => refusal(alice.client.subscribe(TypingDocument, { channelId: id }).next())
  expect(await open('c1')).toEqual(missing('channelId'))
  expect(await open('m1_1')).toEqual(bad('channelId'))
})
