import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { AddMembersDocument, EditMessageDocument, RemoveMemberDocument } from '../../client-sdk/index.ts'
import { newChannel, say } from '../../schema/testing/operations.ts'
import { expectedFailure } from '../errors.ts'
import type { EventBus } from '../event-bus/event-bus.ts'
import { parseGlobalId } from '../lib/global-id.ts'
import type { Change, Position } from '../message-store/changes.ts'
import { createRandom, type Random } from '../testing/random.ts'
import { storedMessages } from '../testing/stored-messages.ts'
import { type Person, startTestApp, type TestApp } from '../testing/test-app.ts'
import { channelSnowflake } from '../testing/watch-changes.ts'
import { createAudiences } from './audience.ts'
import { channelSource } from './channel-source.ts'
import { encodeCursor } from './cursor.ts'
import { createFeeds } from './feed.ts'
import { createGathering } from './gathering.ts'
import type { Answer, Frames, Group, PushStream, Subscriber } from './group.ts'
import { openInbox } from './inbox.ts'
import type { InboxItem } from './inbox-item.ts'
import type { Source } from './source.ts'
import { type MessageChange, openMessages, type StreamDeps } from './streams.ts'
import { topics } from './topics.ts'

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
beforeEach(async () => {
  channelId = await newChannel(alice, { kind: 'PUBLIC' }, [bob, carol])
  id = channelSnowflake(channelId)
})

const userIdOf = (person: Person) => (parseGlobalId(person.id) as { userId: string }).userId

/** What becomes of news on its way. */
type Chaos = (payload: string, deliver: (payload: string) => void) => void

const always: Chaos = (payload, deliver) => deliver(payload)

const errors: unknown[] = []
/** Undoes what a test has opened, the latest first. */
const opened: (() => void)[] = []
afterEach(() => {
  for (const close of opened.splice(0).toReversed()) close()
  errors.length = 0
})

/** Streams of their own on the app's store: news is at the mercy of `chaos`, and heads are compared now and then. */
function openStreams(chaos: Chaos, { intervalMs = 3_600_000, source = channelSource(app.app.messages) }: { intervalMs?: number; source?: Source<Change> } = {}) {
  const bus: EventBus = {
    ...app.app.bus,
    subscribe: (topic, handler) => app.app.bus.subscribe(topic, (payload) => chaos(payload, handler)),
  }
  const feeds = createFeeds({ source, bus, intervalMs, onError: (error) => errors.push(error) })
  opened.push(() => feeds.close())
  const gathering = createGathering((error) => errors.push(error))
  const frames = (answers: readonly Answer[]): Frames => ({ for: () => answers })
  const audiences = createAudiences({ feeds, gathering, onError: (error) => errors.push(error), frames })
  const deps: StreamDeps = {
    ...app.app.streams,
    channels: { ...app.app.streams.channels, source, feeds },
    audiences,
    gathering,
  }
  return { deps, feeds, audiences, gathering }
}

/** What a device is told of a change. */
type Told = Position & { kind: string; messageId: string; version: number; content: string }

/** The message that an item of either stream tells of; null where it tells of something else. */
function messageOf(item: InboxItem | MessageChange): MessageChange | null {
  const change = item.type === 'change' ? item.change : item
  return change.type === 'message' ? change : null
}

/** Answers each item once, as all groups do; `before` says how long it takes. */
function createGroup(before: (change: MessageChange) => Promise<unknown> = () => Promise.resolve()): Group {
  const answered = new WeakMap<object, Promise<Answer>>()
  async function answer(item: InboxItem | MessageChange): Promise<Answer> {
    const change = messageOf(item)
    if (change === null) return Buffer.from('null')
    await before(change)
    const { message, kind, seq } = change
    const told: Told = { change: change.change, seq, kind, messageId: message.id, version: message.version, content: message.content }
    return Buffer.from(JSON.stringify(told))
  }
  return {
    answer: (items) =>
      Promise.all(
        items.map((item) => {
          const known = answered.get(item as object) ?? answer(item as InboxItem | MessageChange)
          answered.set(item as object, known)
          return known
        }),
      ),
  }
}

/** A device that subscribes over and over: what it was told, and how it ended the last time. */
class Device implements Subscriber {
  readonly person: Person
  readonly group: Group
  readonly told: Told[] = []
  readonly #deps: StreamDeps
  /** Called with all that is told, in the moment in which it is. */
  readonly #onTold: (told: Told) => void
  isFull = false
  stream: PushStream<unknown> | null = null
  /** What the last stream ended with by itself; undefined where it did not. */
  ended: unknown
  position: Position

  constructor(deps: StreamDeps, person: Person, group: Group, position: Position, onTold: (told: Told) => void = () => {}) {
    this.#deps = deps
    this.person = person
    this.group = group
    this.position = position
    this.#onTold = onTold
  }

  /** Subscribes from where it stands; what it is refused with, or null. */
  async open(): Promise<string | null> {
    const after = encodeCursor({ kind: 'channel', id, ...this.position })
    try {
      this.start(await openMessages(this.#deps, userIdOf(this.person), id, after))
      return null
    } catch (error) {
      return expectedFailure(error)?.code ?? String(error)
    }
  }

  start(stream: PushStream<unknown>): void {
    this.ended = undefined
    this.stream = stream
    stream.start(this)
  }

  close(): void {
    this.stream?.stop()
    this.stream = null
    this.isFull = false
  }

  drain(): void {
    if (!this.isFull) return
    this.isFull = false
    this.stream?.resume()
  }

  isStalled(): boolean {
    return this.isFull
  }

  tell(answers: readonly Answer[]): Promise<void> {
    this.take({ for: () => answers })
    return this.#deps.gathering.nextRound()
  }

  take(frames: Frames): void {
    if (this.stream === null) return
    for (const answer of frames.for('')) {
      const told = JSON.parse(String(answer)) as Told | null
      if (told === null) continue
      this.told.push(told)
      this.position = { change: told.change, seq: told.seq }
      this.#onTold(told)
    }
  }

  end(error: unknown): void {
    this.stream = null
    this.ended = error
  }
}

async function headOf(channel: string): Promise<Position> {
  const [head] = await app.app.messages.heads([channel])
  return { change: head!.change, seq: head!.seq }
}

/** The newest version of every message that has changed since. */
async function changedSince(change: number) {
  const rows = await app.app.database.run<{ id: string; version: number }>(
    `select id, version from ${storedMessages} where channel_id = $1 and version > $2`,
    [id, change],
  )
  return new Map(rows.map((row) => [row.id, row.version]))
}

const versions = (told: readonly Told[]) => new Map(told.map(({ messageId, version }) => [messageId, version]))
const contents = (told: readonly Told[]) => told.map(({ content }) => content)
const isRising = (numbers: readonly number[]) => numbers.every((number, nth) => nth === 0 || number > numbers[nth - 1]!)

/** A promise that a test fulfils. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { promise, open: resolve }
}

describe('somebody who has read on is told what comes after it', () => {
  test('also where the last of what they read is nothing to tell, and takes long to answer', async () => {
    const { deps } = openStreams(always)
    await alice.client.request(RemoveMemberDocument, { channelId, userId: carol.id })
    const before = await headOf(id)
    await say(alice, channelId, 'missed')
    await alice.client.request(AddMembersDocument, { channelId, userIds: [carol.id] })
    const slow = gate()
    const group = createGroup((change) => (change.message.content === 'missed' ? slow.promise : Promise.resolve()))
    const device = new Device(deps, bob, group, before)
    opened.push(() => device.close())
    await device.open()
    await say(alice, channelId, 'live')
    // Long enough for what is live to overtake what was missed, where it can.
    await sleep(50)
    slow.open()
    await expect.poll(() => device.told.length).toBe(3)
    // In the midst: that carol has joined.
    expect(contents(device.told)).toEqual(['missed', '', 'live'])
  })
})

describe('an inbox', () => {
  test('takes its seats again once it has told what it has missed, and after each change', async () => {
    const { deps, audiences } = openStreams(always)
    const other = channelSnowflake(await newChannel(alice, {}, [bob]))
    const before = await Promise.all([id, other].map(async (channel) => ({ channel, at: await headOf(channel) })))
    await say(alice, channelId, 'missed')
    const device = new Device(deps, bob, createGroup(), before[0]!.at)
    opened.push(() => device.close())
    const after = before.map(({ channel, at }) => encodeCursor({ kind: 'channel', id: channel, ...at }))
    device.start(await openInbox(deps, userIdOf(bob), after))
    for (const content of ['missed', 'first', 'second']) {
      if (content !== 'missed') await say(alice, channelId, content)
      await expect.poll(() => device.told.at(-1)?.content).toBe(content)
      await expect.poll(() => audiences.reading).toBe(0)
    }
    expect(contents(device.told)).toEqual(['missed', 'first', 'second'])
  })
})

describe('members of an audience', () => {
  test.each([1, 2, 3])('who come, go, stall and are put out: each is told each change once, in order (seed %i)', async (seed) => {
    const random = createRandom(seed)
    let isCalm = false
    const late: Promise<void>[] = []
    const { deps, feeds, audiences } = openStreams(
      (payload, deliver) => {
        const copies = isCalm ? 1 : random.pick([0, 1, 1, 1, 1, 2])
        for (let copy = 0; copy < copies; copy++) {
          if (isCalm || random.chance(0.6)) deliver(payload)
          else late.push(sleep(random.below(30)).then(() => deliver(payload)))
        }
      },
      { intervalMs: 60 },
    )
    const source = channelSource(app.app.messages)
    // What this replica has written itself goes out without the bus.
    const deaf = await app.app.bus.subscribe(topics.channel(id), (payload) => {
      const changes = source.decode(payload, 0)
      if (Array.isArray(changes) && random.chance(0.5)) feeds.tell(id, changes)
    })
    opened.push(deaf)

    const start = await headOf(id)
    const groups = Array.from({ length: 3 }, (_, nth) =>
      createGroup(() => (random.chance(0.5) ? sleep(random.below(4 + nth * 8)) : Promise.resolve())),
    )
    /** When those who are out were put out, as a change that came with it or after. */
    const outSince = new Map<Person, number>()
    const faults: string[] = []
    const devices = Array.from({ length: 12 }, (_, nth) => {
      const person = [alice, bob, carol][nth % 3]!
      return new Device(deps, person, groups[nth % groups.length]!, start, ({ change }) => {
        const since = outSince.get(person)
        if (since !== undefined && change > since) faults.push(`${person.username} is out since ${since} and told of ${change}`)
      })
    })
    opened.push(() => devices.forEach((device) => device.close()))

    const counts = await stir({ random, devices, outSince })
    for (const what of ['sent', 'edited', 'put out', 'stalled', 'opened']) expect([what, counts[what] ?? 0]).not.toEqual([what, 0])

    isCalm = true
    await Promise.all(late)
    for (const person of outSince.keys()) await alice.client.request(AddMembersDocument, { channelId, userIds: [person.id] })
    outSince.clear()
    for (const device of devices) {
      device.drain()
      if (device.stream === null) expect(await device.open()).toBeNull()
    }
    await say(alice, channelId, 'the end')
    const expected = await changedSince(start.change)
    for (const device of devices) await expect.poll(() => device.told.at(-1)?.content).toBe('the end')
    for (const { told } of devices) {
      expect(isRising(told.map(({ change }) => change))).toBe(true)
      expect(versions(told)).toEqual(expected)
      const created = told.flatMap(({ kind, messageId }) => (kind === 'CREATED' ? [messageId] : []))
      expect(created.length).toBe(new Set(created).size)
    }
    expect(faults).toEqual([])
    // Everybody is live again, and nobody costs more than a place.
    await expect.poll(() => [audiences.reading, audiences.size()]).toEqual([0, groups.length])
    for (const device of devices) device.close()
    expect([audiences.reading, audiences.size(), feeds.size()]).toEqual([0, 0, 0])
    expect(errors).toEqual([])
  }, 60_000)
})

/** Lets three people and their devices do all that they can, for some seconds. */
async function stir({ random, devices, outSince }: { random: Random; devices: Device[]; outSince: Map<Person, number> }) {
  const counts: Record<string, number> = {}
  const count = (what: string) => void (counts[what] = (counts[what] ?? 0) + 1)
  const sent: string[] = []
  let isOver = false

  async function write(number: number) {
    while (!isOver) {
      if (random.chance(0.25) && sent.length > 0) {
        const input = { messageId: random.pick(sent.slice(-20)), content: `edited ${number}` }
        await alice.client.request(EditMessageDocument, { input })
        count('edited')
      } else {
        sent.push((await say(alice, channelId, `${number}.${sent.length}`)).id)
        count('sent')
      }
      if (random.chance(0.3)) await sleep(random.below(20))
    }
  }

  async function comeAndGo(person: Person) {
    while (!isOver) {
      await sleep(50 + random.below(150))
      await alice.client.request(RemoveMemberDocument, { channelId, userId: person.id })
      outSince.set(person, (await headOf(id)).change)
      count('put out')
      await sleep(random.below(80))
      outSince.delete(person)
      await alice.client.request(AddMembersDocument, { channelId, userIds: [person.id] })
    }
  }

  async function use(device: Device) {
    while (!isOver) {
      await sleep(random.below(25))
      if (device.stream === null) {
        if ((await device.open()) === null) count('opened')
      } else if (random.chance(0.15)) {
        device.isFull = true
        count('stalled')
        await sleep(random.below(60))
        device.drain()
      } else if (random.chance(0.1)) device.close()
    }
  }

  const all = [write(1), write(2), comeAndGo(bob), comeAndGo(carol), ...devices.map(use)]
  await Promise.race([Promise.all(all), sleep(4_000)])
  isOver = true
  await Promise.all(all)
  return counts
}
