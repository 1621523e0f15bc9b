import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { ChannelDocument, SaveDraftDocument } from '../client-sdk/index.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { bad, failure, missing, newChannel, operation, refusal } from './testing/operations.ts'

let app: TestApp
let alice: Person
let bob: Person
let channelId: string
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob] = await Promise.all([app.signUp('alice'), app.signUp('bob')])
})
beforeEach(async () => {
  channelId = await newChannel(alice)
})
afterAll(() => app.stop())

async function save(person: Person, content: string | null, id = channelId) {
  const { saveDraft } = await person.client.request(SaveDraftDocument, { channelId: id, content })
  return saveDraft.channel.viewerDraft
}

async function draftOf(person: Person) {
  const { channel } = await person.client.request(ChannelDocument, { id: channelId })
  return channel!.viewerDraft
}

test('a draft is kept for its writer alone, until it is discarded', async () => {
  const shared = await newChannel(alice, { kind: 'PUBLIC', name: 'tea' }, [bob])
  channelId = shared
  expect(await draftOf(alice)).toBeNull()
  expect(await save(alice, 'dear b')).toBe('dear b')
  expect(await save(alice, ' dear bob,\n')).toBe(' dear bob,\n')
  expect(await save(bob, 'dear alice')).toBe('dear alice')
  expect(await draftOf(alice)).toBe(' dear bob,\n')
  expect(await save(alice, null)).toBeNull()
  expect(await draftOf(bob)).toBe('dear alice')
  expect(await save(bob, ' \n')).toBeNull()
})

test('a draft follows to the other device by the inbox, and so does that it is gone', async () => {
  const inbox = operation<any, Record<string, never>>(`subscription OtherDevice {
    inbox { __typename ... on ChannelUpdatedEvent { stream channel { id viewerDraft } } }
  }`)
  await using events = app.client(alice.token).subscribe(inbox)
  const next = async () => (await events.next()).value!.inbox
  expect(await next()).toEqual({ __typename: 'SyncedEvent' })
  await save(alice, 'on the phone')
  const event = { __typename: 'ChannelUpdatedEvent', stream: alice.id }
  expect(await next()).toEqual({ ...event, channel: { id: channelId, viewerDraft: 'on the phone' } })
  await save(alice, null)
  expect(await next()).toEqual({ ...event, channel: { id: channelId, viewerDraft: null } })
})

test('discarding what is not there is no news', async () => {
  const changes = () => app.app.database.run('select sum(last_change) as changes from accounts', [])
  const before = await changes()
  await save(alice, null)
  expect(await changes()).toEqual(before)
})

test('says which input is at fault', async () => {
  for (const content of ['\u0000', '\udfff', 'x'.repeat(100_001)]) {
    expect(await refusal(save(alice, content))).toEqual(bad('content'))
  }
  expect(await refusal(save(alice, 'hi', alice.id))).toEqual(bad('channelId'))
  expect(await refusal(save(alice, 'hi', 'c1'))).toEqual(missing('channelId'))
  expect((await failure(save(bob, 'hi'))).code).toBe('FORBIDDEN')
})
