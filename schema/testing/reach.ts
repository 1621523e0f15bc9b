import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import type { TypedDocument } from '../../client-sdk/document.ts'
import { AddReactionDocument, ChannelDocument, MaruClientError, RemoveReactionDocument } from '../../client-sdk/index.ts'
import { parseGlobalId } from '../../server/lib/global-id.ts'
import { listen, subscriptions } from '../../server/testing/listen.ts'
import type { Person, TestApp } from '../../server/testing/test-app.ts'
import { unreadOf } from '../../workers/mail/unread.ts'
import type { Providers, TestDevice } from '../../workers/push/testing/providers.ts'
import { activityOf, type KeptActivity, untilMade } from './activities.ts'
import { block, openDirect, unblock } from './blocks.ts'
import { history, newChannel, say } from './operations.ts'

/** Two people, somebody who stands between them, and where they meet. */
export type Scene = {
  app: TestApp
  /** Blocks bob. */
  alice: Person
  bob: Person
  carol: Person
  /** A group of the three, which is carol's. */
  group: string
  /** The DIRECT channel of alice and bob, opened when it is first asked for. */
  direct(): Promise<string>
  /** Whatever a way wants to keep from one try to the next. */
  kept: Map<string, string>
}

/** Whether `from` can reach `to`. */
export type Reach = (from: Person, to: Person, scene: Scene) => Promise<boolean>

/** What is left while alice has blocked bob. */
export type Left =
  /** Nothing, in either direction. */
  | 'shut'
  /** Bob does not reach alice; she reaches him. */
  | 'one way'
  /** All: each of them meant it, or others are concerned. */
  | 'stays'

export type Way = [way: string, left: Left, reach: Reach]

const meanwhile: Record<Left, boolean[]> = { shut: [false, false], 'one way': [false, true], stays: [true, true] }

let scenes = 0
let marks = 0

/** A word that nobody has said before. */
export const mark = () => `mark${++marks}x`

export async function arrange(app: TestApp): Promise<Scene> {
  scenes++
  const names = ['alice', 'bob', 'carol'].map((name) => app.signUp(`${name}${scenes}`))
  const [alice, bob, carol] = (await Promise.all(names)) as [Person, Person, Person]
  const group = await newChannel(carol, {}, [alice, bob])
  return { app, alice, bob, carol, group, kept: new Map(), direct: () => openDirect(alice, bob) }
}

/** Tries a way in both directions: from bob to alice, and from alice to bob. */
export const both = async (reach: Reach, scene: Scene): Promise<boolean[]> => [
  await reach(scene.bob, scene.alice, scene),
  await reach(scene.alice, scene.bob, scene),
]

/** Tries a way before alice has blocked bob, while that lasts, and after it was taken back. */
export async function tryWay(scene: Scene, left: Left, reach: Reach): Promise<void> {
  expect(await both(reach, scene), 'before').toEqual([true, true])
  await block(scene.alice, scene.bob)
  expect(await both(reach, scene), 'while alice has blocked bob').toEqual(meanwhile[left])
  await unblock(scene.alice, scene.bob)
  expect(await both(reach, scene), 'after').toEqual([true, true])
}

/** Whether something is let through; what fails otherwise than by being forbidden fails the test. */
export const isAllowed = (act: Promise<unknown>): Promise<boolean> =>
  act.then(
    () => true,
    (error: unknown) => {
      if (error instanceof MaruClientError && error.code === 'FORBIDDEN') return false
      throw error
    },
  )

/** What is made by the first try, and used by those that follow. */
export async function keep({ kept }: Scene, key: string, make: () => Promise<string>): Promise<string> {
  const known = kept.get(key) ?? (await make())
  kept.set(key, known)
  return known
}

/** A message of somebody's that was there before the block. */
export const said = (scene: Scene, person: Person, where: 'direct' | 'group'): Promise<string> =>
  keep(scene, `${where} ${person.username}`, async () => {
    const channelId = where === 'group' ? scene.group : await scene.direct()
    return (await say(person, channelId, mark())).id
  })

/** A scene in which both have said something already. */
export async function arrangeSpoken(app: TestApp, where: 'direct' | 'group'): Promise<Scene> {
  const scene = await arrange(app)
  for (const person of [scene.alice, scene.bob]) await said(scene, person, where)
  return scene
}

/** Reacts, and takes it back, so that it can be done again. */
export async function react(from: Person, messageId: string, between = async () => {}): Promise<void> {
  const reaction = { messageId, emoji: '👍' }
  await from.client.request(AddReactionDocument, reaction)
  await between()
  await from.client.request(RemoveReactionDocument, reaction)
}

/** Sends what somebody has scheduled, as if its time had come; whether it is there then. */
export async function sendDue({ app }: Scene, person: Person, id: string, channelId: string, content: string): Promise<boolean> {
  const { userId } = parseGlobalId(person.id) as { userId: string }
  const { scheduledMessageId } = parseGlobalId(id) as { scheduledMessageId: string }
  const [row] = await app.app.database.run<{ send_at: Date }>(
    `update scheduled_messages set send_at = date_trunc('milliseconds', now() - interval '1 second')
     where user_id = $1 and id = $2 returning send_at`,
    [userId, scheduledMessageId],
  )
  await app.app.services.scheduledMessages.sendDue({ userId, id: scheduledMessageId, sendAt: row!.send_at.toISOString() })
  return (await history(person, channelId)).some((message) => message.content === content)
}

/** Waits until everybody who was to be told by push has been. */
async function untilPushed({ app: { database, jobs } }: TestApp): Promise<void> {
  const left = async () => {
    const [row] = await database.run<{ count: number }>('select count(*)::int as count from outbox', [])
    const counts = (await jobs.operator.counts()).filter(({ kind }) => kind.startsWith('push'))
    return counts.reduce((sum, { ready, active }) => sum + ready + active, row!.count)
  }
  await expect.poll(left, { timeout: 20_000 }).toBe(0)
}

/** Whether a phone shows what was just said. */
export async function isPushed({ app }: Scene, providers: Providers, phone: TestDevice, content: string): Promise<boolean> {
  await untilPushed(app)
  return providers.told(phone).some(({ body }) => body.includes(content))
}

/** Whether the mail that `to` would get now has a line that says so. */
export async function isMailed({ app }: Scene, to: Person, content: string): Promise<boolean> {
  const { userId } = parseGlobalId(to.id) as { userId: string }
  const unread = await unreadOf(app.app.database, userId, { shows: true, olderThan: null })
  return unread.some(({ lines }) => lines.some(({ excerpt }) => excerpt?.includes(content)))
}

/** Whether somebody's activity has one like that, once workers have written it. */
export async function hasActivity({ app }: Scene, to: Person, isIt: (activity: KeptActivity) => boolean): Promise<boolean> {
  await untilMade(app)
  return (await activityOf(to)).some(isIt)
}

export const mentionsOf = async (to: Person, channelId: string): Promise<number> =>
  (await to.client.request(ChannelDocument, { id: channelId })).channel!.unreadMentionCount

/** How long a subscription may take from being counted to hearing what comes. Milliseconds. */
export const openingMs = 50

/**
 * Whether a stream of `to`, of the field `field`, tells of what `act` does. What `last` does it tells of for sure: what
 * it has not told of by then will not come.
 */
export async function isTold<Result, Variables>(
  { app }: Scene,
  to: Person,
  field: string,
  [document, variables]: [TypedDocument<Result, Variables>, Variables],
  act: { does: () => Promise<unknown>; isIt: (event: Result) => boolean },
  last: { does: () => Promise<unknown>; isIt: (event: Result) => boolean },
): Promise<boolean> {
  const before = await subscriptions(app, field)
  const listening = listen<Result, Variables>(app, to, document, variables)
  await expect.poll(() => subscriptions(app, field)).toBe(before + 1)
  await sleep(openingMs)
  await act.does()
  await last.does()
  await expect.poll(() => listening.events.some(last.isIt)).toBe(true)
  const told = listening.events.some(act.isIt)
  listening.stop()
  await expect.poll(() => subscriptions(app, field)).toBe(before)
  return told
}
