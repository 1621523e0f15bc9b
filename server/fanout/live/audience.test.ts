import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { AddMembersDocument, EditMessageDocument, RemoveMemberDocument } from '../../../client-sdk/index.ts'
import { newChannel, say } from '../../../schema/testing/operations.ts'
import { unavailable } from '../../errors.ts'
import { always, createTestGroup, Device, never, openStreams, type Told, userIdOf } from '../../testing/devices.ts'
import { type Person, startTestApp, type TestApp } from '../../testing/test-app.ts'
import { channelSnowflake } from '../../testing/watch-changes.ts'
import { channelSource } from '../channel-source.ts'
import { encodeCursor } from '../cursor.ts'
import { openInbox } from '../streams/inbox.ts'
import type { Source } from '../source.ts'
import type { Change, Position } from '../../message-store/changes.ts'
import type { StreamDeps } from '../streams/stream-deps.ts'

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
/** The same as the store knows it. */
let id: string
beforeEach(async () => {
  channelId = await newChannel(alice, { kind: 'PUBLIC' }, [bob, carol])
  id = channelSnowflake(channelId)
})

/** Undoes what a test has opened, the latest first. */
const opened: (() => void)[] = []
afterEach(() => {
  for (const close of opened.splice(0).toReversed()) close()
})

function open(...args: Parameters<typeof openStreams> extends [unknown, ...infer Rest] ? Rest : never) {
  const streams = openStreams(app, ...args)
  opened.push(streams.close)
  return streams
}

/** A device that is not subscribed yet. */
function newDevice(deps: StreamDeps, position: Position, { person = bob, group = createTestGroup() } = {}) {
  const device = new Device(deps, { person, channelId: id, group, position })
  opened.push(() => device.close())
  return device
}

async function headOf(channel: string): Promise<Position> {
  const [head] = await app.app.messages.heads([channel])
  return { change: head!.change, seq: head!.seq }
}

const contents = (told: readonly Told[]) => told.map(({ content }) => content)

/** A promise that a test fulfils. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { promise, open: resolve }
}

describe('what comes live does not overtake what was missed', () => {
  test('where the last of it is nothing to tell, and the rest takes long to answer', async () => {
    const { deps } = open(always)
    await alice.client.request(RemoveMemberDocument, { channelId, userId: carol.id })
    const before = await headOf(id)
    await say(alice, channelId, 'missed')
    await alice.client.request(AddMembersDocument, { channelId, userIds: [carol.id] })
    const [asked, slow] = [gate(), gate()]
    const group = createTestGroup(async ({ message }) => {
      if (message.content !== 'missed') return
      asked.open()
      await slow.promise
    })
    const device = newDevice(deps, before, { group })
    await device.open()
    await asked.promise
    await say(alice, channelId, 'live')
    // Long enough to overtake, where that can be.
    await sleep(50)
    slow.open()
    await expect.poll(() => device.told.length).toBe(3)
    // In the midst: that carol has joined.
    expect(contents(device.told)).toEqual(['missed', '', 'live'])
  })

  test('nor is it told twice, where a device sits down while answers are under way', async () => {
    const { deps, audiences } = open(always)
    const slow = gate()
    const group = createTestGroup(({ message }) => (message.content === 'slow' ? slow.promise : Promise.resolve()))
    const first = newDevice(deps, await headOf(id), { group })
    await first.open()
    await expect.poll(() => audiences.reading).toBe(0)
    await say(alice, channelId, 'slow')
    await say(alice, channelId, 'behind it')
    // It knows of both already, and must hear but of what is new.
    const second = newDevice(deps, await headOf(id), { group })
    await second.open()
    await expect.poll(() => audiences.reading).toBe(0)
    expect(audiences.size()).toBe(1)
    await say(alice, channelId, 'new')
    slow.open()
    await expect.poll(() => [first, second].map(({ told }) => contents(told))).toEqual([['slow', 'behind it', 'new'], ['new']])
  })
})

describe('a message is CREATED once', () => {
  test('to who sits down where one page of the feed ends, and was told of it before the next', async () => {
    const real = channelSource(app.app.messages)
    const [page, rest] = [gate(), gate()]
    const start = await headOf(id)
    let reads = 0
    // Pages of seven changes: the message is on the first where it is read at once, and on the second once it is edited.
    const since: Source<Change>['since'] = async (...[of, after, , userId, catchUp]) => {
      await (reads++ === 0 ? page : rest).promise
      return real.since(of, after, 7, userId, catchUp)
    }
    const { deps, feeds } = open(never, { source: { ...real, since } })
    const attached = await feeds.attach(id, () => {})
    const { id: messageId } = await say(alice, channelId, 'first')
    for (let nth = 2; nth <= 8; nth++) await say(alice, channelId, `${nth}`)
    const device = newDevice(deps, start)
    await device.open()
    await expect.poll(() => device.told.length).toBe(8)
    await alice.client.request(EditMessageDocument, { input: { messageId, content: 'edited' } })
    page.open()
    await expect.poll(() => attached!.position().change).toBe(start.change + 8)
    await sleep(50)
    attached!.lookFor(start.change + 9)
    rest.open()
    await expect.poll(() => device.told.at(-1)?.content).toBe('edited')
    expect(device.told.map(({ kind }) => kind)).toEqual([...Array.from({ length: 8 }, () => 'CREATED'), 'EDITED'])
  })
})

describe('a device that fails to take what it is told', () => {
  test('gets it from the store, and keeps nothing from the others', async () => {
    const { deps, audiences, errors } = open(always)
    const [group, start] = [createTestGroup(), await headOf(id)]
    const devices = [bob, carol, alice].map((person) => newDevice(deps, start, { person, group }))
    for (const device of devices) await device.open()
    await expect.poll(() => audiences.reading).toBe(0)
    const failing = devices[1]!
    const { take } = failing
    failing.take = () => {
      failing.take = take
      throw new Error('a fault')
    }
    await say(alice, channelId, 'first')
    await say(alice, channelId, 'second')
    await expect.poll(() => devices.map(({ told }) => contents(told))).toEqual([1, 2, 3].map(() => ['first', 'second']))
    expect(errors).toMatchObject([{ message: 'a fault' }])
  })

  test('as one that listens to the feed and fails hears that it has missed something', async () => {
    const { feeds, errors } = open(always)
    const heard: string[] = []
    await feeds.attach(id, (changes) => {
      heard.push(changes === 'lost' ? 'lost' : 'failed')
      throw new Error('a fault')
    })
    await feeds.attach(id, (changes) => void heard.push(changes === 'lost' ? 'lost' : 'heard'))
    await say(alice, channelId, 'first')
    await expect.poll(() => heard).toEqual(['failed', 'lost', 'heard'])
    expect(errors.length).toBeGreaterThan(0)
  })

  test('ends, where it is told by itself; and goes on when it comes back', async () => {
    const { deps } = open(always)
    const device = newDevice(deps, await headOf(id))
    const { take } = device
    device.take = () => {
      throw new Error('a fault')
    }
    await say(alice, channelId, 'first')
    await device.open()
    await expect.poll(() => device.stream).toBeNull()
    device.take = take
    await device.open()
    await expect.poll(() => contents(device.told)).toEqual(['first'])
  })
})

describe('what cannot be answered', () => {
  test('ends the streams that it was for, rather than leave them without a word', async () => {
    const { deps, audiences, errors } = open(always)
    const group = createTestGroup(({ message }) => (message.content === 'bad' ? Promise.reject(new Error('a fault')) : Promise.resolve()))
    const [start, other] = [await headOf(id), createTestGroup()]
    const devices = [group, group, other].map((own) => newDevice(deps, start, { group: own }))
    for (const device of devices) await device.open()
    await expect.poll(() => audiences.reading).toBe(0)
    await say(alice, channelId, 'good')
    await say(alice, channelId, 'bad')
    await expect.poll(() => devices.map(({ told }) => contents(told))).toEqual([['good'], ['good'], ['good', 'bad']])
    await expect.poll(() => devices.map(({ stream }) => stream === null)).toEqual([true, true, false])
    expect(errors).toMatchObject([{ message: 'a fault' }])
  })
})

describe('who reads from the store is live again', () => {
  test('after all have stalled together, while others go on talking', async () => {
    const { deps, audiences } = open(always)
    const [group, start] = [createTestGroup(), await headOf(id)]
    const devices = Array.from({ length: 200 }, () => newDevice(deps, start, { group }))
    for (const device of devices) {
      await device.open()
      const { tell } = device
      // What it takes to frame and to write for one socket by itself.
      device.tell = (answers) => {
        for (const end = performance.now() + 0.03; performance.now() < end;);
        return tell.call(device, answers)
      }
    }
    await expect.poll(() => audiences.reading).toBe(0)
    // At a rate of its own, however busy the streams are.
    const sending: Promise<unknown>[] = []
    const began = performance.now()
    const talk = setInterval(() => {
      while (sending.length < (performance.now() - began) / 4) sending.push(say(alice, channelId, `${sending.length}`))
    }, 4)
    opened.push(() => clearInterval(talk))
    for (const device of devices) device.isFull = true
    await expect.poll(() => audiences.size()).toBe(0)
    for (const device of devices) device.drain()
    await expect.poll(() => audiences.reading, { interval: 5 }).toBeGreaterThan(0)
    await expect.poll(() => audiences.reading, { interval: 5 }).toBe(0)
    clearInterval(talk)
    await Promise.all(sending)
    const last = await headOf(id)
    await expect.poll(() => devices.every(({ position }) => position.change === last.change)).toBe(true)
  })

  test('an inbox, too, once it has told what it has missed, and after each change', async () => {
    const { deps, audiences } = open(always)
    const other = channelSnowflake(await newChannel(alice, {}, [bob]))
    const before = await Promise.all([id, other].map(async (channel) => ({ channel, at: await headOf(channel) })))
    await say(alice, channelId, 'missed')
    const device = newDevice(deps, before[0]!.at)
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

test('an inbox that cannot be opened, as one channel cannot be asked for, leaves nothing behind', async () => {
  const { deps, feeds, audiences } = open(always)
  const other = channelSnowflake(await newChannel(alice, {}, [bob]))
  const attach: typeof feeds.attach = async (of, listener) => {
    if (of === other) throw unavailable(new Error('away'))
    await sleep(20)
    return feeds.attach(of, listener)
  }
  const failing: StreamDeps = { ...deps, channels: { ...deps.channels, feeds: { ...feeds, attach } } }
  await expect(openInbox(failing, userIdOf(bob), [])).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  await sleep(100)
  expect([feeds.size(), audiences.reading]).toEqual([0, 0])
})
