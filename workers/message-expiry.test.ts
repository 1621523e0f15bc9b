import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import {
  AddReactionDocument,
  ChannelDocument,
  DeleteMessageDocument,
  MessageThreadDocument,
  PinMessageDocument,
  PinnedMessagesDocument,
  SearchMessagesDocument,
  SetMessageExpiryDocument,
  UpdateChannelDocument,
} from '../client-sdk/index.ts'
import { history, newChannel, say, sayMany } from '../schema/testing/operations.ts'
import { expectedFailure } from '../server/errors.ts'
import { messageGlobalId } from '../server/lib/global-id.ts'
import { alone, messageExpiryLock } from '../server/message-store/maintenance-lock.ts'
import { copyMessages, fetchMessages } from '../server/testing/copy-of-messages.ts'
import { differences } from '../server/testing/differences.ts'
import { createRandom } from '../server/testing/random.ts'
import { type Person, type Replica, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { channelSnowflake } from '../server/testing/watch-changes.ts'
import { createMessageExpiry } from './message-expiry.ts'

let app: TestApp
let other: Replica
let alice: Person
let bob: Person
let channelId: string
beforeAll(async () => {
  app = await startTestApp({ MAX_SOCKETS_PER_USER: '1000' })
  other = await app.addReplica()
  ;[alice, bob] = await Promise.all([app.signUp('alice'), app.signUp('bob')])
})
beforeEach(async () => {
  channelId = await newChannel(alice, { kind: 'PUBLIC', name: 'tea' }, [bob])
})
afterEach(async () => {
  vi.useRealTimers()
  // What is left over is not the next test's.
  await app.app.database.run('update channels set expire_after_seconds = null', [])
})
afterAll(() => app.stop())

const onError = (error: unknown) => expect.fail(String(error))
const expiryOn = ({ app: { database, services } }: Replica) =>
  createMessageExpiry({ database, service: services.messageExpiry, onError })

/** Asks for it as people do, and then for a time that no test can wait for. */
async function letDisappearAfter(seconds: number, id = channelId) {
  await alice.client.request(SetMessageExpiryDocument, { channelId: id, seconds: 60 })
  await shorten(seconds, id)
}

const shorten = (seconds: number, id = channelId) =>
  app.app.database.run('update channels set expire_after_seconds = $2 where id = $1', [channelSnowflake(id), seconds])

const contents = async (person: Person = bob, id = channelId) => (await history(person, id)).map(({ content }) => content)

/** Runs it, as soon as nobody is at it: a lock goes a moment after its holder is done. Returns how many messages went. */
async function run(expiry = expiryOn(app)): Promise<number> {
  for (;;) {
    const count = await expiry.run()
    if (count !== null) return count
    await sleep(5)
  }
}

/** Messages of the channel that are to be taken off the screens they were pushed to, by their ids. */
async function withdrawn(): Promise<string[]> {
  const { database } = app.app
  const [schema] = await database.run<{ name: string }>(`select current_schema() || '_jobs' as name`, [])
  const rows = await database.run<{ id: string }>(
    `select jsonb_array_elements_text(data::jsonb -> 'messageIds') as id from ${schema!.name}.job
     where name = 'push-withdraw' and data ->> 'channelId' = $1 order by 1`,
    [channelSnowflake(channelId)],
  )
  return rows.map((row) => messageGlobalId(channelSnowflake(channelId), row.id))
}

/** Runs it until it has made this many disappear. */
async function runUntil(count: number, expiry = expiryOn(app)) {
  let gone = 0
  await expect.poll(async () => (gone += await run(expiry))).toBe(count)
}

test('what was sent since it was asked for disappears when its time has come, and nothing else does', async () => {
  await say(alice, channelId, 'from before')
  await letDisappearAfter(3)
  await say(bob, channelId, 'one')
  const expiry = expiryOn(app)
  expect(await run(expiry)).toBe(0)
  await sleep(3_100)
  await say(alice, channelId, 'two')
  await runUntil(1, expiry)
  expect(await contents()).toEqual(['from before', '', 'two'])
  await runUntil(1, expiry)
  expect(await contents()).toEqual(['from before', '', ''])
  expect(await run(expiry)).toBe(0)
})

test('of what has disappeared nothing is left, as of what was deleted', async () => {
  await letDisappearAfter(1)
  const root = await say(alice, channelId, 'shall we have chamomile @bob?')
  const reply = await say(bob, channelId, 'chamomile!', { replyToId: root.id })
  await alice.client.request(AddReactionDocument, { messageId: reply.id, emoji: '👍' })
  await alice.client.request(PinMessageDocument, { messageId: root.id })
  const gone = await say(bob, channelId, 'deleted by hand')
  const { deleteMessage } = await bob.client.request(DeleteMessageDocument, { messageId: gone.id })
  await alice.client.request(UpdateChannelDocument, { input: { channelId, topic: 'herbs' } })
  await sleep(1_100)
  await runUntil(2)

  const [first, second, third, system] = await history(bob, channelId)
  const empty = { content: '', mentions: [], reactions: [], pinnedAt: null, replyCount: 0, deletedAt: expect.any(String) }
  expect(first).toMatchObject({ id: root.id, ...empty })
  expect(second).toMatchObject({ id: reply.id, ...empty })
  expect(third).toEqual(deleteMessage.message)
  expect(system).toMatchObject({ kind: 'CHANNEL_UPDATED', content: 'herbs' })
  const found = await bob.client.request(SearchMessagesDocument, { query: 'chamomile' })
  expect(found.searchMessages.edges).toEqual([])
  const pins = await bob.client.request(PinnedMessagesDocument, { channelId })
  expect(pins.channel!.pinnedMessages.edges).toEqual([])
  const { channel } = await bob.client.request(ChannelDocument, { id: channelId })
  expect(channel).toMatchObject({ unreadMentionCount: 0, lastMessage: { content: 'herbs' } })
  const { node } = await bob.client.request(MessageThreadDocument, { id: root.id })
  expect(node).toMatchObject({ replies: { edges: [{ node: { id: reply.id, content: '' } }] } })
  expect(await withdrawn()).toEqual([root.id, reply.id, gone.id])
})

test('what devices keep from their streams is what is there', async () => {
  const { channel } = await alice.client.request(ChannelDocument, { id: channelId })
  const random = createRandom(7)
  const copies = [alice, bob, bob].map((person, nth) =>
    copyMessages(person, [app, other], channelId, channel!.cursor, createRandom(nth)),
  )
  await letDisappearAfter(1)
  const expiries = [app, other].map((replica) => expiryOn(replica))
  const state = { isOver: false }
  const expiring = expiries.map(async (expiry) => {
    while (!state.isOver) await expiry.run()
  })
  const sent: string[] = []
  for (let number = 0; number < 60; number++) {
    const person = random.pick([alice, bob])
    const replyToId = random.chance(0.4) && sent.length > 0 ? random.pick(sent) : null
    const { id } = await say(person, channelId, `${number} @alice`, { replyToId })
    sent.push(id)
    // What is gone by now takes neither.
    const late = (asked: Promise<unknown>) => asked.catch((error: unknown) => expect(error).toMatchObject({ code: 'CONFLICT' }))
    if (random.chance(0.3)) await late(bob.client.request(AddReactionDocument, { messageId: random.pick(sent), emoji: '🍵' }))
    if (random.chance(0.2)) await late(alice.client.request(PinMessageDocument, { messageId: random.pick(sent) }))
    await sleep(random.below(60))
  }
  await expect.poll(async () => new Set(await contents())).toEqual(new Set(['']))
  state.isOver = true
  await Promise.all(expiring)
  const now = await fetchMessages(alice, channelId)
  expect(now.size).toBe(60)
  for (const message of now.values()) expect(message).toMatchObject({ content: '', replyCount: 0, reactions: [] })
  await Promise.all(
    copies.map(async (copy) => {
      await copy.settle(() => expect.poll(() => differences(copy.kept, now)).toEqual([]))
      expect(copy.faults).toEqual([])
    }),
  )
}, 60_000)

test('much of it is gone in steps, each message once, though two do it at the same time', async () => {
  await letDisappearAfter(1)
  await sayMany(alice, channelId, 120)
  await sleep(1_100)
  const statement = 'select last_change from channels where id = $1'
  const changes = () => app.app.database.run<{ last_change: number }>(statement, [channelSnowflake(channelId)])
  const [before] = await changes()
  // Past the lock: as it is when one has lost it and believes that it has it still.
  const [one] = (await app.app.services.messageExpiry.list('0', 10)) as [never]
  const counts = await Promise.all([app, other, other].map((replica) => replica.app.services.messageExpiry.disappear(one)))
  expect(counts.map(({ count }) => count).toSorted()).toEqual([0, 0, 50])
  const [all, rest] = await Promise.all([app, other].map((replica) => expiryOn(replica).run()))
  expect([(all ?? 0) + (rest ?? 0), await run()]).toEqual([70, 0])
  const [after] = await changes()
  expect(after!.last_change - before!.last_change).toBe(120)
  expect(new Set((await history(bob, channelId, 100)).map(({ content }) => content))).toEqual(new Set(['']))
})

test('while one process is at it others leave it alone', async () => {
  await letDisappearAfter(1)
  await say(alice, channelId, 'hi')
  await sleep(1_100)
  await alone(other.app.database, async () => expect(await expiryOn(app).run()).toBeNull(), messageExpiryLock)
  // Maintenance is another matter.
  await alone(other.app.database, async () => expect(await run()).toBe(1))
})

test('a run that is cut off is gone on with', async () => {
  await letDisappearAfter(1)
  await sayMany(alice, channelId, 60)
  await sleep(1_100)
  const stopped = new AbortController()
  const { messageExpiry } = app.app.services
  const cutOff = createMessageExpiry({
    database: app.app.database,
    service: {
      ...messageExpiry,
      disappear: (channel) => messageExpiry.disappear(channel).finally(() => stopped.abort()),
    },
    onError,
    signal: stopped.signal,
  })
  expect(await run(cutOff)).toBe(50)
  expect(await run(expiryOn(other))).toBe(10)
})

test('a channel that is busy keeps no other back, and has its turn later', async () => {
  const busy = await newChannel(alice)
  await Promise.all([letDisappearAfter(1), letDisappearAfter(1, busy)])
  await Promise.all([say(alice, channelId, 'one'), say(alice, busy, 'two')])
  await sleep(1_100)
  const held = await app.app.database.reserve()
  await held.run('begin', [])
  await held.run('select from channels where id = $1 for update', [channelSnowflake(busy)])
  const failed: unknown[] = []
  const { services, database } = app.app
  const expiry = createMessageExpiry({ database, service: services.messageExpiry, onError: (error) => failed.push(error) })
  expect(await run(expiry)).toBe(1)
  expect(failed.map((error) => expectedFailure(error)?.code)).toEqual(['UNAVAILABLE'])
  expect(await contents()).toEqual([''])
  await held.run('rollback', [])
  held.release()
  expect(await run(expiry)).toBe(1)
})

test('a new time counts for what is left; what is left when it is turned off stays', async () => {
  await letDisappearAfter(300)
  await say(alice, channelId, 'one')
  const expiry = expiryOn(app)
  expect(await run(expiry)).toBe(0)
  await shorten(1)
  await sleep(1_100)
  expect(await run(expiry)).toBe(1)
  await say(alice, channelId, 'two')
  await alice.client.request(SetMessageExpiryDocument, { channelId, seconds: null })
  await sleep(1_100)
  expect(await run(expiry)).toBe(0)
  await letDisappearAfter(1)
  expect(await run(expiry)).toBe(0)
  expect(await contents()).toEqual(['', 'two'])
})

test('whoever looked before it was turned off and on again takes nothing of what was to stay', async () => {
  await letDisappearAfter(1)
  await say(alice, channelId, 'stays')
  await sleep(1_100)
  const { messageExpiry } = app.app.services
  const [before] = await messageExpiry.list('0', 10)
  await alice.client.request(SetMessageExpiryDocument, { channelId, seconds: null })
  expect(await messageExpiry.disappear(before!)).toMatchObject({ count: 0 })
  await letDisappearAfter(1)
  expect(await messageExpiry.disappear(before!)).toMatchObject({ count: 0 })
  expect(await contents()).toEqual(['stays'])
})

test('the store’s clock decides, whatever that of the process says', async () => {
  await letDisappearAfter(60)
  await say(alice, channelId, 'not yet')
  const due = await newChannel(alice, {}, [bob])
  await letDisappearAfter(1, due)
  await say(alice, due, 'now')
  await sleep(1_100)
  const { messageExpiry } = app.app.services
  const at = async (ms: number, work: () => Promise<void>) => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + ms })
    await work().finally(() => vi.useRealTimers())
  }
  await at(-86_400_000, async () => expect(await run()).toBe(1))
  await at(86_400_000, async () => {
    expect(await run()).toBe(0)
    for (const each of await messageExpiry.list('0', 10)) expect((await messageExpiry.disappear(each)).count).toBe(0)
  })
  expect(await contents()).toEqual(['not yet'])
  expect(await contents(bob, due)).toEqual([''])
})

test('what has nothing due costs its line in the list, and no look at its messages', async () => {
  await letDisappearAfter(3_600)
  await say(alice, channelId, 'hi')
  const expiry = expiryOn(app)
  await run(expiry)
  const names = async () => {
    const before = app.statements.length
    await run(expiry)
    return app.statements.slice(before).filter((text) => /\/\* (expiring|pages?|buckets) \*\//.test(text))
  }
  expect(await names()).toEqual([expect.stringContaining('/* expiring */')])
  await say(alice, channelId, 'more')
  expect(await names()).toHaveLength(1)
})
