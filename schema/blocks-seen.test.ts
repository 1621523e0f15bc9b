import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import {
  AddContactDocument,
  ChannelDocument,
  LeaveChannelDocument,
  MarkReadDocument,
  MarkUnreadDocument,
  PresenceDocument,
  ReadReceiptsDocument,
  SetPresenceDocument,
  UserDocument,
} from '../client-sdk/index.ts'
import { listen, subscriptions } from '../server/testing/listen.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { type Providers, startProviders, type TestDevice } from '../workers/push/testing/providers.ts'
import { suggest } from './testing/autocomplete.ts'
import { newChannel, say } from './testing/operations.ts'
import {
  arrangeSpoken, isAllowed, isPushed, isTold, keep, mark, openingMs, said, type Scene, tryWay, type Way,
} from './testing/reach.ts'

/** What two people see of each other, and are pushed: the rest of `blocks-reach.test.ts`. */

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

let app: TestApp
let providers: Providers
const phones = new Map<Person, TestDevice>()
beforeAll(async () => {
  providers = await startProviders()
  app = await startTestApp({ ...providers.env, PUSH_PER_MINUTE: '1000' })
  await app.startWorkers(providers.trusted)
})
afterAll(async () => {
  await app.stop()
  await providers.stop()
})

const shows = (scene: Scene, to: Person, content: string) => isPushed(scene, providers, phones.get(to)!, content)

const pushes: Way[] = [
  ['what is said', 'one way', async (from, to, scene) => {
    const content = mark()
    await say(from, scene.group, content)
    return shows(scene, to, content)
  }],
  ['a mention', 'one way', async (from, to, scene) => {
    const content = mark()
    await say(from, scene.group, `${content} @${to.username}`)
    return shows(scene, to, content)
  }],
  ['an answer', 'one way', async (from, to, scene) => {
    const content = mark()
    await say(from, scene.group, content, { replyToId: await said(scene, to, 'group') })
    return shows(scene, to, content)
  }],
  ['what is said to them alone', 'shut', async (from, to, scene) => {
    const content = mark()
    return (await isAllowed(say(from, await scene.direct(), content))) && shows(scene, to, content)
  }],
]
test.each(pushes)('pushed: %s: %s', async (_, left, reach) => {
  const scene = await arrangeSpoken(app, 'group')
  for (const person of [scene.alice, scene.bob]) phones.set(person, await providers.register(person, 'FCM'))
  await tryWay(scene, left, reach)
})

/** Whether `to` sees that `from` is there, who is. */
async function isSeen(from: Person, to: Person): Promise<boolean> {
  await using inbox = app.client(from.token).inbox()
  await inbox.next()
  await from.client.request(SetPresenceDocument, { status: 'DO_NOT_DISTURB' })
  const { user } = await to.client.request(UserDocument, { username: from.username })
  await from.client.request(SetPresenceDocument, { status: 'ONLINE' })
  return user!.presence.status !== 'OFFLINE'
}

/** Milliseconds after which what is told of one person, or channel, does not come after what is told later of another. */
const turnMs = 300

const beingSeen: Way[] = [
  ['to be there', 'shut', isSeen],
  ['to come and go, live', 'shut', async (from, to, scene) => {
    const { carol } = scene
    await using inbox = app.client(from.token).inbox()
    await using carols = app.client(carol.token).inbox()
    await Promise.all([inbox.next(), carols.next()])
    const says = (person: Person, waitMs: number, statusText = mark()) => ({
      async does() {
        await sleep(waitMs)
        await person.client.request(SetPresenceDocument, { status: 'AWAY', statusText })
      },
      isIt: (event: { presence: { presence: { statusText?: string | null } } }) => event.presence.presence.statusText === statusText,
    })
    const userIds = [from.id, carol.id]
    return isTold(scene, to, 'presence', [PresenceDocument, { userIds }], says(from, 0), says(carol, turnMs))
  }],
  ['to be there, by a contact', 'shut', async (from, to, { group }) => {
    for (const person of [from, to]) await isAllowed(person.client.request(LeaveChannelDocument, { channelId: group }))
    await from.client.request(AddContactDocument, { userId: to.id })
    return isSeen(from, to)
  }],
  ['to have read', 'shut', async (from, to, scene) => {
    const direct = await scene.direct()
    const other = await keep(scene, 'where both read', () => newChannel(scene.carol, {}, [from, to]))
    const { channel } = await from.client.request(ChannelDocument, { id: direct })
    await from.client.request(MarkUnreadDocument, { channelId: direct, fromSeq: channel!.lastSeq })
    const { seq } = await say(scene.carol, other, mark())
    const before = await subscriptions(app, 'readReceipts')
    const [here, there] = [direct, other].map((channelId) => listen(app, to, ReadReceiptsDocument, { channelId }))
    await expect.poll(() => subscriptions(app, 'readReceipts')).toBe(before + 2)
    await sleep(openingMs)
    await from.client.request(MarkReadDocument, { channelId: direct, seq: channel!.lastSeq })
    await from.client.request(MarkReadDocument, { channelId: other, seq })
    const isFrom = (event: { readReceipts: { user: { id: string } } }) => event.readReceipts.user.id === from.id
    await expect.poll(() => there!.events.some(isFrom)).toBe(true)
    // Signals of two channels do not wait for each other.
    await sleep(turnMs)
    for (const each of [here, there]) each!.stop()
    await expect.poll(() => subscriptions(app, 'readReceipts')).toBe(before)
    return here!.events.some(isFrom)
  }],
]
test.each(beingSeen)('being seen %s: %s', async (_, left, reach) => tryWay(await arrangeSpoken(app, 'direct'), left, reach))

const suggests = async (to: Person, prefix: string, from: Person, channelId?: string) =>
  (await suggest(to, prefix, { kinds: ['USER'], ...(channelId === undefined ? {} : { channelId }) })).includes(`@${from.username}`)

const beingFound: Way[] = [
  ['suggested by their name', 'shut', (from, to) => suggests(to, from.username, from)],
  ['suggested to be mentioned', 'shut', (from, to, { group }) => suggests(to, from.username, from, group)],
  ['suggested to who has typed nothing yet', 'shut', (from, to) => suggests(to, '', from)],
  ['looked up by the whole name', 'stays', async (from, to) =>
    (await to.client.request(UserDocument, { username: from.username })).user?.id === from.id],
]
test.each(beingFound)('being %s: %s', async (_, left, reach) => tryWay(await arrangeSpoken(app, 'direct'), left, reach))
