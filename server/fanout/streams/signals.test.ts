import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { AddMembersDocument, MarkReadDocument, RemoveMemberDocument, SetTypingDocument } from '../../../client-sdk/index.ts'
import { newChannel, sayMany } from '../../../schema/testing/operations.ts'
import { parseGlobalId } from '../../lib/global-id.ts'
import { type Person, startTestApp, type TestApp } from '../../testing/test-app.ts'
import { channelSnowflake } from '../../testing/watch-changes.ts'
import { createSignalHub, type SignalHub } from './signals.ts'

let app: TestApp
let alice: Person
let bob: Person
let carol: Person
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
})
afterAll(() => app.stop())

let channelId: string
let id: string
/** A hub such as the replica's own, and how often it has asked the bus for a topic, and heard from it. */
let hub: SignalHub
let asked: string[]
let heard: number
beforeEach(async () => {
  channelId = await newChannel(alice, {}, [bob, carol])
  id = channelSnowflake(channelId)
  asked = []
  heard = 0
  const { bus, streams } = app.app
  hub = createSignalHub({
    bus: {
      ...bus,
      subscribe(topic, handler) {
        asked.push(topic)
        return bus.subscribe(topic, (payload) => {
          heard++
          handler(payload)
        })
      },
    },
    standings: streams.standings,
    feeds: streams.channels.feeds,
    onError: (error) => expect.fail(String(error)),
  })
})

const idOf = (person: Person) => (parseGlobalId(person.id) as { userId: string }).userId
const type = (person: Person, typing: boolean) => person.client.request(SetTypingDocument, { channelId, typing })

/** Reads a stream to its end; what it has told so far. */
function read<News>(stream: AsyncIterableIterator<News>): { told: News[]; ended: Promise<unknown>; stop(): void } {
  const told: News[] = []
  const ended = (async () => {
    for await (const news of stream) told.push(news)
    return 'over'
  })().catch((error: unknown) => error)
  return { told, ended, stop: () => void stream.return?.() }
}

test('a channel is listened to once for all of its streams, and all of them are told the same object', async () => {
  const viewers = [alice, bob, carol].map(idOf)
  const typing = await Promise.all(Array.from({ length: 300 }, async (_, nth) => read(await hub.openTyping(viewers[nth % 3]!, id))))
  const receipts = await Promise.all(Array.from({ length: 300 }, async (_, nth) => read(await hub.openReceipts(viewers[nth % 3]!, id))))
  expect(asked).toHaveLength(1)
  expect(hub.size()).toBe(1)
  await sayMany(alice, channelId, 2)
  await type(bob, true)
  await carol.client.request(MarkReadDocument, { channelId, seq: 2 })
  await expect.poll(() => typing.filter(({ told }) => told.length === 1).length).toBe(200)
  await expect.poll(() => receipts.filter(({ told }) => told.length === 1).length).toBe(300)
  expect(heard).toBe(2)
  expect(new Set(typing.flatMap(({ told }) => told))).toEqual(new Set([{ userId: idOf(bob), typing: true }]))
  expect(new Set(typing.flatMap(({ told }) => told)).size).toBe(1)
  expect(new Set(receipts.flatMap(({ told }) => told)).size).toBe(1)
  expect(receipts[0]!.told).toEqual([{ userId: idOf(carol), lastReadSeq: 2 }])
  // He is not told of himself.
  expect(typing[1]!.told).toEqual([])
  for (const { stop } of [...typing, ...receipts]) stop()
  await expect.poll(() => hub.size()).toBe(0)
})

test('who comes later hears who is typing, and all hear once that it has expired', async () => {
  const early = read(await hub.openTyping(idOf(alice), id))
  await type(bob, true)
  await expect.poll(() => early.told.length).toBe(1)
  const began = performance.now()
  const late = read(await hub.openTyping(idOf(carol), id))
  const self = read(await hub.openTyping(idOf(bob), id))
  await expect.poll(() => late.told).toEqual([{ userId: idOf(bob), typing: true }])
  expect(late.told[0]).toBe(early.told[0])
  await expect.poll(() => [early.told.length, late.told.length]).toEqual([2, 2])
  expect(performance.now() - began).toBeGreaterThan(4_000)
  expect(late.told[1]).toBe(early.told[1])
  expect(self.told).toEqual([])
  for (const { stop } of [early, late, self]) stop()
})

test('who reads slowly is told what is true by then, of each user once', async () => {
  const slow = await hub.openTyping(idOf(alice), id)
  const quick = read(await hub.openTyping(idOf(alice), id))
  const receipts = await hub.openReceipts(idOf(alice), id)
  const quickReceipts = read(await hub.openReceipts(idOf(alice), id))
  await sayMany(alice, channelId, 5)
  for (let round = 0; round < 5; round++) {
    for (const typing of [true, false]) {
      await type(bob, typing)
      await expect.poll(() => quick.told.at(-1)).toEqual({ userId: idOf(bob), typing })
    }
    await carol.client.request(MarkReadDocument, { channelId, seq: round + 1 })
    await expect.poll(() => quickReceipts.told.at(-1)?.lastReadSeq).toBe(round + 1)
  }
  await type(carol, true)
  // Bob began and stopped, which comes to nothing.
  expect((await slow.next()).value).toEqual({ userId: idOf(carol), typing: true })
  expect((await receipts.next()).value).toEqual({ userId: idOf(carol), lastReadSeq: 5 })
  for (const stream of [slow, receipts]) await stream.return!()
  for (const { stop } of [quick, quickReceipts]) stop()
})

test('who is put out hears no more, and the others go on', async () => {
  const streams = {
    bob: read(await hub.openTyping(idOf(bob), id)),
    receipts: read(await hub.openReceipts(idOf(bob), id)),
    carol: read(await hub.openTyping(idOf(carol), id)),
  }
  await alice.client.request(RemoveMemberDocument, { channelId, userId: bob.id })
  await type(alice, true)
  await expect.poll(() => streams.carol.told).toEqual([{ userId: idOf(alice), typing: true }])
  expect(await streams.bob.ended).toMatchObject({ code: 'FORBIDDEN' })
  expect(await streams.receipts.ended).toMatchObject({ code: 'FORBIDDEN' })
  expect([streams.bob.told, streams.receipts.told]).toEqual([[], []])
  await expect(hub.openTyping(idOf(bob), id)).rejects.toMatchObject({ code: 'FORBIDDEN' })
  streams.carol.stop()
  await expect.poll(() => hub.size()).toBe(0)
})

test('who was put out and is back before they looked is told who is typing by then', async () => {
  const slow = await hub.openTyping(idOf(bob), id)
  await type(alice, true)
  expect((await slow.next()).value).toEqual({ userId: idOf(alice), typing: true })
  await alice.client.request(RemoveMemberDocument, { channelId, userId: bob.id })
  await type(alice, false)
  await type(carol, true)
  await alice.client.request(AddMembersDocument, { channelId, userIds: [bob.id] })
  const told = [(await slow.next()).value, (await slow.next()).value]
  expect(told).toEqual([{ userId: idOf(alice), typing: false }, { userId: idOf(carol), typing: true }])
  await slow.return!()
})

test('of a channel that is not there nobody hears, and nothing is left of asking', async () => {
  await expect(hub.openTyping(idOf(alice), '42')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  await expect.poll(() => hub.size()).toBe(0)
})
