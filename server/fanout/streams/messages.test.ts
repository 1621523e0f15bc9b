import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  AddMembersDocument,
  AddReactionDocument,
  ChannelDocument,
  EditMessageDocument,
  MessagesDocument,
  RemoveMemberDocument,
} from '../../../client-sdk/index.ts'
import { newChannel, say, sayMany } from '../../../schema/testing/operations.ts'
import { parseGlobalId } from '../../lib/global-id.ts'
import { listen, type Listening, subscriptions } from '../../testing/listen.ts'
import { type Person, type Replica, startTestApp, type TestApp } from '../../testing/test-app.ts'
import { channelSnowflake } from '../../testing/watch-changes.ts'
import { decodeCursor, encodeCursor } from '../cursor.ts'
import type { MessagesSubscription } from '../../../client-sdk/index.ts'

let app: TestApp
/** Hears nothing of what happens on the first replica, but through the store. */
let deaf: Replica
let alice: Person
let bob: Person
let carol: Person
let channelId: string
beforeAll(async () => {
  app = await startTestApp()
  deaf = await app.addReplica()
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
})
afterAll(() => app.stop())
beforeEach(async () => {
  channelId = await newChannel(alice, {}, [bob])
})

const open: Listening<MessagesSubscription>[] = []
afterEach(() => open.splice(0).forEach((listening) => listening.stop()))

function follow(person: Person, after: string | null, on: Replica = app, id = channelId) {
  const listening = listen(on, person, MessagesDocument, { channelId: id, after })
  open.push(listening)
  return listening
}

const told = ({ events }: Listening<MessagesSubscription>) => events.map(({ messages }) => `${messages.kind} ${messages.message.content}`)

async function cursorNow(): Promise<string> {
  const { channel } = await alice.client.request(ChannelDocument, { id: channelId })
  return channel!.cursor
}

const edit = (messageId: string, content: string) => alice.client.request(EditMessageDocument, { input: { messageId, content } })

describe('after a cursor', () => {
  test('first comes what changed since, each message once, then what comes', async () => {
    const old = await say(alice, channelId, 'old')
    const after = await cursorNow()
    const fresh = await say(alice, channelId, 'new')
    await edit(old.id, 'old, edited')
    await edit(fresh.id, 'new, edited')
    const listening = follow(bob, after)
    await expect.poll(() => told(listening)).toEqual(['EDITED old, edited', 'CREATED new, edited'])
    await say(alice, channelId, 'live')
    await edit(fresh.id, 'edited live')
    await expect.poll(() => told(listening).slice(2)).toEqual(['CREATED live', 'EDITED edited live'])
  })

  test('what was created since is CREATED, however many pages later it comes', async () => {
    const after = await cursorNow()
    const { id: first } = await say(alice, channelId, 'first')
    await sayMany(alice, channelId, 250)
    await edit(first, 'first, edited')
    const listening = follow(bob, after)
    await expect.poll(() => listening.events.length).toBe(251)
    expect(told(listening)).toEqual([...Array.from({ length: 250 }, (_, n) => `CREATED ${n + 1}`), 'CREATED first, edited'])
    const changes = listening.events.map(({ messages }) => decodeCursor(messages.cursor)!.change)
    expect(changes).toEqual([...new Set(changes)].toSorted((a, b) => a - b))
  })

  test('what was told is not told as new again by a replica to which it is news', async () => {
    const waits = follow(alice, await cursorNow(), deaf)
    await expect.poll(() => subscriptions(deaf, 'messages')).toBe(1)
    const after = await cursorNow()
    const { id } = await say(alice, channelId, 'one')
    const reads = follow(bob, after, deaf)
    await expect.poll(() => told(reads)).toEqual(['CREATED one'])
    await edit(id, 'one, edited')
    await expect.poll(() => told(reads), { timeout: 5_000 }).toEqual(['CREATED one', 'EDITED one, edited'])
    expect(told(waits).at(-1)).toMatch(/^(CREATED|EDITED) one, edited$/)
  })

  test('each event’s cursor leads on from there, to any replica', async () => {
    const after = await cursorNow()
    const { id } = await say(alice, channelId, 'one')
    await sayMany(alice, channelId, 4)
    await edit(id, 'one, edited')
    const whole = follow(bob, after)
    await expect.poll(() => whole.events.length).toBe(5)
    for (const [place, { messages }] of whole.events.entries()) {
      const rest = follow(bob, messages.cursor, place % 2 === 0 ? app : deaf)
      await expect.poll(() => rest.events.length).toBe(4 - place)
      expect(rest.events.map((event) => event.messages.message)).toEqual(whole.events.slice(place + 1).map((event) => event.messages.message))
    }
  })

  test('garbage and the cursors of other streams are no cursors, and one from the future has expired', async () => {
    const here = decodeCursor(await cursorNow())!
    const elsewhere = channelSnowflake(await newChannel(alice, {}, [bob]))
    const { userId } = parseGlobalId(bob.id) as { userId: string }
    const wrong = ['', 'garbage', '🪵', encodeCursor({ ...here, id: elsewhere }), encodeCursor({ ...here, kind: 'account', id: userId })]
    for (const after of wrong) expect([after, await follow(bob, after).ended]).toEqual([after, 'BAD_USER_INPUT'])
    expect(await follow(bob, encodeCursor({ ...here, change: here.change + 1 })).ended).toBe('CURSOR_EXPIRED')
    const listening = follow(bob, encodeCursor(here))
    await say(alice, channelId, 'still good')
    await expect.poll(() => told(listening)).toEqual(['CREATED still good'])
  })
})

test('without a cursor comes what comes, also where the replica lags behind', async () => {
  follow(alice, await cursorNow(), deaf)
  await expect.poll(() => subscriptions(deaf, 'messages')).toBe(1)
  await say(alice, channelId, 'before')
  const listening = follow(bob, null, deaf)
  await expect.poll(() => subscriptions(deaf, 'messages')).toBe(2)
  await say(alice, channelId, 'after')
  await expect.poll(() => told(listening), { timeout: 5_000 }).toEqual(['CREATED after'])
})

describe('who is not a member', () => {
  test('hears nothing from the start', async () => {
    expect(await follow(carol, null).ended).toBe('FORBIDDEN')
    expect(await follow(carol, await cursorNow()).ended).toBe('FORBIDDEN')
    expect(await follow(bob, null, app, 'c1').ended).toBe('NOT_FOUND')
    expect(await follow(bob, null, app, bob.id).ended).toBe('BAD_USER_INPUT')
  })

  test('hears nothing more, live or catching up, and is told why', async () => {
    const after = await cursorNow()
    const live = [follow(bob, after), follow(bob, after, deaf)]
    await say(alice, channelId, 'before')
    for (const listening of live) await expect.poll(() => told(listening), { timeout: 5_000 }).toEqual(['CREATED before'])
    await alice.client.request(RemoveMemberDocument, { channelId, userId: bob.id })
    await say(alice, channelId, 'behind his back')
    for (const listening of live) {
      expect(await listening.ended).toBe('FORBIDDEN')
      expect(told(listening)).toEqual(['CREATED before'])
    }
    expect(await follow(bob, after).ended).toBe('FORBIDDEN')
  })

  test('goes on hearing where they are back before their replica has heard that they were gone', async () => {
    const listening = follow(bob, await cursorNow(), deaf)
    await expect.poll(() => subscriptions(deaf, 'messages')).toBe(1)
    await alice.client.request(RemoveMemberDocument, { channelId, userId: bob.id })
    await alice.client.request(AddMembersDocument, { channelId, userIds: [bob.id] })
    const { id } = await say(alice, channelId, 'welcome back')
    await alice.client.request(AddReactionDocument, { messageId: id, emoji: '👋' })
    await expect.poll(() => told(listening).at(-1), { timeout: 5_000 }).toMatch(/welcome back/)
  })
})

test('streams that end leave nothing behind', async () => {
  const { feeds } = app.app.streams.channels
  await expect.poll(() => feeds.size()).toBe(0)
  const listenings = [follow(bob, null), follow(alice, null), follow(alice, await cursorNow())]
  await expect.poll(() => subscriptions(app, 'messages')).toBe(3)
  expect(feeds.size()).toBe(1)
  listenings[0]!.cut()
  listenings[1]!.stop()
  await expect.poll(() => subscriptions(app, 'messages')).toBe(1)
  expect(feeds.size()).toBe(1)
  listenings[2]!.cut()
  await expect.poll(() => feeds.size()).toBe(0)
  expect(await subscriptions(app, 'messages')).toBe(0)
})
