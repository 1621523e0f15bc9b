import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  AddReactionDocument,
  DeleteMessageDocument,
  EditMessageDocument,
  JoinChannelDocument,
  LeaveChannelDocument,
  RemoveReactionDocument,
} from '../client-sdk/index.ts'
import { createRandom } from '../server/testing/random.ts'
import { type Person, type Replica, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { parseGlobalId } from '../server/lib/global-id.ts'
import {
  activityFields, activityOf, type KeptActivity, markActivityRead, unreadOf, untilMade,
} from './testing/activities.ts'
import { newChannel, operation, say } from './testing/operations.ts'

let app: TestApp
let other: Replica
beforeAll(async () => {
  app = await startTestApp()
  other = await app.addReplica()
  // What it makes the other one does not hear of but through the store.
  await app.startWorkers()
})
afterAll(() => app.stop())

let alice: Person
let bob: Person
let channelId: string
let tests = 0
beforeEach(async () => {
  tests++
  ;[alice, bob] = (await Promise.all(['alice', 'bob'].map((name) => app.signUp(`${name}${tests}`)))) as [Person, Person]
  channelId = await newChannel(alice, { kind: 'PUBLIC', name: 'general' }, [bob])
  await untilMade(app)
})

const inbox = operation<any, { after?: string[] }>(`subscription Told($after: [String!]) {
  inbox(after: $after) {
    __typename ... on Event { stream cursor }
    ... on ActivityEvent { activityId unreadCount readUpTo activity { ${activityFields} } }
    ... on MembershipEvent { user { id } channel { id } member { role } }
    ... on MessageEvent { message { id deletedAt } }
  }
}`)

/** A device: what it keeps of its owner's activities from events alone, over any number of connections. */
function openDevice(person: Person) {
  const kept = new Map<string, KeptActivity>()
  const cursors = new Map<string, string>()
  const events: any[] = []
  let unreadCount = 0
  let readUpTo = 0
  const left = new Set<string>()
  const deleted = new Set<string>()
  let listening: Promise<void> = Promise.resolve()
  let close = async () => {}

  function apply(event: any) {
    cursors.set(event.stream, event.cursor)
    if (event.__typename === 'MembershipEvent' && event.user.id === person.id) {
      if (event.member === null) left.add(event.channel.id)
      else left.delete(event.channel.id)
    }
    if (event.__typename === 'MessageEvent' && event.message.deletedAt !== null) deleted.add(event.message.id)
    if (event.__typename !== 'ActivityEvent') return
    events.push(event)
    ;({ unreadCount, readUpTo } = event)
    if (event.activityId === null) return
    if (event.activity === null) kept.delete(event.activityId)
    else kept.set(event.activityId, event.activity)
  }

  return {
    events,
    async connect(replica: Replica) {
      const stream = replica.client(person.token).subscribe(inbox, { after: [...cursors.values()] })
      const synced = Promise.withResolvers<void>()
      listening = (async () => {
        for await (const { inbox: event } of stream) {
          apply(event)
          if (event.__typename === 'SyncedEvent') synced.resolve()
        }
      })()
      close = async () => void (await stream.return!())
      await synced.promise
    },
    async disconnect() {
      await close()
      await listening
    },
    state: () => ({
      unreadCount,
      activities: [...kept.values()]
        .filter(({ channel, message }) => !left.has(channel.id) && !deleted.has(message?.id ?? ''))
        .map((each) => ({ ...each, read: each.order <= readUpTo }))
        .toSorted((a, b) => b.order - a.order),
    }),
    async fetch() {
      unreadCount = await unreadOf(person)
      for (const each of await activityOf(person)) {
        kept.set(each.id, each)
        if (each.read) readUpTo = Math.max(readUpTo, each.order)
      }
    },
  }
}

const fetched = async (person: Person) => ({ unreadCount: await unreadOf(person), activities: await activityOf(person) })

test('every device hears of it, and of its being read on another', async () => {
  const devices = [openDevice(bob), openDevice(bob)]
  await devices[0]!.connect(app)
  await devices[1]!.connect(other)
  await Promise.all(devices.map((device) => device.fetch()))
  await say(alice, channelId, `tea? @${bob.username}`)
  for (const device of devices) {
    await expect.poll(() => device.events.length).toBe(1)
    expect(device.events[0]).toMatchObject({
      stream: bob.id,
      activity: {
        kind: 'MENTION',
        actor: { username: alice.username },
        message: { content: `tea? @${bob.username}` },
        read: false,
      },
      unreadCount: 2,
    })
    expect(device.events[0].activityId).toBe(device.events[0].activity.id)
  }
  const { id, order } = devices[0]!.events[0].activity
  expect(await markActivityRead(bob, id)).toBe(0)
  for (const device of devices) {
    await expect.poll(() => device.events.length).toBe(2)
    expect(device.events[1]).toMatchObject({ activityId: null, activity: null, unreadCount: 0, readUpTo: order })
    expect(device.state()).toEqual(await fetched(bob))
  }
  // Nothing has moved, and nobody hears of it.
  expect(await markActivityRead(bob, id)).toBe(0)
  await say(alice, channelId, `cake? @${bob.username}`)
  for (const device of devices) {
    await expect.poll(() => device.events.length).toBe(3)
    expect(device.events[2]).toMatchObject({ activity: { read: false }, unreadCount: 1, readUpTo: order })
    await device.disconnect()
  }
})

test('what was missed is told on coming back, each once and as it is by then', async () => {
  const { id: known } = await say(alice, channelId, `zero @${bob.username}`)
  await untilMade(app)
  const device = openDevice(bob)
  await device.connect(app)
  await device.fetch()
  await device.disconnect()
  await alice.client.request(EditMessageDocument, { input: { messageId: known, content: 'zero' } })
  const { id: kept } = await say(alice, channelId, `one @${bob.username}`)
  const { id: gone } = await say(alice, channelId, `two @${bob.username}`)
  await untilMade(app)
  await alice.client.request(DeleteMessageDocument, { messageId: gone })
  await untilMade(app)
  await device.connect(other)
  await expect.poll(() => device.state()).toEqual(await fetched(bob))
  // In the order in which workers came to them.
  const told = device.events.map(({ activity }) => activity?.message.id ?? null)
  expect(told.toSorted()).toEqual([kept, null, null].toSorted())
  await device.disconnect()
  const before = device.events.length
  await device.connect(app)
  expect(device.events).toHaveLength(before)
  await device.disconnect()
})

test('what is taken back is told: a reaction, a mention, and all of a channel that was left', async () => {
  const { id: own } = await say(bob, channelId, 'tea?')
  const device = openDevice(bob)
  await device.connect(app)
  await device.fetch()
  const reaction = { messageId: own, emoji: '👍' }
  await alice.client.request(AddReactionDocument, reaction)
  await expect.poll(() => device.events.length).toBe(1)
  await alice.client.request(RemoveReactionDocument, reaction)
  await expect.poll(() => device.events.length).toBe(2)
  expect(device.events[1]).toMatchObject({ activityId: device.events[0].activityId, activity: null, unreadCount: 1 })
  const { id } = await say(alice, channelId, `hi @${bob.username}`)
  await expect.poll(() => device.events.length).toBe(3)
  await alice.client.request(EditMessageDocument, { input: { messageId: id, content: 'hi' } })
  await expect.poll(() => device.events.length).toBe(4)
  expect(device.events[3]).toMatchObject({ activityId: device.events[2].activityId, activity: null, unreadCount: 1 })
  await bob.client.request(LeaveChannelDocument, { channelId })
  await expect.poll(() => device.events.length).toBe(5)
  expect(device.events[4]).toMatchObject({ activityId: null, activity: null, unreadCount: 0 })
  expect(device.state()).toEqual({ unreadCount: 0, activities: [] })
  await device.disconnect()
})

test('a device that keeps what it is told has what is fetched anew, however often it breaks off', { timeout: 60_000 }, async () => {
  const random = createRandom(20_261_121)
  const carol = await app.signUp(`carol${tests}`)
  await carol.client.request(JoinChannelDocument, { channelId })
  const devices = [openDevice(bob), openDevice(bob)]
  for (const device of devices) {
    await device.connect(app)
    await device.fetch()
  }
  const { id: root } = await say(bob, channelId, 'root')
  const written: { by: Person; id: string }[] = []
  const others = [alice, carol]
  for (let step = 0; step < 60; step++) {
    const by = random.pick(others)
    const what = random.below(8)
    if (what < 3) {
      const reply = random.chance(0.5) ? { replyToId: root } : {}
      const mention = random.chance(0.5) ? ` @${bob.username}` : ''
      written.push({ by, id: (await say(by, channelId, `${step}${mention}`, reply)).id })
    } else if (what < 5) {
      const reaction = { messageId: root, emoji: random.pick(['👍', '🍵']) }
      if (what === 3) await by.client.request(AddReactionDocument, reaction)
      else await by.client.request(RemoveReactionDocument, reaction)
    } else if (what === 5 && written.length > 0) {
      const one = random.pick(written)
      const content = `${step}${random.chance(0.5) ? ` @${bob.username}` : ''}`
      await one.by.client.request(EditMessageDocument, { input: { messageId: one.id, content } }).catch(() => {})
    } else if (what === 6 && written.length > 0) {
      const [one] = written.splice(random.below(written.length), 1)
      await one!.by.client.request(DeleteMessageDocument, { messageId: one!.id })
    } else if (what === 7) {
      const all = await activityOf(bob)
      if (all.length > 0) await markActivityRead(bob, random.pick(all).id)
    }
    if (random.chance(0.15)) {
      const device = random.pick(devices)
      await device.disconnect()
      await device.connect(random.pick([app, other]))
    }
  }
  await untilMade(app)
  const fresh = await fetched(bob)
  expect(fresh.activities.length).toBeGreaterThan(5)
  for (const device of devices) {
    await expect.poll(() => device.state(), { timeout: 10_000 }).toEqual(fresh)
    await device.disconnect()
  }
})

test('what a later release tells accounts is passed over, live and on coming back', async () => {
  const device = openDevice(bob)
  await device.connect(app)
  await device.fetch()
  const { userId } = parseGlobalId(bob.id) as { userId: string }
  const note = async () => {
    const [row] = await app.app.database.run<{ last_change: number }>(
      'update accounts set last_change = last_change + 1 where user_id = $1 returning last_change',
      [userId],
    )
    await app.app.database.run(
      `insert into account_changes (user_id, kind, channel_id, change) values ($1, 'TELEPATHY', $2::int, $2::int)`,
      [userId, row!.last_change],
    )
    return row!.last_change
  }
  // Written, and published, as a replica of that release would.
  const change = await note()
  await app.app.bus.publish(`account:${userId}`, JSON.stringify({ userId, change, kind: 'TELEPATHY', channelId: '1' }))
  await say(alice, channelId, `one @${bob.username}`)
  await expect.poll(() => device.events.length).toBe(1)
  await device.disconnect()
  // More than a page of them.
  for (let nth = 0; nth < 120; nth++) await note()
  await say(alice, channelId, `two @${bob.username}`)
  await untilMade(app)
  await note()
  await device.connect(app)
  await expect.poll(() => device.events.length).toBe(2)
  await say(alice, channelId, `three @${bob.username}`)
  await expect.poll(() => device.events.length).toBe(3)
  expect(device.events.map(({ activity }) => activity.message.content.split(' ')[0])).toEqual(['one', 'two', 'three'])
  expect(device.state()).toEqual(await fetched(bob))
  await device.disconnect()
})
