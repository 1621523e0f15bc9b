import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  AddReactionDocument,
  ChannelDocument,
  CreateChannelDocument,
  DeleteMessageDocument,
  MarkReadDocument,
  OpenDirectChannelDocument,
  PinMessageDocument,
  ReadReceiptsDocument,
  SaveDraftDocument,
  SetTypingDocument,
  TypingDocument,
} from '../client-sdk/index.ts'
import { listen, subscriptions } from '../server/testing/listen.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { block, blockedBy, edit, forbidden, openDirect, unblock } from './testing/blocks.ts'
import { failure, history, newChannel, refusal, say } from './testing/operations.ts'

let app: TestApp
let alice: Person
let bob: Person
let carol: Person
let people = 0
beforeAll(async () => {
  app = await startTestApp()
})
afterAll(() => app.stop())
// Who has blocked whom stays, so that everybody is new.
beforeEach(async () => {
  people++
  const names = ['alice', 'bob', 'carol'].map((name) => app.signUp(`${name}${people}`))
  ;[alice, bob, carol] = (await Promise.all(names)) as [Person, Person, Person]
})

describe('the DIRECT channel of two of whom one has blocked the other', () => {
  let channelId: string
  /** What each has said before. */
  let said: Map<Person, string>
  beforeEach(async () => {
    channelId = await openDirect(alice, bob)
    said = new Map()
    for (const person of [alice, bob]) said.set(person, (await say(person, channelId, 'hello')).id)
    await block(alice, bob)
  })

  const own = (person: Person) => said.get(person)!
  const other = (person: Person) => own(person === alice ? bob : alice)

  const refused: [what: string, act: (person: Person) => Promise<unknown>][] = [
    ['sending', (person) => say(person, channelId, 'still there?')],
    ['answering', (person) => say(person, channelId, 'still there?', { replyToId: other(person) })],
    ['editing', (person) => edit(person, own(person), 'x')],
    ['reacting', (person) => person.client.request(AddReactionDocument, { messageId: other(person), emoji: '👍' })],
    ['pinning', (person) => person.client.request(PinMessageDocument, { messageId: own(person) })],
    ['typing', (person) => person.client.request(SetTypingDocument, { channelId, typing: true })],
  ]
  test.each(refused)('%s is refused to both, in the same words', async (_, act) => {
    const [one, two] = [await failure(act(alice)), await failure(act(bob))]
    expect([one.code, two.code]).toEqual(['FORBIDDEN', 'FORBIDDEN'])
    expect(one.message).toBe(two.message)
    await unblock(alice, bob)
    await act(alice)
    await act(bob)
  })

  const allowed: [what: string, act: (person: Person) => Promise<unknown>][] = [
    ['reading', async (person) => expect(await history(person, channelId)).toHaveLength(2)],
    ['opening it', async (person) => expect(await openDirect(person, person === alice ? bob : alice)).toBe(channelId)],
    ['marking it as read', (person) => person.client.request(MarkReadDocument, { channelId, seq: 2 })],
    ['keeping a draft', (person) => person.client.request(SaveDraftDocument, { channelId, content: 'one day' })],
    ['taking back one’s words', (person) => person.client.request(DeleteMessageDocument, { messageId: own(person) })],
  ]
  test.each(allowed)('%s is left to both', async (_, act) => {
    await act(alice)
    await act(bob)
  })

  test('stays shut until each who has blocked the other takes it back', async () => {
    await block(bob, alice)
    await unblock(alice, bob)
    expect(await refusal(say(alice, channelId, 'hello?'))).toEqual(forbidden)
    await unblock(bob, alice)
    await say(alice, channelId, 'hello!')
    await say(bob, channelId, 'hello!')
  })

  test('other channels are as they were', async () => {
    const tea = await newChannel(carol, {}, [alice, bob])
    await say(alice, tea, 'hello')
    await say(bob, tea, 'hello')
    expect((await history(alice, tea)).map(({ content }) => content)).toEqual(['hello', 'hello'])
    await say(carol, await openDirect(carol, bob), 'hello')
    await say(carol, await openDirect(carol, alice), 'hello')
  })

  test('nobody hears in it how far the other has read', async () => {
    const tea = await newChannel(carol, {}, [alice, bob])
    await say(carol, tea, 'hello')
    const before = await subscriptions(app, 'readReceipts')
    const direct = [alice, bob].map((person) => listen(app, person, ReadReceiptsDocument, { channelId }))
    const group = listen(app, bob, ReadReceiptsDocument, { channelId: tea })
    await expect.poll(() => subscriptions(app, 'readReceipts')).toBe(before + 3)
    await alice.client.request(MarkReadDocument, { channelId, seq: 2 })
    await alice.client.request(MarkReadDocument, { channelId: tea, seq: 1 })
    await expect.poll(() => group.events.length).toBe(1)
    await unblock(alice, bob)
    await say(bob, channelId, 'hello again')
    await alice.client.request(MarkReadDocument, { channelId, seq: 3 })
    const told = () => direct.map(({ events }) => events.map((event) => event.readReceipts.lastReadSeq))
    await expect.poll(told).toEqual([[3], [3]])
    for (const listening of [...direct, group]) listening.stop()
  })

  test('nobody hears in it that the other types', async () => {
    const tea = await newChannel(carol, {}, [alice, bob])
    const before = await subscriptions(app, 'typing')
    const direct = listen(app, bob, TypingDocument, { channelId })
    const group = listen(app, bob, TypingDocument, { channelId: tea })
    await expect.poll(() => subscriptions(app, 'typing')).toBe(before + 2)
    await failure(alice.client.request(SetTypingDocument, { channelId, typing: true }))
    await alice.client.request(SetTypingDocument, { channelId: tea, typing: true })
    await expect.poll(() => group.events.length).toBe(1)
    expect(direct.events).toEqual([])
    direct.stop()
    group.stop()
  })
})

describe('a DIRECT channel that is not there yet', () => {
  test('is opened by neither, and by both once the block is taken back', async () => {
    await block(alice, bob)
    const openings = [[alice, bob], [bob, alice]] as const
    for (const [one, two] of openings) expect(await refusal(openDirect(one, two))).toEqual(forbidden)
    const { openDirectChannel } = await carol.client.request(OpenDirectChannelDocument, { userId: bob.id })
    expect(openDirectChannel.channel.kind).toBe('DIRECT')
    const input = { kind: 'DIRECT' as const, memberIds: [alice.id] }
    expect(await refusal(bob.client.request(CreateChannelDocument, { input }))).toEqual(forbidden)
    await unblock(alice, bob)
    expect(await openDirect(bob, alice)).toBe(await openDirect(alice, bob))
  })

  test('that is made at the moment of the block is shut, or was not made', async () => {
    for (let round = 0; round < 8; round++) {
      const dan = await app.signUp(`dan${people}-${round}`)
      const [opened] = await Promise.allSettled([openDirect(dan, alice), block(alice, dan)])
      if (opened.status === 'rejected') expect(await refusal(Promise.reject(opened.reason))).toEqual(forbidden)
      else expect(await refusal(say(dan, opened.value, 'hello'))).toEqual(forbidden)
    }
  })
})

describe('at the same time', () => {
  test('what was sent after the block was acknowledged is refused, on all replicas', async () => {
    const replica = await app.addReplica()
    const there = { ...bob, client: replica.client(bob.token) }
    const channelId = await openDirect(alice, bob)
    // Each replica remembers by now that bob may write here.
    await say(bob, channelId, '1')
    await say(there, channelId, '2')
    let isBlocked = false
    const late: string[] = []
    let acknowledged = 2
    const sendOn = async (person: Person) => {
      for (let nth = 0; ; nth++) {
        const wasBlocked = isBlocked
        const outcome = await say(person, channelId, `on ${nth}`).catch((error: unknown) => error)
        if (outcome instanceof Error) return expect(await refusal(Promise.reject(outcome))).toEqual(forbidden)
        acknowledged++
        if (wasBlocked) late.push(`on ${nth}`)
      }
    }
    const senders = [bob, bob, there, there].map(sendOn)
    await expect.poll(() => acknowledged).toBeGreaterThan(20)
    await block(alice, bob)
    isBlocked = true
    await Promise.all(senders)
    expect(late).toEqual([])
    const { channel } = await alice.client.request(ChannelDocument, { id: channelId })
    expect(channel!.lastSeq).toBe(acknowledged)
  })

  test('blocking and taking it back by both leave it as the last of each said', async () => {
    const channelId = await openDirect(alice, bob)
    const one = (person: Person, other: Person) => [block, unblock, block, unblock].map((act) => act(person, other))
    for (let round = 0; round < 4; round++) {
      await Promise.all([...one(alice, bob), ...one(bob, alice)])
      const isBlocked = (await Promise.all([blockedBy(alice), blockedBy(bob)])).some(({ ids }) => ids.length > 0)
      const outcome = await say(alice, channelId, 'hello').then(() => false, () => true)
      expect(outcome).toBe(isBlocked)
    }
    await Promise.all([unblock(alice, bob), unblock(bob, alice)])
    await say(bob, channelId, 'hello')
  })
})
