import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  BlockUserDocument,
  LeaveChannelDocument,
  SetActiveChannelDocument,
  SetTypingDocument,
  SignInDocument,
  TypingDocument,
} from '../client-sdk/index.ts'
import { activeIn, dropStaleActiveChannels, noSession } from '../server/domain/active-channels.ts'
import { parseGlobalId } from '../server/lib/global-id.ts'
import { topics } from '../server/fanout/topics.ts'
import { userIdOf } from '../server/testing/devices.ts'
import { listen, subscriptions } from '../server/testing/listen.ts'
import { type Person, type Replica, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { bad, failure, missing, newChannel, refusal } from './testing/operations.ts'

let app: TestApp
let alice: Person
let bob: Person
let channelId: string
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob] = await Promise.all([app.signUp('alice'), app.signUp('bob')])
})
beforeEach(async () => {
  channelId = await newChannel(alice, {}, [bob])
  for (const person of [alice, bob]) await show(person, null)
})
afterAll(() => app.stop())

const show = (person: Pick<Person, 'client'>, id: string | null) =>
  person.client.request(SetActiveChannelDocument, { channelId: id })

const sessionOf = (refreshToken: string) => refreshToken.split('.')[1]!

/** Who shows a channel, as the push pipeline is told. */
async function shownBy(id = channelId) {
  const parsed = parseGlobalId(id) as { channelId: string }
  return [...(await activeIn(app.app.database, parsed.channelId, [userIdOf(alice), userIdOf(bob)]))].toSorted()
}

const key = (person: Person) => `${userIdOf(person)} ${sessionOf(person.tokens.refreshToken)}`

/** Seconds that what somebody shows still holds. */
async function holds(person: Person): Promise<number | null> {
  const [row] = await app.app.database.run<{ left: number }>(
    `select extract(epoch from until - now())::float as left from active_channels where user_id = $1`,
    [userIdOf(person)],
  )
  return row?.left ?? null
}

const expireIn = (seconds: number, person = alice) =>
  app.app.database.run(`update active_channels set until = now() + make_interval(secs => $1) where user_id = $2`, [
    seconds,
    userIdOf(person),
  ])

test('each sign-in shows one channel, until it shows another or none', async () => {
  const other = await newChannel(alice)
  await show(alice, channelId)
  await show(bob, channelId)
  expect(await shownBy()).toEqual([key(alice), key(bob)].toSorted())
  const input = { username: 'alice', password: 'alice’s password' }
  const { signIn: phone } = await app.client().request(SignInDocument, { input })
  await show({ client: app.client(phone.accessToken) }, other)
  expect(await shownBy(other)).toEqual([`${userIdOf(alice)} ${sessionOf(phone.refreshToken)}`])
  await show(alice, other)
  expect(await shownBy(other)).toHaveLength(2)
  expect(await shownBy()).toEqual([key(bob)])
  await show(bob, null)
  expect(await shownBy()).toEqual([])
  await app.app.database.run('delete from active_channels', [])
})

test('it holds for two minutes', async () => {
  await show(alice, channelId)
  expect(await holds(alice)).toBeGreaterThan(100)
  expect(await holds(alice)).toBeLessThanOrEqual(120)
  await expireIn(-1)
  expect(await shownBy()).toEqual([])
  expect(await dropStaleActiveChannels(app.app.database)).toBe(0)
  await expireIn(-3_700)
  expect(await dropStaleActiveChannels(app.app.database)).toBe(1)
})

test('who may not read a channel cannot show it', async () => {
  const own = await newChannel(alice)
  expect((await failure(show(bob, own))).code).toBe('FORBIDDEN')
  expect(await refusal(show(bob, 'c1'))).toEqual(missing('channelId'))
  expect(await refusal(show(bob, bob.id))).toEqual(bad('channelId'))
  expect((await failure(show({ client: app.client() }, own))).code).toBe('UNAUTHENTICATED')
  expect(await holds(bob)).toBeNull()
})

test('who leaves a screen types there no more', async () => {
  const parsed = parseGlobalId(channelId) as { channelId: string }
  // On the bus: where it is shown it would run out by itself.
  const signals: unknown[] = []
  await app.app.bus.subscribe(topics.signals(parsed.channelId), (payload) => signals.push(JSON.parse(payload)))
  await show(alice, channelId)
  await alice.client.request(SetTypingDocument, { channelId, typing: true })
  await show(alice, channelId)
  await show(alice, await newChannel(alice))
  const typing = { type: 'typing', userId: userIdOf(alice) }
  await expect.poll(() => signals).toMatchObject([{ ...typing, typing: true }, { ...typing, typing: false }])
})

test('one can leave the screen of a channel that one is no longer in, or that is shut', async () => {
  await show(bob, channelId)
  await bob.client.request(LeaveChannelDocument, { channelId })
  await show(bob, null)
  const direct = await newChannel(alice, { kind: 'DIRECT', name: null }, [bob])
  await show(bob, direct)
  await alice.client.request(BlockUserDocument, { userId: bob.id })
  await show(bob, null)
  expect(await shownBy(direct)).toEqual([])
})

test('tokens without a session share one', async () => {
  const viewer = { userId: userIdOf(alice), sessionId: null, expiresAt: null }
  const parsed = parseGlobalId(channelId) as { channelId: string }
  await app.app.services.activeChannels.set(viewer, parsed.channelId)
  expect(await shownBy()).toEqual([`${userIdOf(alice)} ${noSession}`])
  await app.app.services.activeChannels.set(viewer, null)
  expect(await shownBy()).toEqual([])
})

test('it holds while the sign-in has a socket on some replica, and a moment longer', async () => {
  const replica: Replica = await app.addReplica()
  await show(alice, channelId)
  await expireIn(5)
  const here = listen(app, alice, TypingDocument, { channelId })
  // Soon after the socket has opened.
  await expect.poll(() => holds(alice)).toBeGreaterThan(60)
  await expireIn(5)
  const there = listen(replica, alice, TypingDocument, { channelId })
  await expect.poll(() => holds(alice)).toBeGreaterThan(60)
  const second = listen(replica, alice, TypingDocument, { channelId })
  await expect.poll(() => subscriptions(replica, 'typing')).toBe(2)
  second.stop()
  await expect.poll(() => subscriptions(replica, 'typing')).toBe(1)
  await expireIn(60)
  there.stop()
  // The last one there.
  await expect.poll(() => holds(alice)).toBeLessThan(20)
  expect(await shownBy()).toEqual([key(alice)])
  here.stop()
  await expect.poll(() => subscriptions(app, 'typing')).toBe(0)
  await replica.stop()
})

test('a replica that ends says that its sockets are gone', async () => {
  const replica = await app.addReplica()
  const heard = listen(replica, alice, TypingDocument, { channelId })
  await expect.poll(() => subscriptions(replica, 'typing')).toBe(1)
  await show(alice, channelId)
  await replica.stop()
  expect(await holds(alice)).toBeLessThan(20)
  heard.stop()
})

test('it holds on while one of two sockets is left', async () => {
  const replica = await app.addReplica()
  const { activeChannels } = replica.app.services
  const viewer = { userId: userIdOf(bob), sessionId: sessionOf(bob.tokens.refreshToken), expiresAt: null }
  await show(bob, channelId)
  activeChannels.opened(viewer)
  activeChannels.opened(viewer)
  activeChannels.closed(viewer)
  await activeChannels.close()
  expect(await holds(bob)).toBeGreaterThan(60)
  await replica.stop()
})

test('what is about to run out runs out, though a socket closes', async () => {
  const replica = await app.addReplica()
  const { activeChannels } = replica.app.services
  const viewer = { userId: userIdOf(bob), sessionId: sessionOf(bob.tokens.refreshToken), expiresAt: null }
  await show(bob, channelId)
  await expireIn(60, bob)
  activeChannels.opened(viewer)
  await expect.poll(() => holds(bob)).toBeGreaterThan(100)
  await expireIn(5, bob)
  activeChannels.closed(viewer)
  await replica.stop()
  expect(await holds(bob)).toBeLessThanOrEqual(5)
})

test('what ran out long ago is not revived by a socket', async () => {
  for (const person of [alice, bob]) await show(person, channelId)
  await expireIn(-400, alice)
  // The store may have been away for so long.
  await expireIn(-20, bob)
  const heard = listen(app, alice, TypingDocument, { channelId })
  await expect.poll(() => subscriptions(app, 'typing')).toBe(1)
  const other = listen(app, bob, TypingDocument, { channelId })
  await expect.poll(() => holds(bob)).toBeGreaterThan(60)
  expect(await holds(alice)).toBeLessThan(-300)
  expect(await shownBy()).toEqual([key(bob)])
  heard.stop()
  other.stop()
})
