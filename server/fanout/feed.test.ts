import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { EditMessageDocument } from '../../client-sdk/index.ts'
import { newChannel, say } from '../../schema/testing/operations.ts'
import type { EventBus } from '../event-bus/event-bus.ts'
import { parseGlobalId } from '../lib/global-id.ts'
import type { Change } from '../message-store/changes.ts'
import { createRandom } from '../testing/random.ts'
import { storedMessages } from '../testing/stored-messages.ts'
import { type Person, startTestApp, type TestApp } from '../testing/test-app.ts'
import { channelSource } from './channel-source.ts'
import { createFeeds, type Feeds } from './feed.ts'
import type { Source } from './source.ts'
import { topics } from './topics.ts'

let app: TestApp
let alice: Person
beforeAll(async () => {
  app = await startTestApp()
  alice = await app.signUp('alice')
})
afterAll(() => app.stop())

/** What becomes of news on its way. */
type Chaos = (payload: string, deliver: (payload: string) => void) => void

/** The app's bus, on which each delivery is at the mercy of `chaos`. */
function chaotic(chaos: Chaos) {
  const gapHandlers: (() => void)[] = []
  const bus: EventBus = {
    ...app.app.bus,
    subscribe: (topic, handler) => app.app.bus.subscribe(topic, (payload) => chaos(payload, handler)),
    onGap: (handler) => void gapHandlers.push(handler),
  }
  return { bus, tellGap: () => gapHandlers.forEach((handler) => handler()) }
}

const never: Chaos = () => {}
const always: Chaos = (payload, deliver) => deliver(payload)
/** Longer than any test here: nothing is found by comparing heads. */
const notInTime = 3_600_000

let channelId: string
let id: string
let feeds: Feeds<Change>
beforeEach(async () => {
  channelId = await newChannel(alice)
  id = (parseGlobalId(channelId) as { channelId: string }).channelId
  return () => feeds.close()
})

const errors: unknown[] = []
function open(bus: EventBus, intervalMs: number, source: Source<Change> = channelSource(app.app.messages)) {
  feeds = createFeeds({ source, bus, intervalMs, onError: (error) => errors.push(error) })
  return feeds
}

/** Listens, and keeps what was heard. */
async function listen() {
  const heard: Change[] = []
  const attached = await feeds.attach(id, (changes) => {
    if (changes === 'lost') throw new Error('Nothing was removed')
    heard.push(...changes)
  })
  return { heard, ...attached! }
}

const numbers = (changes: Change[]) => changes.map((change) => change.change)
const contents = (changes: Change[]) =>
  changes.flatMap((change) => (change.type === 'message' ? [change.message.content] : []))

/** The newest version of each message, by id. */
const versions = (changes: Change[]) =>
  new Map(changes.flatMap((change) => (change.type === 'message' ? [[change.message.id, change.message.version]] : [])))

describe('a feed', () => {
  test('hands out what is published, once to each listener, from where it stood', async () => {
    open(chaotic(always).bus, notInTime)
    await say(alice, channelId, 'before')
    const [one, other] = [await listen(), await listen()]
    const before = one.position()
    await say(alice, channelId, 'first')
    await say(alice, channelId, 'second')
    await expect.poll(() => contents(one.heard)).toEqual(['first', 'second'])
    expect(numbers(one.heard)).toEqual([before.change + 1, before.change + 2])
    expect(other.heard).toEqual(one.heard)
    expect(one.position()).toEqual({ change: before.change + 2, seq: 3 })
    one.detach()
    await say(alice, channelId, 'third')
    await expect.poll(() => contents(other.heard)).toEqual(['first', 'second', 'third'])
    expect(contents(one.heard)).toEqual(['first', 'second'])
  })

  test('is closed when the last listener has gone, and starts anew with the next', async () => {
    open(chaotic(always).bus, notInTime)
    const [one, other] = [await listen(), await listen()]
    one.detach()
    expect(feeds.size()).toBe(1)
    other.detach()
    other.detach()
    expect(feeds.size()).toBe(0)
    await say(alice, channelId, 'to nobody')
    const next = await listen()
    await say(alice, channelId, 'to the next')
    await expect.poll(() => contents(next.heard)).toEqual(['to the next'])
  })

  test('does not exist for a channel that does not', async () => {
    open(chaotic(always).bus, notInTime)
    expect(await feeds.attach('42', () => {})).toBeNull()
    expect(feeds.size()).toBe(0)
  })

  test('is none while the store cannot be asked, and is there when it can', async () => {
    const source = channelSource(app.app.messages)
    let isAway = true
    const heads: typeof source.heads = (ids) => (isAway ? Promise.reject(new Error('away')) : source.heads(ids))
    open(chaotic(always).bus, notInTime, { ...source, heads })
    const both = await Promise.allSettled([listen(), listen()])
    expect(both.map((outcome) => outcome.status)).toEqual(['rejected', 'rejected'])
    expect(feeds.size()).toBe(0)
    isAway = false
    const { heard } = await listen()
    await say(alice, channelId, 'back')
    await expect.poll(() => contents(heard)).toEqual(['back'])
  })
})

describe('what the bus loses, a feed finds in the store', () => {
  test('when the next news skips ahead', async () => {
    let isLost = true
    open(chaotic((payload, deliver) => isLost || deliver(payload)).bus, notInTime)
    const { heard } = await listen()
    await say(alice, channelId, 'lost')
    await say(alice, channelId, 'lost too')
    isLost = false
    await say(alice, channelId, 'heard')
    await expect.poll(() => contents(heard)).toEqual(['lost', 'lost too', 'heard'])
  })

  test('when heads are compared', async () => {
    open(chaotic(never).bus, 50)
    const { heard } = await listen()
    await say(alice, channelId, 'lost')
    await expect.poll(() => contents(heard)).toEqual(['lost'])
  })

  test('when the bus tells of a gap', async () => {
    const { bus, tellGap } = chaotic(never)
    open(bus, notInTime)
    const { heard } = await listen()
    await say(alice, channelId, 'lost')
    tellGap()
    await expect.poll(() => contents(heard)).toEqual(['lost'])
  })

  test('when somebody knows of it', async () => {
    open(chaotic(never).bus, notInTime)
    const { heard, position, lookFor } = await listen()
    await say(alice, channelId, 'lost')
    lookFor(position().change)
    lookFor(position().change + 1)
    await expect.poll(() => contents(heard)).toEqual(['lost'])
  })

  test('when news is too large to travel, or cannot be read', async () => {
    for (const payload of ['null', 'no JSON at all', '{"a":']) {
      open(chaotic((_, deliver) => deliver(payload)).bus, notInTime)
      const { heard } = await listen()
      await say(alice, channelId, `instead of ${payload}`)
      await expect.poll(() => contents(heard)).toEqual([`instead of ${payload}`])
      feeds.close()
    }
    open(chaotic(always).bus, notInTime)
    const { heard } = await listen()
    const large = '가'.repeat(70_000)
    await say(alice, channelId, large)
    await expect.poll(() => contents(heard)).toEqual([large])
  })

  test('also what is committed while it reads, which the store has not shown it', async () => {
    for (const payload of [undefined, 'null']) {
      const source = channelSource(app.app.messages)
      let whileReading = async () => {}
      const since: typeof source.since = async (...request) => {
        const page = await source.since(...request)
        const work = whileReading
        whileReading = async () => {}
        await work()
        return page
      }
      open(chaotic((sent, deliver) => deliver(payload ?? sent)).bus, notInTime, { ...source, since })
      const { heard, position, lookFor } = await listen()
      whileReading = async () => {
        await say(alice, channelId, 'meanwhile')
        await say(alice, channelId, 'and again')
      }
      lookFor(position().change + 1)
      await expect.poll(() => contents(heard)).toEqual(['meanwhile', 'and again'])
      feeds.close()
    }
  })

  test('after the store was away, too', async () => {
    const source = channelSource(app.app.messages)
    let isAway = false
    const since: typeof source.since = (...request) =>
      isAway ? Promise.reject(new Error('away')) : source.since(...request)
    open(chaotic(never).bus, 50, { ...source, since })
    const { heard } = await listen()
    isAway = true
    errors.length = 0
    await say(alice, channelId, 'lost')
    await expect.poll(() => errors.length).toBeGreaterThan(1)
    isAway = false
    await expect.poll(() => contents(heard)).toEqual(['lost'])
  })

  test('a message that was created and then edited is told once, as new', async () => {
    open(chaotic(never).bus, notInTime)
    const { heard, position, lookFor } = await listen()
    const { id: messageId } = await say(alice, channelId, 'first')
    await alice.client.request(EditMessageDocument, { input: { messageId, content: 'second' } })
    lookFor(position().change + 2)
    await expect.poll(() => contents(heard)).toEqual(['second'])
    expect(heard).toMatchObject([{ kind: 'CREATED', change: position().change }])
  })
})

test('news lost, doubled, delayed and in any order: each listener gets all of it, once and in order', async () => {
  const random = createRandom(7)
  const late: Promise<void>[] = []
  const { bus } = chaotic((payload, deliver) => {
    const copies = random.pick([0, 0, 1, 1, 1, 2, 3])
    for (let copy = 0; copy < copies; copy++) {
      if (random.chance(0.3)) deliver(payload)
      else late.push(sleep(random.below(40)).then(() => deliver(payload)))
    }
  })
  open(bus, 100)
  const listeners = [await listen(), await listen()]
  const writers = Array.from({ length: 4 }, async (_, writer) => {
    const sent: string[] = []
    for (let number = 0; number < 60; number++) {
      if (random.chance(0.3) && sent.length > 0) {
        const input = { messageId: random.pick(sent), content: `edited ${writer}.${number}` }
        await alice.client.request(EditMessageDocument, { input })
      } else sent.push((await say(alice, channelId, `${writer}.${number}`)).id)
      if (number === 30) listeners.push(await listen())
    }
  })
  await Promise.all(writers)
  await Promise.all(late)
  const [head] = await channelSource(app.app.messages).heads([id])
  for (const { heard, position } of listeners) {
    await expect.poll(position).toEqual({ change: head!.change, seq: head!.seq })
    expect(numbers(heard)).toEqual([...new Set(numbers(heard))].toSorted((a, b) => a - b))
  }
  const stored = await app.app.database.run<{ id: string; version: number }>(
    `select id, version from ${storedMessages} where channel_id = $1`,
    [id],
  )
  const latest = new Map(stored.map((row) => [row.id, row.version]))
  expect(latest.size).toBeGreaterThan(100)
  expect(versions(listeners[0]!.heard)).toEqual(latest)
  expect(versions(listeners[1]!.heard)).toEqual(latest)
  // Whoever came in between knows the latest of whatever it was told of.
  for (const { heard } of listeners) for (const [message, version] of versions(heard)) expect(latest.get(message)).toBe(version)
})

test('closing all feeds leaves no listener on the bus', async () => {
  let handlers = 0
  const bus: EventBus = {
    ...app.app.bus,
    async subscribe(topic, handler) {
      const unsubscribe = await app.app.bus.subscribe(topic, handler)
      expect(topic).toBe(topics.channel(id))
      handlers++
      return () => {
        handlers--
        unsubscribe()
      }
    },
  }
  open(bus, notInTime)
  await listen()
  const { detach } = await listen()
  expect(handlers).toBe(1)
  feeds.close()
  expect(handlers).toBe(0)
  detach()
})
